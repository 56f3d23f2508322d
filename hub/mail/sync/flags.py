"""What people want of a message's flags: written down at once, shown at once, carried out by the mailbox's session.

A wish is a row until the server shows it in every place of the message; the page shows it meanwhile. Decides who may
wish and which flags there are. Invariant: wish and shown flag are one transaction, so a page never shows what nobody
will carry out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.errors import Forbidden, Refused
from hub.mail import register
from hub.mail.models import flag_wishes, locations, mailboxes, messages
from hub.mail.sync import places
from hub.store.engine import hint_after_commit
from hub.store.upsert import insert

TOPIC = "mail.wishes"
NAMES: Mapping[str, str] = {
    "seen": "\\Seen",
    "answered": "\\Answered",
    "flagged": "\\Flagged",
    "$forwarded": "$Forwarded",
}
"""What may be wished for, and how IMAP spells it (RFC 3501, 2.3.2; RFC 5788)."""
ATTEMPTS_AT_MOST = 10
"""A server that took a flag so often and still does not show it does not keep such flags."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Task:
    """One STORE to do: of messages in one folder, one flag on or off. The UIDs are of this `uidvalidity` alone."""

    folder_id: int
    uidvalidity: int
    flag: str
    wanted: bool
    uids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a message of which something is wished; `has_it`: the server showed it so when last seen."""

    message_id: int
    folder_id: int
    uidvalidity: int
    uid: int
    flag: str
    wanted: bool
    has_it: bool


def plan(due: Collection[Place], *, at_most: int = 500) -> list[Task]:
    """Put wishes together into as few commands as there are folders, flags and directions. Pure."""
    grouped: dict[tuple[int, int, str, bool], list[int]] = defaultdict(list)
    for one in due:
        if one.has_it is not one.wanted:
            grouped[one.folder_id, one.uidvalidity, one.flag, one.wanted].append(one.uid)
    tasks = []
    for about, uids in sorted(grouped.items()):
        ordered = sorted(uids)
        for at in range(0, len(ordered), at_most):
            tasks.append(Task(*about, tuple(ordered[at : at + at_most])))
    return tasks


def pause(attempts: int) -> timedelta:
    """How long a wish rests after so many attempts."""
    return min(_FIRST_PAUSE * (1 << min(attempts, 20)), _LONGEST_PAUSE)


async def wish(conn: AsyncConnection, actor: Actor, message_id: int, flag: str, wanted: bool, now: datetime) -> None:
    """Want a flag of a message to be on or off. Raises NotFound, Forbidden, Refused for a flag that is none of ours."""
    if flag not in NAMES:
        raise Refused("bad_flag", f"{flag!r} is none of {', '.join(NAMES)}", field="flag")
    message = await register.find(conn, actor, message_id)
    mine = access.mailbox_writable(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
    here = sa.select(mailboxes.c.id).where(mailboxes.c.id == message.mailbox_id, mine)
    if (await conn.execute(here)).first() is None:
        raise Forbidden("forbidden", "the mailbox is another team's, or another person's own")
    await _write(conn, message.mailbox_id, message_id, flag, wanted, now=now)


async def wish_answered_by(conn: AsyncConnection, sent: Collection[int], *, now: datetime) -> None:
    r"""Want what these sent messages answer to be \Seen and \Answered, where their own mailbox holds it."""
    answer = messages.alias()
    query = sa.select(messages.c.id, messages.c.mailbox_id).join(
        answer,
        sa.and_(answer.c.mailbox_id == messages.c.mailbox_id, answer.c.in_reply_to == messages.c.message_id),
    )
    query = query.where(answer.c.id.in_(sorted(sent)), answer.c.in_reply_to != "", messages.c.direction == "in")
    for row in (await conn.execute(query.distinct().order_by(messages.c.id))).all():
        await wish_answered(conn, row.mailbox_id, row.id, now)


async def wish_answered(conn: AsyncConnection, mailbox_id: int, message_id: int, now: datetime) -> None:
    r"""Want a message to be \Seen and \Answered, since an answer to it went out of this mailbox."""
    for flag in ("seen", "answered"):
        await _write(conn, mailbox_id, message_id, flag, True, now=now)


async def _write(
    conn: AsyncConnection, mailbox_id: int, message_id: int, flag: str, wanted: bool, *, now: datetime
) -> None:
    await places.lock(conn, [message_id])
    values = {"wanted": wanted, "attempts": 0, "not_before": now}
    row = insert(conn, flag_wishes).values(mailbox_id=mailbox_id, message_id=message_id, flag=flag, **values)
    await conn.execute(row.on_conflict_do_update(index_elements=["message_id", "flag"], set_=values))
    await places.renew(conn, [message_id], now=now)
    hint_after_commit(conn, TOPIC)


async def due(conn: AsyncConnection, mailbox_id: int, *, now: datetime, at_most: int = 2000) -> list[Place]:
    """Return the places of the messages whose wishes are due."""
    wished = flag_wishes.alias()
    some = (
        sa.select(wished.c.id)
        .where(wished.c.mailbox_id == mailbox_id, wished.c.not_before <= now)
        .order_by(wished.c.not_before, wished.c.id)
        .limit(at_most)
    )
    query = (
        sa.select(
            *(flag_wishes.c[name] for name in ("message_id", "flag", "wanted")),
            *(locations.c[name] for name in ("folder_id", "uidvalidity", "uid", "flags")),
        )
        .join(locations, locations.c.message_id == flag_wishes.c.message_id)
        .where(flag_wishes.c.id.in_(some))
        .order_by(locations.c.id)
    )
    rows = await conn.execute(query)
    return [
        Place(row.message_id, row.folder_id, row.uidvalidity, row.uid, row.flag, row.wanted, row.flag in row.flags)
        for row in rows
    ]


async def rest(conn: AsyncConnection, tried: Collection[int], *, now: datetime) -> int:
    """Let wishes of messages that were `tried` rest a while where they are due still; give up those tried too often.

    Returns how many were given up: those messages are shown again as the server has them. `now` is when they were due:
    what was wished since then is another wish.
    """
    await places.lock(conn, tried)
    still = sa.select(flag_wishes).where(flag_wishes.c.message_id.in_(sorted(tried)), flag_wishes.c.not_before <= now)
    given_up: set[int] = set()
    for row in (await conn.execute(still)).all():
        mine = (flag_wishes.c.id == row.id, flag_wishes.c.wanted == row.wanted)
        if row.attempts + 1 >= ATTEMPTS_AT_MOST:
            await conn.execute(sa.delete(flag_wishes).where(*mine))
            given_up.add(row.message_id)
        else:
            values = {"attempts": row.attempts + 1, "not_before": now + pause(row.attempts)}
            await conn.execute(sa.update(flag_wishes).where(*mine).values(**values))
    await places.renew(conn, given_up, now=now)
    return len(given_up)
