"""From the raw bytes of a mailbox to what is stored: each batch of messages is one transaction.

The bytes go to the blob store first, and are read, in a worker (`preparing`); then location, message, thread, link,
timeline, lead, queue item and the folder's cursor in one transaction, so a batch whose commit was lost may be fetched
again. A batch costs as many statements as one message. What cannot be parsed is stored all the same and shown raw.
Invariants: a location is stored once; the same bytes are one message of a mailbox; mail from before Hub's first look
makes no lead and nothing to do; what a person linked is never overwritten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import crash_points
from hub.crm import queue, timeline
from hub.crm.linking import Linked, Linker
from hub.crm.timeline import NewEntry
from hub.errors import HubError
from hub.mail import search
from hub.mail.audience import audience_of
from hub.mail.intake import authors, conversations, effects, offering, preparing
from hub.mail.intake.authors import OwnAddresses
from hub.mail.intake.effects import Stored
from hub.mail.intake.handing import prepare_all
from hub.mail.intake.preparing import Prepared, ReplyKey
from hub.mail.models import attachments, folders, locations, mailboxes, messages, outbox
from hub.mail.reading.events import is_answer
from hub.mail.register import timeline_data
from hub.mail.thread import own_addresses
from hub.store.blobs import BlobStore
from hub.store.changes import publish
from hub.store.engine import Database
from hub.store.ids import draw
from hub.store.upsert import insert

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 40
"""Rows written between two breaths of the event loop."""
FolderRole = Literal["inbox", "sent", "other"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message as the server gave it."""

    uid: int
    raw: bytes
    flags: tuple[str, ...]
    received_at: datetime
    gm_msgid: int | None = None
    """Gmail's id of the message, where the server tells it."""
    labels: tuple[str, ...] = ()
    """Gmail's labels."""


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """Where a batch lies: the folder's row, what it is for, and its epoch."""

    folder_id: int
    role: FolderRole
    uidvalidity: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """A message whose bytes are stored and read, beside what the server said of it."""

    arrived: Arrived
    prepared: Prepared

    @property
    def sha256(self) -> str:
        return self.prepared.sha256


