"""What the sender asks of the outbox's rows: what is due, what became of it, what is still to be found out.

Decides what an outcome of `smtp` means for the rows, when a deferred message is tried again and when Hub gives up.
Speaks to no peer. A message is picked up in memory first (`next_due`), which leaves no trace; it is marked `sending`
(`mark`) once its recipients are accepted and its DATA comes next. Invariants: a row is `sending` in a committed
transaction before the first byte of its data goes out; only recipients that surely did not get a message are tried
again; an `unknown` one is decided by the mailbox itself (its Message-ID is there) or by a person; an outcome that
comes late never takes back what is newer than it.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.audience import audience_of
from hub.mail.models import locations, mailboxes, messages, outbox, outbox_recipients
from hub.mail.sending import smtp, verdicts
from hub.mail.sending.outbox import WAITING, mark_recipients, show_all, summarise
from hub.store.changes import publish

SIGN_IN_RETRY_AFTER = timedelta(minutes=5)
LOOK_AFTER = timedelta(seconds=5)
LOOK_UP_FOR = timedelta(hours=1)
"""How long Hub keeps looking into Sent for a message of unknown fate, before only a person can decide."""

STALE_AFTER = timedelta(hours=24)
"""What was due longer ago than this when Hub starts is a person's to decide: it may come from a restored backup."""

LOOK_FIRST_AFTER = timedelta(minutes=15)
"""What was due longer ago than this when Hub starts is looked for in the mailbox before it goes out."""

COPY_WAITS = tuple(timedelta(seconds=s) for s in (30, 60, 300, 900, 3600, 3600, 3600))


@dataclass(frozen=True, slots=True)
class Due:
    """A message that is being sent: what goes out, to whom it still has to go, and which attempt this is.

    `since` identifies the attempt once it is marked `sending`, so that no outcome is taken for another attempt's;
    None: no byte of its data went out.
    """

    id: int
    message_id: int
    rfc_message_id: str
    raw_sha256: str
    from_address: str
    recipients: tuple[str, ...]
    attempts: int
    date: datetime
    since: datetime | None = None
    copy_tries: int = 0
    size: int = 0


async def next_due(
    conn: AsyncConnection, mailbox_id: int, *, now: datetime, at_most: int = 1, but_not: Collection[int] = ()
) -> list[Due]:
    """Return the first messages of a mailbox whose turn it is, without those in `but_not`. Changes nothing."""
    if at_most <= 0:
        return []
    params = {"box": mailbox_id, "moment": now, "most": at_most, "but": sorted(but_not)}
    rows = (await conn.execute(_DUE, params)).all()
    if not rows:
        return []
    found = await _dues(conn, rows, states=WAITING)
    return [replace(one, attempts=one.attempts + 1, since=None) for one in found]


_MOMENT: sa.BindParameter[datetime] = sa.bindparam("moment", type_=outbox.c.not_before.type)
_IS_DUE = sa.and_(
    outbox.c.state.in_(WAITING),
    outbox.c.not_before <= _MOMENT,
    sa.or_(outbox.c.undo_until.is_(None), outbox.c.undo_until <= _MOMENT),
)
_DUE = (
    sa.select(outbox)
    .where(outbox.c.mailbox_id == sa.bindparam("box"), _IS_DUE, outbox.c.id.not_in(sa.bindparam("but", expanding=True)))
    .order_by(outbox.c.not_before, outbox.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer()))
)


async def mark(conn: AsyncConnection, dues: Sequence[Due], *, now: datetime) -> set[int]:
    """Mark messages as being sent, right before their data; return the ids of those that may go.

    One statement decides: a message that was taken back, or is another sender's, is left out. The caller commits
    before the first byte. Marking again by the same `since` changes nothing, so that a lost commit can be repeated.
    """
    marked: dict[int, int] = {}
    for since in sorted({one.since for one in dues if one.since is not None}):
        pairs = [(one.id, one.attempts - 1) for one in dues if one.since == since]
        params = {"moment": now, "since": since, "pairs": pairs, "ids": [which for which, _ in pairs]}
        marked |= {row.id: row.message_id for row in await conn.execute(_MARKING, params)}
    await show_all(conn, dict.fromkeys(marked.values(), "sending"), now=now)
    return set(marked)


