"""The rows of what was asked of a PBX: written once, started once, settled once.

Decides nothing of calls: who may ask what is `control`'s and its neighbours'. Invariants: an intent that its key
column names is one row, however often it is asked for; and `sending` is never left but for an outcome.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm.access import Actor
from hub.errors import Conflict, NotFound
from hub.store.changes import publish
from hub.store.engine import hint_after_commit
from hub.store.upsert import insert
from hub.telephony.models import call_intents

TOPIC = "call_intents"

Kind = Literal[
    "take", "dial", "hangup", "blind", "attended", "complete", "cancel", "hold", "unhold", "park", "retrieve",
    "listen", "whisper", "barge", "rec_pause", "rec_resume",
]  # fmt: skip
IntentState = Literal["new", "sending", "sent", "refused", "deferred", "unknown"]


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to be sent, or how it went. `reason` says why it was refused or is unknown.

    `extension` is the asker's phone, `channel` what is acted upon, `peer_channel` the other side of the call;
    `target` and `number` are who is called or handed the call: a phone of the house, or a number outside.
    """

    id: int
    pbx: str
    kind: Kind
    state: IntentState
    user_id: int
    call_id: int | None
    claim_id: str | None
    channel_id: str | None
    extension: str | None
    number: str | None
    channel: str | None
    queue: str | None
    target: str | None
    peer_channel: str | None
    created_at: datetime
    deadline: datetime
    settled_at: datetime | None
    reason: str
    record_team_id: int | None = None
    """Whose rule says that a call which this dials is recorded."""
    keys: str | None = None
    """What is pressed once a dialled number answers: the digits of an extension there."""


COLUMNS = [call_intents.c[name] for name in Intent.__slots__]


def channel_id(word: str, user_id: int, request_id: str) -> str:
    """Return the name of one click: `word` and 16 hex digits, the same for the same person and request."""
    return f"{word}-" + hashlib.sha256(f"{user_id}:{request_id}".encode()).hexdigest()[:16]


async def find_twin(conn: AsyncConnection, key: str, value: str) -> Intent | None:
    """Return the intent whose `key` column has this value."""
    row = (await conn.execute(sa.select(*COLUMNS).where(call_intents.c[key] == value))).mappings().first()
    return Intent(**row) if row else None


async def find(conn: AsyncConnection, actor: Actor, intent_id: int) -> Intent:
    """Return what the actor asked; for an administrator, anybody. Raises NotFound."""
    row = (await conn.execute(sa.select(*COLUMNS).where(call_intents.c.id == intent_id))).mappings().first()
    if row is None or (row["user_id"] != actor.user_id and not actor.is_admin):
        raise NotFound("intent_missing", "you asked for no such thing")
    return Intent(**row)


async def write(conn: AsyncConnection, key: str, **values: Any) -> int:
    """Insert an intent that its `key` column makes unique; return the id of it or of its earlier twin.

    Raises Conflict where the twin is another person's or asks for something else.
    """
    statement = insert(conn, call_intents).values(state="new", **values)
    made = await conn.execute(statement.on_conflict_do_nothing(index_elements=[key]).returning(call_intents.c.id))
    intent_id = made.scalar()
    if intent_id is None:
        twin = await find_twin(conn, key, values[key])
        if twin is None or (twin.user_id, twin.kind) != (values["user_id"], values["kind"]):
            raise Conflict("already_asked", "somebody has asked for this already")
        intent_id = twin.id
    hint_after_commit(conn, TOPIC)
    return int(intent_id)


async def of_call(conn: AsyncConnection, call_id: int) -> list[Intent]:
    """Return what was asked about a call, the latest last."""
    query = sa.select(*COLUMNS).where(call_intents.c.call_id == call_id).order_by(call_intents.c.id.desc()).limit(100)
    return [Intent(**row) for row in (await conn.execute(query)).mappings()][::-1]


async def due(conn: AsyncConnection, pbx: str) -> list[Intent]:
    """Return the intents of a PBX that nobody has sent, oldest first."""
    query = sa.select(*COLUMNS).where(call_intents.c.pbx == pbx, call_intents.c.state == "new")
    rows = await conn.execute(query.order_by(call_intents.c.id).limit(50))
    return [Intent(**row) for row in rows.mappings()]


async def start(conn: AsyncConnection, intent_id: int, *, now: datetime) -> bool:
    """Mark an intent as being sent; False where another process was first.

    The same again with the same `now` is True, too: the answer to the first commit may have been lost.
    """
    is_mine = sa.and_(call_intents.c.state == "sending", call_intents.c.sent_at == now)
    update = sa.update(call_intents).where(
        call_intents.c.id == intent_id, sa.or_(call_intents.c.state == "new", is_mine)
    )
    return (await conn.execute(update.values(state="sending", sent_at=now))).rowcount == 1


async def settle(conn: AsyncConnection, intent_id: int, state: IntentState, *, reason: str, now: datetime) -> bool:
    """Write how the sending went and tell the asker's pages; False where that has been written before."""
    is_open = call_intents.c.state.in_(("new", "sending"))
    update = sa.update(call_intents).where(call_intents.c.id == intent_id, is_open).returning(call_intents)
    values = {"state": state, "reason": sanitize.shown(reason), "settled_at": now}
    row = (await conn.execute(update.values(**values))).first()
    if row is None:
        return False
    data = {"intent_kind": row.kind, "state": state, "reason": row.reason, "call_id": row.call_id}
    await publish(conn, "call_intent", intent_id, at=now, user_id=row.user_id, data=data)
    return True


async def note_failure(conn: AsyncConnection, channel_id: str, reason: str, *, now: datetime) -> None:
    """Write why a dial that the PBX took reached nobody, and tell the asker's pages. Its state stays `sent`."""
    update = sa.update(call_intents).where(call_intents.c.channel_id == channel_id, call_intents.c.kind == "dial")
    row = (await conn.execute(update.values(reason=sanitize.shown(reason)).returning(call_intents))).first()
    if row is not None:
        data = {"intent_kind": row.kind, "state": row.state, "reason": row.reason, "call_id": row.call_id}
        await publish(conn, "call_intent", row.id, at=now, user_id=row.user_id, data=data)


async def left_in_sending(conn: AsyncConnection, pbx: str) -> list[Intent]:
    """Return what was being sent when the process that sent it died: nobody knows whether it arrived."""
    query = sa.select(*COLUMNS).where(call_intents.c.pbx == pbx, call_intents.c.state == "sending")
    return [Intent(**row) for row in (await conn.execute(query)).mappings()]
