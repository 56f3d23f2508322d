"""The second step attacked: guessed, replayed, raced, skipped, and left open by a password that changed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from hub.clock import utc_now
from hub.crm import accounts, people, totp, two_factor
from hub.crm.models import audit, sessions, totp_secrets
from hub.errors import Conflict
from hub.store.blobs import BlobStore
from hub.store.encryption import Vault
from hub.store.engine import Database
from hub.web.sign_in_limits import BY_CODE, BY_CODE_IN_A_DAY, LIMITS
from hub.web.signing_in import digest
from tests.testbed.second_step import HERE, PASSWORD, QUICK, code, post, secret_in, vault_of, with_second_step
from tests.testbed.site import Site, running_site

STEP = "hub_second_step"
OTHER = "another password"
QUICK_OTHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(OTHER)


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        yield running


async def at_second_step(site: Site, name: str = "olga", password: str = PASSWORD) -> aiohttp.ClientSession:
    browser = await site.browser(None)
    assert (await post(browser, "/login", email=f"{name}@hub.test", password=password))[1] == "/login/code"
    return browser


def raw(cookie: str) -> bytes:
    return base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))


async def session_count(site: Site) -> int:
    async with site.db.read() as conn:
        return len((await conn.execute(sa.select(sessions.c.id))).all())


async def test_between_the_steps_nothing_can_be_read(site: Site) -> None:
    await with_second_step(site, "olga")
    browser = await at_second_step(site)
    assert {one.key for one in browser.cookie_jar} == {STEP}, "neither a session nor a known browser yet"
    for path in ("/", "/desk", "/clients", "/me/two-factor", "/me/sign-ins", "/live"):
        async with browser.get(path, allow_redirects=False) as answer:
            place = answer.headers.get("Location", "/login")
            assert (answer.status in (303, 401), place.partition("?")[0]) == (True, "/login"), path
    async with browser.get("/login/code") as answer:
        text = await answer.text()
        assert "olga" not in text.lower(), "the page does not tell whose it is"
    assert await session_count(site) == 0


async def test_ten_wrong_codes_hold_up_the_next_from_wherever_it_comes(site: Site) -> None:
    secret, codes = await with_second_step(site, "olga")
    browser = await at_second_step(site)
    answers = [(await post(browser, "/login/code", code=f"{n:06d}"))[0] for n in range(BY_CODE.tries)]
    assert answers == [401] * BY_CODE.tries
    for other in (browser, await at_second_step(site)):
        for right in (code(secret, steps=1), codes[0]):
            async with other.post("/login/code", data={"code": right}, allow_redirects=False) as answer:
                assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (429, True)
    await with_second_step(site, "pavel")
    async with site.db.read() as conn:
        failed = sa.select(audit.c.details).where(audit.c.action == "sign_in.failed")
        details = (await conn.execute(failed)).scalars().all()
    assert [one["step"] for one in details] == ["code"] * BY_CODE.tries
    assert (await post(await at_second_step(site, "pavel"), "/login/code", code="000000"))[0] == 401


async def test_a_day_of_patient_guessing_is_bounded_and_a_new_password_begins_anew(site: Site) -> None:
    secret, _ = await with_second_step(site, "olga")
    attempts, browser = site.app[LIMITS].attempts, await at_second_step(site)
    async with site.db.read() as conn:
        password = await people.password_now(conn, site.actors["olga"].user_id)
    assert password is not None
    key = f"{site.actors['olga'].user_id} {digest(password)}"
    for _ in range(BY_CODE_IN_A_DAY.tries):
        assert (await post(browser, "/login/code", code="000000"))[0] == 401
        await attempts.forget(BY_CODE, key)  # as if a quarter of an hour were over
    assert (await post(browser, "/login/code", code=code(secret, steps=1)))[0] == 429
    async with site.db.begin() as conn:
        user_id = site.actors["olga"].user_id
        await accounts.set_password(conn, user_id, QUICK_OTHER, way="command", now=utc_now())
    fresh = await at_second_step(site, password=OTHER)
    assert (await post(fresh, "/login/code", code=code(secret, steps=1)))[0] == 303


async def test_a_code_that_was_used_is_refused_also_of_many_at_once(site: Site) -> None:
    secret, codes = await with_second_step(site, "olga")
    for right in (code(secret, steps=1), codes[0]):
        browsers = [await at_second_step(site) for _ in range(4)]
        answers = await asyncio.gather(*(post(one, "/login/code", code=right) for one in browsers))
        assert sorted(status for status, _, _ in answers) == [303, 401, 401, 401]


async def test_a_code_older_than_the_last_one_used_is_refused(site: Site) -> None:
    secret, _ = await with_second_step(site, "olga")
    user_id, vault, now = site.actors["olga"].user_id, vault_of(site), utc_now()
    async with site.db.begin() as conn:
        step = totp.step_at(now)
        assert await two_factor.accept(conn, vault, user_id, totp.code_at(secret, step + 1), now=now)
        assert not await two_factor.accept(conn, vault, user_id, totp.code_at(secret, step), now=now)


async def test_a_changed_password_and_a_disabled_account_void_the_first_step(site: Site) -> None:
    secret, _ = await with_second_step(site, "olga")
    browser = await at_second_step(site)
    async with site.db.begin() as conn:
        user_id = site.actors["olga"].user_id
        await accounts.set_password(conn, user_id, QUICK_OTHER, way="command", now=utc_now())
    assert (await post(browser, "/login/code", code=code(secret, steps=1)))[:2] == (303, "/login")
    assert await session_count(site) == 0


async def test_a_first_step_made_up_or_of_another_secret_is_none(site: Site) -> None:
    secret, _ = await with_second_step(site, "olga")
    browser = await at_second_step(site)
    (good,) = (one.value for one in browser.cookie_jar if one.key == STEP)
    other = Vault(vault_of(site).path.with_name("other.keys"))
    opened = vault_of(site).open(raw(good)[:8].decode(), raw(good)[8:], place="second_step")
    key_id, sealed = other.seal_in_passing(opened.reveal(), place="second_step")
    foreign = base64.urlsafe_b64encode(key_id.encode() + sealed).decode()
    for value in ("", "x", good[:-2], good[:10] + "AAAA" + good[14:], foreign, "A" * 5000):
        forged = await site.browser(None)
        forged.cookie_jar.update_cookies({STEP: value})
        assert (await post(forged, "/login/code", code=code(secret, steps=1)))[1] == "/login", value
    assert await session_count(site) == 0


async def test_a_first_step_is_of_use_for_ten_minutes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, _ = await with_second_step(site, "olga")
    monkeypatch.setattr("hub.web.signing_in.SECOND_STEP_LASTS", timedelta(seconds=0))
    browser = await site.browser(None)
    async with browser.post(
        "/login", data={"email": "olga@hub.test", "password": PASSWORD}, allow_redirects=False
    ) as answer:
        value = answer.cookies[STEP].value
        assert (answer.cookies[STEP]["httponly"], answer.cookies[STEP]["samesite"]) == (True, "Strict")
    browser.cookie_jar.update_cookies({STEP: value})
    assert (await post(browser, "/login/code", code=code(secret, steps=1)))[1] == "/login"


async def test_a_stolen_session_reads_no_secret_that_was_begun_and_left(site: Site) -> None:
    await site.person("olga", password_hash=QUICK)
    browser = await site.browser("olga")
    secret = secret_in((await post(browser, f"{HERE}/begin", password=PASSWORD))[2])
    async with site.db.begin() as conn:
        old = utc_now() - two_factor.CONFIRM_WITHIN
        await conn.execute(sa.update(totp_secrets).values(created_at=old))
    for typed in ("000000", code(secret)):
        status, _, page = await post(browser, f"{HERE}/confirm", code=typed)
        assert (status, "qr-key" in page) == (409, False)


async def test_a_second_step_that_is_on_is_not_replaced_by_setting_one_up_anew(site: Site) -> None:
    await with_second_step(site, "olga")
    async with site.db.begin() as conn:
        with pytest.raises(Conflict):
            await two_factor.begin(conn, vault_of(site), site.actors["olga"].user_id, now=utc_now())


async def test_passwords_on_the_own_page_are_limited_as_at_the_sign_in(site: Site) -> None:
    await with_second_step(site, "olga")
    browser = await site.browser("olga")
    answers = [(await post(browser, f"{HERE}/off", password="wrong password"))[0] for _ in range(11)]
    assert answers == [400] * 10 + [429]
    assert (await post(browser, f"{HERE}/off", password=PASSWORD))[0] == 429
