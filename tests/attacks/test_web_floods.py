"""What strangers may send to use up the server: packed bodies, trickles, idle connections, more than is taken."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import resource
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.store.blobs import BlobStore
from hub.store.engine import Database, open_database
from hub.web.listener import Limits, address_of
from tests.testbed.hub import running_hub
from tests.testbed.site import Site, running_site
from tests.testbed.waiting import wait_for
from tests.testbed.wire import ask, measured_stall, read_answer

pytestmark = pytest.mark.either_database

# A quarter of a MB that unpacks to 64 MB; several members make it as large as wanted.
BOMB = gzip.compress(bytes(64 * 1024 * 1024))
DEFLATED = zlib.compress(bytes(64 * 1024 * 1024))
PATHS = (
    ("POST", "/login"),
    ("POST", "/pbx/route"),
    ("POST", "/api/v1/messages"),
    ("PUT", "/api/v1/calls"),
    ("DELETE", "/login"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("POST", "/nowhere"),
    ("GET", "/api/v1/nowhere"),
    ("POST", "/static/nothing.js"),
)
CODINGS = (
    "gzip",
    "x-gzip",
    "X-GZip",
    "GZIP",
    "deflate",
    "Deflate",
    "br",
    "zstd",
    "compress",
    "gzip, gzip",
    "identity, gzip",
    "identity,,gzip",
    "wonder",
)


@pytest.fixture
async def site(sqlite_template: Path, tmp_path: Path, blobs: BlobStore) -> AsyncIterator[Site]:
    """None of this reaches a database, so one kind of it is enough."""
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    db = open_database(f"sqlite:///{tmp_path}/hub.db")
    async with running_site(db, blobs) as running:
        yield running
    await db.close()


def _port(site: Site) -> int:
    return int(site.url.rpartition(":")[2])


def _head(method: str, path: str, *headers: str, length: int | None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: hub", *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_packed_body_is_refused_in_one_clear_error(site: Site, coding: str) -> None:
    head = _head("POST", "/api/v1/clients", f"Content-Encoding: {coding}", length=3)
    answer = await ask(_port(site), head, b"abc")
    assert answer.status == 415
    assert answer.json()["error"]["code"] == "compressed_body"
    assert answer.headers["accept-encoding"] == "identity"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_coding_said_twice_or_in_the_transfer_is_refused_too(site: Site) -> None:
    twice = _head("POST", "/login", "Content-Encoding: identity", "Content-Encoding: gzip", length=len(BOMB))
    assert (await ask(_port(site), twice, BOMB)).status == 415
    chunked = f"{len(BOMB):x}\r\n".encode() + BOMB + b"\r\n0\r\nContent-Encoding: gzip\r\n\r\n"
    trailer = _head(
        "POST",
        "/login",
        "Content-Encoding: gzip",
        "Transfer-Encoding: chunked",
        "Trailer: Content-Encoding",
        length=None,
    )
    assert (await ask(_port(site), trailer, chunked)).status == 415
    transfer = _head("POST", "/login", "Transfer-Encoding: gzip, chunked", length=None)
    assert (await ask(_port(site), transfer, chunked)).status in (400, 415)
    alone = _head("POST", "/login", "Transfer-Encoding: gzip", length=None)
    assert (await ask(_port(site), alone, BOMB)).status in (400, 415)


async def test_identity_is_no_coding(site: Site) -> None:
    answer = await ask(_port(site), _head("GET", "/healthz", "Content-Encoding: identity", length=0))
    assert answer.status == 200


@pytest.mark.parametrize(("coding", "packed"), [("gzip", BOMB), ("deflate", DEFLATED)])
async def test_packed_bodies_on_every_path_never_stop_the_loop(site: Site, coding: str, packed: bytes) -> None:
    body = packed * 16  # a GB, were it unpacked
    port = _port(site)

    async def attack(method: str, path: str) -> int:
        return (await ask(port, _head(method, path, f"Content-Encoding: {coding}", length=len(body)), body)).status

    cpu_s = time.process_time()
    async with measured_stall() as stall:
        statuses = await asyncio.gather(*(attack(method, path) for method, path in PATHS for _ in range(4)))
    assert set(statuses) == {415}
    assert stall.worst_s < 1, f"the loop stood still for {stall.worst_s:.2f} s"
    # 40 GB would take a minute of it, however busy the machine is otherwise.
    assert time.process_time() - cpu_s < 10


async def test_a_packed_part_of_a_form_stays_packed(site: Site) -> None:
    """multipart knows a Content-Encoding of its own: the part is kept as it came."""
    browser = await site.browser("olga")
    part = (
        b'--x\r\nContent-Disposition: form-data; name="lang"\r\nContent-Encoding: gzip\r\n\r\n'
        + BOMB
        + b"\r\n--x--\r\n"
    )
    async with (
        measured_stall() as stall,
        browser.post("/language", data=part, headers={"Content-Type": "multipart/form-data; boundary=x"}) as answer,
    ):
        assert answer.status == 400
    assert stall.worst_s < 0.5


async def test_a_body_too_large_by_its_own_word_is_refused_unread(site: Site) -> None:
    token = (await site.api("olga")).headers["Authorization"]
    for path, headers in (("/login", ()), ("/api/v1/clients", (f"Authorization: {token}",))):
        answer = await ask(_port(site), _head("POST", path, *headers, length=10**12))
        assert answer.status == 413, path
    assert answer.json()["error"]["code"] == "too_large"
    answer = await ask(_port(site), _head("POST", "/login", length=16 * 1024 + 1))
    assert answer.status == 413, "who is not signed in sends an address and a password"
    answer = await ask(_port(site), _head("POST", "/login", "Transfer-Encoding: chunked", length=None), _endless())
    assert answer.status == 413


def _endless() -> bytes:
    return (b"100000\r\n" + bytes(0x100000) + b"\r\n") * 3


@pytest.fixture
async def brisk(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    """A site whose time-outs a test can wait for."""
    limits = Limits(headers_within_s=0.4, idle_s=0.4, per_address=8, connections=20)
    async with running_site(db, blobs, limits=limits) as site:
        yield site


async def _is_cut(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(ConnectionError):
        return await reader.read(1) == b""
    return True


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: hub\r\nX-A: b\r\n"])
async def test_headers_that_never_end_are_cut_off(brisk: Site, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", _port(brisk))
    writer.write(begun)
    async with asyncio.timeout(5):
        assert await _is_cut(reader)
    writer.close()


async def test_a_connection_idle_after_its_answer_is_closed(brisk: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", _port(brisk))
    writer.write(_head("GET", "/healthz", length=None))
    async with asyncio.timeout(5):
        assert (await read_answer(reader)).status == 200
        assert await _is_cut(reader)
    writer.close()


async def test_a_trickled_body_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.web.request_context.BODY_WITHIN_S", 0.3)
    answer = await ask(_port(site), _head("POST", "/login", length=100), b"email=")
    assert answer.status == 408


async def test_at_the_bound_the_longest_idle_gives_way_and_a_new_one_is_answered(
    db: Database, blobs: BlobStore
) -> None:
    async with running_site(db, blobs, limits=Limits(connections=20)) as site:
        idle = [await asyncio.open_connection("127.0.0.1", _port(site)) for _ in range(30)]
        for _ in range(5):
            assert (await ask(_port(site), _head("GET", "/healthz", length=None))).status == 200
        async with asyncio.timeout(5):
            assert await _is_cut(idle[0][0])
        for _, writer in idle:
            writer.transport.abort()


def test_connections_are_counted_by_address_and_network() -> None:
    assert address_of(("203.0.113.9", 1)) == "203.0.113.9"
    assert address_of(("::ffff:203.0.113.9", 1, 0, 0)) == "203.0.113.9"
    assert address_of(("2001:db8::1", 1, 0, 0)) == address_of(("2001:db8::ffff:2", 1, 0, 0)) == "2001:db8::/64"
    assert address_of(("fe80::1%eth0", 1, 0, 2)) == "fe80::/64"
    assert address_of(("127.0.0.1", 1)) == address_of(("::1", 1, 0, 0)) == address_of("") == address_of(None) == ""


async def test_1200_idle_connections_leave_descriptors_for_everything_else(tmp_path: Path) -> None:
    """A Hub started with 1,024 descriptors, as many systems give: it raises them, and answers all the same."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    async with running_hub(tmp_path, "") as hub, contextlib.AsyncExitStack() as lines:
        hub.roles = "web"
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        try:
            await hub.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        try:
            for _ in range(1200):
                _, writer = await asyncio.open_connection("127.0.0.1", hub.port)
                lines.callback(writer.transport.abort)
            loop = asyncio.get_running_loop()
            for path in ("/healthz", "/readyz", "/login") * 5:
                began = loop.time()
                answer = await ask(hub.port, _head("GET", path, length=None))
                assert answer.status == 200, path
                assert loop.time() - began < 1.0, path
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_connections_never_take_the_last_descriptors(tmp_path: Path) -> None:
    """Where the hard limit is low too, idle connections give way long before files can no longer be opened."""
    config = tmp_path / "hub.toml"
    async with running_hub(tmp_path, "") as hub, contextlib.AsyncExitStack() as lines:
        assert hub.config == config
        words = [sys.executable, "-m", "hub.cli", "serve", "--config", str(config), "--roles", "web"]
        with hub.log.open("ab") as log:
            process = subprocess.Popen(
                words, stdout=log, stderr=log,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512)),
            )  # fmt: skip
        try:

            async def answers() -> bool:
                with contextlib.suppress(OSError, EOFError):
                    return (await ask(hub.port, _head("GET", "/readyz", length=None))).status == 200
                return False

            await wait_for(answers, what="hub answers", deadline_s=30)
            for _ in range(700):
                _, writer = await asyncio.open_connection("127.0.0.1", hub.port)
                lines.callback(writer.transport.abort)
            for _ in range(5):
                assert await answers()
            assert "Too many open files" not in hub.log.read_text()
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait)


