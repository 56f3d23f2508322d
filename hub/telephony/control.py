"""What a person asks of a PBX: intents, written in the asker's own transaction and carried out by `sender`.

An intent says what, for whom and until when; it is sent at most once. Decides nothing about races (the queue has
done that) and speaks to nobody. Invariant: one click is one row, since a page's `request_id` makes the dial's
channel id, which is unique here and at the PBX.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import guard
from hub.crm.access import Actor
from hub.crm.addresses import parse_phone
from hub.crm.audit import record
from hub.crm.queue import Item
from hub.errors import Conflict, Forbidden, NotFound, Refused
from hub.store.changes import tell
from hub.store.engine import hint_after_commit
from hub.store.upsert import insert
from hub.telephony import recordings, register
from hub.telephony.models import call_intents, calls

TOPIC = "call_intents"
TAKE_WITHIN = timedelta(seconds=5)
DIAL_WITHIN = timedelta(seconds=10)

IntentState = Literal["new", "sending", "sent", "refused", "deferred", "unknown"]


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to be sent, or how it went. `reason` says why it was refused or is unknown."""

    id: int
    pbx: str
    kind: Literal["take", "dial", "hangup", "rec_pause", "rec_resume"]
    state: IntentState
    user_id: int
    call_id: int | None
    claim_id: str | None
    channel_id: str | None
    extension: str | None
    number: str | None
    channel: str | None
    queue: str | None
    record_team_id: int | None
    deadline: datetime
    reason: str


COLUMNS = [call_intents.c[name] for name in Intent.__slots__]


def require_extension(actor: Actor) -> str:
    """Return the actor's phone. Raises Refused where the administrator has given them none."""
    if not actor.extension:
        raise Refused("no_extension", "you have no phone extension: ask the administrator for one")
    return guard.extension(actor.extension)


async def take(conn: AsyncConnection, actor: Actor, item: Item, *, now: datetime) -> int:
    """Have the call of a claimed queue item brought to the actor's phone; return the intent's id.

    Repeated for the same claim it returns the same intent. Raises Conflict where the caller has gone.
    """
    extension = require_extension(actor)
    call = (await conn.execute(sa.select(calls).where(calls.c.id == item.ref_id))).first()
    if call is None or call.state == "ended" or not call.queue or not call.queue_channel:
        raise Conflict("not_waiting", "the caller is no longer waiting")
    assert item.claim_id is not None
    return await _write(
        conn,
        "claim_id",
        pbx=call.pbx,
        kind="take",
        user_id=actor.user_id,
        call_id=call.id,
        queue_item_id=item.id,
        claim_id=item.claim_id,
        extension=extension,
        channel=call.queue_channel,
        queue=call.queue,
        created_at=now,
        deadline=now + TAKE_WITHIN,
    )


async def dial(
    conn: AsyncConnection,
    actor: Actor,
    *,
    to: str,
    client_id: int | None,
    contact_id: int | None,
    request_id: str,
    pbx: str,
    region: str,
    now: datetime,
) -> int:
    """Have the actor's phone rung and then the number called; return the intent's id.

    `request_id` comes with the page (or the API's Idempotency-Key): the same one never dials twice.
    Raises Refused for what is no number or for an emergency or premium one.
    """
    extension = require_extension(actor)
    number = _allowed_number(to, region)
    channel_id = "hub-" + hashlib.sha256(f"{actor.user_id}:{request_id}".encode()).hexdigest()[:16]
    intent_id = await _write(
        conn,
        "channel_id",
        pbx=pbx,
        kind="dial",
        user_id=actor.user_id,
        client_id=client_id,
        contact_id=contact_id,
        channel_id=channel_id,
        extension=extension,
        number=number,
        record_team_id=await recordings.team_that_records(conn, actor),
        created_at=now,
        deadline=now + DIAL_WITHIN,
    )
    await record(
        conn,
        "call.dialled",
        at=now,
        user_id=actor.user_id,
        object_kind="call_intent",
        object_id=intent_id,
        details={"number": number},
    )
    return intent_id


