"""What goes over the wire: packed where it may be, no secret that stays the same, and little for a cold browser."""

from __future__ import annotations

import re

import aiohttp
import pytest

from hub.errors import Forbidden
from hub.web import security
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database

COLD_BYTES = 150 * 1000


async def raw(browser: aiohttp.ClientSession, path: str, accepted: str) -> tuple[aiohttp.ClientResponse, bytes]:
    """Ask as a browser does, and leave the answer as it came."""
    headers = {"Accept-Encoding": accepted}
    async with (
        aiohttp.ClientSession(browser._base_url, cookie_jar=browser.cookie_jar, auto_decompress=False) as plain,
        plain.get(path, headers=headers) as answer,
    ):
        return answer, await answer.read()


async def test_a_page_is_packed_for_who_takes_it_and_plain_for_who_does_not(site: Site) -> None:
    browser = await site.browser("anna")
    packed, small = await raw(browser, "/desk", "gzip, br")
    plain, large = await raw(browser, "/desk", "identity")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in (await raw(browser, "/desk", "gzip;q=0"))[0].headers
    assert "Accept-Encoding" in packed.headers["Vary"] and "Accept-Encoding" in plain.headers["Vary"]
    assert len(small) * 3 < len(large)


async def test_a_cold_page_costs_a_browser_little(site: Site) -> None:
    browser = await site.browser("anna")
    async with browser.get("/desk") as answer:
        page = await answer.text()
    files = set(re.findall(r'(?:href|src|data-worker)="(/static/[^"#]+)', page))
    assert len(files) >= 6, "script, style, fonts, icons"
    costs = {path: len((await raw(browser, path, "gzip, br"))[1]) for path in ("/desk", *files)}
    assert sum(costs.values()) <= COLD_BYTES, costs


async def test_a_built_file_comes_packed_by_the_build(site: Site) -> None:
    browser = await site.browser(None)
    async with browser.get("/login") as answer:
        style = re.search(r'href="(/static/app-[^"]+\.css)"', await answer.text())
    assert style is not None
    for accepted in ("br", "gzip"):
        packed, _body = await raw(browser, style[1], accepted)
        assert packed.headers["Content-Encoding"] == accepted
        assert packed.headers["Content-Type"].startswith("text/css")
        assert "immutable" in packed.headers["Cache-Control"]


async def test_the_stream_of_changes_leaves_at_once_and_unpacked(site: Site) -> None:
    browser = await site.browser("anna")
    async with browser.get("/live", headers={"Accept-Encoding": "gzip"}) as answer:
        assert "Content-Encoding" not in answer.headers
        assert await answer.content.readline() == b"retry: 2000\n"


async def test_the_token_of_the_forms_stands_in_no_two_pages_alike(site: Site) -> None:
    browser = await site.browser("anna")
    shown = []
    for _time in range(2):
        async with browser.get("/desk") as answer:
            page = await answer.text()
        found = re.search(r'<meta name="csrf" content="([^"]+)">', page)
        assert found is not None
        assert browser.headers["X-CSRF-Token"] not in page
        shown.append(found[1])
    assert shown[0] != shown[1]
    for token in shown:
        async with browser.post("/presence", data={"state": "away"}, headers={"X-CSRF-Token": token}) as answer:
            assert answer.status in (200, 204, 303)


def test_a_token_that_is_masked_wrongly_is_refused() -> None:
    mask = security.masked("token")
    security.refuse_wrong_token(mask, "token")
    for wrong in ("", mask[:-2], mask[:-2] + "ff", "zz", "токен"):
        with pytest.raises(Forbidden):
            security.refuse_wrong_token(wrong, "token")