@dataclass(slots=True)
class _Row:
    """A message that is new in the mailbox, on its way into it."""

    ready: _Ready
    linked: Linked
    id: int = 0
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MailIntake:
    """The intake of one mailbox. `parsers` runs `preparing` apart from the event loop."""

    db: Database
    blobs: BlobStore
    linker: Linker
    mailbox_id: int
    team_id: int
    parsers: Executor
    owner_id: int | None = None
    """Whose own mailbox it is: then nothing of it that is on no client's card is told, or offered, to the team."""
    reply_key: ReplyKey | None = None
    """None: ids of Hub's own form are believed as all others are."""
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock, compare=False)
    """Two connections of a mailbox may bring the same message at once: the second is to find the first."""

    async def store(
        self, place: FolderPlace, batch: Sequence[Arrived], *, cursor: Mapping[str, Any], is_new: bool, now: datetime
    ) -> int:
        """Store a batch and move the folder's `cursor` (columns of `mail_folders`) with it; return how many are new.

        `is_new` False is history: linked and on the card, but nothing to do. Raises Unavailable; then nothing moved.
        """
        prepared = await prepare_all(self.parsers, self.blobs, [one.raw for one in batch])
        ready = [_Ready(*both) for both in zip(batch, prepared, strict=True)]
        crash_points.point("mail.intake.prepared")
        try:
            return await self._commit(place, ready, cursor=cursor, is_new=is_new, now=now)
        except HubError:
            raise
        except Exception:
            if not ready:
                raise
            # A bug that one message brings out must not stop the mailbox: the others are stored, that one raw.
            log.exception("a batch of %d messages could not be stored; each goes by itself", len(ready))
        stored = 0
        for one in ready:
            stored += await self._commit_alone(place, one, is_new=is_new, now=now)
        await self._commit(place, [], cursor=cursor, is_new=is_new, now=now)
        return stored

    async def _commit(
        self, place: FolderPlace, ready: Sequence[_Ready], *, cursor: Mapping[str, Any], is_new: bool, now: datetime
    ) -> int:
        stored = 0
        async with self.one_at_a_time, self.db.begin() as conn:
            if ready:
                stored = await self._store_all(conn, place, ready, is_new=is_new, now=now)
            if cursor:
                await conn.execute(sa.update(folders).where(folders.c.id == place.folder_id).values(**cursor))
            crash_points.point("mail.intake.before_commit")
        crash_points.point("mail.intake.committed")
        return stored

    async def _commit_alone(self, place: FolderPlace, one: _Ready, *, is_new: bool, now: datetime) -> int:
        """Store one message as it was read; where that cannot be, its bytes alone, to be shown raw."""
        try:
            return await self._commit(place, [one], cursor={}, is_new=is_new, now=now)
        except HubError:
            raise
        except Exception:
            log.exception("message %s of folder %d is stored unread: %s", one.arrived.uid, place.folder_id, one.sha256)
        raw_only = _Ready(one.arrived, preparing.unread(one.arrived.raw, one.sha256))
        return await self._commit(place, [raw_only], cursor={}, is_new=is_new, now=now)

    async def _store_all(
        self, conn: AsyncConnection, place: FolderPlace, ready: Sequence[_Ready], *, is_new: bool, now: datetime
    ) -> int:
        there = await self._uids_there(conn, place, ready)
        ready = [
            one for one in {one.arrived.uid: one for one in reversed(ready)}.values() if one.arrived.uid not in there
        ]
        ready.reverse()
        known = await self._known(conn, place, ready)
        fresh = list({one.sha256: one for one in reversed(ready) if one.sha256 not in known}.values())[::-1]
        rows = await self._rows(conn, place, fresh, is_new=is_new, now=now)
        await self._write(conn, rows, now=now)
        known |= {row.ready.sha256: row.id for row in rows}
        await self._add_locations(conn, place, [(one, known[one.sha256]) for one in ready])
        await self._follow(conn, place, rows, is_new=is_new, now=now)
        return len(rows)

    async def _uids_there(self, conn: AsyncConnection, place: FolderPlace, ready: Sequence[_Ready]) -> set[int]:
        here = (locations.c.folder_id == place.folder_id, locations.c.uidvalidity == place.uidvalidity)
        uids = sa.select(locations.c.uid).where(*here, locations.c.uid.in_([one.arrived.uid for one in ready]))
        return set((await conn.execute(uids)).scalars())

    async def _known(self, conn: AsyncConnection, place: FolderPlace, ready: Sequence[_Ready]) -> dict[str, int]:
        """Return the messages that are stored already, by the hash of the bytes given: the same bytes, the same by
        Gmail's id, or our own copy.

        What Hub itself sent lies in Sent with other bytes perhaps, but with its Message-ID; what lies in Sent or was
        sent by Hub may be shown again in another folder (Gmail's All Mail), changed, but with its From and Message-ID.
        What comes into the INBOX has come: nobody hides a letter by naming an id of ours.
        """
        mine = messages.c.mailbox_id == self.mailbox_id
        same = sa.select(messages.c.raw_sha256, messages.c.id).where(
            mine, messages.c.raw_sha256.in_([one.sha256 for one in ready])
        )
        known = {row.raw_sha256: row.id for row in await conn.execute(same)}
        if of_gmail := {one.arrived.gm_msgid for one in ready if one.sha256 not in known} - {None}:
            alike = sa.select(messages.c.gm_msgid, messages.c.id).where(mine, messages.c.gm_msgid.in_(of_gmail))
            by_id = {row.gm_msgid: row.id for row in await conn.execute(alike)}
            known |= {o.sha256: by_id[o.arrived.gm_msgid] for o in ready if o.arrived.gm_msgid in by_id}
        left = [one for one in ready if one.sha256 not in known]
        if not (ids := {one.prepared.values["message_id"] for one in left} - {""}):
            return known
        own = (
            sa.select(messages.c.message_id, messages.c.from_address, messages.c.id, outbox.c.id.label("outbox_id"))
            .join(outbox, outbox.c.message_id == messages.c.id, isouter=True)
            .where(mine, messages.c.message_id.in_(ids), messages.c.direction == "out")
        )
        sent = {row.message_id: row for row in await conn.execute(own)}
        for one in left:
            if (row := sent.get(one.prepared.values["message_id"])) is None:
                continue
            by_hub = place.role == "sent" and row.outbox_id is not None
            if by_hub or (place.role != "inbox" and row.from_address == one.prepared.values["from_address"]):
                known[one.sha256] = row.id
        return known

    async def _rows(
        self, conn: AsyncConnection, place: FolderPlace, fresh: Sequence[_Ready], *, is_new: bool, now: datetime
    ) -> list[_Row]:
        """Return the rows of new messages: whose they are, in which thread, under which ids."""
        is_out = place.role == "sent"
        if not is_out:
            own = OwnAddresses.of(self.linker.own_emails)
            fresh = [replace(one, prepared=authors.with_author(one.prepared, own)) for one in fresh]
        linked = await whose_is(conn, self.linker, [one.prepared for one in fresh], is_out=is_out)
        rows = [_Row(one, whose) for one, whose in zip(fresh, linked, strict=True)]
        letters = [
            preparing.letter(
                row.ready.prepared,
                at=row.ready.arrived.received_at,
                is_out=is_out,
                is_new=is_new,
                reply_key=self.reply_key,
                client_id=row.linked.best.client_id if row.linked.best else None,
            )
            for row in rows
        ]
        persons = [row.linked.best.contact_id if row.linked.best else None for row in rows]
        joined = await conversations.join_all(conn, letters, contacts=persons, mailbox_id=self.mailbox_id, now=now)
        ids = await draw(conn, messages, len(rows))
        for row, thread, message_id in zip(rows, joined, ids, strict=True):
            arrived, prepared = row.ready.arrived, row.ready.prepared
            row.id = message_id
            row.values = {
                **prepared.values,
                **owner_of(row.linked, thread),
                "id": message_id,
                "mailbox_id": self.mailbox_id,
                "thread_id": thread.thread_id,
                "direction": "out" if is_out else "in",
                "state": "sent" if is_out else "received",
                "received_at": arrived.received_at,
                "parse_attempts": prepared.attempts,
                "flags": _flags(arrived),
                "gm_msgid": arrived.gm_msgid,
                "about": prepared.values["about"] | ({"labels": list(arrived.labels)} if arrived.labels else {}),
                "link_manual": False,
                "candidates": [asdict(candidate) for candidate in row.linked.candidates],
            }
        return rows

    async def _write(self, conn: AsyncConnection, rows: Sequence[_Row], *, now: datetime) -> None:
        """Write messages, attachments, words of the search, timeline and feed: a few rows at a time."""
        files = sum(len(row.ready.prepared.files) for row in rows)
        to = audience_of(team_id=self.team_id, owner_id=self.owner_id)
        file_ids = iter(await draw(conn, attachments, files))
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            of_files: list[dict[str, Any]] = []
            for row in some:
                prepared = row.ready.prepared
                ids = [next(file_ids) for _ in prepared.files]
                of_files += [{**f, "id": n, "message_id": row.id} for f, n in zip(prepared.files, ids, strict=True)]
                row.values["html"] = prepared.html_with(ids)
            await conn.execute(messages.insert(), [row.values for row in some])
            if of_files:
                await conn.execute(attachments.insert(), of_files)
            words = {row.id: row.ready.prepared.reading.terms for row in some if row.ready.prepared.reading}
            await search.add(conn, words)
            told = []
            for row in some:
                v = row.values
                trace = row.ready.sha256[:16]
                log.info(
                    "message %d: uid %d of mailbox %d",
                    row.id,
                    row.ready.arrived.uid,
                    self.mailbox_id,
                    extra={"trace": trace},
                )
                data = {"direction": v["direction"], "state": v["state"], "thread": v["thread_id"], "trace": trace}
                client_id = v["client_id"]
                await publish(conn, "message", row.id, at=now, **to, client_id=client_id, data=data)
                if client_id is not None:
                    told.append(NewEntry(row.id, client_id, v["contact_id"], v["received_at"], timeline_data(v)))
            await timeline.put_all(conn, "message", told, now=now)

    async def _add_locations(
        self, conn: AsyncConnection, place: FolderPlace, found: Sequence[tuple[_Ready, int]]
    ) -> None:
        here = {"folder_id": place.folder_id, "uidvalidity": place.uidvalidity}
        rows = [
            {**here, "uid": one.arrived.uid, "message_id": message_id, "flags": _flags(one.arrived)}
            for one, message_id in found
        ]
        if rows:
            await conn.execute(insert(conn, locations).on_conflict_do_nothing(), rows)

    async def _follow(
        self, conn: AsyncConnection, place: FolderPlace, rows: Sequence[_Row], *, is_new: bool, now: datetime
    ) -> None:
        """Do what follows from new messages: queue, leads, and what `effects` knows of."""
        if place.role == "sent":
            await self._settle_answered(conn, rows, now=now)
        elif rows:
            newest = max(row.values["received_at"] for row in rows)
            older = sa.or_(mailboxes.c.last_mail_at.is_(None), mailboxes.c.last_mail_at < newest)
            mine = sa.update(mailboxes).where(mailboxes.c.id == self.mailbox_id, older)
            await conn.execute(mine.values(last_mail_at=newest))
        if place.role != "sent" and is_new:
            offered = [(row.values, row.linked) for row in rows]
            await offering.offer_all(conn, offered, team_id=self.team_id, owner_id=self.owner_id, now=now)
        stored = [
            Stored(
                id=row.id,
                mailbox_id=self.mailbox_id,
                team_id=self.team_id,
                thread_id=row.values["thread_id"],
                direction=row.values["direction"],
                is_new=is_new,
                parsed=row.ready.prepared.parsed,
                raw=row.ready.arrived.raw,
                received_at=row.values["received_at"],
            )
            for row in rows
            if row.ready.prepared.parsed is not None
        ]
        if stored:
            await effects.follow_up(conn, stored, now=now)

    async def _settle_answered(self, conn: AsyncConnection, rows: Sequence[_Row], *, now: datetime) -> None:
        """Close what these answers of ours answered: history is read backwards, and answers nothing newer."""
        answered: dict[int, datetime] = {}
        for row in rows:
            if is_answer(row.values["about"]):
                # That somebody comes to a meeting answers no letter.
                continue
            thread, at = row.values["thread_id"], row.values["received_at"]
            answered[thread] = max(at, answered.get(thread, at))
        open_items = await queue.of_things(conn, "message", answered)
        waiting = [thread for thread, item in open_items.items() if item.state != "done"]
        if not waiting:
            return
        newest = sa.select(messages.c.thread_id, sa.func.max(messages.c.received_at).label("at"))
        newest = newest.where(messages.c.thread_id.in_(waiting), messages.c.direction == "in")
        heard = {row.thread_id: row.at for row in await conn.execute(newest.group_by(messages.c.thread_id))}
        for thread in waiting:
            if thread not in heard or heard[thread] <= answered[thread]:
                await queue.close(conn, "message", thread, now=now)


