"""Where messages lie, kept in step with the server: flags of each place, places that are gone, and what follows.

A message is shown with the flags of its places and the wishes over them; with its last place gone it is marked as
deleted on the server, and stays. Invariants: places, the message and the folder's cursor change in one transaction;
nothing here makes or forgets a message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.audience import audience_of
from hub.mail.models import flag_wishes, folders, locations, mailboxes, messages
from hub.mail.sync.deltas import Delta, Flags, Ranges, fulfilled, plain, shown
from hub.store.changes import publish

AT_ONCE = 500
"""Rows of one statement."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """A folder under one UIDVALIDITY."""

    folder_id: int
    uidvalidity: int

    @property
    def here(self) -> sa.ColumnElement[bool]:
        return sa.and_(locations.c.folder_id == self.folder_id, locations.c.uidvalidity == self.uidvalidity)


async def stored(conn: AsyncConnection, epoch: Epoch, *, below: int, at_most: int = AT_ONCE) -> dict[int, Flags]:
    """Return the flags of the next places below a UID, the highest first, by UID."""
    query = sa.select(locations.c.uid, locations.c.flags).where(epoch.here, locations.c.uid < below)
    rows = await conn.execute(query.order_by(locations.c.uid.desc()).limit(at_most))
    return {row.uid: tuple(row.flags) for row in rows}


async def uid_below(conn: AsyncConnection, epoch: Epoch, uid: int, *, places: int) -> int | None:
    """Return the UID that stands so many places below `uid`, None where there are not so many."""
    query = sa.select(locations.c.uid).where(epoch.here, locations.c.uid < uid).order_by(locations.c.uid.desc())
    found = (await conn.execute(query.offset(places - 1).limit(1))).scalar()
    return int(found) if found is not None else None


async def how_many(conn: AsyncConnection, epoch: Epoch) -> int:
    """Count the places of an epoch."""
    query = sa.select(sa.func.count()).select_from(locations).where(epoch.here)
    return int((await conn.execute(query)).scalar_one())


async def apply(
    conn: AsyncConnection, epoch: Epoch, delta: Delta, *, columns: Mapping[str, Any], now: datetime
) -> set[int]:
    """Write a difference and the folder's `columns` with it; return the ids of the messages it touched."""
    touched = await _write_flags(conn, epoch, delta.flags)
    gone = await _remove(conn, epoch, delta.vanished)
    await renew(conn, touched - gone, now=now)
    await renew(conn, gone, now=now, have_lost=True)
    if columns:
        await conn.execute(sa.update(folders).where(folders.c.id == epoch.folder_id).values(**columns))
    return touched | gone


async def _write_flags(conn: AsyncConnection, epoch: Epoch, flags: Mapping[int, Flags]) -> set[int]:
    wanted = {uid: plain(words) for uid, words in flags.items()}
    touched: set[int] = set()
    for uids in _pieces(sorted(wanted)):
        query = sa.select(locations.c.id, locations.c.uid, locations.c.message_id, locations.c.flags)
        rows = (await conn.execute(query.where(epoch.here, locations.c.uid.in_(uids)))).all()
        other = [row for row in rows if tuple(row.flags) != wanted[row.uid]]
        if other:
            update = sa.update(locations).where(locations.c.id == sa.bindparam("place"))
            rows_of = [{"place": row.id, "words": list(wanted[row.uid])} for row in other]
            await conn.execute(update.values(flags=sa.bindparam("words")), rows_of)
        # What is as wanted counts, too: a wish may hang on it.
        touched |= {row.message_id for row in rows}
    return touched


async def _remove(conn: AsyncConnection, epoch: Epoch, vanished: Ranges) -> set[int]:
    touched: set[int] = set()
    for piece in _pieces(vanished, 100):
        inside = sa.or_(*(locations.c.uid.between(a, b) for a, b in piece))
        gone = sa.delete(locations).where(epoch.here, inside).returning(locations.c.message_id)
        touched |= set((await conn.execute(gone)).scalars())
    return touched


async def lock(conn: AsyncConnection, message_ids: Collection[int]) -> None:
    """Lock messages before their wishes, as everybody does: a wish that comes meanwhile waits, or is waited for."""
    for ids in _pieces(sorted(message_ids)):
        query = sa.select(messages.c.id).where(messages.c.id.in_(ids)).order_by(messages.c.id)
        (await conn.execute(query.with_for_update())).all()


