"""Guessing passwords: by spellings, by networks, by many at once; and locking out the owner by guessing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from http.cookies import Morsel

import aiohttp
import argon2
import pytest
from argon2 import PasswordHasher

from hub.clock import utc_now
from hub.crm import accounts, people, sessions
from hub.crm.base.history import Edit
from hub.crm.people import account_key
from hub.settings import HubSection, Settings, WebSection
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web.sign_in_limits import BY_ACCOUNT, BY_ACCOUNT_AND_NETWORK, BY_DEVICE, BY_NETWORK, LIMITS
from tests.testbed.events import listening
from tests.testbed.site import Site, running_site
from tests.testbed.valkey import running_valkey
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database

PASSWORD = "correct horse battery"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
QUICK_OTHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("another password")
TRIES = BY_ACCOUNT_AND_NETWORK.tries


def settings(redis: str = "", public_url: str = "") -> Settings:
    web = WebSection(trusted_proxies=("127.0.0.1",), public_url=public_url)
    return Settings(hub=HubSection(language="en", redis=redis), web=web)


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs, settings=settings()) as running:
        for name in ("olga", "pavel"):
            await running.person(name, password_hash=QUICK)
        yield running


async def tried(
    browser: aiohttp.ClientSession, email: str, password: str, *, at: str = "198.51.100.7"
) -> tuple[int, dict[str, Morsel[str]]]:
    """Try a password from an address; return the status and what cookies are set."""
    form, headers = {"email": email, "password": password}, {"X-Forwarded-For": at}
    async with browser.post("/login", data=form, headers=headers, allow_redirects=False) as answer:
        if answer.status in (429, 503):
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status, dict(answer.cookies)


async def exhausted(site: Site, email: str, *, at: str) -> None:
    """Try wrong passwords from a network until it is held up."""
    browser = await site.browser(None)
    for _ in range(TRIES):
        assert (await tried(browser, email, "wrong", at=at))[0] == 401
    assert (await tried(browser, email, "wrong", at=at))[0] == 429


SPELLINGS = [
    f"{local}@{domain}"
    for local, domain in itertools.product(
        ("olga", "OLGA", "oLGa", " olga", "<olga"),
        (
            "hub.test",
            "HUB.TEST",
            "hub.test.",
            "hub.test..",
            "hu\u00adb.test",
            "h\u00adu\u00adb.te\u00adst",
            "hu\u200bb.test",
            "\u2060hub.test",
            "ｈｕｂ.test",
            "hub。test",
            "hub．ｔｅｓｔ",
            "𝐡𝐮𝐛.test",
        ),
    )
]


async def test_no_spelling_of_an_address_has_tries_of_its_own(site: Site) -> None:
    """Sixty spellings that all sign olga in: ten wrong passwords in any of them, and no other is heard."""
    assert {account_key(one) for one in SPELLINGS} == {"olga@hub.test"}
    for one in SPELLINGS[::7]:
        assert (await tried(await site.browser(None), one, PASSWORD))[0] == 303, one
    browser = await site.browser(None)
    answers = [(await tried(browser, one, "wrong"))[0] for one in SPELLINGS]
    assert answers == [401] * TRIES + [429] * (len(SPELLINGS) - TRIES)
    assert [(await tried(browser, one, PASSWORD))[0] for one in SPELLINGS] == [429] * len(SPELLINGS)


async def test_an_idna_address_is_one_account_in_either_form(site: Site) -> None:
    forms = ("irina@xn--e1afmkfd.xn--p1ai", "irina@пример.рф", "IRINA@ПРИМЕР.РФ", "irina@Пример。рф.")
    async with site.db.begin() as conn:
        values = {"name": "Irina", "role": "manager", "password_hash": QUICK, "now": utc_now()}
        await people.add_user(conn, email=forms[1], **values)  # type: ignore[arg-type]
    browser = await site.browser(None)
    for n in range(TRIES):
        assert (await tried(browser, forms[n % len(forms)], "wrong"))[0] == 401
    for form in forms:
        assert (await tried(browser, form, PASSWORD))[0] == 429


async def test_an_ipv6_network_is_one_client(site: Site) -> None:
    browser = await site.browser(None)
    for n in range(TRIES):
        assert (await tried(browser, "olga@hub.test", "wrong", at=f"2001:db8:1:2::{n:x}"))[0] == 401
    assert (await tried(browser, "olga@hub.test", PASSWORD, at="2001:db8:1:2:ffff::1"))[0] == 429
    assert (await tried(browser, "olga@hub.test", PASSWORD, at="2001:db8:1:3::1"))[0] == 303
    await exhausted(site, "pavel@hub.test", at="::ffff:203.0.113.5")
    assert (await tried(browser, "pavel@hub.test", PASSWORD, at="203.0.113.5"))[0] == 429


async def test_a_stranger_does_not_lock_the_owner_out(site: Site) -> None:
    """Neither of a new browser elsewhere, nor of a known one in the stranger's own network."""
    home = await site.browser(None)
    assert (await tried(home, "olga@hub.test", PASSWORD, at="203.0.113.9"))[0] == 303
    await exhausted(site, "olga@hub.test", at="203.0.113.9")
    assert (await tried(await site.browser(None), "olga@hub.test", PASSWORD, at="192.0.2.1"))[0] == 303
    assert (await tried(home, "olga@hub.test", PASSWORD, at="203.0.113.9"))[0] == 303
    assert (await tried(await site.browser(None), "olga@hub.test", PASSWORD, at="203.0.113.9"))[0] == 429


