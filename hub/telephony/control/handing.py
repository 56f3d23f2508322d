"""Handing a live call on, or setting it aside: transfer, hold, park and retrieve, asked as intents.

Who may: whoever's phone is in the call, and an administrator; a parked call is its team's. How it is done is told in
`actions`. Invariants: a call that is being handed on or set aside already is not asked for twice, and one click is
one intent.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.audit import record
from hub.errors import Conflict, Forbidden
from hub.telephony.control import control, intents, limits
from hub.telephony.control.intents import Kind
from hub.telephony.control.numbers import DialRules, number_alone
from hub.telephony.reading import colleagues, progress, seats
from hub.telephony.reading.seats import Seat

WITHIN = timedelta(seconds=5)
RETRIEVED_WITHIN = timedelta(seconds=35)
"""How long a phone that is to take a parked call up may ring."""


async def transfer(
    conn: AsyncConnection,
    actor: Actor,
    call_id: int,
    *,
    to: str | int,
    kind: Literal["blind", "attended"],
    request_id: str,
    rules: DialRules,
    now: datetime,
) -> int:
    """Hand the actor's call to `to`: a colleague's id, extension or name, or a number outside; return the intent's id.

    Blind hands it on at once; attended calls them first, until `complete` or `cancel`. Raises Refused, Conflict.
    """
    if (known := await _asked_before(conn, actor, kind, call_id, request_id)) is not None:
        return known
    seat = await seats.seat_of(conn, actor, call_id)
    asked = await intents.of_call(conn, call_id)
    if progress.consulting(asked, seat.call, now=now) is not None:
        raise Conflict("already_asked", "a colleague is being asked already")
    if progress.is_held(asked, seat.call):
        raise Conflict("call_held", "take the call off hold first")
    target = await colleagues.find_target(conn, to, pbx=seat.call.pbx, now=now)
    if target is not None and target in (seat.own.extension, *(leg.extension for leg in seat.others)):
        raise Conflict("already_there", "this phone is in the call already")
    number = None
    if target is None:
        number = number_alone(str(to), rules)
        await limits.require_room(conn, actor.user_id, rules, now=now)
    return await _ask(conn, actor, seat, kind, request_id, now=now, target=target, number=number)


async def complete(conn: AsyncConnection, actor: Actor, call_id: int, *, request_id: str, now: datetime) -> int:
    """Bring the client and whom the actor asked together, also while that phone still rings. Raises Conflict."""
    return await _end_consulting(conn, actor, call_id, "complete", request_id, now=now)


async def cancel(conn: AsyncConnection, actor: Actor, call_id: int, *, request_id: str, now: datetime) -> int:
    """Give up asking and go back to the client. Raises Conflict."""
    return await _end_consulting(conn, actor, call_id, "cancel", request_id, now=now)


async def _end_consulting(
    conn: AsyncConnection, actor: Actor, call_id: int, kind: Kind, request_id: str, *, now: datetime
) -> int:
    if (known := await _asked_before(conn, actor, kind, call_id, request_id)) is not None:
        return known
    seat = await seats.seat_of(conn, actor, call_id)
    if progress.consulting(await intents.of_call(conn, call_id), seat.call, now=now) is None:
        raise Conflict("not_consulting", "nobody is being asked about this call")
    return await _ask(conn, actor, seat, kind, request_id, now=now)


async def hold(conn: AsyncConnection, actor: Actor, call_id: int, *, request_id: str, now: datetime) -> int:
    """Let the client hear music while the actor's phone stays on the line. Raises Conflict unless two are on it."""
    if (known := await _asked_before(conn, actor, "hold", call_id, request_id)) is not None:
        return known
    seat = await seats.seat_of(conn, actor, call_id)
    if progress.is_held(await intents.of_call(conn, call_id), seat.call):
        raise Conflict("call_held", "the call is on hold already")
    _require_talk(seat)
    return await _ask(conn, actor, seat, "hold", request_id, now=now, peer_channel=seat.only_other.channel)


