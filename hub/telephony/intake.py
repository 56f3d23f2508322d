"""From what the tracker says to what is stored: each batch of effects is one transaction.

Records the call and its legs, links it to the client, puts it on the timeline, offers it to the team, makes leads
of strangers and of missed callers, and tells the feed. Writing the same effects again changes nothing, so a batch
whose commit was lost may be repeated. Invariant: what a person linked or noted is never overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import guard
from hub.clock import rfc3339
from hub.crm import leads, phones, presence, queue, timeline
from hub.crm.linking import Candidate, Linked, Linker
from hub.crm.models import clients
from hub.store.changes import tell
from hub.store.engine import Database
from hub.store.upsert import insert
from hub.telephony import announced, merging, waymarks
from hub.telephony.announced import Heard
from hub.telephony.calls import (
    Announced,
    Call,
    CallChanged,
    CallEnded,
    CallMerged,
    CallOffered,
    ClaimConnected,
    ClaimFailed,
    Effect,
)
from hub.telephony.models import call_intents, call_legs, calls
from hub.telephony.register import timeline_data

_PLAIN = (
    "pbx boot linked_id direction state outcome estimated from_raw from_name from_extension to_raw to_extension did "
    "started_at answered_at ended_at wait_s talk_s queue queue_channel manager_channel answered_extension dial_id"
).split()


@dataclass(frozen=True, slots=True)
class Stored:
    """What later steps need of the row that a snapshot became."""

    id: int
    team_id: int | None
    client_id: int | None
    contact_id: int | None
    from_number: str | None
    to_number: str | None
    shown_name: str
    answered_user_id: int | None


@dataclass(frozen=True, slots=True)
class CallIntake:
    """The intake of one PBX. `team_of_queue` maps its hub queues to team ids."""

    db: Database
    linker: Linker
    team_of_queue: Mapping[str, int]
    region: str = ""

    async def store(self, effects: Sequence[Effect], *, now: datetime) -> None:
        """Store a batch in one transaction. Raises Unavailable; then nothing of it is stored."""
        async with self.db.begin() as conn:
            for effect in latest_snapshots_only(effects):
                await self._store_one(conn, effect, now=now)

    async def _store_one(self, conn: AsyncConnection, effect: Effect, *, now: datetime) -> None:
        stored = await self._record(conn, effect.call, now=now)
        match effect:
            case CallOffered(call=call):
                await self._offer(conn, call, stored, now=now)
            case ClaimConnected(claim_id=claim_id):
                await queue.hold(conn, claim_id, now=now)
            case ClaimFailed(claim_id=claim_id, reason=reason):
                await queue.take_back(conn, claim_id, reason=reason, now=now)
            case CallEnded(call=call):
                await self._follow_end(conn, stored, direction=call.direction, outcome=call.outcome, now=now)
            case Announced(name=name, fields=fields):
                heard = Heard(effect.call, stored.id, stored.team_id, stored.client_id, fields)
                await announced.receive(conn, name, heard, now=now)
            case CallMerged(gone=gone):
                await merging.merge(conn, stored.id, gone, now=now)
            case CallChanged():
                pass
        await _refresh_item(conn, effect.call, stored, now=now)

    async def _record(self, conn: AsyncConnection, call: Call, *, now: datetime) -> Stored:
        identity = (calls.c.pbx == call.pbx, calls.c.boot == call.boot, calls.c.linked_id == call.linked_id)
        known = (await conn.execute(sa.select(calls).where(*identity))).first()
        linked = await self._link(conn, call) if known is None or not _settled(known, call) else None
        manager = await phones.owner_of(conn, call.pbx, call.answered_extension)
        values: dict[str, Any] = {name: getattr(call, name) for name in _PLAIN}
        values |= {
            "from_raw": call.from_raw[:200],
            "from_name": guard.shown(call.from_name),
            "to_raw": call.to_raw[:200],
            "answered_user_id": manager[0] if manager else None,
            "team_id": self.team_of_queue.get(call.queue or "", known.team_id if known else None),
            "transfers": [{**asdict(t), "at": rfc3339(t.at)} for t in call.transfers],
        }
        if linked is not None:
            values |= await self._link_values(conn, call, linked)
        if known is not None:
            written = await conn.execute(
                sa.update(calls).where(calls.c.id == known.id).values(**values).returning(calls)
            )
        else:
            # The holder of a PBX is one, but one that has just lost its hold may still write: then the later one wins.
            fresh = insert(conn, calls).values(**values, link_manual=False)
            fresh = fresh.on_conflict_do_update(index_elements=["pbx", "boot", "linked_id"], set_=values)
            written = await conn.execute(fresh.returning(calls))
        row = written.one()
        legs = [asdict(leg) for leg in call.legs]
        for leg in legs:
            await self._record_leg(conn, row.pbx, row.id, leg)
        stored = _stored(row, await _client_name(conn, row.client_id))
        data = timeline_data(row._mapping, legs, manager[1] if manager else None)
        await _show(conn, call.state, call.started_at, stored, data, now=now)
        return stored

    async def _link(self, conn: AsyncConnection, call: Call) -> Linked:
        """Whose call is it: the other side's number decides, never our own."""
        if call.direction == "internal":
            return Linked(None, (), None)
        outside = call.to_raw if call.direction == "outbound" else call.from_raw
        return await self.linker.by_phone(conn, outside, region=self.region)

    async def _link_values(self, conn: AsyncConnection, call: Call, linked: Linked) -> dict[str, Any]:
        best = linked.best
        chosen = await _dialled_for(conn, call.dial_id)
        side = "to_number" if call.direction == "outbound" else "from_number"
        values: dict[str, Any] = {side: linked.address, "candidates": [candidate_data(c) for c in linked.candidates]}
        values |= {
            "client_id": best.client_id if best else None,
            "contact_id": best.contact_id if best else None,
            "link_reason": best.reason if best else None,
            "link_confidence": best.confidence if best else None,
        }
        if chosen is not None and chosen[0] is not None:
            # A click on a client's card says whose call it is, however many clients share the number.
            contact_id = chosen[1] or (best.contact_id if best and best.client_id == chosen[0] else None)
            values |= {"client_id": chosen[0], "contact_id": contact_id}
            values |= {"link_reason": "client", "link_confidence": "exact"}
        return values

    async def end_vanished(self, pbx: str, alive: Set[tuple[str, str]], *, now: datetime) -> int:
        """End, as estimated, the open calls of a PBX whose (boot, linked id) it no longer knows; return how many."""
        async with self.db.begin() as conn:
            query = sa.select(calls).where(calls.c.pbx == pbx, calls.c.state != "ended")
            gone = [row for row in await conn.execute(query) if (row.boot, row.linked_id) not in alive]
            for row in gone:
                await self._end_vanished(conn, row, now=now)
        return len(gone)

    async def _end_vanished(self, conn: AsyncConnection, row: Any, *, now: datetime) -> None:
        outcome = "answered" if row.answered_at else "abandoned" if row.queue else "missed"
        talk_s = max((now - row.answered_at).total_seconds(), 0.0) if row.answered_at else 0.0
        values = {"state": "ended", "outcome": outcome, "estimated": True, "ended_at": now, "talk_s": talk_s}
        await conn.execute(sa.update(calls).where(calls.c.id == row.id).values(**values))
        await conn.execute(
            sa.update(call_legs).where(call_legs.c.call_id == row.id, call_legs.c.left_at.is_(None)).values(left_at=now)
        )
        fresh = (await conn.execute(sa.select(calls).where(calls.c.id == row.id))).mappings().one()
        legs = (await conn.execute(sa.select(call_legs).where(call_legs.c.call_id == row.id))).mappings().all()
        person = await phones.owner_of(conn, row.pbx, row.answered_extension)
        stored = _stored(row, await _client_name(conn, row.client_id))
        data = timeline_data(fresh, legs, person[1] if person else None)
        await _show(conn, fresh["state"], row.started_at, stored, data, now=now)
        await self._follow_end(conn, stored, direction=row.direction, outcome=outcome, now=now)

    async def _record_leg(self, conn: AsyncConnection, pbx: str, call_id: int, leg: dict[str, Any]) -> None:
        person = await phones.owner_of(conn, pbx, leg["extension"])
        values = leg | {"call_id": call_id, "user_id": person[0] if person else None}
        statement = insert(conn, call_legs).values(**values)
        await conn.execute(statement.on_conflict_do_update(index_elements=["call_id", "uniqueid"], set_=values))

    async def _offer(self, conn: AsyncConnection, call: Call, stored: Stored, *, now: datetime) -> None:
        if stored.team_id is None:
            return
        held = await queue.find_by_thing(conn, "call", stored.id)
        if held is not None and held.state != "done" and held.team_id != stored.team_id:
            # The caller waited long enough for one team, and stands in the queue of another.
            await queue.move(conn, held.id, stored.team_id, now=now)
        if held is not None and held.state == "claimed" and held.claim_id and call.claim_id is None:
            # The caller stands in the queue again though nobody said that the claim failed.
            await queue.take_back(conn, held.claim_id, reason="returned", now=now)
            return
        if held is not None and held.state != "done":
            return
        lead_id = None
        if stored.client_id is None and stored.from_number:
            lead_id = await leads.join_or_open(
                conn,
                team_id=stored.team_id,
                reason="new",
                name=stored.shown_name,
                address_kind="phone",
                address=stored.from_number,
                now=now,
            )
        await queue.offer(
            conn,
            team_id=stored.team_id,
            kind="call",
            ref_id=stored.id,
            title=stored.shown_name,
            address=stored.from_number or call.from_raw,
            client_id=stored.client_id,
            data={"lead_id": lead_id, "did": call.did, "call_state": call.state, "caller_name": call.from_name[:100]},
            now=call.started_at if held is None else now,
        )

    async def _follow_end(
        self, conn: AsyncConnection, stored: Stored, *, direction: str, outcome: str | None, now: datetime
    ) -> None:
        """Close what the call's end closes; make a call-back lead of an unanswered caller."""
        await queue.settle(conn, "call", stored.id, now=now)
        outside = stored.to_number if direction == "outbound" else stored.from_number
        if outcome == "answered":
            if outside:
                await leads.close_callback(conn, address=outside, now=now)
            if stored.team_id is not None and stored.answered_user_id is not None:
                await presence.after_call(conn, stored.answered_user_id, [stored.team_id], now)
            await self._hand_lead_to_manager(conn, stored, now=now)
        elif direction == "inbound" and outcome in ("missed", "abandoned") and stored.team_id and outside:
            if await waymarks.is_noted(conn, stored.id, stored.team_id, outside):
                return
            lead_id = await leads.join_or_open(
                conn,
                team_id=stored.team_id,
                reason="callback",
                name=stored.shown_name,
                address_kind="phone",
                address=outside,
                client_id=stored.client_id,
                contact_id=stored.contact_id,
                now=now,
            )
            await leads.offer(
                conn, lead_id, title=stored.shown_name, data={"reason": "callback", "call_id": stored.id}, now=now
            )

    async def _hand_lead_to_manager(self, conn: AsyncConnection, stored: Stored, *, now: datetime) -> None:
        """A stranger whose call was answered stays with the manager who answered, as a lead in their work."""
        item = await queue.find_by_thing(conn, "call", stored.id)
        lead_id = item.data.get("lead_id") if item else None
        if lead_id is None or stored.answered_user_id is None or stored.client_id is not None:
            return
        await leads.offer(conn, lead_id, title=stored.shown_name, data={"reason": "new", "call_id": stored.id}, now=now)
        await queue.assign(conn, "lead", lead_id, stored.answered_user_id, now=now)