def _allowed_number(raw: str, region: str) -> str:
    """Only whole, valid, ordinary numbers go out by click: no short codes, so neither 112 nor a service."""
    phone = parse_phone(raw, region)
    if phone is None:
        raise Refused("bad_number", f"{guard.shown(raw)!r} is not a phone number", field="to")
    return guard.dial_digits(phone.value)


async def hang_up(conn: AsyncConnection, actor: Actor, call_id: int, *, now: datetime) -> int:
    """Have a call that the actor is in hung up; return the intent's id. Raises Forbidden, Conflict, NotFound."""
    seen = await register.find(conn, actor, call_id)
    if seen.state == "ended":
        raise Conflict("call_ended", "the call is over")
    held = sa.select(calls.c.queue_channel, calls.c.manager_channel, calls.c.pbx, calls.c.dial_id).where(
        calls.c.id == call_id
    )
    call = (await conn.execute(held)).one()
    own = sa.select(call_intents.c.id).where(
        call_intents.c.user_id == actor.user_id,
        sa.or_(call_intents.c.call_id == call_id, call_intents.c.channel_id == call.dial_id),
    )
    mine = seen.answered_user_id == actor.user_id or (await conn.execute(own)).first() is not None
    if not mine and not actor.is_admin:
        raise Forbidden("forbidden", "this is not your call")
    channel = call.manager_channel or call.queue_channel
    if channel is None:
        raise NotFound("channel_missing", "the call has no channel to hang up")
    values: dict[str, Any] = {"pbx": call.pbx, "kind": "hangup", "user_id": actor.user_id, "call_id": call_id}
    values |= {"channel": channel, "created_at": now, "deadline": now + TAKE_WITHIN, "state": "new"}
    made = await conn.execute(call_intents.insert().values(**values).returning(call_intents.c.id))
    hint_after_commit(conn, TOPIC)
    return int(made.scalar_one())


async def _write(conn: AsyncConnection, key: str, **values: Any) -> int:
    """Insert an intent that its `key` column makes unique; return the id of it or of its earlier twin."""
    statement = insert(conn, call_intents).values(state="new", **values)
    made = await conn.execute(statement.on_conflict_do_nothing(index_elements=[key]).returning(call_intents.c.id))
    intent_id = made.scalar()
    if intent_id is None:
        twin = sa.select(call_intents.c.id, call_intents.c.user_id).where(call_intents.c[key] == values[key])
        intent_id = (await conn.execute(twin)).one().id
    hint_after_commit(conn, TOPIC)
    return int(intent_id)


async def due(conn: AsyncConnection, pbx: str) -> list[Intent]:
    """Return the intents of a PBX that nobody has sent, oldest first."""
    query = sa.select(*COLUMNS).where(call_intents.c.pbx == pbx, call_intents.c.state == "new")
    rows = await conn.execute(query.order_by(call_intents.c.id).limit(50))
    return [Intent(**row) for row in rows.mappings()]


async def start(conn: AsyncConnection, intent_id: int, *, now: datetime) -> bool:
    """Mark an intent as being sent; False where another process was first."""
    update = sa.update(call_intents).where(call_intents.c.id == intent_id, call_intents.c.state == "new")
    return (await conn.execute(update.values(state="sending", sent_at=now))).rowcount == 1


async def settle(conn: AsyncConnection, intent_id: int, state: IntentState, *, reason: str, now: datetime) -> None:
    """Write how the sending went and tell the asker's pages."""
    update = sa.update(call_intents).where(call_intents.c.id == intent_id).returning(call_intents)
    values = {"state": state, "reason": guard.shown(reason), "settled_at": now}
    row = (await conn.execute(update.values(**values))).one()
    data = {"intent_kind": row.kind, "state": state, "reason": row.reason, "call_id": row.call_id}
    await tell(conn, "call_intent", intent_id, at=now, user_id=row.user_id, data=data)


async def left_in_sending(conn: AsyncConnection, pbx: str) -> list[Intent]:
    """Return what was being sent when the process that sent it died: nobody knows whether it arrived."""
    query = sa.select(*COLUMNS).where(call_intents.c.pbx == pbx, call_intents.c.state == "sending")
    return [Intent(**row) for row in (await conn.execute(query)).mappings()]
