"""What follows from a call that was stored: it is offered to a team, given back, closed; or the caller is called back.

Decides when a caller becomes a lead, and when a call-back is opened and closed: by every unanswered call from outside
that has a number to dial and a team, by every talk that was handed on to a team's queue and given up there, and by the
next answered call with that number in either direction. Invariant:
writing the same effects again opens, closes and counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.clock import rfc3339
from hub.crm import blocking, leads, presence, queue
from hub.crm.addresses import parse_phone
from hub.crm.linking import Linker
from hub.telephony.backfill import late
from hub.telephony.intake.rows import UNANSWERED, Stored
from hub.telephony.models import call_intents
from hub.telephony.routing import waymarks
from hub.telephony.tracking.calls import Call


@dataclass(frozen=True, slots=True)
class _CallBack:
    """A number that is owed a call, and the lead that says so; None where the dialplan has noted it already."""

    number: str
    lead_id: int | None


@dataclass(slots=True)
class Aftermath:
    """The follow-ups of one batch, within its transaction. `items` are the queue items of its calls, kept current."""

    conn: AsyncConnection
    linker: Linker
    region: str
    items: dict[int, queue.Item]
    now: datetime
    is_late: bool = False
    """The calls of this batch are over for long, and others of the same numbers may have come since: a call-back
    that is owed for a later one stays, one that a later talk has made needless is not opened."""

    async def offer(self, call: Call, stored: Stored) -> None:
        """Put a caller who stands in a Hub queue before the team; a stranger also becomes a lead."""
        if stored.team_id is None or stored.was_ended:
            return
        held = self.items.get(stored.id)
        is_new_team = held is not None and held.state != "done" and held.team_id != stored.team_id
        if held is not None and is_new_team:
            # The caller waited long enough for one team, and stands in the queue of another.
            await queue.move(self.conn, held.id, stored.team_id, now=self.now)
            self.items[stored.id] = held = replace(held, team_id=stored.team_id)
        if held is not None and held.state == "claimed" and held.claim_id and call.claim_id is None:
            # The caller stands in the queue again though nobody said that the claim failed. One that is a lease may be
            # so new that its take is only on its way: should it come to nothing, the lease runs out.
            if is_new_team or held.lease_until is None:
                await self.take_back(held.claim_id, reason="returned")
            return
        if held is not None and held.state != "done":
            return
        lead_id = None
        number = self._outside(call, stored)
        if stored.client_id is None and number:
            lead_id = await self._lead(stored, stored.team_id, number, "new", at=call.started_at)
        name = sanitize.shown(call.from_name, max_chars=100)
        data = {"lead_id": lead_id, "did": call.did, "call_state": call.state, "caller_name": name}
        self.items[stored.id] = await queue.enqueue(
            self.conn,
            team_id=stored.team_id,
            kind="call",
            ref_id=stored.id,
            title=stored.shown_name,
            address=stored.from_number or call.from_raw,
            client_id=stored.client_id,
            data=data,
            now=call.started_at if held is None else self.now,
        )

    async def hold(self, claim_id: str, stored: Stored) -> None:
        """Turn the lease of a claim into a hold: they talk. A claim that was over by then is made good."""
        if not await queue.hold(self.conn, claim_id, now=self.now):
            claimer = sa.select(call_intents.c.user_id).where(call_intents.c.claim_id == claim_id)
            user_id = (await self.conn.execute(claimer)).scalar()
            if user_id is not None:
                await queue.hold_for(self.conn, claim_id, stored.id, user_id, now=self.now)
        await self._look_again(stored)

    async def _look_again(self, stored: Stored) -> None:
        if (item := await queue.find_by_thing(self.conn, "call", stored.id)) is not None:
            self.items[stored.id] = item

    async def take_back(self, claim_id: str, *, reason: str) -> None:
        """Give the call of a claim that failed back to its team."""
        if await queue.take_back(self.conn, claim_id, reason=reason, now=self.now):
            for call_id, item in self.items.items():
                if item.claim_id == claim_id:
                    self.items[call_id] = replace(item, state="waiting", owner_id=None, claim_id=None, claimed_at=None)

    async def refresh(self, call: Call, stored: Stored) -> None:
        """Keep what the queue's row shows of the call true. A caller with whom somebody speaks waits for nobody."""
        item = self.items.get(stored.id)
        if item is not None and item.state == "waiting" and _is_talked(call):
            if stored.answered_user_id is not None:
                await queue.assign(self.conn, "call", stored.id, stored.answered_user_id, now=self.now)
            else:
                await queue.close(self.conn, "call", stored.id, now=self.now)
            await self._look_again(stored)
            item = self.items.get(stored.id)
        if item is None or item.state == "done" or item.data.get("call_state") == call.state:
            return
        self.items[stored.id] = await queue.enqueue(
            self.conn,
            team_id=item.team_id,
            kind="call",
            ref_id=stored.id,
            title=item.title,
            address=item.address,
            client_id=item.client_id,
            data=item.data | {"call_state": call.state, "answered_at": rfc3339(call.answered_at)},
            now=self.now,
        )

    async def settle(self, stored: Stored) -> None:
        """Close the item of a call that is over."""
        item = self.items.get(stored.id)
        if item is not None and item.state != "done":
            await queue.close(self.conn, "call", stored.id, now=self.now)
            self.items[stored.id] = replace(item, state="done")

    async def follow_talks(self, talks: Mapping[int, tuple[Call, Stored]]) -> None:
        """Close call-backs by the calls that were answered, and open those of callers whom nobody answered.

        `talks` are the calls of the batch, by id, that were answered or ended in it: they count in the order of
        their own times, whatever the order in which their effects were told.
        """
        numbers = {call_id: self._spoken_with(call, stored) for call_id, (call, stored) in talks.items()}
        addresses = {number for of_call in numbers.values() for number in of_call}
        to_call = await leads.callback_addresses(self.conn, addresses)
        for call, stored in sorted(talks.values(), key=lambda one: one[0].answered_at or one[0].ended_at or self.now):
            speaker = stored.caller_user_id if call.direction == "outbound" else stored.answered_user_id
            for number in sorted(numbers[stored.id] & to_call):
                if self.is_late and await late.was_missed_since(self.conn, number, call):
                    continue
                await leads.close_callback(self.conn, address=number, spoken_by=speaker, now=self.now)
                to_call.discard(number)
            owed = await self._call_back(call, stored)
            if owed is not None:
                to_call.add(owed.number)
            if is_answered(call) and call.state == "ended" and not stored.was_ended:
                await self._hand_lead_to_manager(stored, but_not=owed.lead_id if owed else None)
                if stored.team_id is not None and stored.answered_user_id is not None and not self.is_late:
                    teams = [stored.team_id]
                    await presence.after_call(
                        self.conn, stored.answered_user_id, teams, self.now, ended_at=call.ended_at
                    )

    async def _call_back(self, call: Call, stored: Stored) -> _CallBack | None:
        """Have the team call an unanswered caller back; None where nobody can or need be called."""
        number = self._outside(call, stored)
        if stored.was_ended or call.state != "ended" or stored.team_id is None or not number:
            return None
        # Whoever was talked with and handed on to a team's queue waits for that team, whichever way the call went.
        is_owed = call.is_left_waiting or (call.direction == "inbound" and call.outcome in UNANSWERED)
        if not is_owed or await self._is_blocked(call, stored):
            return None
        if self.is_late and await late.was_spoken_with_since(self.conn, number, call):
            return None
        if await waymarks.is_noted(self.conn, stored.id, stored.team_id, number):
            return _CallBack(number, None)
        item = self.items.get(stored.id)
        has_joined = item is not None and item.data.get("lead_id") is not None
        at = call.ended_at or self.now
        lead_id = await self._lead(stored, stored.team_id, number, "callback", at=at, is_counted=has_joined)
        data: dict[str, Any] = {"reason": "callback", "call_id": stored.id}
        if call.outcome == "voicemail":
            data["wish"] = "voicemail"
        await leads.enqueue(self.conn, lead_id, title=stored.shown_name, data=data, now=at)
        return _CallBack(number, lead_id)

    async def _is_blocked(self, call: Call, stored: Stored) -> bool:
        """Tell whether the blacklist names a caller, also one whom a dialplan let in without asking Hub."""
        if await waymarks.is_blocked(self.conn, stored.id):
            return True
        caller = blocking.caller(call.from_raw, self.region or self.linker.region)
        return blocking.blocked_by(caller, await blocking.rules_for(self.conn, caller)) is not None

    async def _lead(
        self,
        stored: Stored,
        team_id: int,
        number: str,
        reason: leads.LeadReason,
        *,
        at: datetime,
        is_counted: bool = False,
    ) -> int:
        return await leads.join_or_open(
            self.conn,
            team_id=team_id,
            reason=reason,
            name=stored.shown_name,
            address_kind="phone",
            address=number,
            client_id=stored.client_id,
            contact_id=stored.contact_id,
            is_counted=is_counted,
            now=at,
        )

    async def _hand_lead_to_manager(self, stored: Stored, *, but_not: int | None) -> None:
        """A stranger whose call was answered stays with the manager who answered, as a lead in their work.

        Except for the lead `but_not`: its team is to call back.
        """
        item = self.items.get(stored.id)
        lead_id = item.data.get("lead_id") if item else None
        if lead_id is None or lead_id == but_not or stored.answered_user_id is None or stored.client_id is not None:
            return
        data = {"reason": "new", "call_id": stored.id}
        await leads.enqueue(self.conn, lead_id, title=stored.shown_name, data=data, now=self.now)
        await queue.assign(self.conn, "lead", lead_id, stored.answered_user_id, now=self.now)

    def _outside(self, call: Call, stored: Stored) -> str | None:
        """The number of the call's other side; None where it has none, or one that is the company's own."""
        number = stored.to_number if call.direction == "outbound" else stored.from_number
        return None if number in self.linker.own_phones else number

    def _spoken_with(self, call: Call, stored: Stored) -> set[str]:
        """The outside numbers with which this call has just been answered, those it was transferred to included."""
        if not is_answered(call) or stored.was_answered:
            return set()
        numbers = {self._outside(call, stored)}
        for leg in call.legs:
            if leg.role == "callee" and leg.extension is None and leg.number and leg.answered_at is not None:
                phone = parse_phone(leg.number, self.region or self.linker.region)
                numbers.add(phone.value if phone else None)
        return {number for number in numbers if number}


def _is_talked(call: Call) -> bool:
    """Tell whether a phone of the house is on the line with the caller now, and not only on its way out."""
    if call.state not in ("talking", "held") or call.is_left_waiting:
        return False
    phones = (leg for leg in call.legs if leg.role == "callee" and leg.extension is not None)
    return any(leg.answered_at is not None and leg.left_at is None for leg in phones)


def is_answered(call: Call) -> bool:
    """Tell whether somebody spoke with the caller."""
    return call.answered_at is not None or call.outcome == "answered"
