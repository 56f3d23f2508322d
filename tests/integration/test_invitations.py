"""Invitations: a link by which a new person joins, once, within a week; renewed, withdrawn, used late and twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import password_resets
from hub.crm.models import audit, users
from hub.crm.models import password_resets as links
from tests.testbed.site import Site

NEW = "another horse, another battery"


async def chief_of(site: Site) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:
    """Return an administrator's browser and API client."""
    await site.person("chief", role="admin", team=None)
    return await site.browser("chief"), await site.api("chief")


async def sent(api: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with api.request(method, path, json=body) as answer:
        return answer.status, await answer.json()


async def new_person(site: Site, api: aiohttp.ClientSession) -> int:
    role = site.actors["chief"].role_id
    status, made = await sent(api, "POST", "users", {"name": "Анна", "email": "anna@hub.test", "role": role})
    assert (status, made["invited_until"]) == (201, None), made
    return int(made["id"])


async def page(browser: aiohttp.ClientSession, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
    method = "GET" if form is None else "POST"
    async with browser.request(method, path, data=form, allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def test_a_new_person_joins_by_an_invitation_once(site: Site) -> None:
    browser, api = await chief_of(site)
    anna = await new_person(site, api)
    assert "has not joined yet: invite them" in (await page(browser, f"/users/{anna}"))[1]
    status, text = await page(browser, f"/users/{anna}/invite", {})
    assert (status, "within a week" in text, "/reset/" in text) == (200, True, True)
    status, answer = await sent(api, "POST", f"users/{anna}/invite")
    assert status == 200
    until = (await sent(api, "GET", f"users/{anna}"))[1]["invited_until"]
    assert until.startswith((utc_now() + password_resets.INVITATION_LASTS).date().isoformat())
    assert "Invited, and has not joined yet." in (await page(browser, f"/users/{anna}"))[1]

    token = answer["link"].rpartition("/")[2]
    newcomer = await site.browser(None)
    assert "Welcome to Hub" in (await page(newcomer, f"/reset/{token}"))[1]
    assert (await page(newcomer, "/reset", {"token": token, "password": NEW}))[0] == 303
    status, text = await page(await site.browser(None), "/reset", {"token": token, "password": NEW})
    assert (status, "used already" in text) == (410, True)
    assert (await sent(api, "GET", f"users/{anna}"))[1]["invited_until"] is None
    status, text = await page(browser, f"/users/{anna}")
    assert ("not joined" in text, "Link for a password" in text) == (False, True)
    status, answer = await sent(api, "POST", f"users/{anna}/invite")
    assert (status, answer["error"]["code"]) == (409, "joined")
    assert (await page(browser, "/login", {"email": "anna@hub.test", "password": NEW}))[0] == 303
    async with site.db.read() as conn:
        of_anna = sa.select(audit.c.action).where(audit.c.object_id == anna, audit.c.object_kind == "user")
        found = list((await conn.execute(of_anna.order_by(audit.c.id))).scalars())
    assert found[:4] == ["user.created", "user.invited", "user.invited", "user.password_set"]


async def test_a_newer_invitation_and_withdrawing_void_the_one_before(site: Site) -> None:
    browser, api = await chief_of(site)
    anna = await new_person(site, api)
    tokens = [(await sent(api, "POST", f"users/{anna}/invite"))[1]["link"].rpartition("/")[2] for _ in range(2)]
    newcomer = await site.browser(None)
    assert (await page(newcomer, "/reset", {"token": tokens[0], "password": NEW}))[0] == 410
    assert (await page(browser, f"/users/{anna}/invitation/withdraw", {}))[0] == 303
    assert (await page(newcomer, f"/reset/{tokens[1]}"))[0] == 410
    assert (await page(newcomer, "/reset", {"token": tokens[1], "password": NEW}))[0] == 410
    status, answer = await sent(api, "POST", f"users/{anna}/invitation/withdraw")
    assert (status, answer["error"]["code"]) == (409, "not_invited")
    assert "has not joined yet: invite them" in (await page(browser, f"/users/{anna}"))[1]


async def test_a_late_invitation_says_so_on_its_page_and_on_the_card(site: Site) -> None:
    browser, api = await chief_of(site)
    anna = await new_person(site, api)
    token = (await sent(api, "POST", f"users/{anna}/invite"))[1]["link"].rpartition("/")[2]
    async with site.db.begin() as conn:
        past = utc_now() - timedelta(minutes=1)
        await conn.execute(sa.update(links).values(expires_at=past))
        await conn.execute(sa.update(users).where(users.c.id == anna).values(invited_until=past))
    newcomer = await site.browser(None)
    for form in (None, {"token": token, "password": NEW}):
        status, text = await page(newcomer, "/reset" if form else f"/reset/{token}", form)
        assert (status, "This link has expired." in text) == (410, True)
    assert "The invitation has expired: invite anew." in (await page(browser, f"/users/{anna}"))[1]


async def test_whoever_does_not_join_is_found_in_the_list_and_disabling_ends_the_invitation(site: Site) -> None:
    browser, api = await chief_of(site)
    anna = await new_person(site, api)
    token = (await sent(api, "POST", f"users/{anna}/invite"))[1]["link"].rpartition("/")[2]
    where = '{"not": {"field": "invited_until", "op": "is_empty"}}'
    async with api.get("users", params={"where": where}) as answer:
        assert [one["id"] for one in (await answer.json())["items"]] == [anna]
    assert "Invited until" in (await page(browser, "/users"))[1]
    assert (await page(browser, f"/users/{anna}/deactivate", {}))[0] == 303
    assert (await page(await site.browser(None), f"/reset/{token}"))[0] == 404
    assert (await sent(api, "GET", f"users/{anna}"))[1]["invited_until"] is None
