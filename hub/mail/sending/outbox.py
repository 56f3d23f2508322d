"""What people send: frozen bytes, one row per recipient, the state shown of both, and what a person may decide.

Decides how a message's state follows from its recipients' and which decisions are open. Speaks to no peer: `sender`
does, by `claims`; new rows come from `submit`. Invariants: the bytes and the Message-ID of a message never change; a
decision is one statement's, so that it is made once and never on what is being sent.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import access, timeline
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.timeline import NewEntry
from hub.errors import Conflict, NotFound
from hub.mail import register
from hub.mail.audience import audience_of
from hub.mail.models import mailboxes, messages, outbox, outbox_recipients
from hub.mail.register import timeline_data
from hub.mail.sync import flags
from hub.store.changes import publish
from hub.store.engine import hint_after_commit

TOPIC = "outbox"
WAITING = ("queued", "deferred")
_TOLD = (
    *("id", "mailbox_id", "author_id", "client_id", "contact_id", "received_at", "direction", "state", "subject"),
    *("snippet", "from_name", "from_address", "to", "thread_id", "auto"),
)


async def show(conn: AsyncConnection, message_id: int, state: str, *, now: datetime) -> None:
    """Write a message's state to the register and the card, and tell the feed."""
    await show_all(conn, {message_id: state}, now=now)


async def show_all(
    conn: AsyncConnection, states: Mapping[int, str], *, now: datetime, also: Sequence[str] = ()
) -> list[sa.RowMapping]:
    """The same for many messages, their states by id; return their rows, with the columns named by `also`."""
    rows: list[sa.RowMapping] = []
    for state in sorted(set(states.values())):
        ids = [message_id for message_id, one in states.items() if one == state]
        rows += (await conn.execute(_showing(tuple(also)), {"ids": ids, "is": state})).mappings().all()
    for row in rows:
        await publish(
            conn,
            "message",
            row["id"],
            at=now,
            **audience_of(team_id=row["team_id"], owner_id=row["owner_id"], author_id=row["author_id"]),
            client_id=row["client_id"],
            data={"direction": "out", "state": row["state"]},
        )
    # A card says the same of what waits and of what is on its way.
    told = [
        NewEntry(row["id"], row["client_id"], row["contact_id"], row["received_at"], timeline_data(row))
        for row in rows
        if row["client_id"] is not None and row["state"] != "sending"
    ]
    await timeline.put_all(conn, "message", told, now=now)
    return rows


@functools.cache
def _showing(also: tuple[str, ...]) -> Any:
    """The statements of each message are built once: building them costs more than running them."""
    of_box = (
        sa.select(mailboxes.c[name]).where(mailboxes.c.id == messages.c.mailbox_id).scalar_subquery().label(name)
        for name in ("team_id", "owner_id")
    )
    update = sa.update(messages).where(messages.c.id.in_(sa.bindparam("ids", expanding=True)))
    columns = (*(messages.c[name] for name in (*_TOLD, *also)), *of_box)
    return update.values(state=sa.bindparam("is")).returning(*columns)


def state_of(recipients: Collection[str]) -> str:
    """Return a message's state by its recipients': what a person must decide first, then what is still to do."""
    for state, of_recipients in (
        ("unknown", ("unknown",)),
        ("deferred", WAITING),
        ("sent", ("sent",)),
        ("refused", ("refused",)),
    ):
        if any(one in of_recipients for one in recipients):
            return state
    return "cancelled"


async def summarise(
    conn: AsyncConnection, rows: Mapping[int, Mapping[str, Any]], *, now: datetime, message_ids: Mapping[int, int]
) -> None:
    """Derive the states of outbox rows from their recipients'; `rows` holds the values to write beside, by id."""
    if not rows:
        return
    found: dict[int, list[str]] = {outbox_id: [] for outbox_id in rows}
    for row in await conn.execute(_STATES, {"ids": list(rows)}):
        found[row.outbox_id].append(row.state)
    states: dict[int, str] = {}
    # What comes to the same is one statement: nearly always all that was sent.
    alike: dict[tuple[Any, ...], list[int]] = {}
    for outbox_id, recipients in found.items():
        state = states[message_ids[outbox_id]] = state_of(recipients)
        values: dict[str, Any] = {"state": state, "reason": "", **rows[outbox_id]}
        values["reason"] = sanitize.shown(values["reason"], max_chars=300)
        if state == "sent":
            values.pop("not_before", None)
        has_copy = "sent" in recipients and "copy_state" not in values
        alike.setdefault((has_copy, *sorted(values.items())), []).append(outbox_id)
    for (has_copy, *items), ids in alike.items():
        values = {f"new_{name}": value for name, value in items}
        update = _summarising(tuple(name for name, _ in items), has_copy)
        await conn.execute(update, {"ids": ids, **values})
    await show_all(conn, states, now=now)
    if sent := [message_id for message_id, state in states.items() if state == "sent"]:
        await flags.wish_answered_by(conn, sent, now=now)


_STATES = (
    sa.select(outbox_recipients.c.outbox_id, outbox_recipients.c.state)
    .where(outbox_recipients.c.outbox_id.in_(sa.bindparam("ids", expanding=True)))
    .distinct()
)


@functools.cache
def _summarising(names: tuple[str, ...], has_copy: bool) -> Any:
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}", type_=outbox.c[name].type) for name in names}
    if has_copy:
        values["copy_state"] = sa.case((outbox.c.copy_state == "none", "wanted"), else_=outbox.c.copy_state)
    return sa.update(outbox).where(outbox.c.id.in_(sa.bindparam("ids", expanding=True))).values(**values)


