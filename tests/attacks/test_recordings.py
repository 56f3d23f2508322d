"""What is tried to reach a file that is no recording: paths, links, special files, and a web server that leads away."""

from __future__ import annotations

import asyncio
import os
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import sqlalchemy as sa
from aiohttp import web

from hub.clock import utc_now
from hub.errors import NotFound, Refused, Unavailable
from hub.settings import Pbx, Secret
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.telephony.models import recordings
from hub.telephony.recordings import recording_files
from hub.telephony.recordings.recording_check import check
from hub.telephony.recordings.recording_files import (
    DirectorySource,
    RecordingPath,
    Source,
    open_beneath,
    recording_path,
    source_of,
)
from tests.testbed.audio_files import PATH, announce, keeper, recorded, rule, settings_for, wav
from tests.testbed.site import running_site
from tests.testbed.smtp import self_signed
from tests.testbed.webserver import Handler, running_webserver

SECRET = b"root:x:0:0"
ATTACKS = [
    "",
    ".",
    "..",
    "../secret.wav",
    "../../etc/passwd.wav",
    "a/../../secret.wav",
    "a/..\\..\\secret.wav",
    "..\\secret.wav",
    "a\\secret.wav",
    "/etc/passwd",
    "/secret.wav",
    "//secret.wav",
    "a//b.wav",
    "a/./b.wav",
    "./a.wav",
    "~/a.wav",
    "~root/a.wav",
    "%2e%2e/secret.wav",
    "..%2fsecret.wav",
    "%252e%252e%252fsecret.wav",
    "a/%00.wav",
    "a\x00.wav",
    "a.wav\x00.txt",
    "a\n.wav",
    "a.wav\n",
    "a\r\nb.wav",
    "a b.wav",
    "a?b.wav",
    "a#b.wav",
    "a;b.wav",
    "$(id).wav",
    "${PATH}.wav",
    "`id`.wav",
    "|id.wav",
    "-rf.wav",
    "a/-rf.wav",
    ".hidden.wav",
    "a/.hidden/b.wav",
    "a..b.wav",
    "file:///etc/passwd.wav",
    "http://127.0.0.1/a.wav",
    "\\\\host\\share\\a.wav",
    "C:/a.wav",
    "c:a.wav",
    "/dev/zero",
    "/dev/zero.wav",
    "/proc/self/environ",
    "a.wav/",
    "a.wav/..",
    "a",
    "wav",
    ".wav",
    "a.conf",
    "a.wav.conf",
    "a.html",
    "a.Wav",
    "а.wav",
    "a\u2024\u2024/b.wav",
    "\uff0e\uff0e/b.wav",
    "a\u202ev.wav",
    "\ud800.wav",
    "a/" * 20 + "b.wav",
    "a" * 301 + ".wav",
    "/".join(["a" * 100] * 4) + ".wav",
]


@pytest.mark.parametrize("text", ATTACKS, ids=lambda text: ascii(text)[:40])
def test_a_word_that_is_no_plain_path_is_no_path(text: str) -> None:
    with pytest.raises(Refused):
        recording_path(text)


@pytest.mark.parametrize(
    "text", [PATH, "a.wav", "q-600-+74951234567-20261125-120000-1795461316.7.WAV", "2026/11/25/x_y=1.ogg"]
)
def test_what_dialplans_write_is_one(text: str) -> None:
    assert recording_path(text) == text