async def renew(conn: AsyncConnection, message_ids: Collection[int], *, now: datetime, have_lost: bool = False) -> None:
    """Show messages as their places and wishes say now; wishes that every place shows are gone.

    `have_lost`: each lost a place, so one that lies nowhere any more was deleted.
    """
    for ids in _pieces(sorted(message_ids)):
        await lock(conn, ids)
        query = sa.select(
            *(messages.c[name] for name in ("id", "mailbox_id", "direction", "state", "flags", "deleted_at")),
            *(messages.c.client_id, mailboxes.c.team_id, mailboxes.c.owner_id),
        ).join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)
        rows = (await conn.execute(query.where(messages.c.id.in_(ids)))).all()
        places: dict[int, list[Flags]] = defaultdict(list)
        lies = sa.select(locations.c.message_id, locations.c.flags).where(locations.c.message_id.in_(ids))
        for row in await conn.execute(lies):
            places[row.message_id].append(tuple(row.flags))
        wishes: dict[int, dict[str, bool]] = defaultdict(dict)
        wished = sa.select(flag_wishes).where(flag_wishes.c.message_id.in_(ids))
        for row in await conn.execute(wished):
            wishes[row.message_id][row.flag] = row.wanted
        for message in rows:
            lost_at = now if have_lost else None
            await _renew_one(conn, message, places[message.id], wishes[message.id], lost_at=lost_at, now=now)


async def _renew_one(
    conn: AsyncConnection,
    row: Any,
    places: Sequence[Flags],
    wishes: Mapping[str, bool],
    *,
    lost_at: datetime | None,
    now: datetime,
) -> None:
    done = fulfilled(places, wishes) if places else set(wishes)
    if done:
        mine = (flag_wishes.c.message_id == row.id, flag_wishes.c.flag.in_(sorted(done)))
        await conn.execute(sa.delete(flag_wishes).where(*mine))
    flags = shown(places or [row.flags], wishes)
    deleted_at = None if places else row.deleted_at or lost_at
    if flags == row.flags and deleted_at == row.deleted_at:
        return
    update = sa.update(messages).where(messages.c.id == row.id)
    await conn.execute(update.values(flags=flags, deleted_at=deleted_at))
    data = {"direction": row.direction, "state": row.state, "flags": flags, "deleted": deleted_at is not None}
    to = audience_of(team_id=row.team_id, owner_id=row.owner_id)
    await publish(conn, "message", row.id, at=now, **to, client_id=row.client_id, data=data)


async def unlike(conn: AsyncConnection, epoch: Epoch, flags: Mapping[int, Flags]) -> set[int]:
    """Return those UIDs whose place or message does not show such flags, or whose message is marked as deleted."""
    wanted = {uid: plain(words) for uid, words in flags.items()}
    found: set[int] = set()
    for uids in _pieces(sorted(wanted)):
        query = sa.select(
            *(locations.c.uid, locations.c.flags.label("place"), messages.c.flags.label("shown")),
            messages.c.deleted_at,
        ).join(messages, messages.c.id == locations.c.message_id)
        for row in await conn.execute(query.where(epoch.here, locations.c.uid.in_(uids))):
            is_shown = tuple(row.place) == tuple(row.shown) == wanted[row.uid]
            if row.deleted_at is not None or not is_shown:
                found.add(row.uid)
    return found


async def arrived(conn: AsyncConnection, epoch: Epoch, flags: Mapping[int, Flags], *, now: datetime) -> None:
    """Note the flags of places that were just stored, and show messages that came back, or lie in one place more."""
    await renew(conn, await _write_flags(conn, epoch, flags), now=now)


async def show_what_came_back(conn: AsyncConnection, mailbox_id: int, *, now: datetime) -> None:
    """Show messages that are marked as deleted and lie somewhere all the same."""
    lies = sa.exists().where(locations.c.message_id == messages.c.id)
    back = sa.select(messages.c.id).where(messages.c.mailbox_id == mailbox_id, messages.c.deleted_at.is_not(None), lies)
    await renew(conn, list((await conn.execute(back)).scalars()), now=now)


async def forget(
    conn: AsyncConnection, folder_id: int, *, but_epoch: int | None, now: datetime, at_most: int = AT_ONCE
) -> int:
    """Remove places of a folder that lie in other epochs than `but_epoch` (None: all); return how many, some at a time.

    Called again until it returns 0.
    """
    mine = [locations.c.folder_id == folder_id]
    if but_epoch is not None:
        # Two ranges, since an index finds no "other than".
        mine.append(sa.or_(locations.c.uidvalidity < but_epoch, locations.c.uidvalidity > but_epoch))
    some = sa.select(locations.c.id).where(*mine).limit(at_most)
    ids = list((await conn.execute(some)).scalars())
    if ids:
        gone = sa.delete(locations).where(locations.c.id.in_(ids)).returning(locations.c.message_id)
        touched = set((await conn.execute(gone)).scalars())
        await renew(conn, touched, now=now, have_lost=True)
    return len(ids)


def _pieces(rows: Sequence[Any], size: int = AT_ONCE) -> list[Sequence[Any]]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]