async def mark_recipients(
    conn: AsyncConnection, outbox_ids: Sequence[int], states: Collection[str], values: Mapping[str, Any]
) -> None:
    """Give all recipients that are in one of `states` the `values`."""
    which = (outbox_recipients.c.outbox_id.in_(outbox_ids), outbox_recipients.c.state.in_(states))
    await conn.execute(sa.update(outbox_recipients).where(*which).values(**values))


async def send_again(conn: AsyncConnection, actor: Actor, message_id: int, *, now: datetime) -> None:
    """A person decides that a refused, deferred, unknown or cancelled message, or one that came back, goes out (once
    more) to those who do not have it; for a deferred one: at once.

    Raises Conflict where it is sent or on its way, NotFound for a message or mailbox that is not theirs.
    """
    row = await _decide(conn, actor, message_id, ("refused", "deferred", "unknown", "cancelled"), or_bounced=True)
    not_sent = ("refused", "deferred", "unknown", "cancelled", "queued")
    await mark_recipients(conn, [row.id], not_sent, {"state": "queued", "code": None, "reply": ""})
    values: dict[str, Any] = {"state": "queued", "attempts": 0, "not_before": now, "undo_until": None, "reason": ""}
    values |= {"bounced": False}
    await conn.execute(sa.update(outbox).where(outbox.c.id == row.id).values(**values, sending_since=None))
    await _record(conn, "message.sent_again", actor, message_id, now=now)
    await show(conn, message_id, "queued", now=now)
    hint_after_commit(conn, TOPIC)


async def accept_as_sent(conn: AsyncConnection, actor: Actor, message_id: int, *, now: datetime) -> None:
    """A person decides that a message of unknown fate has arrived. Raises Conflict, NotFound."""
    row = await _decide(conn, actor, message_id, ("unknown",))
    await mark_recipients(conn, [row.id], ("unknown",), {"state": "sent"})
    await _record(conn, "message.accepted_as_sent", actor, message_id, now=now)
    await summarise(conn, {row.id: {"not_before": now}}, now=now, message_ids={row.id: message_id})
    hint_after_commit(conn, TOPIC)


async def cancel(conn: AsyncConnection, actor: Actor, message_id: int, *, now: datetime) -> None:
    """A person takes back what has not gone out: a message that waits, or the recipients one still waits for.

    One statement decides against the sender. Raises Conflict `not_open` where the message is being sent or is sent,
    NotFound.
    """
    seen = await _own(conn, actor, message_id)
    taken = sa.update(outbox).where(outbox.c.message_id == message_id, outbox.c.state.in_(WAITING))
    row = (await conn.execute(taken.values(state="cancelled", reason="").returning(outbox.c.id))).first()
    if row is None:
        raise Conflict("not_open", "this message is on its way already", state=seen.state)
    await mark_recipients(conn, [row.id], WAITING, {"state": "cancelled"})
    await _record(conn, "message.cancelled", actor, message_id, now=now)
    await summarise(conn, {row.id: {}}, now=now, message_ids={row.id: message_id})


async def copy_again(conn: AsyncConnection, actor: Actor, message_id: int, *, now: datetime) -> None:
    """A person has made room in Sent: the copy that Hub gave up is tried again. Raises Conflict, NotFound."""
    seen = await _own(conn, actor, message_id)
    failed = sa.update(outbox).where(outbox.c.message_id == message_id, outbox.c.copy_state == "failed")
    values = {"copy_state": "wanted", "copy_tries": 0, "copy_after": now, "copy_error": ""}
    if (await conn.execute(failed.values(**values).returning(outbox.c.id))).first() is None:
        raise Conflict("not_open", "this message's copy is not waiting for a decision", state=seen.state)
    await _record(conn, "message.copied_again", actor, message_id, now=now)
    hint_after_commit(conn, TOPIC)


async def own_mailbox(conn: AsyncConnection, actor: Actor, which: sa.ColumnElement[bool]) -> sa.Row[Any]:
    """Return a mailbox the actor may write from. Raises NotFound."""
    mine = access.mailbox_writable(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
    row = (await conn.execute(sa.select(mailboxes).where(which, mine))).first()
    if row is None:
        raise NotFound("mailbox_missing", "no such mailbox, or not one of your teams'", field="mailbox")
    return row


async def _record(conn: AsyncConnection, action: str, actor: Actor, message_id: int, *, now: datetime) -> None:
    await record(conn, action, at=now, user_id=actor.user_id, object_kind="message", object_id=message_id)


async def _own(conn: AsyncConnection, actor: Actor, message_id: int) -> register.MessageRow:
    seen = await register.find(conn, actor, message_id)
    await own_mailbox(conn, actor, mailboxes.c.id == seen.mailbox_id)
    return seen


async def _decide(
    conn: AsyncConnection, actor: Actor, message_id: int, states: tuple[str, ...], *, or_bounced: bool = False
) -> sa.Row[Any]:
    seen = await _own(conn, actor, message_id)
    query = sa.select(outbox).where(outbox.c.message_id == message_id)
    if conn.dialect.name == "postgresql":
        query = query.with_for_update()
    row = (await conn.execute(query)).first()
    came_back = or_bounced and row is not None and row.state == "sent" and seen.state == "bounced"
    if row is None or not (row.state in states or came_back):
        raise Conflict("not_open", "this message is not waiting for a decision", state=seen.state)
    return row
