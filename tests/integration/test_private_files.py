"""What Hub writes is its user's alone, and one folder has one serving process."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from hub import process
from hub.store.blobs import BlobStore
from hub.store.engine import open_database
from hub.store.migrate import _back_up
from tests.testbed.hub import HUB, clean_environment, run_command, running_hub
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for


def _open_to_others(folder: Path) -> list[str]:
    return [
        f"{one} {stat.S_IMODE(one.stat().st_mode):o}"
        for one in (folder, *folder.rglob("*"))
        if one.stat().st_mode & 0o077
    ]


async def test_the_database_and_what_lies_beside_it_are_closed_to_others_and_stay_so(tmp_path: Path) -> None:
    path = tmp_path / "made" / "here" / "hub.db"
    before = os.umask(0o022)
    try:
        for _ in range(2):
            db = open_database(f"sqlite:///{path}")
            async with db.begin() as conn:
                await conn.exec_driver_sql("CREATE TABLE IF NOT EXISTS a (b INTEGER)")
                assert sorted(one.name for one in path.parent.iterdir()) == ["hub.db", "hub.db-shm", "hub.db-wal"]
                assert _open_to_others(tmp_path / "made") == []
            await db.close()
            path.chmod(0o644)  # as a version before this one left it
        _back_up(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((path.parent / "hub.db.before-migration").stat().st_mode) == 0o600


async def test_stored_bytes_are_closed_to_others(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        blobs = BlobStore(tmp_path / "data" / "blobs")
        await blobs.put(b"a letter")
        await blobs.put_stream(iter([b"another"]))
    finally:
        os.umask(before)
    assert _open_to_others(tmp_path / "data") == []


def test_what_belongs_to_others_stays_theirs(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    process.make_private_folder(shared / "own")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
    assert stat.S_IMODE((shared / "own").stat().st_mode) == 0o700
    process.close_to_others(tmp_path / "nothing here")


async def test_a_served_folder_holds_nothing_that_others_can_read(tmp_path: Path) -> None:
    async with running_hub(tmp_path, "") as hub:
        hub.config.write_text(hub.config.read_text().replace(str(tmp_path) + "/hub.db", str(tmp_path) + "/data/hub.db"))
        await hub.add_user_by_command("boss@hub.test", "Boss", "admin")
        await hub.start()
        assert (await hub.api("boss@hub.test", "GET", "/calls"))[0] == 200
        assert _open_to_others(tmp_path / "data") == []


async def test_a_second_server_on_one_sqlite_file_is_refused_in_one_line_and_the_first_serves_on(
    tmp_path: Path,
) -> None:
    async with running_hub(tmp_path, "") as hub:
        await hub.start()
        assert hub.process is not None
        code, out, err = await run_command("serve", "--config", str(hub.config))
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert err.startswith(f"hub: hub.database: {tmp_path}/hub.db is served by process {hub.process.pid} already")
        # Commands are no servers.
        await hub.add_user_by_command("boss@hub.test", "Boss", "admin")
        assert (await hub.api("boss@hub.test", "GET", "/calls"))[0] == 200
        hub.process.kill()
        await hub.process.wait()
        await hub.start()


async def test_a_second_demo_in_one_folder_is_refused_and_takes_nothing_from_the_first(tmp_path: Path) -> None:
    folder, port = tmp_path / "demo", free_port()
    log = tmp_path / "demo.log"
    with log.open("wb") as out:
        words = ["demo", "--data-dir", str(folder), "--port", str(port)]
        demo = await asyncio.create_subprocess_exec(*HUB, *words, stdout=out, stderr=out, env=clean_environment())
    try:

        async def is_ready() -> bool:
            assert demo.returncode is None, log.read_text()
            try:
                async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await wait_for(is_ready, what="the demo answers", deadline_s=60)
        code, _, err = await run_command("demo", "--data-dir", str(folder), "--port", str(free_port()))
        assert code == 2
        assert err.splitlines() == [err.strip()]
        assert f"served by process {demo.pid} already" in err
        assert await is_ready()
        with closing(sqlite3.connect(folder / "hub.db")) as db:
            assert db.execute("SELECT count(*) FROM clients").fetchone()[0] > 0
        assert _open_to_others(folder) == []
    finally:
        demo.terminate()
        await demo.wait()


def test_a_folder_with_something_else_in_it_is_no_demo(tmp_path: Path) -> None:
    from hub.demo.day import _refuse_other_data
    from hub.errors import ConfigError

    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError):
        _refuse_other_data(tmp_path)
