"""Two calls that turn out to be one are one row, with the client, notes and legs of both, on both databases."""

from __future__ import annotations

import sqlalchemy as sa

from hub.crm import timeline
from hub.telephony.models import call_intents, call_legs, calls, recordings
from hub.telephony.reading import recall, register
from hub.telephony.tracking.calls import Call, CallChanged, CallEnded, CallMerged, CallOffered, Channel, Leg, Transfer
from tests.integration.test_call_intake import T0, WAITING, Room, grown, room

__all__ = ["room"]

KEY = ("b1", "200.1")
CONSULT = Call(
    pbx="office",
    boot="b1",
    linked_id="200.1",
    direction="internal",
    state="talking",
    started_at=T0,
    from_raw="101",
    from_extension="101",
    to_raw="102",
    to_extension="102",
    legs=(
        Leg(Channel("PJSIP/101-2"), "200.1", "101", None, "caller"),
        Leg(Channel("PJSIP/102-1"), "200.2", "102", None, "callee", rang_at=T0),
    ),
)
HANDED_OVER = grown(
    WAITING,
    state="talking",
    answered_at=T0,
    answered_extension="102",
    legs=(*WAITING.legs, grown(CONSULT.legs[0], role="callee"), CONSULT.legs[1]),
    transfers=(Transfer("attended", "101", "102", completed=True, at=T0),),
)


async def merge(room: Room) -> None:
    await room.see(CallChanged(HANDED_OVER), CallMerged(HANDED_OVER, gone=KEY))


async def test_a_transferred_call_is_one_call_with_the_legs_of_both(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False), CallChanged(CONSULT))
    await merge(room)
    call = await room.only_call()
    assert sorted((leg.channel, leg.role) for leg in call.legs) == [
        ("PJSIP/101-2", "callee"),
        ("PJSIP/102-1", "callee"),
        ("PJSIP/trunk-1", "caller"),
    ]
    assert call.transfers == [
        {"kind": "attended", "by": "101", "to": "102", "completed": True, "at": "2026-11-24T09:00:00.000Z"}
    ]


async def test_merging_twice_or_what_was_never_stored_changes_nothing(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    await merge(room)
    await room.see(CallChanged(CONSULT))
    await merge(room)
    once = await room.only_call()
    await merge(room)
    assert await room.only_call() == once


async def test_who_looks_at_the_call_that_is_gone_is_led_to_the_one_it_is_part_of(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False), CallChanged(CONSULT))
    async with room.db.read() as conn:
        gone_id = (await conn.execute(sa.select(calls.c.id).where(calls.c.linked_id == "200.1"))).scalar_one()
    await merge(room)
    async with room.db.read() as conn:
        found = await register.find(conn, room.actor, gone_id)
    assert found.id == (await room.only_call()).id


async def test_a_later_call_never_gets_the_id_that_leads_to_another(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False), CallChanged(CONSULT))
    await merge(room)
    await room.see(CallChanged(grown(CONSULT, linked_id="300.1", from_raw="101", legs=())))
    async with room.db.read() as conn:
        later = (await conn.execute(sa.select(calls.c.id).where(calls.c.linked_id == "300.1"))).scalar_one()
        assert (await register.find(conn, room.actor, later)).linked_id == "300.1"


async def test_the_client_the_note_and_the_recording_of_the_call_that_is_gone_stay(room: Room) -> None:
    """101 speaks with a colleague, then calls a client from the second line and joins the two."""
    client_id = await room.client()
    older = grown(CONSULT, linked_id="90.1", legs=(grown(CONSULT.legs[0], uniqueid="90.1"),))
    outbound = grown(CONSULT, direction="outbound", to_raw="+74951234567", to_extension=None)
    await room.see(CallChanged(older), CallChanged(outbound))
    async with room.db.begin() as conn:
        row = (await conn.execute(sa.select(calls).where(calls.c.linked_id == "200.1"))).one()
        assert row.client_id == client_id
        await conn.execute(sa.update(calls).where(calls.c.id == row.id).values(note="перезвонить"))
        await conn.execute(sa.insert(recordings).values(call_id=row.id, pbx="office", path="a.wav", started_at=T0))
    joined = grown(older, legs=(*older.legs, *outbound.legs))
    await room.see(
        CallChanged(joined),
        CallMerged(joined, gone=KEY),
        CallEnded(grown(joined, state="ended", outcome="answered", ended_at=T0)),
    )
    async with room.db.read() as conn:
        (call,) = (await conn.execute(sa.select(calls))).all()
        assert (call.client_id, call.note, call.linked_id) == (client_id, "перезвонить", "90.1")
        (entry,) = await timeline.page(conn, None, client_id)
        assert (entry.ref_id, entry.data["state"]) == (call.id, "ended")
        assert (await conn.execute(sa.select(recordings.c.call_id))).scalar_one() == call.id


async def test_a_manual_link_of_the_call_that_is_gone_beats_a_guess(room: Room) -> None:
    guessed, chosen = await room.client(), await room.client("Лютик", "+7 495 765-43-21")
    await room.see(CallOffered(WAITING, again=False), CallChanged(CONSULT))
    async with room.db.begin() as conn:
        of_gone = calls.c.linked_id == "200.1"
        await conn.execute(sa.update(calls).where(of_gone).values(client_id=chosen, link_manual=True))
    await merge(room)
    async with room.db.read() as conn:
        assert (await conn.execute(sa.select(calls.c.client_id))).scalar_one() == chosen
        assert await timeline.page(conn, None, guessed) == []
        assert len(await timeline.page(conn, None, chosen)) == 1


async def test_a_caller_whose_call_became_part_of_another_waits_in_no_queue(room: Room) -> None:
    await room.see(CallChanged(CONSULT), CallOffered(WAITING, again=False))
    assert len(await room.waiting()) == 1
    grown_up = grown(CONSULT, legs=(*CONSULT.legs, *WAITING.legs))
    await room.see(CallChanged(grown_up), CallMerged(grown_up, gone=("b1", "100.1")))
    assert await room.waiting() == []


async def test_what_was_asked_of_the_call_that_is_gone_is_asked_of_the_one_that_lives(room: Room) -> None:
    await room.see(CallOffered(WAITING, again=False))
    taken = await room.take()
    older = grown(CONSULT, linked_id="90.1")
    await room.see(CallChanged(older), CallMerged(grown(older, legs=older.legs + WAITING.legs), gone=("b1", "100.1")))
    call = await room.only_call()
    async with room.db.read() as conn:
        intent = (await conn.execute(sa.select(call_intents).where(call_intents.c.queue_item_id == taken.id))).one()
        assert intent.call_id in (call.id, None)
        assert set((await conn.execute(sa.select(call_legs.c.call_id))).scalars()) == {call.id}


async def test_a_new_hub_takes_up_a_call_with_its_transfers(room: Room) -> None:
    await room.see(CallChanged(HANDED_OVER))
    async with room.db.read() as conn:
        (call,) = await recall.open_calls(conn, "office")
    assert call.transfers == HANDED_OVER.transfers
