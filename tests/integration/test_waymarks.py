"""What the dialplan says of callers on the way past the queue, stored: once for each call, however often it is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people, queue
from hub.crm.linking import Linker
from hub.crm.models import leads, queue_items
from hub.store.changes import changes
from hub.store.engine import Database
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import calls
from hub.telephony.tracking.calls import Announced, Call, CallEnded, CallOffered, Effect, Outcome
from tests.testbed import talk
from tests.testbed.site import Site

NUMBER = "84951234567"


async def the_intake(db: Database) -> CallIntake:
    async with db.begin() as conn:
        ids = {f"hub-{name}": await people.ensure_team(conn, name, now=utc_now()) for name in ("sales", "support")}
    return CallIntake(db, Linker("RU"), ids)


async def store(db: Database, *effects: Effect) -> None:
    await (await the_intake(db)).store(list(effects), now=utc_now())


def said(call: Call, name: str, **fields: str) -> Announced:
    return Announced(call, name, {"UserEvent": name, **fields})


def ended(call: Call, outcome: Outcome) -> CallEnded:
    at = call.started_at + timedelta(seconds=9)
    return CallEnded(replace(call, state="ended", outcome=outcome, ended_at=at, wait_s=9.0))


def newcomer(number: str = NUMBER, linked_id: str = "1795461400.1", **about: Any) -> Call:
    plain: dict[str, Any] = {"queue": "hub-sales", "from_raw": number, "state": "ringing"}
    return Call("office", "b1", linked_id, "inbound", started_at=utc_now(), **plain | about)


async def rows(db: Database, table: sa.Table) -> list[Any]:
    async with db.read() as conn:
        return list(await conn.execute(sa.select(table).order_by(table.c.id)))


@pytest.mark.parametrize(
    ("words", "outcome", "wish"),
    [
        (["HubCallback"], "missed", "callback"),
        (["HubVoicemail"], "voicemail", "voicemail"),
        (["HubCallback", "HubVoicemail"], "voicemail", "voicemail"),
        (["HubVoicemail", "HubCallback"], "voicemail", "voicemail"),
    ],
)
async def test_a_wish_is_one_call_back_of_the_team_however_often_it_is_said(
    db: Database, words: list[str], outcome: Outcome, wish: str
) -> None:
    call = newcomer()
    for _ in range(2):
        for word in words:
            await store(db, said(call, word, File="2026/11/25/1.wav"))
    await store(db, ended(call, outcome))
    await store(db, ended(call, outcome))
    (lead,) = await rows(db, leads)
    assert (lead.reason, lead.times, lead.address) == ("callback", 1, "+74951234567")
    (item,) = await rows(db, queue_items)
    assert (item.kind, item.state, item.data["wish"]) == ("lead", "waiting", wish)


async def test_a_second_call_counts_once_more(db: Database) -> None:
    for n in (1, 2):
        call = newcomer(linked_id=f"1795461400.{n}")
        await store(db, said(call, "HubCallback"), ended(call, "missed"))
    (lead,) = await rows(db, leads)
    assert lead.times == 2


async def test_a_voicemail_without_a_number_is_not_lost_and_a_wish_without_one_is_nothing(db: Database) -> None:
    call = newcomer("")
    await store(db, said(call, "HubCallback"))
    assert await rows(db, leads) == []
    await store(db, said(call, "HubVoicemail"), ended(call, "voicemail"))
    (item,) = await rows(db, queue_items)
    assert item.data["wish"] == "voicemail"


async def test_a_blocked_caller_is_marked_for_good_and_owed_nothing(db: Database) -> None:
    call = newcomer(queue=None)
    await store(db, said(call, "HubBlocked", Queue="hub-sales"))
    await store(db, ended(call, "rejected"))
    (row,) = await rows(db, calls)
    assert (row.blocked, row.outcome) == (True, "rejected")
    assert await rows(db, leads) == [] == await rows(db, queue_items)


async def test_a_word_of_a_queue_that_is_no_teams_makes_nothing(db: Database) -> None:
    call = newcomer(queue="hub-elsewhere")
    await store(db, said(call, "HubCallback"), said(call, "HubVoicemail"), said(call, "HubNews", X="y" * 4096))
    assert await rows(db, leads) == []


@pytest.mark.parametrize("is_claimed", [False, True])
async def test_an_overflow_hands_the_one_item_on_and_tells_both_teams(
    site: Site, db: Database, is_claimed: bool
) -> None:
    olga = await site.person("olga")
    await the_intake(db)
    _, item_id, call = await talk.waiting_call(db, number=NUMBER)
    if is_claimed:
        async with db.begin() as conn:
            await queue.claim(conn, olga, item_id, now=utc_now())
    before = (await rows(db, changes))[-1].id
    (was,) = await rows(db, queue_items)
    moved = replace(call, queue="hub-support")
    await store(db, said(moved, "HubOverflow", Queue="hub-support", From="hub-sales"), CallOffered(moved, again=True))
    await store(db, CallOffered(moved, again=True))
    (item,) = await rows(db, queue_items)
    async with db.read() as conn:
        names = await people.team_names(conn)
    assert (names[item.team_id], item.id, item.queued_at) == ("support", was.id, was.queued_at)
    assert item.state == "waiting", "the caller stands in a queue again, whoever had claimed them"
    told = [row for row in await rows(db, changes) if row.id > before and row.kind == "queue_item"]
    assert {names[row.team_id] for row in told} == {"sales", "support"}
    assert [row.data["state"] for row in told if names[row.team_id] == "sales"] == ["moved"]
    assert len(await rows(db, leads)) == 1, "a stranger's lead is not opened again for the other team"