async def test_one_network_cannot_fill_the_limit_of_an_account() -> None:
    hour_s = BY_ACCOUNT.window.total_seconds()
    assert TRIES * hour_s / BY_ACCOUNT_AND_NETWORK.window.total_seconds() * 2 < BY_ACCOUNT.tries


async def test_many_networks_slow_one_account_down_and_stop_no_known_device(site: Site) -> None:
    home = await site.browser(None)
    assert (await tried(home, "olga@hub.test", PASSWORD))[0] == 303
    stranger = await site.browser(None)
    statuses = [
        (await tried(stranger, "olga@hub.test", "wrong", at=f"203.0.{n}.1"))[0] for n in range(BY_ACCOUNT.tries + 5)
    ]
    assert statuses == [401] * BY_ACCOUNT.tries + [429] * 5
    assert (await tried(stranger, "olga@hub.test", PASSWORD, at="192.0.2.77"))[0] == 429
    assert (await tried(stranger, "pavel@hub.test", PASSWORD, at="192.0.2.77"))[0] == 303
    assert (await tried(home, "olga@hub.test", PASSWORD, at="192.0.2.78"))[0] == 303


async def test_one_network_tries_few_accounts(site: Site) -> None:
    """A common password on many accounts; who types the right one is not counted."""
    browser = await site.browser(None)
    for _ in range(5):
        assert (await tried(browser, "pavel@hub.test", PASSWORD))[0] == 303
    stranger = await site.browser(None)
    for n in range(BY_NETWORK.tries):
        name = f"m{n // TRIES}"
        await site.person(name, password_hash=QUICK)
        assert (await tried(stranger, f"{name}@hub.test", "Summer2026!"))[0] == 401
    assert (await tried(stranger, "olga@hub.test", PASSWORD))[0] == 429
    assert (await tried(browser, "pavel@hub.test", PASSWORD))[0] == 303, "known, though in the same network"


async def test_an_account_that_is_not_there_is_held_up_as_one_that_is(site: Site) -> None:
    await exhausted(site, "nobody@hub.test", at="203.0.113.9")
    await exhausted(site, "olga@hub.test", at="203.0.113.10")


