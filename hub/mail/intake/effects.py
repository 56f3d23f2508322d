"""What follows from messages that were just stored, in the transaction that stored them.

Called once for each batch. Decides what a notice of a mail system does to the message it speaks of, and when a
conversation goes too fast to be between people; `meetings` decides what answers to invitations do. Invariants:
whatever is done here is safe to do again, since a batch whose commit was lost is stored again; a notice changes only
what Hub really sent to the address it names; nothing here sends anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue, timeline
from hub.crm.models import users
from hub.mail import undeliverable
from hub.mail.intake import bounces, meetings
from hub.mail.intake.bounces import Bounce, Failed
from hub.mail.intake.joining import join
from hub.mail.models import mailboxes, messages, outbox, outbox_recipients
from hub.mail.reading.mime import ParsedMessage
from hub.mail.register import timeline_data
from hub.store.changes import publish

FAST = 10
"""Messages of one address in one conversation within the hour; more than that are two machines talking."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stored:
    """A message that is new in its mailbox. `is_new` False: history, from which nothing follows but links."""

    id: int
    mailbox_id: int
    team_id: int
    thread_id: int | None
    direction: str
    is_new: bool
    parsed: ParsedMessage
    raw: bytes
    received_at: datetime


async def follow_up(conn: AsyncConnection, stored: Sequence[Stored], *, now: datetime) -> None:
    """Do what follows from `stored`, messages of one mailbox."""
    told = [(one.id, one.parsed.about) for one in stored if one.parsed.about]
    if told:
        await meetings.follow(conn, stored[0].mailbox_id, told, now=now)
    new = [one for one in stored if one.is_new and one.direction == "in"]
    if not new:
        return
    for one in new:
        if one.parsed.auto == "bounce":
            await _came_back(conn, one, now=now)
    people = [one for one in new if one.parsed.auto == "none" and one.parsed.from_ is not None]
    await undeliverable.is_alive(conn, [one.parsed.from_.address for one in people if one.parsed.from_])
    for thread_id in sorted({one.thread_id for one in people if one.thread_id is not None}):
        await _brake(conn, thread_id, [one for one in people if one.thread_id == thread_id], now=now)


async def _came_back(conn: AsyncConnection, notice: Stored, *, now: datetime) -> None:
    """Find what a notice speaks of, and mark the sending, the address, the card and the author's work."""
    bounce = await asyncio.to_thread(bounces.read, notice.raw)
    if bounce is None:
        return
    ids = (*bounce.ids, *filter(None, (notice.parsed.in_reply_to, *notice.parsed.references)))
    original = await _original(conn, tuple(dict.fromkeys(ids)), but_not=notice.id)
    if original is None:
        return
    failed = await _really_sent_to(conn, original["outbox_id"], bounce)
    if not failed:
        return
    unseen = sa.update(messages).where(messages.c.id == notice.id, messages.c.bounce_of.is_(None))
    first = await conn.execute(unseen.values(bounce_of=original["id"]).returning(messages.c.id))
    if first.first() is None:
        return
    await join(conn, notice.id, original, now=now)
    for one in failed:
        await _mark(conn, original, one, now=now)
    if any(one.is_permanent for one in failed):
        await _show_bounced(conn, original, now=now)
        await _give_to_author(conn, notice, original, failed, now=now)


async def _original(conn: AsyncConnection, ids: tuple[str, ...], *, but_not: int) -> sa.RowMapping | None:
    """Return the message that Hub sent under one of these ids, the first that is one."""
    query = (
        sa.select(messages, outbox.c.id.label("outbox_id"), outbox.c.state.label("outbox_state"))
        .join(outbox, outbox.c.message_id == messages.c.id)
        .where(messages.c.message_id.in_(ids), messages.c.direction == "out", messages.c.id != but_not)
    )
    found = {row["message_id"]: row for row in (await conn.execute(query)).mappings()}
    return next((found[one] for one in ids if one in found), None)


async def _really_sent_to(conn: AsyncConnection, outbox_id: int, bounce: Bounce) -> list[Failed]:
    """Return the failures of a notice that can be: of addresses this message went to.

    A notice that names none of them in its machine part may do so in its words; one that names nobody at all is
    believed of a message that went to one address only.
    """
    query = sa.select(outbox_recipients.c.address, outbox_recipients.c.state)
    rows = (await conn.execute(query.where(outbox_recipients.c.outbox_id == outbox_id))).all()
    went = {row.address.lower(): row.address for row in rows if row.state in ("sent", "unknown", "refused")}
    failed = [replace(one, address=went[one.address]) for one in bounce.recipients if one.address in went]
    if failed or bounce.recipients:
        return failed
    named = [one for one in bounce.named if one in went]
    if not named and len(went) == 1 and len(rows) == 1:
        named = list(went)
    return [Failed(went[one], bounce.status, bounce.is_permanent, bounce.reason) for one in named]