_SINCE: sa.BindParameter[datetime] = sa.bindparam("since", type_=outbox.c.sending_since.type)
_IS_SENDING = outbox.c.state == "sending"
_MARKING = (
    sa.update(outbox)
    .where(
        outbox.c.id.in_(sa.bindparam("ids", expanding=True)),
        sa.or_(
            sa.and_(_IS_DUE, sa.tuple_(outbox.c.id, outbox.c.attempts).in_(sa.bindparam("pairs", expanding=True))),
            sa.and_(_IS_SENDING, outbox.c.sending_since == _SINCE),
        ),
    )
    .values(
        state="sending",
        sending_since=_SINCE,
        attempts=sa.case((_IS_SENDING, outbox.c.attempts), else_=outbox.c.attempts + 1),
    )
    .returning(outbox.c.id, outbox.c.message_id)
)


_WANTED = ("id", "message_id", "raw_sha256", "from_address", "date", "received_at", "size")
_ABOUT = sa.select(*(messages.c[name] for name in _WANTED)).where(
    messages.c.id.in_(sa.bindparam("ids", expanding=True))
)


async def _dues(conn: AsyncConnection, rows: Sequence[sa.Row[Any]], *, states: Collection[str]) -> list[Due]:
    about = {row.id: row for row in await conn.execute(_ABOUT, {"ids": [row.message_id for row in rows]})}
    named: dict[int, list[str]] = {}
    if states:
        for one in await conn.execute(_ADDRESSES, {"ids": [row.id for row in rows], "states": list(states)}):
            named.setdefault(one.outbox_id, []).append(one.address)
    return [
        Due(
            row.id,
            row.message_id,
            about[row.message_id].message_id,
            about[row.message_id].raw_sha256,
            about[row.message_id].from_address,
            tuple(named.get(row.id, ())),
            row.attempts,
            about[row.message_id].date or about[row.message_id].received_at,
            row.sending_since,
            row.copy_tries,
            about[row.message_id].size,
        )
        for row in rows
    ]


_ADDRESSES = (
    sa.select(outbox_recipients.c.outbox_id, outbox_recipients.c.address)
    .where(
        outbox_recipients.c.outbox_id.in_(sa.bindparam("ids", expanding=True)),
        outbox_recipients.c.state.in_(sa.bindparam("states", expanding=True)),
    )
    .order_by(outbox_recipients.c.id)
)


async def settle(conn: AsyncConnection, due: Due, outcome: smtp.Outcome, *, now: datetime) -> None:
    """Write what became of an attempt, for each recipient and for the message as a whole."""
    await settle_all(conn, [(due, outcome)], now=now)


async def settle_all(
    conn: AsyncConnection, attempts: Sequence[tuple[Due, smtp.Outcome]], *, now: datetime, jitter: float | None = None
) -> None:
    """The same for several attempts at once."""
    if not attempts:
        return
    ids = [due.id for due, _ in attempts]
    held = {row.id: row for row in await conn.execute(_holding(conn.dialect.name), {"ids": ids})}
    values: dict[int, dict[str, Any]] = {}
    replies: list[dict[str, Any]] = []
    for due, outcome in attempts:
        row = held[due.id]
        if due.since is None:
            is_ours = row.state in WAITING and row.attempts == due.attempts - 1
        else:
            is_ours = row.state in ("sending", "unknown") and row.sending_since == due.since
        reason, why = _reason_of(outcome)
        part = secrets.randbelow(1000) / 1000 if jitter is None else jitter
        delay = verdicts.wait_before(due.attempts, why, jitter=part)
        for reply in outcome.replies:
            # A late outcome of an attempt that somebody else has decided meanwhile: what arrived has arrived.
            if is_ours or reply.state == "sent":
                state = "refused" if reply.state == "deferred" and delay is None else reply.state
                told = {"of": due.id, "to": reply.address, "is": state, "said": reply.code, "words": reply.text[:300]}
                replies.append(told)
        if is_ours:
            is_sign_in = isinstance(outcome, smtp.Deferred) and outcome.is_sign_in
            wait = max(delay or timedelta(0), SIGN_IN_RETRY_AFTER if is_sign_in else timedelta(0))
            if isinstance(outcome, smtp.Unknown):
                wait = LOOK_AFTER
            values[due.id] = {"reason": reason, "not_before": now + wait}
            if due.since is None:
                values[due.id]["attempts"] = due.attempts
        elif row.state in WAITING:
            values[due.id] = {}
    if replies:
        await conn.execute(_ANSWERED, replies)
    await summarise(conn, values, now=now, message_ids={due.id: due.message_id for due, _ in attempts})


@functools.cache
def _holding(dialect: str) -> Any:
    query = sa.select(outbox.c.id, outbox.c.state, outbox.c.sending_since, outbox.c.attempts)
    query = query.where(outbox.c.id.in_(sa.bindparam("ids", expanding=True)))
    return query.with_for_update() if dialect == "postgresql" else query