async def test_a_known_device_has_a_limit_of_its_own_and_needs_the_password(site: Site) -> None:
    home = await site.browser(None)
    _, cookies = await tried(home, "olga@hub.test", PASSWORD)
    stolen = {"hub_device": cookies["hub_device"].value}
    thief = await site.browser(None)
    thief.cookie_jar.update_cookies(stolen)
    async with thief.get("/", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/login"
    for n in range(BY_DEVICE.tries):
        assert (await tried(thief, "olga@hub.test", "wrong", at=f"203.0.{n}.1"))[0] == 401
    assert (await tried(thief, "olga@hub.test", PASSWORD, at="192.0.2.1"))[0] == 429


async def test_a_device_is_known_for_the_accounts_that_signed_in_with_it_alone(site: Site) -> None:
    shared = await site.browser(None)
    assert (await tried(shared, "olga@hub.test", PASSWORD))[0] == 303
    await exhausted(site, "pavel@hub.test", at="203.0.113.9")
    assert (await tried(shared, "pavel@hub.test", PASSWORD, at="203.0.113.9"))[0] == 429
    assert (await tried(shared, "pavel@hub.test", PASSWORD, at="192.0.2.1"))[0] == 303
    await exhausted(site, "olga@hub.test", at="203.0.113.9")
    for email in ("olga@hub.test", "pavel@hub.test"):
        assert (await tried(shared, email, PASSWORD, at="203.0.113.9"))[0] == 303, "now known for both"


@pytest.mark.parametrize("forged", ["", "x", "a" * 43, "a" * 5000, "'; DROP TABLE known_devices"])
async def test_a_made_up_device_is_a_strangers(site: Site, forged: str) -> None:
    await exhausted(site, "olga@hub.test", at="203.0.113.9")
    browser = await site.browser(None)
    browser.cookie_jar.update_cookies({"hub_device": forged})
    assert (await tried(browser, "olga@hub.test", PASSWORD, at="203.0.113.9"))[0] == 429


async def test_a_planted_device_is_worth_nothing_once_its_victim_signed_in(site: Site) -> None:
    mallory = await site.browser(None)
    _, cookies = await tried(mallory, "pavel@hub.test", PASSWORD)
    planted = cookies["hub_device"].value
    victim = await site.browser(None)
    victim.cookie_jar.update_cookies({"hub_device": planted})
    _, cookies = await tried(victim, "olga@hub.test", PASSWORD)
    assert cookies["hub_device"].value != planted
    await exhausted(site, "olga@hub.test", at="203.0.113.9")
    again = await site.browser(None)
    again.cookie_jar.update_cookies({"hub_device": planted})
    assert (await tried(again, "olga@hub.test", PASSWORD, at="203.0.113.9"))[0] == 429


async def test_a_sign_in_that_was_checked_before_the_password_changed_opens_nothing(site: Site) -> None:
    """The old password is being hashed while the owner sets another: afterwards no session of it lives."""
    slow = PasswordHasher().hash(PASSWORD)
    user_id = site.actors["olga"].user_id
    limits = site.app[LIMITS]

    async def is_hashing() -> bool:
        return limits.waiting > 0

    for pauses in range(0, 60, 10):
        async with site.db.begin() as conn:
            await accounts.set_password(conn, user_id, slow, way="command", now=utc_now())
        thief = await site.browser(None)
        async with asyncio.TaskGroup() as tasks:
            trying = tasks.create_task(tried(thief, "olga@hub.test", PASSWORD))
            await wait_for(is_hashing, what="the password is looked at")
            for _ in range(pauses):
                await asyncio.sleep(0)
            async with site.db.begin() as conn:
                await accounts.set_password(conn, user_id, QUICK_OTHER, way="command", now=utc_now())
        assert trying.result()[0] in (303, 401)
        async with thief.get("/", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/login"
        async with site.db.read() as conn:
            assert await sessions.open_of(conn, user_id, now=utc_now()) == []


@pytest.mark.parametrize("how", ["disabled", "password"])
async def test_what_ends_a_session_anywhere_ends_its_stream(site: Site, db: Database, how: str) -> None:
    browser = await site.browser("olga")
    user_id = site.actors["olga"].user_id
    async with listening(browser, "/live") as events:
        async with db.begin() as conn:
            if how == "disabled":
                await accounts.disable(conn, user_id, edit=Edit(None, "command", utc_now()))
            else:
                await accounts.set_password(conn, user_id, QUICK, way="command", now=utc_now())
        with pytest.raises(EOFError):
            await events.until("nothing that is ever told", deadline_s=5)


@pytest.mark.parametrize("public_url", ["", "https://hub.example.com"])
async def test_the_device_cookie_is_out_of_reach_of_scripts_and_other_sites(
    db: Database, blobs: BlobStore, public_url: str
) -> None:
    async with running_site(db, blobs, settings=settings(public_url=public_url)) as site:
        await site.person("olga", password_hash=QUICK)
        _, cookies = await tried(await site.browser(None), "olga@hub.test", PASSWORD)
    cookie = cookies["__Host-hub_device" if public_url else "hub_device"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Strict", "/", "")
    assert bool(cookie["secure"]) is bool(public_url)
    assert int(cookie["max-age"]) >= 180 * 86400


async def test_processes_count_together_and_without_redis_nobody_signs_in(db: Database, blobs: BlobStore) -> None:
    with running_valkey() as valkey:
        shared = settings(redis=valkey.url)
        async with running_site(db, blobs, settings=shared) as one, running_site(db, blobs, settings=shared) as other:
            await one.person("olga", password_hash=QUICK)
            first, second = await one.browser(None), await other.browser(None)
            for n in range(TRIES):
                browser = (first, second)[n % 2]
                assert (await tried(browser, "olga@hub.test", "wrong"))[0] == 401
            for browser in (first, second):
                assert (await tried(browser, "olga@hub.test", PASSWORD))[0] == 429
            assert (await tried(first, "olga@hub.test", PASSWORD, at="192.0.2.1"))[0] == 303
            valkey.stop()
            for browser in (first, second):
                assert (await tried(browser, "olga@hub.test", PASSWORD, at="192.0.2.2"))[0] == 503
                assert (await tried(browser, "nobody@hub.test", "wrong", at="192.0.2.2"))[0] == 503
            valkey.start()
            assert (await tried(second, "olga@hub.test", PASSWORD, at="192.0.2.3"))[0] == 303


async def test_an_unknown_name_costs_as_much_as_a_known_one() -> None:
    """The hash that stands for nobody is written down; it follows the library's parameters or tells who is known."""
    known = await people.hash_password(PASSWORD)
    assert argon2.extract_parameters(people.rules._NOBODY) == argon2.extract_parameters(known)
