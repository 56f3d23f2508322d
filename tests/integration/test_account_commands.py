"""`hub user …` and `hub token …` beside a running Hub: what ends at once, what is printed, what stands in the audit."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub.clock import utc_now
from hub.crm import totp
from tests.testbed.events import listening
from tests.testbed.hub import PASSWORD, Hub, run_command, running_hub
from tests.testbed.waiting import wait_for

ANNA = "anna@hub.test"
CHIEF = "chief@hub.test"
NEW = "another horse, another battery"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running_hub(tmp_path, "") as running:
        running.roles = "web"
        await running.start()
        await running.add_user(CHIEF, "Chief", "admin")
        await running.add_user(ANNA, "Анна", "manager", ["sales"], "101")
        yield running


async def said(hub: Hub, *words: str, stdin: str = "", code: int = 0) -> str:
    """Run a command with this Hub's configuration; return its standard output."""
    found, out, err = await run_command(*words, "--config", str(hub.config), stdin=stdin)
    assert (found, "Traceback" in err) == (code, False), err
    return out if code == 0 else err.splitlines()[-1]


def audit(hub: Hub, like: str) -> list[tuple[str, dict[str, Any]]]:
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
        rows = db.execute("SELECT action, details FROM audit WHERE action LIKE ? ORDER BY id", (like,)).fetchall()
    return [(action, json.loads(details)) for action, details in rows]


async def browser(hub: Hub, password: str = PASSWORD, agent: str = "") -> aiohttp.ClientSession:
    """A browser in which somebody tried to sign in as Anna."""
    http = aiohttp.ClientSession(
        hub.url, cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"User-Agent": agent or "curl/8"}
    )
    async with http.post("/login", data={"email": ANNA, "password": password}, allow_redirects=False) as answer:
        assert answer.status in (303, 401), answer.status
    return http


async def is_in(http: aiohttp.ClientSession) -> bool:
    async with http.get("/", allow_redirects=False) as answer:
        return not answer.headers["Location"].startswith("/login")