_ANSWERED = (
    sa.update(outbox_recipients)
    .where(outbox_recipients.c.outbox_id == sa.bindparam("of"), outbox_recipients.c.address == sa.bindparam("to"))
    .values(state=sa.bindparam("is"), code=sa.bindparam("said"), reply=sa.bindparam("words"))
)


def _reason_of(outcome: smtp.Outcome) -> tuple[str, verdicts.Why]:
    """Return what to show of an outcome, and by which waits it is tried again."""
    told = next((reply for reply in outcome.replies if reply.state == "deferred" and reply.text), None)
    why: verdicts.Why = verdicts.why_of(told.code, told.text) if told else "other"
    if isinstance(outcome, smtp.Refused | smtp.Deferred | smtp.Unknown):
        return outcome.reason, why
    return next((reply.text for reply in outcome.replies if reply.state != "sent" and reply.text), ""), why


async def settle_left_over(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> int:
    """Call what a process that died was sending `unknown`: nobody knows whether it arrived. Return how many."""
    query = sa.select(outbox).where(outbox.c.mailbox_id == mailbox_id, outbox.c.state == "sending")
    return await _hold(conn, (await conn.execute(query)).all(), reason="interrupted", now=now)


async def hold_stale(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> int:
    """Hold for a person what should have gone out more than a day ago; return how many.

    Hub was down that long, or its database is an older state brought back, and then the message may have gone.
    """
    is_stale = outbox.c.not_before < sa.literal(now - STALE_AFTER, outbox.c.not_before.type)
    mine = (outbox.c.mailbox_id == mailbox_id, outbox.c.state.in_(WAITING), is_stale)
    rows = (await conn.execute(sa.select(outbox).where(*mine))).all()
    held = await _hold(conn, rows, reason="held_old", now=now)
    # From now on it is looked for in Sent, as any message of unknown fate.
    since = sa.update(outbox).where(outbox.c.id.in_([row.id for row in rows])).values(sending_since=now)
    await conn.execute(since)
    return held


async def _hold(conn: AsyncConnection, rows: Sequence[sa.Row[Any]], *, reason: str, now: datetime) -> int:
    if rows:
        ids = [row.id for row in rows]
        await mark_recipients(conn, ids, WAITING, {"state": "unknown", "reply": "", "code": None})
        values = {"reason": reason, "not_before": now}
        await summarise(conn, dict.fromkeys(ids, values), now=now, message_ids={r.id: r.message_id for r in rows})
    return len(rows)


def _nobody_has_it() -> sa.ColumnElement[bool]:
    """True of rows that went out to nobody yet: a copy in the mailbox is no proof where an earlier attempt made it."""
    sent = sa.select(outbox_recipients.c.id).where(
        outbox_recipients.c.outbox_id == outbox.c.id, outbox_recipients.c.state == "sent"
    )
    return sa.and_(outbox.c.copy_state == "none", ~sent.exists())


async def to_look_up_first(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> list[Due]:
    """Return what should have gone out a while ago: before it does, the mailbox is asked whether it has."""
    is_old = outbox.c.not_before < sa.literal(now - LOOK_FIRST_AFTER, outbox.c.not_before.type)
    mine = (outbox.c.mailbox_id == mailbox_id, outbox.c.state.in_(WAITING), is_old, _nobody_has_it())
    rows = (await conn.execute(sa.select(outbox).where(*mine).order_by(outbox.c.id))).all()
    return await _dues(conn, rows, states=()) if rows else []


def _unknown_and_due(mailbox_id: int, now: datetime) -> sa.ColumnElement[bool]:
    is_due = sa.and_(outbox.c.not_before <= now, outbox.c.sending_since > now - LOOK_UP_FOR)
    return sa.and_(outbox.c.mailbox_id == mailbox_id, outbox.c.state == "unknown", is_due, _nobody_has_it())


async def has_unknown(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> bool:
    """Tell whether `unknown_to_look_up` would return something."""
    query = sa.select(outbox.c.id).where(_unknown_and_due(mailbox_id, now)).limit(1)
    return (await conn.execute(query)).first() is not None


async def unknown_to_look_up(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> list[Due]:
    """Return messages of unknown fate whose turn it is to be looked for, and push their next turn back."""
    query = sa.select(outbox).where(_unknown_and_due(mailbox_id, now))
    rows = (await conn.execute(query.order_by(outbox.c.id).limit(50))).all()
    for row in rows:
        # Ever longer waits: as long again as it has been unknown already.
        wait = max(now - row.sending_since, timedelta(seconds=5))
        await conn.execute(sa.update(outbox).where(outbox.c.id == row.id).values(not_before=now + wait))
    return await _dues(conn, rows, states=("unknown",)) if rows else []


async def seen_in_mailbox(conn: AsyncConnection, mailbox_id: int, dues: Sequence[Due]) -> set[int]:
    """Return the ids of those that the reader has met in a folder of the mailbox, by their Message-ID.

    Nobody but a recipient knows the Message-ID of what Hub wrote, so wherever it lies, the message has gone out.
    """
    known = sa.select(messages.c.message_id).join(locations, locations.c.message_id == messages.c.id)
    ids = [due.rfc_message_id for due in dues]
    found = set(
        (await conn.execute(known.where(messages.c.mailbox_id == mailbox_id, messages.c.message_id.in_(ids)))).scalars()
    )
    return {due.id for due in dues if due.rfc_message_id in found}


async def settle_found(conn: AsyncConnection, due: Due, *, now: datetime) -> None:
    """The message was found in the mailbox: it went out, and its copy is there."""
    which = (outbox.c.id == due.id, outbox.c.state.in_((*WAITING, "unknown")))
    if (await conn.execute(sa.select(outbox.c.id).where(*which))).first() is None:
        return
    await mark_recipients(conn, [due.id], (*WAITING, "unknown"), {"state": "sent"})
    values = {"copy_state": "done", "not_before": now}
    await summarise(conn, {due.id: values}, now=now, message_ids={due.id: due.message_id})


async def copies_wanted(conn: AsyncConnection, mailbox_id: int, *, now: datetime, wait: timedelta) -> list[Due]:
    """Return sent messages whose copy is not in the Sent folder yet and whose turn it is, oldest first.

    `wait` is how long after the sending the server has to put it there by itself.
    """
    had_time = sa.or_(outbox.c.sending_since.is_(None), outbox.c.sending_since <= now - wait)
    is_turn = sa.or_(outbox.c.copy_after <= now, sa.and_(outbox.c.copy_after.is_(None), had_time))
    query = sa.select(outbox).where(outbox.c.mailbox_id == mailbox_id, outbox.c.copy_state == "wanted", is_turn)
    rows = (await conn.execute(query.order_by(outbox.c.id).limit(50))).all()
    return await _dues(conn, rows, states=()) if rows else []


async def copies_done(conn: AsyncConnection, outbox_ids: Sequence[int]) -> None:
    done = sa.update(outbox).where(outbox.c.id.in_(outbox_ids))
    await conn.execute(done.values(copy_state="done", copy_error=""))


async def copy_failed(conn: AsyncConnection, due: Due, reason: str, *, now: datetime) -> None:
    """The copy was refused; it is tried again a few times, then a person is shown why."""
    is_last = due.copy_tries >= len(COPY_WAITS)
    wait = COPY_WAITS[min(due.copy_tries, len(COPY_WAITS) - 1)]
    values = {"copy_tries": due.copy_tries + 1, "copy_after": now + wait, "copy_error": reason[:300]}
    state = "failed" if is_last else "wanted"
    await conn.execute(sa.update(outbox).where(outbox.c.id == due.id).values(**values, copy_state=state))
    if is_last:
        await show_all(conn, {due.message_id: "sent"}, now=now)


async def show_health(conn: AsyncConnection, mailbox_id: int, state: str, error: str, *, now: datetime) -> bool:
    """Write how sending from a mailbox goes; tell the pages when it changed, and return whether it did."""
    mine = mailboxes.c.id == mailbox_id
    other = sa.update(mailboxes).where(mine, mailboxes.c.send_state != state)
    values = {"send_state": state, "send_error": error[:300], "send_error_at": None if state == "ok" else now}
    whose = (mailboxes.c.team_id, mailboxes.c.owner_id)
    changed = (await conn.execute(other.values(**values).returning(*whose))).first()
    if changed is None:
        return False
    to = audience_of(team_id=changed.team_id, owner_id=changed.owner_id)
    await publish(conn, "mailbox", mailbox_id, at=now, **to, data={"send_state": state})
    return True


async def limits_of(conn: AsyncConnection, mailbox_id: int) -> int | None:
    """Return what the mailbox's page says of messages per minute, None where it says nothing."""
    query = sa.select(mailboxes.c.sends_per_min).where(mailboxes.c.id == mailbox_id)
    found: int | None = (await conn.execute(query)).scalar()
    return found
