"""`hub record` at a real Asterisk and `hub replay` of what it wrote, as an operator types them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from pathlib import Path

import pytest

from tests.fakes.ami_server import ami_server
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.hub import HUB, clean_environment, run_command
from tests.testbed.record import HUNG_UP, IN_TALK, JOINED, Ami
from tests.testbed.sipp import caller, phone
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for


def write_config(folder: Path, port: int, secret: str) -> Path:
    config = folder / "hub.toml"
    config.write_text(
        f'[[pbx]]\nname = "office"\nport = {port}\nusername = "hub"\nsecret = "{secret}"\n'
        'internal_contexts = ["internal"]\nown_numbers = ["+74950000100"]\n'
        '[[pbx.team]]\nqueue = "hub-sales"\nteam = "sales"\n'
    )
    return config


async def start_recording(config: Path, out: Path, *words: str, before: str = "") -> asyncio.subprocess.Process:
    """Start it and wait until the line is up."""
    command = [*HUB, "record", "--config", str(config), *words, str(out)]
    if before:
        command = ["sh", "-c", f'{before}; exec "$@"', "sh", *command]
    process = await asyncio.create_subprocess_exec(
        *command, stderr=asyncio.subprocess.PIPE, env=clean_environment(), start_new_session=True
    )
    await says(process, b"recording PBX office")
    return process


async def says(process: asyncio.subprocess.Process, words: bytes) -> None:
    """Read what a recording tells its operator, up to the line that begins so."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while not (line := await process.stderr.readline()).startswith(words):
            assert line, f"it ended without saying {words!r}"


async def holds(out: Path, wanted: bytes, times: int = 1) -> None:
    async def enough() -> bool:
        return out.exists() and out.read_bytes().count(wanted) >= times

    await wait_for(enough, what=f"{times} × {wanted!r} in the recording", deadline_s=40)


async def finish(process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGINT) -> tuple[int, str]:
    process.send_signal(how)
    async with asyncio.timeout(40):
        _, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, err.decode()


