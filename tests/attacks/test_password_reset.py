"""Links that set a password: guessed, replayed, raced, read over a shoulder, and sent from another site."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from hub.clock import utc_now
from hub.crm import accounts, password_resets
from hub.crm.base.history import Edit
from hub.settings import HubSection, Settings, WebSection
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web.sign_in_limits import BY_NETWORK
from tests.attacks.test_sign_in import PASSWORD, QUICK, TRIES, tried
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database

NEW = "another horse, another battery"
SETTINGS = Settings(hub=HubSection(language="en"), web=WebSection(trusted_proxies=("127.0.0.1",)))


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs, settings=SETTINGS) as running:
        await running.person("olga", password_hash=QUICK)
        yield running


async def new_link(site: Site, *, lasts: timedelta = password_resets.LASTS) -> str:
    async with site.db.begin() as conn:
        user_id = site.actors["olga"].user_id
        return await password_resets.make(conn, user_id, lasts=lasts, by=None, now=utc_now())


async def posted(browser: aiohttp.ClientSession, token: str, password: str = NEW, **headers: str) -> tuple[int, str]:
    form = {"token": token, "password": password}
    async with browser.post("/reset", data=form, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def test_of_two_at_once_one_sets_the_password(site: Site) -> None:
    token, browser = await new_link(site), await site.browser(None)
    answers = await asyncio.gather(*(posted(browser, token, f"{NEW} {n}") for n in range(4)))
    assert sorted(status for status, _ in answers) == [303, 410, 410, 410]


async def test_a_newer_link_a_new_password_and_disabling_void_a_link(site: Site) -> None:
    browser = await site.browser(None)
    first = await new_link(site)
    second = await new_link(site)
    assert (await posted(browser, first))[0] == 410
    async with site.db.begin() as conn:
        user_id = site.actors["olga"].user_id
        await accounts.set_password(conn, user_id, QUICK, way="command", now=utc_now())
    assert (await posted(browser, second))[0] == 410
    third = await new_link(site)
    async with site.db.begin() as conn:
        await accounts.disable(conn, user_id, edit=Edit(None, "command", utc_now()))
    assert (await posted(browser, third))[0] == 404
    async with site.db.begin() as conn:
        await accounts.enable(conn, user_id, edit=Edit(None, "command", utc_now()))
    assert (await posted(browser, third))[0] == 410
    assert (await tried(browser, "olga@hub.test", PASSWORD))[0] == 303


async def test_a_link_that_is_over_says_so(site: Site) -> None:
    token, browser = await new_link(site, lasts=timedelta(seconds=-1)), await site.browser(None)
    status, text = await posted(browser, token)
    assert status == 410
    assert "expired" in text
    async with browser.get(f"/reset/{token}") as answer:
        assert answer.status == 410
        assert "expired" in await answer.text()


async def test_guessing_links_is_limited(site: Site) -> None:
    token, browser = await new_link(site), await site.browser(None)
    guesses = ["", "x", token[:-1], token.lower(), token + "x", "a" * 200, "\x00"]
    statuses = [(await posted(browser, one))[0] for one in guesses]
    assert set(statuses) <= {400, 404}
    for n in range(BY_NETWORK.tries - statuses.count(404)):
        assert (await posted(browser, f"guess {n}"))[0] == 404
    assert (await posted(browser, "one more"))[0] == 429
    elsewhere = {"X-Forwarded-For": "192.0.2.1"}
    assert (await posted(browser, "one more", **elsewhere))[0] == 404
    # Whoever holds a good link is not kept out by the guesses of others in their network.
    assert (await posted(browser, token))[0] == 303


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_another_site_cannot_send_the_form(site: Site, headers: dict[str, str]) -> None:
    token, browser = await new_link(site), await site.browser(None)
    assert (await posted(browser, token, **headers))[0] == 403
    assert (await posted(browser, token))[0] == 303


async def test_the_owner_gets_in_by_a_link_while_the_account_is_under_attack(site: Site) -> None:
    stranger = await site.browser(None)
    for n in range(11):
        for _ in range(TRIES):
            await tried(stranger, "olga@hub.test", "wrong", at=f"203.0.{n}.1")
    owner = await site.browser(None)
    assert (await tried(owner, "olga@hub.test", PASSWORD, at="192.0.2.1"))[0] == 429
    assert (await posted(owner, await new_link(site)))[0] == 303
    assert (await tried(owner, "olga@hub.test", NEW, at="192.0.2.1"))[0] == 303


async def test_a_token_stands_in_no_log_also_when_the_page_breaks(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    token, browser = await new_link(site), await site.browser(None)
    caplog.set_level(logging.INFO)
    async with site.db.begin() as conn:
        await conn.exec_driver_sql("ALTER TABLE password_resets RENAME TO gone")
    async with browser.get(f"/reset/{token}") as answer:
        assert answer.status == 500
        text = await answer.text()
    assert "bug" in caplog.text
    assert token not in caplog.text
    assert "Traceback" not in text