async def _mark(conn: AsyncConnection, original: sa.RowMapping, one: Failed, *, now: datetime) -> None:
    """Write a failure to the recipient's row; one that may pass is only noted."""
    which = (outbox_recipients.c.outbox_id == original["outbox_id"], outbox_recipients.c.address == one.address)
    words = " ".join(filter(None, (one.status, one.reason)))[:300]
    if not one.is_permanent:
        await conn.execute(sa.update(outbox_recipients).where(*which).values(reply=words))
        return
    values = {"state": "refused", "code": 550, "reply": words or "came back"}
    await conn.execute(sa.update(outbox_recipients).where(*which).values(**values))
    about = {"status": one.status, "reason": one.reason, "message_id": original["id"]}
    await undeliverable.came_back(conn, one.address.lower(), now=now, **about)


async def _show_bounced(conn: AsyncConnection, original: sa.RowMapping, *, now: datetime) -> None:
    """Show the original as come back, unless it is still on its way to others."""
    query = sa.select(outbox_recipients.c.state).where(outbox_recipients.c.outbox_id == original["outbox_id"])
    states = set((await conn.execute(query)).scalars())
    if states & {"queued", "deferred", "unknown"}:
        await _tell(conn, original, original["state"], now=now)
        return
    row_of_it = sa.update(outbox).where(outbox.c.id == original["outbox_id"])
    await conn.execute(row_of_it.values(bounced=True))
    await conn.execute(row_of_it.where(outbox.c.state.in_(("unknown", "deferred"))).values(state="sent", reason=""))
    update = sa.update(messages).where(messages.c.id == original["id"]).values(state="bounced").returning(messages)
    row = (await conn.execute(update)).mappings().one()
    if row["client_id"] is not None:
        whose = {"client_id": row["client_id"], "contact_id": row["contact_id"]}
        at, data = row["received_at"], timeline_data(row)
        await timeline.put(conn, "message", row["id"], at=at, data=data, now=now, **whose)
    await _tell(conn, original, "bounced", now=now)


async def _tell(conn: AsyncConnection, original: sa.RowMapping, state: str, *, now: datetime) -> None:
    whom: dict[str, Any] = {"user_id": original["author_id"], "client_id": original["client_id"]}
    await publish(conn, "message", original["id"], at=now, data={"direction": "out", "state": state}, **whom)


async def _give_to_author(
    conn: AsyncConnection, notice: Stored, original: sa.RowMapping, failed: Sequence[Failed], *, now: datetime
) -> None:
    """Have the conversation wait in the author's own work, unless a colleague holds it already."""
    thread_id = original["thread_id"]
    if thread_id is None:
        return
    author_id = await _active_author(conn, original)
    if (author_id is None or original["client_id"] is None) and await _is_personal(conn, original["mailbox_id"]):
        # A team sees what is in its queue, and this is one person's own mail; the outbox shows it to its writer.
        return
    who = ", ".join(one.address for one in failed if one.is_permanent)
    address = next(one.address for one in failed if one.is_permanent)
    name = notice.parsed.from_.name if notice.parsed.from_ else ""
    data = {"subject": original["subject"], "snippet": who, "message_id": original["id"], "came_back": True}
    item = await queue.find_by_thing(conn, "message", thread_id)
    if item is None or item.state == "done":
        await queue.enqueue(
            conn,
            team_id=notice.team_id,
            kind="message",
            ref_id=thread_id,
            title=who,
            address=address,
            client_id=original["client_id"],
            data=data | {"from_name": name, "lead_id": None},
            now=now,
        )
    if author_id is not None:
        await queue.assign(conn, "message", thread_id, author_id, now=now)


async def _active_author(conn: AsyncConnection, original: sa.RowMapping) -> int | None:
    query = sa.select(users.c.id).where(users.c.id == original["author_id"], users.c.disabled_at.is_(None))
    found: int | None = (await conn.execute(query)).scalar()
    return found


async def _is_personal(conn: AsyncConnection, mailbox_id: int) -> bool:
    query = sa.select(mailboxes.c.owner_id).where(mailboxes.c.id == mailbox_id)
    return (await conn.execute(query)).scalar() is not None


async def _brake(conn: AsyncConnection, thread_id: int, come: Sequence[Stored], *, now: datetime) -> None:
    """Take back the work that one message too many of the hour made; it is shown, and says why."""
    wanted = {one.parsed.from_.address.lower()[:254]: one for one in come if one.parsed.from_}
    last_hour = sa.and_(messages.c.thread_id == thread_id, messages.c.received_at > now - HOUR)
    query = (
        sa.select(messages.c.from_address, sa.func.count().label("times"))
        .where(last_hour, messages.c.direction == "in", messages.c.from_address.in_(sorted(wanted)))
        .group_by(messages.c.from_address)
    )
    counted = {row.from_address: row.times for row in await conn.execute(query)}
    fast = [one for address, one in wanted.items() if counted.get(address, 0) > FAST]
    for one in fast:
        mine = messages.c.id == one.id
        about = (await conn.execute(sa.select(messages.c.about).where(mine))).scalar() or {}
        too_many = {"too_fast": {"most_per_hour": FAST}}
        await conn.execute(sa.update(messages).where(mine).values(about=dict(about) | too_many))
    if fast and len(fast) == len(wanted):
        item = await queue.find_by_thing(conn, "message", thread_id)
        # Only what this very batch opened: work that waited before stays work.
        if item is not None and item.state == "waiting" and item.queued_at >= now:
            await queue.close(conn, "message", thread_id, now=now)
