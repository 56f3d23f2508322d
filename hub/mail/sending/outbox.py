"""What people send: frozen bytes, one row per recipient, and every state on the way.

Decides what an outcome of `smtp` means for the rows, when a deferred message is tried again, when Hub gives up, and
what a person may decide. Speaks to no peer: `sender` does; new rows come from `submit`. Invariants: the bytes and the
Message-ID of a message never change; only recipients that surely did not get it are tried again; an `unknown` one is
decided by the Sent folder or by a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import guard
from hub.crm import access, timeline
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.errors import Conflict, NotFound
from hub.mail import register
from hub.mail.audience import audience
from hub.mail.models import mailboxes, messages, outbox, outbox_recipients
from hub.mail.register import timeline_data
from hub.mail.sending import smtp
from hub.store.changes import tell
from hub.store.engine import hint_after_commit

TOPIC = "outbox"
RETRY_AFTER = (
    *(timedelta(minutes=m) for m in (1, 5, 15, 30)),
    *(timedelta(hours=h) for h in (1, 2, *[4] * 11)),
)
"""Waits between attempts; when they are used up, about two days after the first, what is left is refused."""

SIGN_IN_RETRY_AFTER = timedelta(minutes=5)
LOOK_UP_FOR = timedelta(hours=1)
"""How long Hub keeps looking into Sent for a message of unknown fate, before only a person can decide."""


async def show(conn: AsyncConnection, message_id: int, state: str, *, now: datetime) -> None:
    """Write a message's state to the register and the card, and tell the feed."""
    update = sa.update(messages).where(messages.c.id == message_id).values(state=state).returning(messages)
    row: Mapping[Any, Any] = (await conn.execute(update)).mappings().one()
    to = await audience(conn, row["mailbox_id"], author_id=row["author_id"])
    data = {"direction": "out", "state": state}
    await tell(conn, "message", message_id, at=now, **to, client_id=row["client_id"], data=data)
    if row["client_id"] is not None:
        await timeline.put(
            conn,
            "message",
            message_id,
            client_id=row["client_id"],
            contact_id=row["contact_id"],
            at=row["received_at"],
            data=timeline_data(row),
            now=now,
        )


@dataclass(frozen=True, slots=True)
class Due:
    """A message that is being sent: what goes out, to whom it still has to go, and which attempt this is."""

    id: int
    message_id: int
    rfc_message_id: str
    raw_sha256: str
    from_address: str
    recipients: tuple[str, ...]
    attempts: int
    date: datetime