def _stored(row: Any, client_name: str | None) -> Stored:
    name = client_name or row.from_name or row.from_number or row.from_raw
    numbers = (row.from_number, row.to_number)
    return Stored(row.id, row.team_id, row.client_id, row.contact_id, *numbers, name, row.answered_user_id)


async def _show(
    conn: AsyncConnection, state: str, started_at: datetime, stored: Stored, data: dict[str, Any], *, now: datetime
) -> None:
    """Tell the lists, and write the card's entry."""
    about = {"team_id": stored.team_id, "user_id": stored.answered_user_id, "client_id": stored.client_id}
    await tell(conn, "call", stored.id, at=now, **about, data={"state": state})
    if stored.client_id is None:
        return
    client_id, contact_id = stored.client_id, stored.contact_id
    await timeline.put(
        conn, "call", stored.id, client_id=client_id, contact_id=contact_id, at=started_at, data=data, now=now
    )


def latest_snapshots_only(effects: Sequence[Effect]) -> list[Effect]:
    """Drop each `CallChanged` that a later effect of the same call in this batch makes stale."""
    kept: list[Effect] = []
    later: set[tuple[str, str]] = set()
    for effect in reversed(effects):
        key = (effect.call.boot, effect.call.linked_id)
        if isinstance(effect, CallChanged) and key in later:
            continue
        later.add(key)
        kept.append(effect)
    return kept[::-1]