async def test_a_request_that_cannot_be_read_leaves_nothing_of_itself_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    token = "tok-4f9c2b7d1e"
    broken = (
        f"GET / HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\nBad Header: {token}\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization: Bearer {token}\x00\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization Bearer {token}\r\n\r\n",
        f"GET /\r\n{token} HTTP/1.1\r\n\r\n",
        f"{token} / HTTP/1.1\r\n\r\n",
        f"GET / HTTP/{token}\r\n\r\n",
        f"GET /{token * 900} HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization: Bearer {token * 900}\r\n\r\n",
        "GET / HTTP/1.1\r\n" + f"X: {token}\r\n" * 300 + "\r\n",
        f"POST /login HTTP/1.1\r\nHost: hub\r\nContent-Length: {token}\r\n\r\n",
        f"POST /login HTTP/1.1\r\nHost: hub\r\nContent-Length: 5\r\nContent-Length: 6\r\nCookie: {token}\r\n\r\n",
        f"POST /login HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\nCookie: {token}\r\n\r\n{token}\r\n",
        f"POST /login HTTP/1.1\r\nHost: hub\r\nContent-Type: {token}\r\nContent-Length: 3\r\n\r\nabc",
        f"GET http://[{token} HTTP/1.1\r\nHost: hub\r\n\r\n",
        f"GET //[::{token}/ HTTP/1.1\r\nHost: [{token}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: hub\r\nRange: bytes={token}\r\nCookie: hub_session={token}; lang={token}\r\n\r\n",
        f"GET /api/v1/calls HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nAuthorization: X {token}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX: {token}\r\n\r\n{token}",
    )
    for text in broken:
        with contextlib.suppress(ConnectionError, EOFError):
            answer = await ask(_port(site), text.encode("latin-1"))
            assert token.encode() not in answer.body or b"<html" in answer.body, text
            assert answer.headers["x-content-type-options"] == "nosniff", text
    assert (await ask(_port(site), _head("GET", "/healthz", length=None))).status == 200
    assert token not in caplog.text
    assert "Traceback" not in caplog.text