async def unhold(conn: AsyncConnection, actor: Actor, call_id: int, *, request_id: str, now: datetime) -> int:
    """Bring the client off the hold that was asked for here. Raises Conflict where there is none."""
    if (known := await _asked_before(conn, actor, "unhold", call_id, request_id)) is not None:
        return known
    seat = await seats.seat_of(conn, actor, call_id)
    if not progress.is_held(await intents.of_call(conn, call_id), seat.call):
        raise Conflict("not_held", "the call is not on hold")
    return await _ask(conn, actor, seat, "unhold", request_id, now=now)


async def park(conn: AsyncConnection, actor: Actor, call_id: int, *, request_id: str, now: datetime) -> int:
    """Set the client aside for any phone of the house to take up; the actor's phone is free. Raises Conflict."""
    if (known := await _asked_before(conn, actor, "park", call_id, request_id)) is not None:
        return known
    seat = await seats.seat_of(conn, actor, call_id)
    if progress.is_held(await intents.of_call(conn, call_id), seat.call):
        raise Conflict("call_held", "take the call off hold first")
    _require_talk(seat)
    return await _ask(conn, actor, seat, "park", request_id, now=now, peer_channel=seat.only_other.channel)


async def retrieve(conn: AsyncConnection, actor: Actor, call_id: int, *, now: datetime) -> int:
    """Ring the actor's phone and give it the client who is parked. Raises Conflict where somebody else does already."""
    call = await seats.live_call(conn, actor, call_id)
    asked = await intents.of_call(conn, call_id)
    parked = progress.parked(asked, call)
    if parked is None:
        raise Conflict("not_parked", "this call is not parked")
    if not (actor.is_admin or call.team_id in actor.team_ids or parked.user_id == actor.user_id):
        raise Forbidden("forbidden", "this is another team's call")
    since = [one for one in asked if one.kind == "retrieve" and one.id > parked.id]
    trying = [one for one in since if one.state != "refused" and one.created_at + RETRIEVED_WITHIN > now]
    if trying:
        if trying[-1].user_id == actor.user_id:
            return trying[-1].id
        raise Conflict("being_retrieved", "somebody else is taking this call up")
    return await intents.write(
        conn,
        "channel_id",
        # Two who ask at once count the same earlier tries: the key that this makes lets one of them through.
        channel_id=intents.channel_id("hubpick", parked.id, str(len(since))),
        pbx=call.pbx,
        kind="retrieve",
        user_id=actor.user_id,
        call_id=call_id,
        extension=control.require_extension(actor, call.pbx),
        peer_channel=parked.peer_channel,
        created_at=now,
        deadline=now + WITHIN,
    )


def _require_talk(seat: Seat) -> None:
    if seat.call.state not in ("talking", "held"):
        raise Conflict("not_talking", "nobody speaks in this call yet")


async def _ask(
    conn: AsyncConnection, actor: Actor, seat: Seat, kind: Kind, request_id: str, *, now: datetime, **values: Any
) -> int:
    """Write the intent on the actor's line, and who asked for it."""
    intent_id = await intents.write(
        conn,
        "channel_id",
        channel_id=_key(actor, kind, seat.call.id, request_id),
        pbx=seat.call.pbx,
        kind=kind,
        user_id=actor.user_id,
        call_id=seat.call.id,
        extension=seat.own.extension,
        channel=seat.own.channel,
        created_at=now,
        deadline=now + WITHIN,
        **values,
    )
    details = {name: value for name, value in values.items() if value and name in ("target", "number")}
    await record(
        conn,
        f"call.{_DONE[kind]}",
        at=now,
        user_id=actor.user_id,
        object_kind="call",
        object_id=seat.call.id,
        details={"intent": intent_id, **details},
    )
    return intent_id


_DONE: dict[str, str] = {
    "blind": "handed_on",
    "attended": "consulted",
    "complete": "transfer_completed",
    "cancel": "transfer_cancelled",
    "hold": "held",
    "unhold": "resumed",
    "park": "parked",
}


def _key(actor: Actor, kind: Kind, call_id: int, request_id: str) -> str:
    return intents.channel_id(f"hub{kind}", actor.user_id, f"{call_id}:{request_id}")


async def _asked_before(conn: AsyncConnection, actor: Actor, kind: Kind, call_id: int, request_id: str) -> int | None:
    """Return the intent that this very click made already: a page may send it twice."""
    twin = await intents.find_twin(conn, "channel_id", _key(actor, kind, call_id, request_id))
    return twin.id if twin else None
