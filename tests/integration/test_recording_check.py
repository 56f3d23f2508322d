"""What `hub doctor` is told of where recordings lie: each finding names the place and the line that mends it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from aiohttp import web

from hub.settings import Pbx
from hub.telephony.recordings.recording_check import check
from tests.testbed.webserver import running_webserver


def pbx(**more: str) -> Pbx:
    return Pbx(name="office", username="hub", **more)  # type: ignore[arg-type]


async def test_nothing_is_said_where_nothing_is_configured_or_all_is_well(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    assert await check(pbx()) == []
    assert await check(pbx(recordings_dir=str(tmp_path))) == []


async def test_a_directory_that_is_away_is_none_or_is_open_to_all_is_named(tmp_path: Path) -> None:
    (missing,) = await check(pbx(recordings_dir=str(tmp_path / "x")))
    assert (missing.is_error, "No such file" in missing.problem) == (True, True)
    (tmp_path / "file").write_text("")
    (no_folder,) = await check(pbx(recordings_dir=str(tmp_path / "file")))
    assert "is not a directory" in no_folder.problem
    tmp_path.chmod(0o755)
    (open_to_all,) = await check(pbx(recordings_dir=str(tmp_path)))
    assert (open_to_all.is_error, open_to_all.mend) == (False, f"chmod o-rwx {tmp_path}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
async def test_a_directory_that_hub_may_not_read_or_write_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    (no_write,) = await check(pbx(recordings_dir=str(tmp_path)))
    tmp_path.chmod(0o000)
    (no_read,) = await check(pbx(recordings_dir=str(tmp_path)))
    tmp_path.chmod(0o700)
    assert (no_write.is_error, no_read.is_error) == (False, True)


@pytest.mark.parametrize(
    ("status", "said", "mend"),
    [
        (404, "", ""),
        (401, "401", "recordings_username"),
        (403, "403", "recordings_username"),
        (302, "redirect", "recordings_url"),
        (200, "every name", "MixMonitor"),
        (500, "500", "firewall"),
    ],
)
async def test_a_web_server_is_asked_for_what_cannot_be_there(status: int, said: str, mend: str) -> None:
    async def serve(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/"} if status == 302 else {})

    async with running_webserver(serve) as address:
        found = await check(pbx(recordings_url=address))
    assert [said in one.problem and mend in one.mend for one in found] == ([True] if said else [])
    (away,) = await check(pbx(recordings_url=address))
    assert (away.is_error, "cannot be reached" in away.problem) == (True, True)


async def test_a_bad_address_or_authority_is_named(tmp_path: Path) -> None:
    (bad,) = await check(pbx(recordings_url="file:///etc"))
    assert "recordings_url" in bad.problem
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate")
    for path in (ca, tmp_path / "none.pem"):
        (found,) = await check(pbx(recordings_url="https://127.0.0.1:9", recordings_ca_file=str(path)))
        assert str(path) in found.problem
