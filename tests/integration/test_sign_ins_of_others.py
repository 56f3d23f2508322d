"""Sessions and tokens of a person on the card and over the API: an administrator sees and ends them."""

from __future__ import annotations

from typing import Any

import aiohttp

from hub.clock import utc_now
from hub.crm import sessions, tokens
from tests.testbed.site import Site


async def sent(api: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with api.request(method, path, json=body) as answer:
        return answer.status, await answer.json()


async def is_in(browser: aiohttp.ClientSession) -> bool:
    async with browser.get("/me/sign-ins", allow_redirects=False) as answer:
        return answer.status == 200


async def test_an_administrator_sees_and_ends_the_sessions_and_tokens_of_a_person(site: Site) -> None:
    olga = (await site.person("olga")).user_id
    await site.person("chief", role="admin", team=None)
    admin, api, program = await site.browser("chief"), await site.api("chief"), await site.api("olga")
    browsers = [await site.browser("olga") for _ in range(3)]
    found = (await sent(api, "GET", f"users/{olga}/sessions"))[1]["items"]
    assert len(found) == 3
    (token,) = (await sent(api, "GET", f"users/{olga}/tokens"))[1]["items"]
    assert set(token) == {"id", "name", "created_at", "expires_at", "used_at", "current"}
    async with admin.get(f"/users/{olga}") as answer:
        text = await answer.text()
    assert ("Active sessions" in text, "API tokens" in text, text.count('name="session"')) == (True, True, 4)

    async with admin.post(f"/users/{olga}/sessions/end", data={"session": found[0]["id"]}) as answer:
        assert answer.status == 200
    assert sorted([await is_in(one) for one in browsers]) == [False, True, True]
    assert await sent(api, "POST", f"users/{olga}/sessions/end", {}) == (200, {"ended": 2})
    assert not any([await is_in(one) for one in browsers])
    assert await is_in(admin)
    async with admin.post(f"/users/{olga}/tokens/revoke", data={"token": token["id"]}) as answer:
        assert answer.status == 200
    assert (await sent(program, "GET", "clients"))[0] == 401


async def test_a_session_or_token_of_somebody_else_is_not_ended_through_this_person(site: Site) -> None:
    olga = (await site.person("olga")).user_id
    chief = (await site.person("chief", role="admin", team=None)).user_id
    admin, api = await site.browser("chief"), await site.api("chief")
    async with site.db.read() as conn:
        session = (await sessions.open_of(conn, chief, now=utc_now()))[0].id
        token = (await tokens.listed(conn, user_id=chief))[0].id
    assert (await sent(api, "POST", f"users/{olga}/sessions/end", {"session": session}))[0] == 404
    assert (await sent(api, "POST", f"users/{olga}/tokens/revoke", {"token": token}))[0] == 404
    assert (await sent(api, "POST", f"users/{chief + 1000}/sessions/end", {}))[0] == 404
    assert await is_in(admin)