async def status_of(hub: Hub, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as http, http.get(f"{hub.url}/api/v1/teams", headers=headers) as answer:
        return answer.status


async def test_a_second_step_is_reset_by_a_command(hub: Hub) -> None:
    async with await browser(hub) as page:
        async with page.get("/me/two-factor") as answer:
            csrf = re.search(r'name="csrf" value="([^"]+)"', await answer.text())
        assert csrf
        form = {"csrf": csrf[1], "password": PASSWORD}
        async with page.post("/me/two-factor/begin", data=form) as answer:
            secret = re.search(r'<code class="qr-key">(\w+)</code>', await answer.text())
        assert secret
        code = totp.code_at(totp.read(secret[1]), totp.step_at(utc_now()))
        async with page.post("/me/two-factor/confirm", data={"csrf": csrf[1], "code": code}) as answer:
            assert answer.status == 200
    async with await browser(hub) as page:
        assert not await is_in(page)
    await said(hub, "user", "reset-two-factor", ANNA)
    async with await browser(hub) as page:
        assert await is_in(page)
    assert [action for action, _ in audit(hub, "user.two_factor%")] == ["user.two_factor_on", "user.two_factor_reset"]
    assert "no user" in await said(hub, "user", "reset-two-factor", "nobody@hub.test", code=1)


async def test_disabling_ends_sessions_tokens_and_streams_at_once_and_returns_what_is_held(hub: Hub) -> None:
    token = (await said(hub, "token", "create", ANNA)).strip()
    headers = {"Authorization": f"Bearer {token}"}
    item = lead_of(hub)
    async with await browser(hub) as page, aiohttp.ClientSession(hub.url, headers=headers) as api:
        async with api.post(f"/api/v1/queue/{item}/claim") as answer:
            assert answer.status == 200, await answer.text()
        async with listening(page, "/live") as pages, listening(api, "/api/v1/events") as events:
            assert "returned to their teams: 1" in await said(hub, "user", "disable", ANNA)
            for source in (pages, events):
                with pytest.raises(EOFError):
                    await source.until("nothing that is ever told", deadline_s=5)
        assert not await is_in(page)
        assert await status_of(hub, token) == 401
        async with await browser(hub) as again:
            assert not await is_in(again)
        await said(hub, "user", "enable", ANNA)
        assert not await is_in(page)
        assert await status_of(hub, token) == 401
    async with await browser(hub) as again:
        assert await is_in(again)
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
        assert db.execute("SELECT state, owner_id FROM queue_items").fetchall() == [("waiting", None)]
        assert db.execute("SELECT owner_id FROM leads").fetchall() == [(None,)]
    actions = [action for action, _ in audit(hub, "%")]
    for action in ("user.disabled", "user.enabled", "session.ended", "token.revoked", "queue_item.released"):
        assert actions.count(action) == 1, action
    assert "only administrator" in await said(hub, "user", "disable", CHIEF, code=1)
    assert "no user" in await said(hub, "user", "disable", "nobody@hub.test", code=1)


def lead_of(hub: Hub) -> int:
    """Put a lead into the team's queue."""
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db, db:
        db.execute(
            "INSERT INTO leads (id, team_id, state, reason, name, address_kind, address, times, created_at, last_at)"
            " VALUES (1, 1, 'open', 'new', 'Ирина', 'email', 'i@a.example', 1, '2026-01-01', '2026-01-01')"
        )
        db.execute(
            "INSERT INTO queue_items (id, team_id, kind, ref_id, state, title, data, version, queued_at)"
            " VALUES (1, 1, 'lead', 1, 'waiting', 'Ирина', '{}', 1, '2026-01-01T00:00:00.000000+00:00')"
        )
    return 1


async def test_a_new_password_ends_the_sessions_and_keeps_the_tokens(hub: Hub) -> None:
    token = (await said(hub, "token", "create", ANNA)).strip()
    async with await browser(hub) as page:
        assert "8 to 256" in await said(hub, "user", "passwd", ANNA, "--password-stdin", stdin="short\n", code=1)
        assert "no password" in await said(hub, "user", "passwd", ANNA, "--password-stdin", code=1)
        assert await is_in(page)
        assert await said(hub, "user", "passwd", ANNA, "--password-stdin", stdin=NEW + "\n") == ""
        assert not await is_in(page)
    async with await browser(hub) as old, await browser(hub, NEW) as new:
        assert (await is_in(old), await is_in(new)) == (False, True)
    assert await status_of(hub, token) == 200
    assert audit(hub, "user.password_set") == [("user.password_set", {"way": "command"})]


async def test_the_streams_of_a_session_end_when_its_browser_signs_in_anew(hub: Hub) -> None:
    async with await browser(hub) as page:
        async with listening(page, "/live") as earlier:
            form = {"email": CHIEF, "password": PASSWORD}
            async with page.post("/login", data=form, allow_redirects=False) as answer:
                assert answer.status == 303
            with pytest.raises(EOFError):
                await earlier.until("nothing that is ever told", deadline_s=5)
        assert await is_in(page)


async def test_sessions_are_listed_with_where_and_when_and_ended_one_by_one(hub: Hub) -> None:
    firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0"
    async with await browser(hub, agent=firefox) as one, await browser(hub, agent="\u202ex" * 40) as other:
        listed = (await said(hub, "user", "sessions", ANNA)).splitlines()
        assert len(listed) == 3
        (line,) = [line for line in listed if "Firefox 143, Windows" in line]
        assert re.search(r"\d{4}-\d\d-\d\dT.*127\.0\.0\.1", line)
        assert "\u202e" not in "".join(listed)
        async with listening(one, "/live") as events:
            await said(hub, "user", "sessions", ANNA, "--end", line.split()[0])
            with pytest.raises(EOFError):
                await events.until("nothing that is ever told", deadline_s=5)
        assert (await is_in(one), await is_in(other)) == (False, True)
        assert "no open session" in await said(hub, "user", "sessions", ANNA, "--end", line.split()[0], code=1)
        assert "--end" in await said(hub, "user", "sessions", ANNA, "--end", "x", code=1)
        assert "--end" in await said(hub, "user", "sessions", ANNA, "--end", "9" * 20, code=1)
        await said(hub, "user", "sessions", ANNA, "--end", "all")
        assert not await is_in(other)
    assert len((await said(hub, "user", "sessions", ANNA)).splitlines()) == 1


async def test_tokens_expire_are_listed_with_their_last_use_and_revoked(hub: Hub) -> None:
    token = (await said(hub, "token", "create", ANNA, "--expires", "90d", "--name", "1C")).strip()
    assert re.fullmatch(r"hub_[\w-]{40,}", token)
    assert "--expires" in await said(hub, "token", "create", ANNA, "--expires", "90", code=1)
    (line,) = (await said(hub, "token", "list", ANNA)).splitlines()[1:]
    assert (line.split()[1:3], line.endswith("never")) == ([ANNA, "1C"], True)
    assert token not in line
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(hub.url, headers=headers) as api:
        for _ in range(5):
            async with api.get("/api/v1/teams") as answer:
                assert answer.status == 200

        async def is_used() -> bool:
            return "never" not in (await said(hub, "token", "list")).splitlines()[1]

        await wait_for(is_used, what="the last use stands in the list", deadline_s=20)
        with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
            before = db.execute("SELECT used_at FROM tokens").fetchone()
            for _ in range(5):
                async with api.get("/api/v1/teams") as answer:
                    assert answer.status == 200
            assert db.execute("SELECT used_at FROM tokens").fetchone() == before, "once a minute"
        async with listening(api, "/api/v1/events") as events:
            await said(hub, "token", "revoke", line.split()[0])
            with pytest.raises(EOFError):
                await events.until("nothing that is ever told", deadline_s=5)
    assert await status_of(hub, token) == 401
    assert (await said(hub, "token", "list")).splitlines()[1:] == []
    assert "no token" in await said(hub, "token", "revoke", "999", code=1)
    later = (await said(hub, "token", "create", ANNA, "--expires", "1h")).strip()
    assert await status_of(hub, later) == 200
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db, db:
        db.execute("UPDATE tokens SET expires_at = '2026-01-01T00:00:00.000000+00:00' WHERE revoked_at IS NULL")
    assert await status_of(hub, later) == 401
    assert "(expired)" in await said(hub, "token", "list")
    actions = [(action, details["for"]) for action, details in audit(hub, "token.%")]
    assert [action for action, _ in actions] == ["token.created", "token.revoked", "token.created"]
    assert len({person for _, person in actions}) == 1


async def test_a_reset_link_sets_one_password_and_leaves_no_trace_of_itself(hub: Hub) -> None:
    link = await said(hub, "user", "reset-link", ANNA)
    assert re.fullmatch(rf"{re.escape(hub.url)}/reset/[\w-]{{40,}}\n", link)
    token = link.strip().rpartition("/")[2]
    async with await browser(hub) as page, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        for _ in range(3):
            async with http.get(link.strip()) as answer:
                assert (answer.status, answer.headers["Referrer-Policy"]) == (200, "strict-origin")
                assert "Анна" in await answer.text()
        async with http.post(f"{hub.url}/reset", data={"token": token, "password": "short"}) as answer:
            assert answer.status == 400
            assert "8 to 256" in await answer.text()
        form = {"token": token, "password": NEW, "again": NEW}
        async with http.post(f"{hub.url}/reset", data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/desk")
        async with http.get(f"{hub.url}/desk") as answer:
            assert answer.status == 200
        assert not await is_in(page)
        async with http.get(link.strip()) as answer:
            assert answer.status == 410
            assert "used already" in await answer.text()
    async with await browser(hub) as old, await browser(hub, NEW) as new:
        assert (await is_in(old), await is_in(new)) == (False, True)
    assert [action for action, _ in audit(hub, "user.reset%")] == ["user.reset_link_created"]
    assert audit(hub, "user.password_set") == [("user.password_set", {"way": "link"})]
    assert token not in hub.log.read_text()
    for name in ("hub.db", "hub.db-wal"):
        if (hub.folder / name).exists():
            assert token.encode() not in (hub.folder / name).read_bytes()


async def test_an_invitation_by_command_makes_a_person_who_joins_by_its_link(hub: Hub) -> None:
    words = ("user", "invite", "new@hub.test", "--name", "Новый", "--role", "manager", "--team", "sales")
    first = (await said(hub, *words)).strip()
    link = (await said(hub, "user", "invite", "new@hub.test")).strip()
    assert link.startswith(f"{hub.url}/reset/")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.get(first) as answer:
            assert answer.status == 410, "the newer one voids it"
        form = {"token": link.rpartition("/")[2], "password": NEW, "again": NEW}
        async with http.post(f"{hub.url}/reset", data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/desk")
    assert [action for action, _ in audit(hub, "user.invited")] == ["user.invited"] * 2
    for wrong, text in (
        (("user", "invite", "new@hub.test"), "set a password already"),
        (("user", "invite", "nobody@hub.test"), "no user nobody@hub.test"),
        (("user", "invite", "other@hub.test", "--name", "Другой"), "both --name and --role"),
    ):
        assert text in await said(hub, *wrong, code=1)
