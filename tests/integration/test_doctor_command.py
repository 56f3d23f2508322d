"""`hub doctor` as an operator types it: database, keys, mailboxes, Redis; and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.imap_server import fake_imap
from tests.testbed.hub import run_afresh, run_command
from tests.testbed.smtp import running_peer, self_signed
from tests.testbed.valkey import Valkey, free_port


def write(folder: Path, toml: str, *, database: str = "") -> Path:
    config = folder / "hub.toml"
    database = database or f"sqlite:///{folder}/hub.db"
    config.write_text(f'[hub]\ndatabase = "{database}"\ndata_dir = "{folder}/data"\n{toml}')
    config.chmod(0o600)
    return config


async def examined(config: Path) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """Run it; return the exit code and what is not ok, by place."""
    code, out, err = await run_command("doctor", "--config", str(config), "--json")
    assert "Traceback" not in err, err
    told: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(out)["findings"]:
        if finding["level"] != "ok":
            told.setdefault(finding["place"], []).append(finding)
    return code, told


async def test_a_machine_where_nothing_is_set_up_yet_is_examined_without_making_anything(tmp_path: Path) -> None:
    config = write(tmp_path, "")
    code, out, err = await run_command("doctor", "--config", str(config))
    assert (code, err) == (0, "")
    assert "ok    database: " in out and "there is no file yet" in out
    assert "warn  config: names no PBX and no mailbox" in out
    assert [path.name for path in tmp_path.iterdir()] == ["hub.toml"]


async def test_secrets_that_everybody_may_read_are_named_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "ami.secret").write_text("s3cret-word\n")
    (tmp_path / "ami.secret").chmod(0o644)
    config = write(
        tmp_path, f'[[pbx]]\nname = "a"\nport = {free_port()}\nusername = "hub"\nsecret_file = "ami.secret"\n'
    )
    code, out, err = await run_command("doctor", "--config", str(config))
    assert code == 1
    assert "bad   secrets: pbx[0].secret_file: ami.secret can be read by everybody" in out
    assert "→ chmod 600 ami.secret" in out
    assert "s3cret-word" not in out + err
    (tmp_path / "ami.secret").chmod(0o640)
    config.write_text(config.read_text().replace('secret_file = "ami.secret"', 'secret = "s3cret-word"'))
    config.chmod(0o644)
    code, told = await examined(config)
    (finding,) = told["secrets"]
    assert (code, "hub.toml holds a secret" in finding["text"]) == (1, True)


async def test_a_database_that_is_away_or_of_another_version_is_named(tmp_path: Path, sqlite_template: Path) -> None:
    config = write(tmp_path, "", database=f"postgresql://hub@127.0.0.1:{free_port()}/hub")
    code, told = await examined(config)
    assert (code, told["database"][0]["level"], told["database"][0]["mend"]) == (
        1, "bad", "hub.database; is the server started?",
    )  # fmt: skip
    (tmp_path / "hub.db").write_bytes(b"")
    code, told = await examined(write(tmp_path, ""))
    assert (code, told["database"][0]["level"]) == (0, "warn")
    assert "the database schema is at nothing" in told["database"][0]["text"]
    (tmp_path / "hub.db").write_bytes(sqlite_template.read_bytes())
    code, told = await examined(write(tmp_path, ""))
    assert (code, "database" in told) == (0, False)
    (tmp_path / "hub.db").write_bytes(b"this is no database" * 100)
    code, told = await examined(write(tmp_path, ""))
    assert (code, told["database"][0]["level"]) == (1, "bad")


async def test_a_data_folder_that_takes_nothing_is_named(tmp_path: Path) -> None:
    config = write(tmp_path, "")
    config.write_text(config.read_text().replace(f'"{tmp_path}/data"', '"/proc/hub"'))
    code, told = await examined(config)
    assert (code, told["data_dir"][0]["level"]) == (1, "bad")
    assert "hub.data_dir" in told["data_dir"][0]["mend"]


async def test_a_terminal_that_is_not_in_utf8_ends_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, out, err = await run_afresh("doctor", "--config", str(write(tmp_path, "")))
    assert (code, err) == (0, "")
    assert "\\u2192 [[pbx]]" in out


async def test_redis_there_and_away(tmp_path: Path, valkey: Valkey) -> None:
    config = write(tmp_path, f'redis = "{valkey.url}"\n')
    assert (await examined(config))[1].keys() == {"config"}
    code, told = await examined(write(tmp_path, f'redis = "redis://127.0.0.1:{free_port()}/0"\n'))
    assert (code, told["redis"][0]["mend"]) == (1, "hub.redis; is the server started?")


def mailbox(imap: str, smtp: str) -> str:
    return f'[[mailbox]]\naddress = "sales@hub.test"\nteam = "sales"\nimap = {{ {imap} }}\nsmtp = {{ {smtp} }}\n'


LOGIN = 'host = "127.0.0.1", username = "sales", password = "pw", port = '


async def test_mailboxes_are_signed_in_to_and_nothing_is_sent(tmp_path: Path) -> None:
    async with fake_imap() as imap, running_peer(EHLO="250-peer\r\n250 AUTH PLAIN", AUTH="235 ok") as smtp:
        config = write(tmp_path, mailbox(f'{LOGIN}{imap.port}, tls = "none"', f'{LOGIN}{smtp.port}, tls = "none"'))
        code, out, err = await run_command("doctor", "--config", str(config))
        assert code == 0, out + err
        assert f"ok    mailbox sales@hub.test: imap 127.0.0.1:{imap.port}: signed in" in out
        assert f"ok    mailbox sales@hub.test: smtp 127.0.0.1:{smtp.port}: signed in" in out
        assert not any(line.startswith(("MAIL", "RCPT", "DATA")) for line in smtp.heard)
        assert not any(line.startswith((b"SELECT", b"APPEND", b"STORE")) for line in imap.heard)


async def test_what_is_wrong_with_a_mailbox_is_said_for_each_side(tmp_path: Path) -> None:
    async with fake_imap() as imap, running_peer(EHLO="250-peer\r\n250 AUTH PLAIN", AUTH="535 no") as smtp:
        imap.instead = lambda tag, said: (
            tag + b" NO [AUTHENTICATIONFAILED] no\r\n" if said.startswith(b"LOGIN") else None
        )
        config = write(tmp_path, mailbox(f'{LOGIN}{imap.port}, tls = "none"', f'{LOGIN}{smtp.port}, tls = "none"'))
        code, told = await examined(config)
        wrong_imap, wrong_smtp = told["mailbox sales@hub.test"]
        assert (code, wrong_imap["mend"]) == (1, "mailbox.imap.username and imap.password_file")
        assert "535" in wrong_smtp["text"]
        assert "pw" not in json.dumps(told).replace('"pw"', "")
        nobody = f'{LOGIN}{free_port()}, tls = "none"'
        code, told = await examined(write(tmp_path, mailbox(nobody, nobody)))
        assert [finding["level"] for finding in told["mailbox sales@hub.test"]] == ["bad", "bad"]


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_certificate_that_ends_soon_or_is_not_trusted_is_told(tmp_path: Path, trusted: bool) -> None:
    context, certificate = self_signed(tmp_path)
    answers = {"EHLO": "250-peer\r\n250 AUTH PLAIN", "AUTH": "235 ok"}
    async with fake_imap() as imap, running_peer(tls=context, implicit_tls=True, **answers) as smtp:
        ca_file = f', ca_file = "{certificate}"' if trusted else ""
        config = write(tmp_path, mailbox(f'{LOGIN}{imap.port}, tls = "none"', f"{LOGIN}{smtp.port}{ca_file}"))
        code, told = await examined(config)
        (finding,) = told["mailbox sales@hub.test"]
        assert (code, finding["level"]) == ((0, "warn") if trusted else (1, "bad"))
        assert ("its certificate ends in 1 day" if trusted else "not trusted") in finding["text"]


async def test_an_own_number_that_is_none_is_named(tmp_path: Path) -> None:
    pbx = f'[[pbx]]\nname = "a"\nport = {free_port()}\nusername = "hub"\nown_numbers = ["12", "+74950000100", "mts"]\n'
    _, told = await examined(write(tmp_path, pbx))
    (unreachable, number) = told["pbx a"]
    assert "connection refused" in unreachable["text"]
    assert (number["level"], "'12' is no phone number" in number["text"]) == ("warn", True)
