"""What the outbox holds that is not settled: what waits and when it goes, what is stuck and why, whose turn it is.

Which rows these are and who may see them is in `outbox_kind`. Writes nothing. Invariant: a count ends at `AT_MOST`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.base.permissions import permitted
from hub.crm.models import clients, users
from hub.mail.choices import OutboxStand
from hub.mail.models import mailboxes, messages, outbox, outbox_recipients
from hub.mail.sending import verdicts
from hub.mail.sending.outbox_kind import OUTBOX, STANDS, OutboxRow
from hub.mail.sending.providers import wait_for_turn

STUCK = (OutboxStand.UNKNOWN, OutboxStand.REFUSED, OutboxStand.BOUNCED, OutboxStand.NO_COPY)
"""What goes no further without a person."""
OPEN = (*STUCK, OutboxStand.DEFERRED, OutboxStand.WAITING)
AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class StandingRecipient:
    """One recipient; `why` is the reason in one word (`verdicts.Why`), empty where nothing went wrong."""

    address: str
    state: str
    code: int | None
    reply: str
    why: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A message of the outbox as the page shows it. `goes_at` is the earliest moment of the next attempt."""

    id: int
    outbox_id: int
    mailbox: str
    stand: OutboxStand
    state: str
    subject: str
    author_name: str | None
    client_id: int | None
    client_name: str | None
    reason: str
    attempts: int
    goes_at: datetime | None
    sending_since: datetime | None
    copy_error: str
    recipients: tuple[StandingRecipient, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Backlog:
    """A mailbox with what waits in it. `send_state` is ok, down or auth_refused."""

    mailbox_id: int
    address: str
    waiting: int
    send_state: str
    send_error: str
    send_error_at: datetime | None


async def detailed(
    conn: AsyncConnection,
    actor: Actor,
    rows: Sequence[OutboxRow],
    *,
    now: datetime,
    pace_of: Callable[[str], int] = lambda _mailbox: 0,
) -> list[OutboxRow]:
    """Return these rows with what pages and answers show of them.

    `pace_of` tells the messages per minute of a mailbox by its address, 0 for no limit.
    """
    ids = [row.id for row in rows]
    query = (
        sa.select(
            messages.c.id,
            outbox.c.id.label("outbox_id"),
            mailboxes.c.address.label("mailbox"),
            mailboxes.c.sends_per_min,
            STANDS.c.value.label("stand"),
            outbox.c.state,
            messages.c.subject,
            users.c.name.label("author_name"),
            messages.c.client_id,
            access.shown_name(actor, "client").label("client_name"),
            outbox.c.reason,
            outbox.c.attempts,
            outbox.c.not_before,
            outbox.c.undo_until,
            outbox.c.sending_since,
            outbox.c.copy_error,
        )
        .select_from(STANDS)
        .join(outbox, outbox.c.id == STANDS.c.id)
        .join(messages, messages.c.id == outbox.c.message_id)
        .join(mailboxes, mailboxes.c.id == outbox.c.mailbox_id)
        .outerjoin(users, users.c.id == messages.c.author_id)
        .outerjoin(clients, clients.c.id == messages.c.client_id)
        .where(STANDS.c.id.in_(ids))
    )
    found = (await conn.execute(query)).mappings().all()
    people = await _recipients(conn, ids)
    places = await _places(conn, [row["outbox_id"] for row in found if row["stand"] in ("waiting", "deferred")], now)
    standings = {}
    for row in found:
        goes_at = None
        if row["state"] in ("queued", "deferred"):
            pace = row["sends_per_min"] or pace_of(row["mailbox"])
            turn = wait_for_turn(places.get(row["outbox_id"], 0), sends_per_min=pace)
            goes_at = max(row["not_before"], row["undo_until"] or row["not_before"], now + turn)
        plain = {name: row[name] for name in Standing.__slots__ if name not in ("goes_at", "recipients")}
        plain["stand"] = OutboxStand(row["stand"])
        one = Standing(**plain, goes_at=goes_at, recipients=people.get(row["outbox_id"], ()))
        standings[one.outbox_id] = one
    return [replace(row, standing=standings[row.id]) for row in rows if row.id in standings]


async def _recipients(conn: AsyncConnection, ids: list[int]) -> dict[int, tuple[StandingRecipient, ...]]:
    query = sa.select(outbox_recipients).where(outbox_recipients.c.outbox_id.in_(ids)).order_by(outbox_recipients.c.id)
    found: dict[int, tuple[StandingRecipient, ...]] = {}
    for row in await conn.execute(query):
        is_bad = row.state in ("deferred", "refused", "unknown")
        why = verdicts.why_of(row.code, row.reply) if is_bad and row.reply else ""
        one = StandingRecipient(row.address, row.state, row.code, row.reply, why)
        found[row.outbox_id] = (*found.get(row.outbox_id, ()), one)
    return found


async def _places(conn: AsyncConnection, ids: list[int], now: datetime) -> dict[int, int]:
    """Return the place of each of these in its mailbox's line of what is due, from 0."""
    if not ids:
        return {}
    order = sa.func.row_number().over(partition_by=outbox.c.mailbox_id, order_by=(outbox.c.not_before, outbox.c.id))
    due = sa.and_(outbox.c.state.in_(("queued", "deferred")), outbox.c.not_before <= now)
    line = sa.select(outbox.c.id, order.label("place")).where(due).subquery()
    rows = await conn.execute(sa.select(line.c.id, line.c.place).where(line.c.id.in_(ids)))
    return {row.id: row.place - 1 for row in rows}


async def counted(conn: AsyncConnection, actor: Actor, *, mine: bool = False) -> dict[OutboxStand, int]:
    """Count what stands how, each no further than `AT_MOST`; cancelled mail is not counted. One statement."""
    seen = sa.select(outbox.c.id).where(permitted(actor, OUTBOX, "see"), *([_written_by(actor)] if mine else []))
    counts = []
    for stand in OPEN:
        which = seen.where(outbox.c.id.in_(sa.select(STANDS.c.id).where(STANDS.c.value == str(stand)))).limit(AT_MOST)
        counts.append(sa.select(sa.func.count()).select_from(which.subquery()).scalar_subquery().label(str(stand)))
    row = (await conn.execute(sa.select(*counts))).mappings().one()
    return {stand: row[str(stand)] for stand in OPEN}


def _written_by(actor: Actor) -> sa.ColumnElement[bool]:
    return outbox.c.message_id.in_(sa.select(messages.c.id).where(messages.c.author_id == actor.user_id))


async def count_stuck(conn: AsyncConnection, actor: Actor) -> int:
    """Count the actor's own mail that goes no further without a person, no further than 100."""
    stuck = sa.select(STANDS.c.id).where(STANDS.c.value.in_(list(map(str, STUCK))))
    some = sa.select(outbox.c.id).where(_written_by(actor), outbox.c.id.in_(stuck)).limit(100)
    return int((await conn.execute(sa.select(sa.func.count()).select_from(some.subquery()))).scalar_one())


async def backlogs(conn: AsyncConnection, actor: Actor) -> list[Backlog]:
    """Return the mailboxes of the actor's teams in which something waits, or which cannot send."""
    waits = outbox.c.state.in_(("queued", "sending", "deferred"))
    some = sa.select(outbox.c.mailbox_id, sa.func.count().label("waiting")).where(waits).group_by(outbox.c.mailbox_id)
    counts = some.subquery()
    waiting = sa.func.coalesce(counts.c.waiting, 0)
    every = [sa.true()] if actor.is_admin else []
    wanted = ("address", "send_state", "send_error", "send_error_at")
    query = (
        sa.select(mailboxes.c.id.label("mailbox_id"), *(mailboxes.c[name] for name in wanted), waiting.label("waiting"))
        .outerjoin(counts, counts.c.mailbox_id == mailboxes.c.id)
        .where(access.of_my_teams(actor, mailboxes.c.team_id))
        .where(sa.or_(mailboxes.c.owner_id.is_(None), mailboxes.c.owner_id == actor.user_id, *every))
        .where(sa.or_(waiting > 0, mailboxes.c.send_state != "ok"))
        .order_by(waiting.desc(), mailboxes.c.address)
        .limit(100)
    )
    rows = (await conn.execute(query)).mappings()
    return [Backlog(**{name: row[name] for name in Backlog.__slots__}) for row in rows]
