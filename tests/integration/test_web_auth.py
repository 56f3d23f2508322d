"""Signing in and out in a browser, and what the door lets through."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from argon2 import PasswordHasher

from hub.settings import HubSection, Settings, WebSection
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web.sign_in_limits import LIMITS, MAY_WAIT
from tests.testbed.events import listening
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def password_hash() -> str:
    return PasswordHasher().hash(PASSWORD)


async def sign_in(
    browser: aiohttp.ClientSession, email: str, password: str, **fields: str
) -> tuple[int, str, aiohttp.ClientResponse]:
    form = {"email": email, "password": password, **fields}
    async with browser.post("/login", data=form, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", ""), answer


async def test_a_manager_goes_to_the_desk_and_an_administrator_to_the_calls(site: Site, password_hash: str) -> None:
    await site.person("olga", password_hash=password_hash)
    await site.person("chief", role="admin", team=None, password_hash=password_hash)
    assert (await sign_in(await site.browser(None), "Olga@Hub.test", PASSWORD))[:2] == (303, "/desk")
    assert (await sign_in(await site.browser(None), "chief@hub.test", PASSWORD))[:2] == (303, "/calls")


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site, password_hash: str) -> None:
    await site.person("olga", password_hash=password_hash)
    _, _, answer = await sign_in(await site.browser(None), "olga@hub.test", PASSWORD)
    cookie = answer.cookies["hub_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")


async def test_over_https_the_cookie_is_secure_and_bound_to_the_host(
    db: Database, blobs: BlobStore, password_hash: str
) -> None:
    settings = Settings(hub=HubSection(), web=WebSection(public_url="https://hub.example.com"))
    async with running_site(db, blobs, settings=settings) as site:
        await site.person("olga", password_hash=password_hash)
        browser = await site.browser(None)
        status, _, answer = await sign_in(browser, "olga@hub.test", PASSWORD)
        assert status == 303
        assert answer.cookies["__Host-hub_session"]["secure"] is True
        for origin, allowed in (("https://hub.example.com", True), ("http://hub.example.com", False)):
            form = {"email": "olga@hub.test", "password": PASSWORD}
            async with browser.post("/login", data=form, headers={"Origin": origin}, allow_redirects=False) as again:
                assert (again.status == 303) is allowed, origin


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(site: Site, password_hash: str) -> None:
    await site.person("olga", password_hash=password_hash)
    browser = await site.browser(None)
    texts = []
    for email in ("olga@hub.test", "nobody@hub.test", "no address at all"):
        async with browser.post("/login", data={"email": email, "password": "wrong password"}) as answer:
            assert answer.status == 401
            texts.append((await answer.text()).replace(email, ""))
            assert not answer.cookies
    assert len(set(texts)) == 1


async def test_a_session_from_before_the_sign_in_is_not_the_one_after_it(site: Site, password_hash: str) -> None:
    """Session fixation: what an attacker planted, or the last person's session, does not become the new person's."""
    await site.person("olga", password_hash=password_hash)
    browser = await site.browser("pavel")
    before = {c.key: c.value for c in browser.cookie_jar}["hub_session"]
    _, _, answer = await sign_in(browser, "olga@hub.test", PASSWORD)
    assert answer.cookies["hub_session"].value != before
    planted = await site.browser(None)
    planted.cookie_jar.update_cookies({"hub_session": "planted-by-an-attacker"})
    _, _, answer = await sign_in(planted, "olga@hub.test", PASSWORD)
    assert answer.cookies["hub_session"].value != "planted-by-an-attacker"
    old = await site.browser(None)
    old.cookie_jar.update_cookies({"hub_session": before})
    async with old.get("/", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/login"


async def test_signing_out_ends_the_session_and_its_streams_at_once(site: Site) -> None:
    browser = await site.browser("olga")
    async with listening(browser, "/live") as events:
        async with browser.post("/logout", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
        # That the person came may be told before the stream ends.
        with pytest.raises(EOFError):
            await events.until("nothing that is ever told")
    again = await site.browser(None)
    again.cookie_jar.update_cookies({c.key: c.value for c in browser.cookie_jar})
    async with again.get("/live") as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\r\nX: y", "desk"]
)
async def test_a_sign_in_leads_to_no_foreign_address(site: Site, password_hash: str, target: str) -> None:
    await site.person("olga", password_hash=password_hash)
    _, location, answer = await sign_in(await site.browser(None), "olga@hub.test", PASSWORD, next=target)
    assert location == "/desk"
    assert "X" not in answer.headers


async def test_a_page_asked_for_without_a_session_is_come_back_to(site: Site, password_hash: str) -> None:
    await site.person("olga", password_hash=password_hash)
    browser = await site.browser(None)
    async with browser.get("/clients?q=a&b=c", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/login?next=%2Fclients%3Fq%3Da%26b%3Dc")
    _, location, _ = await sign_in(browser, "olga@hub.test", PASSWORD, next="/clients?q=a&b=c")
    assert location == "/clients?q=a&b=c"
    async with browser.post("/logout", headers={"HX-Request": "true"}) as answer:
        assert answer.status == 403, "no token, no sign-out"


async def test_ten_tries_on_one_address_are_enough_and_another_address_is_not_held_up(
    site: Site, password_hash: str
) -> None:
    await site.person("olga", password_hash=password_hash)
    await site.person("pavel", password_hash=password_hash)
    browser = await site.browser(None)
    answers = [(await sign_in(browser, "olga@hub.test", "wrong password"))[0] for _ in range(11)]
    assert answers == [401] * 10 + [429]
    status, _, answer = await sign_in(browser, "OLGA@hub.test", PASSWORD)
    assert (status, int(answer.headers["Retry-After"]) > 0) == (429, True)
    assert (await sign_in(browser, "pavel@hub.test", PASSWORD))[0] == 303


async def test_a_flood_of_sign_ins_takes_neither_memory_nor_the_database(site: Site) -> None:
    """No more than two hashes (64 MiB each) run at a time, few wait, the rest is told to come later."""
    browser = await site.browser(None)
    limits = site.app[LIMITS]

    async def flood(n: int) -> int:
        return (await sign_in(browser, f"m{n}@hub.test", "wrong password"))[0]

    async def page() -> int:
        async with browser.get("/readyz") as answer:
            return answer.status

    async with asyncio.TaskGroup() as tasks:
        tries = [tasks.create_task(flood(n)) for n in range(MAY_WAIT + 20)]
        ready = tasks.create_task(page())
    assert ready.result() == 200
    statuses = [one.result() for one in tries]
    assert set(statuses) == {401, 429}
    assert limits.waiting == 0


async def test_the_language_is_kept_for_the_person_and_the_browser(site: Site) -> None:
    browser = await site.browser("olga")
    async with browser.post("/language", data={"lang": "ru", "next": "/desk"}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/desk")
        assert answer.cookies["lang"].value == "ru"
    async with browser.post("/language", data={"lang": "xx"}) as answer:
        assert answer.status == 400