async def claim_next(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> Due | None:
    """Mark the first due message of a mailbox as being sent and return it; None where nothing is due.

    One statement decides, so that no two senders take the same row. The caller commits before the first byte.
    """
    is_due = sa.and_(outbox.c.state.in_(("queued", "deferred")), outbox.c.not_before <= now)
    first = sa.select(outbox.c.id).where(outbox.c.mailbox_id == mailbox_id, is_due)
    first = first.order_by(outbox.c.not_before, outbox.c.id).limit(1)
    if conn.dialect.name == "postgresql":
        first = first.with_for_update(skip_locked=True)
    update = sa.update(outbox).where(outbox.c.id == first.scalar_subquery(), is_due).returning(outbox)
    values = {"state": "sending", "sending_since": now, "attempts": outbox.c.attempts + 1}
    row = (await conn.execute(update.values(**values))).first()
    if row is None:
        return None
    await show(conn, row.message_id, "sending", now=now)
    return await _due(conn, row, states=("queued", "deferred"))


async def _due(conn: AsyncConnection, row: sa.Row[Any], *, states: tuple[str, ...]) -> Due:
    message = (await conn.execute(sa.select(messages).where(messages.c.id == row.message_id))).one()
    query = sa.select(outbox_recipients.c.address).where(outbox_recipients.c.outbox_id == row.id)
    query = query.where(outbox_recipients.c.state.in_(states)).order_by(outbox_recipients.c.id)
    recipients = tuple((await conn.execute(query)).scalars())
    return Due(
        row.id,
        row.message_id,
        message.message_id,
        message.raw_sha256,
        message.from_address,
        recipients,
        row.attempts,
        message.date,
    )


async def settle(conn: AsyncConnection, due: Due, outcome: smtp.Outcome, *, now: datetime) -> None:
    """Write what became of an attempt, for each recipient and for the message as a whole."""
    for reply in outcome.replies:
        values: dict[str, Any] = {"state": reply.state, "code": reply.code, "reply": reply.text[:300]}
        await _update_recipients(conn, due.id, outbox_recipients.c.address == reply.address, values)
    is_sign_in = isinstance(outcome, smtp.Deferred) and outcome.is_sign_in
    if due.attempts > len(RETRY_AFTER):
        await _update_recipients(conn, due.id, outbox_recipients.c.state == "deferred", {"state": "refused"})
    delay = RETRY_AFTER[min(due.attempts, len(RETRY_AFTER)) - 1]
    if is_sign_in:
        delay = max(delay, SIGN_IN_RETRY_AFTER)
    reason = next((r.text for r in outcome.replies if r.state != "sent" and r.text), "")
    if isinstance(outcome, smtp.Refused | smtp.Deferred | smtp.Unknown):
        reason = outcome.reason
    await _summarise(conn, due.id, due.message_id, reason=reason, not_before=now + delay, now=now)


async def settle_left_over(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> int:
    """Call what a process that died was sending `unknown`: nobody knows whether it arrived. Return how many."""
    query = sa.select(outbox).where(outbox.c.mailbox_id == mailbox_id, outbox.c.state == "sending")
    rows = (await conn.execute(query)).all()
    for row in rows:
        pending = outbox_recipients.c.state.in_(("queued", "deferred"))
        await _update_recipients(conn, row.id, pending, {"state": "unknown", "reply": "", "code": None})
        await _summarise(conn, row.id, row.message_id, reason="interrupted", not_before=now, now=now)
    return len(rows)


async def settle_unknown(conn: AsyncConnection, due: Due, *, now: datetime) -> None:
    """The message of unknown fate was found in Sent: it went out, and its copy is there."""
    await _update_recipients(conn, due.id, outbox_recipients.c.state == "unknown", {"state": "sent"})
    await conn.execute(sa.update(outbox).where(outbox.c.id == due.id).values(copy_state="done"))
    await _summarise(conn, due.id, due.message_id, reason="", not_before=now, now=now)


async def _update_recipients(
    conn: AsyncConnection, outbox_id: int, which: sa.ColumnElement[bool], values: dict[str, Any]
) -> None:
    await conn.execute(
        sa.update(outbox_recipients).where(outbox_recipients.c.outbox_id == outbox_id, which).values(**values)
    )


async def _summarise(
    conn: AsyncConnection, outbox_id: int, message_id: int, *, reason: str, not_before: datetime, now: datetime
) -> None:
    """Derive the message's state from its recipients': what a person must decide first, then what is still to do."""
    query = sa.select(outbox_recipients.c.state).where(outbox_recipients.c.outbox_id == outbox_id).distinct()
    states = set((await conn.execute(query)).scalars())
    if "unknown" in states:
        state = "unknown"
    elif states & {"deferred", "queued"}:
        state = "deferred"
    else:
        state = "sent" if "sent" in states else "refused"
    wanted = sa.case((outbox.c.copy_state == "none", "wanted"), else_=outbox.c.copy_state)
    values = {"state": state, "reason": guard.shown(reason, max_chars=300), "not_before": not_before}
    values["copy_state"] = wanted if "sent" in states else outbox.c.copy_state
    await conn.execute(sa.update(outbox).where(outbox.c.id == outbox_id).values(**values))
    await show(conn, message_id, state, now=now)


async def unknown_to_look_up(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> list[Due]:
    """Return messages of unknown fate whose turn it is to be looked for in Sent, and push their next turn back."""
    is_due = sa.and_(outbox.c.not_before <= now, outbox.c.sending_since > now - LOOK_UP_FOR)
    query = sa.select(outbox).where(outbox.c.mailbox_id == mailbox_id, outbox.c.state == "unknown", is_due)
    found = []
    for row in (await conn.execute(query.order_by(outbox.c.id).limit(50))).all():
        # Ever longer waits: as long again as it has been unknown already.
        wait = max(now - row.sending_since, timedelta(seconds=5))
        await conn.execute(sa.update(outbox).where(outbox.c.id == row.id).values(not_before=now + wait))
        found.append(await _due(conn, row, states=("unknown",)))
    return found


async def copies_wanted(conn: AsyncConnection, mailbox_id: int) -> list[Due]:
    """Return sent messages whose copy is not in the Sent folder yet, oldest first."""
    query = sa.select(outbox).where(outbox.c.mailbox_id == mailbox_id, outbox.c.copy_state == "wanted")
    rows = (await conn.execute(query.order_by(outbox.c.id).limit(50))).all()
    return [await _due(conn, row, states=()) for row in rows]


async def copy_done(conn: AsyncConnection, outbox_id: int) -> None:
    await conn.execute(sa.update(outbox).where(outbox.c.id == outbox_id).values(copy_state="done"))


async def send_again(conn: AsyncConnection, actor: Actor, message_id: int, *, now: datetime) -> None:
    """A person decides that a refused, deferred or unknown message goes out (once more) to those who do not have it.

    Raises Conflict where it is sent or on its way, NotFound for a message or mailbox that is not theirs.
    """
    row = await _decide(conn, actor, message_id, ("refused", "deferred", "unknown"))
    not_sent = outbox_recipients.c.state != "sent"
    await _update_recipients(conn, row.id, not_sent, {"state": "queued", "code": None, "reply": ""})
    values: dict[str, Any] = {"state": "queued", "attempts": 0, "not_before": now, "reason": ""}
    await conn.execute(sa.update(outbox).where(outbox.c.id == row.id).values(**values))
    await record(conn, "message.sent_again", at=now, user_id=actor.user_id, object_kind="message", object_id=message_id)
    await show(conn, message_id, "queued", now=now)
    hint_after_commit(conn, TOPIC)


async def accept_as_sent(conn: AsyncConnection, actor: Actor, message_id: int, *, now: datetime) -> None:
    """A person decides that a message of unknown fate has arrived. Raises Conflict, NotFound."""
    row = await _decide(conn, actor, message_id, ("unknown",))
    await _update_recipients(conn, row.id, outbox_recipients.c.state == "unknown", {"state": "sent"})
    await record(
        conn, "message.accepted_as_sent", at=now, user_id=actor.user_id, object_kind="message", object_id=message_id
    )
    await _summarise(conn, row.id, message_id, reason="", not_before=now, now=now)
    hint_after_commit(conn, TOPIC)


async def own_mailbox(conn: AsyncConnection, actor: Actor, which: sa.ColumnElement[bool]) -> sa.Row[Any]:
    """Return a mailbox the actor may write from. Raises NotFound."""
    mine = access.mailbox_writable(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
    row = (await conn.execute(sa.select(mailboxes).where(which, mine))).first()
    if row is None:
        raise NotFound("mailbox_missing", "no such mailbox, or not one of your teams'", field="mailbox")
    return row


async def _decide(conn: AsyncConnection, actor: Actor, message_id: int, states: tuple[str, ...]) -> sa.Row[Any]:
    seen = await register.find(conn, actor, message_id)
    await own_mailbox(conn, actor, mailboxes.c.id == seen.mailbox_id)
    query = sa.select(outbox).where(outbox.c.message_id == message_id)
    if conn.dialect.name == "postgresql":
        query = query.with_for_update()
    row = (await conn.execute(query)).first()
    if row is None or row.state not in states:
        raise Conflict("not_open", "this message is not waiting for a decision", state=seen.state)
    return row
