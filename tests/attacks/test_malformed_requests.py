"""Bytes that are no request, over a real socket: a plain refusal that tells nothing and is hardened like every page."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from hub.settings import HubSection, Settings, WebSection
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web.security import put_headers
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database

PUBLIC_URL = "https://hub.example.com"
MARK = "s3cr3t-of-a-stranger"


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    settings = Settings(hub=HubSection(language="en"), web=WebSection(public_url=PUBLIC_URL))
    async with running_site(db, blobs, settings=settings) as running:
        yield running


async def answered(site: Site, sent: bytes) -> tuple[int, dict[str, str], str]:
    """Send bytes and read the answer until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(10):
            raw = await reader.read()
    finally:
        writer.close()
    head, _, body = raw.decode("latin-1").partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize(
    "sent",
    [
        f"{MARK}\r\n\r\n",
        f"GET / HTTP/9.{MARK}\r\n\r\n",
        f"GET /{MARK} {MARK} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"G<T / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {MARK}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\n{MARK}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\n: {MARK}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX: {MARK}\x00\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX : {MARK}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {MARK}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX: {MARK}{'x' * 20_000}\r\n\r\n",
        f"GET /{'x' * 20_000}{MARK} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{MARK}\r\n\r\n",
        f"POST /login HTTP/1.1\r\nHost: a\r\nExpect: {MARK}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_a_hardened_400_that_echoes_nothing(
    site: Site, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        status, headers, body = await answered(site, sent.encode("latin-1"))
    assert status == 400, body
    expected = web.Response()
    put_headers(expected, PUBLIC_URL)
    assert len(expected.headers) > 6
    for name, value in expected.headers.items():
        assert headers[name] == value or name.startswith("Content-"), name
    assert headers["Content-Type"].startswith("application/json"), body
    error = json.loads(body)["error"]
    assert (error["code"], error["details"]) == ("bad_request", {})
    assert MARK not in body
    assert "Traceback" not in body
    assert not [line for line in caplog.text.splitlines() if MARK in line or "Traceback" in line]


async def test_the_server_goes_on_after_them(site: Site) -> None:
    await answered(site, b"no request at all\r\n\r\n")
    status, headers, _ = await answered(site, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert status == 200
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
