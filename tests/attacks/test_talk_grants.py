"""Calls and messages by the role's own grants: each scope × each relation × each way out.

One's own, the team's, a foreign one, one on a card that the role opens, and the mail of a colleague's personal mailbox.
Every way out agrees with the list: the card, the search, the count, the file, the attachment, the conversation, the
stream; and whoever may not see one may not do anything with it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from hub.clock import utc_now
from hub.crm import clients
from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.base.permissions import SCOPES, Scope
from hub.crm.clients import ClientInput
from hub.crm.clients.rules import create_record
from hub.crm.roles.rules import id_of
from hub.crm.roles.table import ROLES, Grant, RoleInput
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web.authentication import SERVICES
from tests.factories import got, post
from tests.testbed import talk
from tests.testbed.audio_files import recorded, settings_for
from tests.testbed.events import listening
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database

Relation = Literal["own", "team", "foreign", "on_card", "personal"]
SEEN: dict[Scope, set[Relation]] = {
    "none": {"on_card"},
    "own": {"on_card", "own"},
    "team": {"on_card", "own", "team"},
    "all": {"on_card", "own", "team", "foreign"},
}
RIGHTS = ("telephony", "read_mail", "send_mail", "recordings")


@dataclass(frozen=True, slots=True)
class Office:
    site: Site
    calls: dict[Relation, int]
    messages: dict[Relation, int]
    card: int


def role(name: str, scope: Scope) -> RoleInput:
    talk_grants = (Grant(kind, action, scope) for kind in ("call", "message") for action in ("see", "export", "edit"))
    return RoleInput(name=name, grants=(Grant("client", "see", "own"), *talk_grants), rights=RIGHTS)


@pytest.fixture
async def site(db: Database, blobs: BlobStore, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(db, blobs, settings=settings_for(tmp_path)) as running:
        yield running


async def office(site: Site, scope: Scope) -> Office:
    """Return an office where "me" has a role with this scope on calls and messages."""
    admin = await site.person("irina", role="admin", team=None)
    async with site.db.begin() as conn:
        create = records.writers(ROLES).create
        assert create is not None
        await create(conn, role("Talk", scope), edit=Edit(admin, "api", utc_now()))
    me = await site.person("me", role="Talk", extension="101")
    mate = await site.person("mate", extension="102")
    await site.person("stranger", team="support", extension="201")
    async with site.db.begin() as conn:
        given = ClientInput(kind="person", name="Открытов", manager=me.user_id)
        card = (await create_record(conn, given, edit=Edit(None, "hub", utc_now()))).id
        await clients.add_address(conn, None, card, kind="phone", raw="89035550077", now=utc_now())
    calls: dict[Relation, int] = {}
    for relation, team, number in (
        ("team", "sales", "89030000001"),
        ("foreign", "support", "89030000002"),
        ("on_card", "support", "89035550077"),
    ):
        calls[relation] = (await talk.waiting_call(site.db, number=number, team=team))[0]  # type: ignore[index]
    calls["own"], _item, waiting = await talk.waiting_call(site.db, number="89030000003", team="support")
    await talk.answered(site.db, waiting, extension="101", team="support")
    file = (("секрет.txt", "text/plain", b"a"),)
    put: dict[Relation, dict[str, Any]] = {
        "own": {"owner_id": me.user_id},
        "team": {"team": "sales"},
        "foreign": {"team": "support"},
        "on_card": {"team": "support", "client_id": card},
        "personal": {"owner_id": mate.user_id},
    }
    messages = {
        relation: await talk.message(site.db, site.blobs, subject=f"Договор {relation}", files=file, **about)
        for relation, about in put.items()
    }
    return Office(site, calls, messages, card)


@pytest.mark.parametrize("scope", SCOPES)
async def test_every_way_out_of_messages_agrees_with_the_role(site: Site, scope: Scope) -> None:
    found = await office(site, scope)
    api, page = await site.api("me"), await site.browser("me")
    ids, seen = found.messages, {found.messages[one] for one in SEEN[scope]}
    for params in ({}, {"q": "договор"}, {"q": "-слово"}, {"sort": "received_at"}):
        assert {one["id"] for one in (await got(api, "messages", **params))["items"]} == seen, params
        assert (await got(api, "messages/count", **params))["count"] == len(seen)
    async with page.get("/messages", params={"q": "договор"}) as answer:
        text = await answer.text()
    assert {one for one in ids.values() if f'id="message-{one}"' in text} == seen
    async with page.get("/messages/found", params={"q": "договор"}) as answer:
        text = await answer.text()
    assert {one for one in ids.values() if f'/messages/{one}"' in text} == seen
    for place in ("messages/export", f"{site.url}/messages/export"):
        async with (page if place.startswith("http") else api).get(place) as answer:
            assert answer.status == (403 if scope == "none" else 200), place
            rows = list(csv.reader(io.StringIO((await answer.read()).decode("utf-8-sig"))))
        if scope != "none":
            assert {int(row[0]) for row in rows[1:]} == seen
    every = await site.api("irina")
    for relation, one in ids.items():
        status = 200 if one in seen else 404
        whole = await got(every, f"messages/{one}")
        paths = [f"messages/{one}", f"messages/{one}/raw", f"threads/{whole['thread']}"]
        for path in (*paths, f"attachments/{whole['attachments'][0]['id']}"):
            async with api.get(path) as answer:
                assert answer.status == status, (relation, path)
        for path in (f"/messages/{one}", f"/messages/{one}/body", f"/messages/{one}/files", f"/messages/{one}/link"):
            async with page.get(path) as answer:
                assert answer.status == status, (relation, path)
        done, _ = await post(api, f"messages/{one}/link", json={"client": found.card})
        may_link = one in seen and scope != "none"
        assert done == (200 if may_link else 403 if one in seen else 404), relation


@pytest.mark.parametrize("scope", SCOPES)
async def test_every_way_out_of_calls_agrees_with_the_role(site: Site, scope: Scope) -> None:
    found = await office(site, scope)
    api, page = await site.api("me"), await site.browser("me")
    ids, seen = found.calls, {found.calls[one] for one in SEEN[scope]}
    assert {one["id"] for one in (await got(api, "calls"))["items"]} == seen
    assert (await got(api, "calls/count"))["count"] == len(seen)
    for relation, number in (("team", "+79030000001"), ("foreign", "+79030000002")):
        shown = (await got(api, "calls", q=number))["items"]
        assert bool(shown) is (found.calls[relation] in seen), relation  # type: ignore[index]
    async with page.get("/calls") as answer:
        text = await answer.text()
    assert {one for one in ids.values() if f'id="call-{one}"' in text} == seen
    async with api.get("calls/export") as answer:
        assert answer.status == (403 if scope == "none" else 200)
        rows = list(csv.reader(io.StringIO((await answer.read()).decode("utf-8-sig"))))
    if scope != "none":
        assert {int(row[0]) for row in rows[1:]} == seen
    for relation, one in ids.items():
        async with api.get(f"calls/{one}") as answer:
            assert answer.status == (200 if one in seen else 404), relation
        done, _ = await post(api, f"calls/{one}/link", json={"client": found.card})
        may_link = one in seen and scope != "none"
        assert done == (200 if may_link else 403 if one in seen else 404), relation


@pytest.mark.parametrize("scope", SCOPES)
async def test_the_stream_tells_of_what_the_list_shows(site: Site, scope: Scope) -> None:
    found = await office(site, scope)
    me, mate = site.actors["me"], site.actors["mate"]
    async with listening(await site.api("me"), "events") as events:
        told: dict[tuple[str, int], str] = {}
        for team in ("sales", "support"):
            told["call", (await talk.waiting_call(site.db, number="89030000009", team=team))[0]] = team
            told["message", await talk.message(site.db, site.blobs, team=team)] = team
        told["message", await talk.message(site.db, site.blobs, owner_id=mate.user_id)] = "personal"
        told["message", await talk.message(site.db, site.blobs, owner_id=me.user_id)] = "own"
        last = (await talk.waiting_call(site.db, number="89035550077", team="support"))[0]
        heard: set[tuple[str, int]] = set()
        while ("call", last) not in heard:
            event = await events.next()
            if event.name in ("call", "message"):
                heard.add((event.name, event.data["id"]))
    expected = {"none": set(), "own": {"own"}, "team": {"own", "sales"}, "all": {"own", "sales", "support"}}[scope]
    assert {told[one] for one in heard - {("call", last)}} == expected
    assert found.card


@pytest.mark.parametrize("scope", SCOPES)
async def test_the_right_to_listen_opens_no_call_that_the_role_hides(site: Site, scope: Scope) -> None:
    await office(site, scope)
    recording, call = await recorded(site.db, site.app[SERVICES].settings, extension="102", number="89030000005")
    api = await site.api("me")
    is_seen = scope in ("team", "all")
    async with api.get(f"calls/{call}") as answer:
        assert answer.status == (200 if is_seen else 404)
    async with api.get(f"recordings/{recording}") as answer:
        assert answer.status == (200 if is_seen else 404)


async def test_a_link_by_hand_stands_in_the_history_for_whoever_sees_the_record(site: Site) -> None:
    found = await office(site, "team")
    api, me = await site.api("me"), site.actors["me"].user_id
    for path, ids in (("calls", found.calls), ("messages", found.messages)):
        one = f"{path}/{ids['team']}"
        assert (await post(api, f"{one}/link", json={"client": found.card}))[0] == 200
        (edit,) = (await got(api, f"{one}/history"))["items"]
        assert (edit["by"]["id"], edit["way"]) == (me, "api")
        assert edit["changes"] == {"client": [None, found.card], "contact": [None, None]}
        await got(api, f"{path}/{ids['foreign']}/history", 404)


async def test_a_person_moved_to_a_narrower_role_sees_less_at_once(site: Site) -> None:
    found = await office(site, "team")
    api = await site.api("me")
    assert len((await got(api, "messages"))["items"]) == 3
    async with site.db.begin() as conn:
        update = records.writers(ROLES).update
        assert update is not None
        grants = tuple(one for one in role("Talk", "none").grants if isinstance(one, Grant))  # type: ignore[union-attr]
        given = RoleInput(grants=grants)
        await update(conn, await id_of(conn, "Talk"), given, edit=Edit(site.actors["irina"], "api", utc_now()))
    assert [one["id"] for one in (await got(api, "messages"))["items"]] == [found.messages["on_card"]]
    assert [one["id"] for one in (await got(api, "calls"))["items"]] == [found.calls["on_card"]]
