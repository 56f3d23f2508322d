"""A person's own mailbox: what of it is on no client's card is seen by that person and an administrator alone.

`pavel` is of the same team, `stranger` of another; each of them tries every way by which a message may be reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import access
from hub.errors import NotFound
from hub.mail import register
from hub.mail.filters import MessageFilters
from hub.mail.models import mailboxes, messages
from hub.mail.sending import claims, outbox
from hub.mail.sync import flags
from hub.store import changes
from hub.store.blobs import BlobStore
from hub.store.changes import Position
from hub.store.engine import Database
from tests.factories import got, made, post
from tests.testbed import talk
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database

WORD = "тайна"


@dataclass(frozen=True, slots=True)
class Private:
    """A message of olga's own mailbox that is on no card, and the same mail's file."""

    message: int
    attachment: int
    mailbox: str


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        yield running


@pytest.fixture
async def private(site: Site) -> Private:
    for name, team in (("pavel", "sales"), ("stranger", "support")):
        await site.person(name, team=team)
    await site.person("root", role="admin", team=None)
    olga = await site.person("olga")
    files = ((f"{WORD}.txt", "text/plain", b"a"),)
    message_id = await talk.message(
        site.db, site.blobs, owner_id=olga.user_id, subject=WORD, text=WORD, sender="doctor@clinic.example", files=files
    )
    attachment = (await got(await site.api("olga"), f"messages/{message_id}"))["attachments"][0]["id"]
    return Private(message_id, attachment, f"own{olga.user_id}@hub.test")


@pytest.mark.parametrize("who", ["pavel", "stranger"])
async def test_nobody_else_reaches_it_by_its_address(site: Site, private: Private, who: str) -> None:
    api, browser = await site.api(who), await site.browser(who)
    for path in (f"messages/{private.message}", f"messages/{private.message}/raw", f"attachments/{private.attachment}"):
        async with api.get(path) as answer:
            assert answer.status == 404, path
    for path in ("", "/body", "/raw"):
        async with browser.get(f"/messages/{private.message}{path}") as answer:
            assert answer.status == 404, path
    async with browser.get(f"/attachments/{private.attachment}") as answer:
        assert answer.status == 404


@pytest.mark.parametrize("who", ["pavel", "stranger"])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"q": WORD},
        {"q": "from:doctor"},
        {"q": f"file:{WORD}"},
        {"q": "has:attachment"},
        {"q": "-несуществующее"},
        {"mailbox": "MAILBOX"},
        {"from": "doctor@clinic.example"},
        {"direction": "in"},
    ],
)
async def test_no_list_and_no_search_shows_it_to_anybody_else(
    site: Site, private: Private, who: str, params: dict[str, str]
) -> None:
    asked = {name: value.replace("MAILBOX", private.mailbox) for name, value in params.items()}
    assert (await got(await site.api(who), "messages", **asked))["items"] == []


@pytest.mark.parametrize("who", ["olga", "root"])
async def test_its_owner_and_an_administrator_do_find_it(site: Site, private: Private, who: str) -> None:
    """The other half: the answers above come from the rule."""
    found = await got(await site.api(who), "messages", q=WORD)
    assert [one["id"] for one in found["items"]] == [private.message]


async def test_once_on_a_clients_card_it_is_business_and_everybody_sees_it(site: Site, private: Private) -> None:
    client = await made(await site.api("olga"))
    async with site.db.begin() as conn:
        await conn.execute(sa.update(messages).values(client_id=client["id"]))
    for who in ("pavel", "stranger"):
        assert (await got(await site.api(who), f"messages/{private.message}"))["subject"] == WORD


async def test_no_stream_tells_anybody_else_of_it(site: Site, private: Private) -> None:
    async with site.db.read() as conn:
        told = [one for one in await changes.read_after(conn, Position(0, 0)) if one.kind == "message"]
    assert [one.object_id for one in told] == [private.message]

    def hears(name: str) -> bool:
        return access.can_receive(site.actors[name], told[0])

    assert {name: hears(name) for name in ("olga", "root", "pavel", "stranger")} == {
        "olga": True,
        "root": True,
        "pavel": False,
        "stranger": False,
    }


async def test_only_its_owner_writes_from_it(site: Site, private: Private) -> None:
    body = {"mailbox": private.mailbox, "to": "a@b.example", "subject": "x", "text": "y"}
    for who, status in (("pavel", 404), ("stranger", 404), ("root", 404), ("olga", 202)):
        assert (await post(await site.api(who), "messages", json=body))[0] == status, who
    which = mailboxes.c.address == private.mailbox
    async with site.db.read() as conn:
        for who in ("pavel", "root"):
            with pytest.raises(NotFound):
                await outbox.own_mailbox(conn, site.actors[who], which)
            assert private.mailbox not in [one.address for one in await register.mailboxes_of(conn, site.actors[who])]


async def test_nobody_else_writes_under_its_name_links_or_sees_its_health(site: Site, private: Private) -> None:
    async with site.db.read() as conn:
        box = (await conn.execute(sa.select(mailboxes.c.id).where(mailboxes.c.address == private.mailbox))).scalar_one()
    for who in ("pavel", "stranger"):
        api, browser = await site.api(who), await site.browser(who)
        assert (await post(api, "senders", json={"mailbox": box, "name": "Я"}))[0] == 404
        assert (await post(api, "signatures", json={"mailbox": box, "html": "x"}))[0] == 404
        assert (await post(api, f"messages/{private.message}/link", json={}))[0] == 404
        for path in ("senders", "signatures", "queue", "leads"):
            async with api.get(path) as answer:
                text = await answer.text()
            assert private.mailbox not in text, path
            assert WORD not in text, path
        await got(api, f"mailboxes/{box}/health", 404)
        for path in ("/mailboxes/health", "/messages", f"/messages/found?q={WORD}", "/messages/export", "/desk"):
            async with browser.get(path) as answer:
                text = await answer.text()
            assert private.mailbox not in text, path
            assert f"{WORD}.txt" not in text, path
        for path in (f"/mailboxes/{box}", f"/messages/{private.message}/link"):
            async with browser.get(path) as answer:
                assert answer.status == 404, path


async def test_what_is_sent_from_it_is_told_to_its_owner_alone(site: Site, private: Private) -> None:
    body = {"mailbox": private.mailbox, "to": "a@b.example", "subject": WORD, "text": "y"}
    status, sent = await post(await site.api("olga"), "messages", json=body)
    assert status == 202
    async with site.db.read() as conn:
        told = [one for one in await changes.read_after(conn, Position(0, 0)) if one.object_id == sent["id"]]
    told = [one for one in told if one.kind == "message"]
    assert told
    assert not any(access.can_receive(site.actors["pavel"], one) for one in told)
    assert (await got(await site.api("pavel"), "messages", q=WORD))["items"] == []


async def test_what_is_taken_back_or_marked_in_it_is_told_to_its_owner_alone(site: Site, private: Private) -> None:
    olga, api = site.actors["olga"], await site.api("olga")
    body = {"mailbox": private.mailbox, "to": "a@b.example", "subject": WORD, "text": "y", "undo_s": 10}
    status, sent = await post(api, "messages", json=body)
    assert status == 202
    assert (await post(api, f"messages/{sent['id']}/cancel"))[0] == 200
    async with site.db.begin() as conn:
        await flags.wish(conn, olga, private.message, "seen", True, utc_now())
        box = (await conn.execute(sa.select(mailboxes.c.id).where(mailboxes.c.address == private.mailbox))).scalar_one()
        assert await claims.show_health(conn, box, "down", "x", now=utc_now())
    async with site.db.read() as conn:
        told = await changes.read_after(conn, Position(0, 0))
    told = [one for one in told if one.kind in ("message", "mailbox")]
    said = [set(one.data) for one in told]
    assert {"flags", "deleted", "direction", "state"} in said and {"send_state"} in said
    assert {one.data.get("state") for one in told} >= {"undone"}
    assert not [one for one in told if access.can_receive(site.actors["pavel"], one)]
    assert all(access.can_receive(olga, one) for one in told)


async def test_a_colleague_marks_nothing_in_it_though_it_stands_on_a_card(site: Site, private: Private) -> None:
    client = await made(await site.api("olga"))
    async with site.db.begin() as conn:
        await conn.execute(sa.update(messages).values(client_id=client["id"]))
    for who, status in (("pavel", 403), ("stranger", 403), ("root", 403), ("olga", 200)):
        answer = await post(await site.api(who), f"messages/{private.message}/flags", json={"seen": True})
        assert answer[0] == status, who
    olga = replace(site.actors["olga"], team_ids=frozenset())
    async with site.db.begin() as conn:
        await flags.wish(conn, olga, private.message, "flagged", True, utc_now())


async def test_a_manager_who_left_the_team_keeps_their_own_mailbox_and_loses_the_teams(site: Site) -> None:
    olga = await site.person("olga")
    own = await talk.message(site.db, site.blobs, owner_id=olga.user_id)
    shared = await talk.message(site.db, site.blobs)
    gone = replace(olga, team_ids=frozenset())
    async with site.db.read() as conn:
        assert (await register.find(conn, gone, own)).id == own
        with pytest.raises(NotFound):
            await register.find(conn, gone, shared)


async def test_the_same_mail_in_a_foreign_own_mailbox_is_not_given_away_by_grouping(site: Site) -> None:
    """Neither does the hidden twin hide the team's copy, nor is its mailbox named."""
    olga, pavel = await site.person("olga"), await site.person("pavel")
    same: dict[str, Any] = {"message_id": "<same@x.example>", "date": utc_now()}
    await talk.message(site.db, site.blobs, owner_id=olga.user_id, text="у Ольги", **same)
    shared = await talk.message(site.db, site.blobs, text="у всех", **same)
    async with site.db.read() as conn:
        rows = await register.listed(conn, pavel, MessageFilters(), grouped=True)
        mine = await register.listed(conn, olga, MessageFilters(), grouped=True)
    assert [(one.id, one.also_in) for one in rows] == [(shared, ())]
    assert [one.also_in for one in mine] == [("sales@hub.test",)]