async def ours(conn: AsyncConnection, linker: Linker) -> OwnAddresses:
    """Return what is ours, with the mailboxes that somebody added on the page."""
    return OwnAddresses.of(linker.own_emails | await own_addresses(conn))


async def whose_is(conn: AsyncConnection, linker: Linker, found: Sequence[Prepared], *, is_out: bool) -> list[Linked]:
    """Tell whose mail each is: the sender's, or for our own mail the first recipient's that somebody knows."""
    asked: list[list[str]] = []
    for one in found:
        people = () if one.parsed is None else (*one.parsed.to, *one.parsed.cc)[:20] if is_out else (one.parsed.from_,)
        asked.append([person.address for person in people if person is not None])
    answers = await linker.by_emails(conn, {address for some in asked for address in some})
    nobody = Linked(None, (), None)
    return [
        authors.likely(
            next(
                (answers[address] for address in some if answers[address].best), answers[some[-1]] if some else nobody
            ),
            one.values["about"],
        )
        for one, some in zip(found, asked, strict=True)
    ]


def _flags(arrived: Arrived) -> list[str]:
    return sorted(flag.lstrip("\\").lower() for flag in arrived.flags)


def owner_of(linked: Linked, thread: conversations.Joined) -> dict[str, Any]:
    """The client and contact: by the address; else the thread's, as likely only, since ids can be forged."""
    best = linked.best
    if best is not None:
        who = {"client_id": best.client_id, "contact_id": best.contact_id}
        return {**who, "link_reason": best.reason, "link_confidence": best.confidence}
    if linked.is_own or thread.client_id is None:
        return {"client_id": None, "contact_id": None, "link_reason": None, "link_confidence": None}
    return {"client_id": thread.client_id, "contact_id": None, "link_reason": "thread", "link_confidence": "likely"}
