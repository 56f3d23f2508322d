"""Requests that another site has a signed-in browser send: none does anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from hub.settings import HubSection, Settings, WebSection
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        yield running


@pytest.fixture
async def browser(site: Site) -> aiohttp.ClientSession:
    return await site.browser("olga")


async def is_signed_in(browser: aiohttp.ClientSession) -> bool:
    async with browser.get("/", allow_redirects=False) as answer:
        return answer.headers["Location"] != "/login"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://evil.example:8080"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://user@127.0.0.1"},
        {"Origin": "file://"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_foreign_origin_is_refused_even_with_the_right_token(
    browser: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    async with browser.post("/logout", headers=headers, allow_redirects=False) as answer:
        assert answer.status == 403
    assert await is_signed_in(browser)


async def post_from(site: Site, headers: dict[str, str]) -> int:
    """Sign in from a page that says to be at these addresses; 401 is a form that was read."""
    browser = await site.browser(None)
    async with browser.post("/login", data={"email": "a@hub.test", "password": "wrong"}, headers=headers) as answer:
        return answer.status


OWN = "https://hub.example.com:8443"
HOST = {"Host": "hub.example.com:8443"}
NOT_OWN = (
    "null",
    "http://hub.example.com:8443",
    "https://hub.example.com",
    "https://hub.example.com:8444",
    "https://evil.example.com:8443",
    "https://a.hub.example.com:8443",
    "https://hub.example.com.evil.example:8443",
    "https://hub.example.com.:8443",
    "https://user@hub.example.com:8443",
    "https://example.com:8443",
    "https://127.0.0.1",
    "https://hub.example.com:8443/",
)


async def test_with_a_public_url_a_form_comes_from_exactly_there(db: Database, blobs: BlobStore) -> None:
    settings = Settings(hub=HubSection(language="en"), web=WebSection(public_url=OWN))
    async with running_site(db, blobs, settings=settings) as site:
        for headers in (
            {"Origin": OWN},
            {"Origin": OWN.upper().replace("HTTPS", "https")},
            {"Referer": OWN + "/login?a"},
        ):
            assert await post_from(site, headers) == 401, headers
        for origin in NOT_OWN:
            assert await post_from(site, {"Origin": origin, **HOST}) == 403, origin
            assert await post_from(site, {"Origin": origin, "Referer": OWN + "/login", **HOST}) == 403, origin
            if origin.removesuffix("/") != OWN:
                assert await post_from(site, {"Referer": origin + "/login", **HOST}) == 403, origin


async def test_without_a_public_url_a_form_comes_from_the_host_it_is_sent_to(site: Site) -> None:
    for headers in ({"Origin": OWN}, {"Origin": "http://hub.example.com:8443"}, {"Referer": OWN + "/login"}):
        assert await post_from(site, {**headers, **HOST}) == 401, headers
    for referer in (f"https://evil.example/?{OWN}", "about:blank", "/login"):
        assert await post_from(site, {"Referer": referer, **HOST}) == 403, referer
    for origin in NOT_OWN:
        if "http://hub.example.com:8443" not in origin:
            assert await post_from(site, {"Origin": origin, **HOST}) == 403, origin


async def test_a_refused_referer_is_logged_without_its_path(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The path may be a link to set a password by."""
    headers = {"Referer": "https://old.example.com/password/secret-of-a-link?a=secret", **HOST}
    assert await post_from(site, headers) == 403
    assert "https://old.example.com" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("token", ["", "wrong", "null"])
async def test_a_wrong_token_is_refused_even_from_our_own_origin(browser: aiohttp.ClientSession, token: str) -> None:
    async with browser.post("/logout", headers={"X-CSRF-Token": token}, allow_redirects=False) as answer:
        assert answer.status == 403
    assert await is_signed_in(browser)


async def test_another_persons_token_is_wrong(site: Site, browser: aiohttp.ClientSession) -> None:
    other = await site.browser("pavel")
    token = other.headers["X-CSRF-Token"]
    async with browser.post("/logout", headers={"X-CSRF-Token": token}, allow_redirects=False) as answer:
        assert answer.status == 403
    assert await is_signed_in(browser)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "multipart/form-data; boundary=x", ""])
async def test_a_form_dressed_as_something_else_is_refused(browser: aiohttp.ClientSession, content_type: str) -> None:
    """`enctype=text/plain` needs no preflight, so it must carry no weight."""
    body = f"csrf={browser.headers['X-CSRF-Token']}"
    headers = {"X-CSRF-Token": "", "Content-Type": content_type}
    async with browser.post("/logout", data=body, headers=headers, allow_redirects=False) as answer:
        assert answer.status in (400, 403)
    assert await is_signed_in(browser)


async def test_a_foreign_page_can_neither_open_the_stream_nor_read_anything(browser: aiohttp.ClientSession) -> None:
    for site in ("cross-site", "same-site"):
        async with browser.get("/live", headers={"Sec-Fetch-Site": site, "Origin": "https://evil.example"}) as answer:
            assert answer.status == 403
    for path in ("/live", "/healthz", "/login", "/api/v1/openapi.json"):
        async with browser.get(path, headers={"Origin": "https://evil.example"}) as answer:
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")], path


async def test_the_api_takes_no_cookie_so_a_forged_request_is_nobodys(browser: aiohttp.ClientSession) -> None:
    keywords: Any = {"json": {"name": "forged"}}
    async with browser.post("/api/v1/clients", **keywords) as answer:
        assert answer.status == 401


async def test_every_answer_tells_the_browser_what_it_must_not_do(site: Site, browser: aiohttp.ClientSession) -> None:
    for path in ("/login", "/healthz", "/nothing-here", "/api/v1/calls", "/static/nothing.js"):
        async with browser.get(path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy, path
            assert "frame-ancestors 'none'" in policy, path
            assert "unsafe-inline" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"