async def replayed(path: Path) -> list[dict[str, object]]:
    code, out, err = await run_command("replay", str(path), "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


async def one_taken_call(asterisk: Asterisk, recordings: list[Path]) -> None:
    """A caller who waits before the recordings begin is taken, speaks and hangs up; a second one gives up."""
    ami = await Ami.open(asterisk)
    async with phone(asterisk, "101"), caller(asterisk, "84951234567", name="ROMASHKA") as stranger:
        for path in recordings:
            await holds(path, JOINED)
        await ami.count(JOINED, 1)
        await ami.take()
        await ami.count(IN_TALK, 2)
        await stranger.hang_up()
        await ami.count(HUNG_UP, 2)
    ami.close()


@pytest.mark.asterisk
async def test_what_was_recorded_is_told_masked_and_unmasked_alike(tmp_path: Path) -> None:
    async with running_asterisk() as asterisk:
        config = write_config(tmp_path, asterisk.ami_port, asterisk.SECRET)
        plain, masked = tmp_path / "plain.txt", tmp_path / "masked.txt"
        recordings = [await start_recording(config, plain), await start_recording(config, masked, "--mask-numbers")]
        for path in (plain, masked):
            await holds(path, b"CoreShowChannelsComplete")
        await one_taken_call(asterisk, [plain, masked])
        for path, process in zip((plain, masked), recordings, strict=True):
            await holds(path, HUNG_UP, 2)
            code, err = await finish(process)
            assert code == 0, err
            assert "packets" in err
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert asterisk.SECRET.encode() not in path.read_bytes()
        (told,) = await replayed(plain)
        (hidden,) = await replayed(masked)
        assert told["from"] == {"raw": "84951234567", "number": "+74951234567", "name": "ROMASHKA", "extension": None}
        assert (told["outcome"], told["did"], told["answered_by"]) == (
            "answered", "74950000100", {"extension": "101", "user": None},
        )  # fmt: skip
        assert [step["what"] for step in told["steps"]] == ["offered", "taken"]  # type: ignore[attr-defined]
        for word in (b"84951234567", b"ROMASHKA", b"4950000100"):
            assert word in plain.read_bytes() and word not in masked.read_bytes()
        same = ["linked_id", "direction", "state", "outcome", "estimated", "answered_by", "transfers"]
        assert [hidden[key] for key in same] == [told[key] for key in same]
        assert hidden["talk_s"] == pytest.approx(told["talk_s"], abs=0.5)


@pytest.mark.asterisk
async def test_a_recording_through_a_restart_is_packed_and_tells_the_broken_call_as_estimated(tmp_path: Path) -> None:
    async with running_asterisk() as asterisk:
        config = write_config(tmp_path, asterisk.ami_port, asterisk.SECRET)
        out, watched = tmp_path / "restart.xz", tmp_path / "watched.txt"
        recordings = [await start_recording(config, out), await start_recording(config, watched)]
        await holds(watched, b"CoreShowChannelsComplete")
        async with caller(asterisk, "84951234567"):
            await holds(watched, JOINED)
            await asterisk.restart()
            for process in recordings:
                await says(process, b"the line is up again")
        for process in recordings:
            code, err = await finish(process, signal.SIGTERM)
            assert code == 0, err
        for path in (out, watched):
            (told,) = await replayed(path)
            assert (told["outcome"], told["estimated"]) == ("abandoned", True)
        assert out.read_bytes().startswith(b"\xfd7zXZ")
        assert out.stat().st_size < watched.stat().st_size


async def test_nothing_is_overwritten_and_nothing_left_where_the_pbx_refuses(tmp_path: Path) -> None:
    async with ami_server() as server:
        out = tmp_path / "out.txt"
        config = write_config(tmp_path, server.port, "wrong")
        code, _, err = await run_command("record", "--config", str(config), str(out))
        assert (code, out.exists()) == (1, False)
        assert "refused the sign-in" in err and "wrong" not in err
        assert err.count("\n") == 1, "said once"
        out.write_text("precious")
        code, _, err = await run_command("record", "--config", str(config), str(out))
        assert (code, err, out.read_text()) == (
            1,
            f"hub: {out}: is there already, and is not overwritten\n",
            "precious",
        )
        os.symlink(tmp_path / "elsewhere", tmp_path / "link")
        code, _, err = await run_command("record", "--config", str(config), str(tmp_path / "link"))
        assert (code, (tmp_path / "elsewhere").exists()) == (1, False)


async def test_a_pbx_that_is_not_there_is_said_once_however_often_it_is_tried(tmp_path: Path) -> None:
    out, config = tmp_path / "out.txt", write_config(tmp_path, free_port(), "secret")
    code, _, err = await run_command("record", "--config", str(config), "--seconds", "4", str(out))
    waiting, last = err.splitlines()
    assert (code, out.exists()) == (1, False)
    assert waiting.endswith("; trying again until Ctrl+C")
    assert last == "hub: PBX office: nothing was recorded"


@pytest.mark.parametrize(
    "content",
    [b"", b"Dear Hub,\n\nthe call at ten: it was told wrong.\n", b"[general]\nenabled = yes\n",
     b"\x89PNG\r\n\x1a\n" * 99, b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n",
     b'{"Event": "Newchannel"}\n'],
    ids=["empty", "letter", "configuration", "picture", "answers only", "JSON"],
)  # fmt: skip
async def test_a_file_that_is_no_recording_says_so_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.txt"
    file.write_bytes(content)
    code, told, err = await run_command("replay", str(file))
    assert (code, told, err) == (1, "", f"hub: {file}: is no recording: there is not one AMI event in it\n")


async def test_a_recording_ends_by_its_time_and_by_its_size(tmp_path: Path) -> None:
    async with ami_server() as server:
        config = write_config(tmp_path, server.port, server.password)
        out = tmp_path / "short.txt"
        code, _, err = await run_command("record", "--config", str(config), "--seconds", "0.5", str(out))
        assert (code, out.read_bytes().count(b"Hub-Mark: end")) == (0, 1), err
        recording = await start_recording(config, tmp_path / "big.txt", "--max-mb", "1")
        await holds(tmp_path / "big.txt", b"Hub-Mark: up")
        event = f"Event: Newstate\r\nCallerIDName: {'x' * 10_000}\r\n\r\n"
        for _ in range(110):
            server.send(event)
        async with asyncio.timeout(40):
            _, told = await recording.communicate()
        assert (recording.returncode, b"stopped at 1 MB" in told) == (0, True)
        assert 900_000 < (tmp_path / "big.txt").stat().st_size <= 1_000_000


async def test_a_full_disk_ends_a_recording_with_what_came_before(tmp_path: Path) -> None:
    async with ami_server() as server:
        config, out = write_config(tmp_path, server.port, server.password), tmp_path / "out.txt"
        # A limit of 8 blocks of 512 bytes is what a full disk is to the writer.
        recording = await start_recording(config, out, before="ulimit -f 8")
        for _ in range(5):
            server.send(f"Event: Newstate\r\nCallerIDName: {'x' * 1_000}\r\n\r\n")
        async with asyncio.timeout(40):
            _, err = await recording.communicate()
        assert (recording.returncode, out.stat().st_size) == (1, 8 * 512)
        assert b"File too large; it holds what came before" in err
        assert b"Traceback" not in err
        code, told, _ = await run_command("replay", str(out))
        assert (code, told) == (0, "0 calls\n")


async def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    code, _, err = await run_command("replay", str(tmp_path / "nothere"))
    assert (code, err) == (1, f"hub: {tmp_path}/nothere: No such file or directory\n")