def candidate_data(candidate: Candidate) -> dict[str, Any]:
    """The JSON form of a candidate, as calls and messages keep it to choose from."""
    return asdict(candidate)


def _settled(known: Any, call: Call) -> bool:
    """A link stands once a person made it, or once the number that it came from is the one it still has."""
    if known.link_manual:
        return True
    side = known.to_raw == call.to_raw if call.direction == "outbound" else known.from_raw == call.from_raw
    return bool(side) and known.direction == call.direction


async def _dialled_for(conn: AsyncConnection, dial_id: str | None) -> tuple[int | None, int | None] | None:
    if dial_id is None:
        return None
    query = sa.select(call_intents.c.client_id, call_intents.c.contact_id).where(call_intents.c.channel_id == dial_id)
    row = (await conn.execute(query)).first()
    return (row.client_id, row.contact_id) if row else None


async def _client_name(conn: AsyncConnection, client_id: int | None) -> str | None:
    if client_id is None:
        return None
    return (await conn.execute(sa.select(clients.c.name).where(clients.c.id == client_id))).scalar()


async def _refresh_item(conn: AsyncConnection, call: Call, stored: Stored, *, now: datetime) -> None:
    """Keep what the queue row shows of the call's state true."""
    item = await queue.find_by_thing(conn, "call", stored.id)
    if item is None or item.state == "done" or item.data.get("call_state") == call.state:
        return
    await queue.offer(
        conn,
        team_id=item.team_id,
        kind="call",
        ref_id=stored.id,
        title=item.title,
        address=item.address,
        client_id=item.client_id,
        data=item.data | {"call_state": call.state, "answered_at": rfc3339(call.answered_at)},
        now=now,
    )