async def test_no_such_word_becomes_a_row_and_none_stops_what_comes_with_it(db: Database) -> None:
    for n, text in enumerate(ATTACKS):
        await announce(db, number=f"8495{n:07}", path=text)
    await announce(db, number="84951234567")
    async with db.read() as conn:
        assert (await conn.execute(sa.select(recordings.c.path))).scalars().all() == [PATH]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A recordings directory beside a secret, with everything in it that must not be opened."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.wav").write_bytes(SECRET)
    root = tmp_path / "monitor"
    (root / "2026").mkdir(parents=True)
    (root / "good.wav").write_bytes(wav(0.1))
    (root / "link.wav").symlink_to(secret)
    (root / "within.wav").symlink_to(root / "good.wav")
    (root / "dangling.wav").symlink_to(root / "nothing.wav")
    (root / "loop.wav").symlink_to(root / "loop.wav")
    (root / "2026" / "out").symlink_to(tmp_path / "outside")
    (root / "folder.wav").mkdir()
    os.mkfifo(root / "fifo.wav")
    if os.geteuid() == 0:
        os.mknod(root / "zero.wav", 0o600 | 0o020000, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(root)  # a socket's path has at most 107 bytes
        listening.bind("socket.wav")
        os.chdir(here)
    return root


WRONG = ["link", "within", "dangling", "loop", "2026/out/secret", "folder", "fifo", "socket", "zero", "good.wav/x"]


@pytest.mark.parametrize("name", WRONG)
async def test_only_a_regular_file_that_no_link_leads_to_is_opened(root: Path, name: str) -> None:
    path = RecordingPath(f"{name}.wav")
    async with asyncio.timeout(5):
        with pytest.raises(NotFound):
            async with DirectorySource(root).opened(path):
                pass
        with pytest.raises((OSError, NotFound)):
            os.close(open_beneath(root, path))


@pytest.mark.parametrize("name", ["link", "within", "2026/out/secret", "folder", "fifo"])
async def test_only_a_regular_file_is_deleted_and_nothing_behind_a_link(root: Path, name: str) -> None:
    with pytest.raises(Unavailable):
        await DirectorySource(root).delete(RecordingPath(f"{name}.wav"))
    assert (root.parent / "secret.wav").read_bytes() == SECRET
    assert (root.parent / "outside" / "secret.wav").read_bytes() == SECRET
    assert (root / "good.wav").exists()
    assert os.path.lexists(root / f"{name}.wav"), "nor is what it refuses touched"


def test_even_a_path_that_slipped_by_does_not_climb(root: Path) -> None:
    """The second door: were the first one left open, each piece is still opened by itself, without links."""
    for name in ("2026/out/secret.wav", "link.wav"):
        with pytest.raises((OSError, NotFound)):
            open_beneath(root, RecordingPath(name))


async def test_a_file_that_is_swapped_for_a_link_after_its_row_was_made_is_not_given_out(
    db: Database, blobs: BlobStore, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(SECRET)
    settings = settings_for(tmp_path / "monitor")
    (tmp_path / "monitor").mkdir()
    async with running_site(db, blobs, settings=settings) as site:
        await site.person("olga", extension="101")
        recording, _ = await recorded(db, settings)
        file = tmp_path / "monitor" / PATH
        file.unlink()
        file.symlink_to(secret)
        page = await site.browser("olga")
        async with page.get(f"/recordings/{recording}") as answer:
            assert (answer.status, SECRET in await answer.read()) == (404, False)
        for path in (
            f"/recordings/{recording}%2f..%2f..",
            f"/recordings/..%2f{PATH}",
            f"/recordings/{quote(PATH, '')}",
        ):
            async with page.get(path) as answer:
                assert answer.status == 404


# Over HTTP


def http_source(base: str, **more: str) -> Source:
    source = source_of(Pbx(name="office", username="hub", recordings_url=base, **more))  # type: ignore[arg-type]
    assert source is not None
    return source


async def read_all(source: Source, path: str = PATH) -> bytes:
    async with source.opened(recording_path(path)) as opened:
        return b"".join([chunk async for chunk in opened.chunks(0, opened.size)])


async def test_no_redirect_of_the_pbx_is_followed_to_another_host_nor_to_its_own() -> None:
    asked: list[str] = []

    async def inner(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(body=SECRET)

    async with running_webserver(inner) as elsewhere:
        for target in (f"{elsewhere}/latest/meta-data", "/private.wav", "file:///etc/passwd", "//127.0.0.1/x"):
            for status in (301, 302, 303, 307, 308):

                async def outer(
                    _request: web.Request, status: int = status, target: str = target
                ) -> web.StreamResponse:
                    return web.Response(status=status, headers={"Location": target})

                async with running_webserver(outer) as pbx:
                    with pytest.raises(Unavailable, match="redirect"):
                        await read_all(http_source(pbx))
    assert asked == []


async def test_the_password_goes_to_the_configured_host_alone_and_the_path_behind_its_base() -> None:
    asked: list[tuple[str, str]] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        asked.append((request.raw_path, request.headers.get("Authorization", "")))
        return web.Response(body=b"abc")

    async with running_webserver(serve) as pbx:
        source = http_source(f"{pbx}/monitor/", recordings_username="hub", recordings_password=Secret("pä:ss"))
        assert await read_all(source, "2026/q-+7495.wav") == b"abc"
    basic = "Basic " + b64encode("hub:pä:ss".encode()).decode()
    assert set(asked) == {("/monitor/2026/q-%2B7495.wav", basic)}
    assert "pä:ss" not in repr(Pbx(name="x", username="x", recordings_password=Secret("pä:ss")))


@pytest.mark.parametrize(
    "url", ["file:///var/spool", "ftp://pbx/", "http://user:secret@pbx/", "gopher://pbx", "http://", "//pbx/x"]
)
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        source_of(Pbx(name="office", username="hub", recordings_url=url))


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "audio/wav"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    while True:
        await response.write(bytes(65536))


async def _huge(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=206, headers={"Content-Range": f"bytes 0-0/{10**14}"}, body=b"x")


async def _compressed(_request: web.Request) -> web.StreamResponse:
    return web.Response(headers={"Content-Encoding": "gzip"}, body=b"x")


async def _nonsense(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=206, headers={"Content-Range": "bytes ∞"}, body=b"x")


async def _forbidden(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=403)


async def _broken(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=500)


async def _cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _shorter_than_it_says(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x" * 100)
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.mark.parametrize(
    "serve", [_endless, _huge, _compressed, _nonsense, _forbidden, _broken, _cut, _shorter_than_it_says]
)
async def test_a_web_server_that_does_wrong_is_unavailable_and_fills_nothing(serve: Handler) -> None:
    async with asyncio.timeout(10), running_webserver(serve) as pbx:
        with pytest.raises(Unavailable):
            await read_all(http_source(pbx))


async def test_a_web_server_is_who_its_certificate_says_or_hears_no_password(tmp_path: Path) -> None:
    asked: list[str] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers["Authorization"])
        return web.Response(body=b"abc")

    sign_in: dict[str, Any] = {"recordings_username": "hub", "recordings_password": Secret("x")}
    context, certificate = await asyncio.to_thread(self_signed, tmp_path)
    async with running_webserver(serve, tls=context) as pbx:
        for ca_file in ("", str(tmp_path / "none.pem")):
            with pytest.raises(Unavailable):
                await read_all(http_source(pbx, recordings_ca_file=ca_file, **sign_in))
        (finding,) = await check(Pbx(name="office", username="hub", recordings_url=pbx))
        assert "recordings_ca_file" in finding.mend
        assert asked == []
        assert await read_all(http_source(pbx, recordings_ca_file=str(certificate), **sign_in)) == b"abc"
        other_name = pbx.replace("127.0.0.1", "localhost")
        with pytest.raises(Unavailable):
            await read_all(http_source(other_name, recordings_ca_file=str(certificate), **sign_in))


async def test_a_web_server_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_files, "SILENT_AT_MOST_S", 0.3)
    over = asyncio.Event()

    async def silent(_request: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    async with asyncio.timeout(10), running_webserver(silent) as pbx:
        with pytest.raises(Unavailable):
            await read_all(http_source(pbx))
        over.set()


@pytest.fixture
async def monitor(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """A web server as PBXs have one: aiohttp's own, which knows ranges."""

    async def serve(request: web.Request) -> web.StreamResponse:
        file = tmp_path / request.match_info["path"]
        return web.FileResponse(file) if file.is_file() else web.Response(status=404)

    async with running_webserver(serve) as address:
        yield address, tmp_path


@pytest.mark.parametrize("knows_ranges", [True, False])
async def test_a_part_over_http_is_the_very_part(monitor: tuple[str, Path], knows_ranges: bool) -> None:
    address, folder = monitor
    sound = wav(1.0)
    (folder / "a.wav").write_bytes(sound)

    async def whole_only(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=sound)

    async with running_webserver(whole_only) as plain:
        source = http_source(address if knows_ranges else plain)
        async with source.opened(recording_path("a.wav")) as opened:
            assert opened.size == len(sound)
            for start, length in ((0, 10), (5000, 100), (len(sound) - 1, 1), (0, len(sound)), (3, 0)):
                part = b"".join([chunk async for chunk in opened.chunks(start, length)])
                assert part == sound[start : start + length]


async def test_a_file_that_changes_under_a_listener_is_not_mixed_from_two(monitor: tuple[str, Path]) -> None:
    address, folder = monitor
    (folder / "a.wav").write_bytes(wav(1.0))
    async with http_source(address).opened(recording_path("a.wav")) as opened:
        (folder / "a.wav").write_bytes(wav(2.0))
        with pytest.raises(Unavailable):
            _ = [chunk async for chunk in opened.chunks(0, opened.size)]


async def test_a_player_seeks_in_a_recording_of_the_pbxs_web_server(
    db: Database, blobs: BlobStore, monitor: tuple[str, Path]
) -> None:
    address, folder = monitor
    sound = wav(2.0)
    (folder / PATH).parent.mkdir(parents=True)
    (folder / PATH).write_bytes(sound)
    settings = settings_for(folder, recordings_url=address)
    await rule(db, "sales", days=1)
    async with running_site(db, blobs, settings=settings) as site:
        await site.person("olga", extension="101")
        recording, _ = await recorded(db, settings)
        page, api = await site.browser("olga"), await site.api("olga")
        async with api.get(f"recordings/{recording}") as answer:
            told = await answer.json()
            assert (told["duration_s"], len(told["peaks"])) == (2.0, 600), "it was fetched and looked at"
        async with page.get(f"/recordings/{recording}", headers={"Range": "bytes=20000-"}) as answer:
            assert (answer.status, await answer.read()) == (206, sound[20000:])
        (folder / PATH).unlink()
        async with page.get(f"/recordings/{recording}") as answer:
            assert answer.status == 404
        (folder / PATH).write_bytes(sound)
        later = keeper(db, settings, now=lambda: utc_now() + timedelta(days=2))
        assert await later.expire_due() == 1
        assert (folder / PATH).exists(), "what lies on the PBX is not ours to delete"
        async with page.get(f"/recordings/{recording}") as answer:
            assert answer.status == 410


async def test_a_pbx_whose_web_server_is_away_is_503_and_no_more(
    db: Database, blobs: BlobStore, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    settings = settings_for(tmp_path, recordings_url=closed)
    async with running_site(db, blobs, settings=settings) as site:
        await site.person("olga", extension="101")
        recording, _ = await recorded(db, settings)
        async with (await site.browser("olga")).get(f"/recordings/{recording}") as answer:
            assert answer.status == 503
        async with (await site.api("olga")).get(f"recordings/{recording}/audio") as answer:
            assert (answer.status, "Retry-After" in answer.headers) == (503, True)
        async with site.db.read() as conn:
            assert (await conn.execute(sa.select(recordings.c.state))).scalars().all() == ["pending"]


async def test_a_server_that_breaks_off_in_the_middle_is_no_whole_recording_to_the_listener(
    db: Database, blobs: BlobStore, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path)
    async with running_webserver(_shorter_than_it_says) as pbx:
        over_http = settings_for(tmp_path, recordings_url=pbx)
        async with running_site(db, blobs, settings=over_http) as site:
            await site.person("olga", extension="101")
            recording, _ = await recorded(db, settings)
            with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
                async with (await site.browser("olga")).get(f"/recordings/{recording}") as answer:
                    await answer.read()
