"""The command as an operator types it: one clear line and the right exit code for whatever is wrong."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from tests.testbed.hub import HUB, PASSWORD, Hub, clean_environment, run_afresh, run_command, running_hub
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("[web]\nprt = 1\n", "web.prt"),
        ('[hub]\ndatabase = "mysql://x"\n', "hub.database"),
        ('[hub]\ndatabase = "sqlite:////proc/nowhere/hub.db"\n', "hub.database"),
    ],
)
async def test_a_wrong_configuration_is_one_line_and_exit_code_2(tmp_path: Path, toml: str, named: str) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(toml)
    code, out, err = await run_command("serve", "--config", str(config))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert named in err
    assert "Traceback" not in err


async def test_a_database_that_does_not_answer_is_named_with_its_host(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(f'[hub]\ndatabase = "postgresql://hub@127.0.0.1:{free_port()}/hub"\n')
    code, _, err = await run_command("serve", "--config", str(config))
    assert code == 2, err
    assert "hub.database" in err.splitlines()[-1]
    assert "127.0.0.1" in err
    assert "Traceback" not in err


async def test_the_example_configuration_starts_as_it_is(tmp_path: Path) -> None:
    shutil.copy(Path("config/hub.example.toml"), tmp_path / "hub.toml")
    port = free_port()
    hub = Hub(tmp_path, tmp_path / "hub.toml", port, tmp_path / "hub.log")
    # As a newcomer does, in a folder of their own; only the port is another, so that tests can run side by side.
    environment = clean_environment() | {"HUB_WEB__PORT": str(port)}
    with hub.log.open("wb") as log:
        hub.process = await asyncio.create_subprocess_exec(
            *HUB, "serve", "--config", "hub.toml", cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
    try:
        await wait_for(hub.is_ready, what="Hub answers", deadline_s=30)
        assert (tmp_path / "var" / "hub.db").exists()
    finally:
        await hub.stop()
    assert "Traceback" not in hub.log.read_text()


@pytest.mark.parametrize("command", ["serve", "migrate", "doctor", "pbx snippet", "record out", "keys rotate"])
async def test_a_missing_file_is_named(command: str) -> None:
    code, _, err = await run_afresh(*command.split(), "--config", "/nonexistent/hub.toml")
    assert (code, err) == (2, "hub: /nonexistent/hub.toml: no such file\n")


async def test_a_missing_recording_is_named() -> None:
    code, _, err = await run_afresh("replay", "/nonexistent/recording")
    assert (code, "/nonexistent/recording" in err, "Traceback" in err) == (1, True, False), err


async def test_people_and_tokens_are_made_by_the_command(tmp_path: Path) -> None:
    async with running_hub(tmp_path, "") as hub:
        await hub.add_user_by_command("anna@hub.test", "Анна", "manager", "--team", "sales", "--extension", "101")
        code, token, err = await run_afresh("token", "create", "anna@hub.test", "--config", str(hub.config))
        assert (code, token.startswith("hub_"), token.count("\n")) == (0, True, 1), err
        hub.roles = "web"
        await hub.start()
        headers = {"Authorization": f"Bearer {token.strip()}"}
        async with aiohttp.ClientSession(hub.url) as http, http.get("/api/v1/calls", headers=headers) as answer:
            assert answer.status == 200
        words = ["user", "add", "anna@hub.test", "--config", str(hub.config), "--name", "X", "--role", "admin"]
        code, _, err = await run_command(*words, "--password-stdin", stdin=PASSWORD)
        assert (code, "already taken" in err, "Traceback" in err) == (1, True, False)
        code, _, err = await run_command("token", "create", "nobody@hub.test", "--config", str(hub.config))
        assert (code, "no user" in err) == (1, True)


async def test_privileges_are_switched_by_the_command(tmp_path: Path) -> None:
    async with running_hub(tmp_path, "") as hub:
        await hub.add_user("anna@hub.test", "Анна", "manager", ["sales"])
        for word in ("grant", "grant", "revoke", "revoke"):
            words = ["user", word, "anna@hub.test", "recordings", "--config", str(hub.config)]
            code, out, err = await run_command(*words)
            assert (code, out, "Traceback" in err) == (0, "", False), err
        for who, what, said in (("anna@hub.test", "root", "recordings"), ("x@hub.test", "recordings", "no user")):
            code, _, err = await run_command("user", "grant", who, what, "--config", str(hub.config))
            assert (code, said in err.splitlines()[-1], "Traceback" in err) == (1, True, False), err
        with closing(sqlite3.connect(tmp_path / "hub.db")) as db:
            rows = db.execute("SELECT action FROM audit WHERE action LIKE 'user.privilege%' ORDER BY id").fetchall()
        assert rows == [("user.privilege_granted",), ("user.privilege_revoked",)]


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    async with running_hub(tmp_path, "") as hub:
        await hub.start()
        other = tmp_path / "other"
        other.mkdir()
        config = other / "hub.toml"
        config.write_text(hub.config.read_text().replace(str(tmp_path), str(other)))
        code, _, err = await run_command("serve", "--config", str(config))
        assert code == 2, err
        assert "web.port" in err.splitlines()[-1]
        assert "Traceback" not in err
