"""From the raw bytes of a mailbox to what is stored: each batch of messages is one transaction.

The bytes go to the blob store first; then location, message, thread, link, timeline, lead, queue item and the
folder's cursor in one transaction, so a batch whose commit was lost may be fetched again. What cannot be parsed is
stored all the same and shown raw. Invariants: a location is stored once; the same bytes are one message of a mailbox;
mail from before Hub's first look makes no lead and nothing to do; what a person linked is never overwritten.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import guard
from hub.crm import leads, queue, timeline
from hub.crm.linking import Linked, Linker
from hub.crm.models import clients
from hub.errors import HubError
from hub.mail import search
from hub.mail.audience import audience_of
from hub.mail.intake import conversations
from hub.mail.models import attachments, folders, locations, messages, outbox, threads
from hub.mail.reading import mime, parsing
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import ParsedMessage
from hub.mail.reading.parsing import Reading
from hub.mail.register import timeline_data
from hub.store.blobs import BlobStore
from hub.store.changes import tell
from hub.store.engine import Database
from hub.store.upsert import insert

log = logging.getLogger(__name__)

SMALL_BYTES = 8 * 1024
"""Measured: HTML takes 0.7 ms a KB to read; more than 5 ms belongs to a worker."""
PARSE_WITHIN = timedelta(minutes=5)
"""Includes waiting for a worker; the worker itself is ended long before."""
FolderRole = Literal["inbox", "sent", "other"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message as the server gave it."""

    uid: int
    raw: bytes
    flags: tuple[str, ...]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """Where a batch lies: the folder's row, what it is for, and its epoch."""

    folder_id: int
    role: FolderRole
    uidvalidity: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """A message whose bytes are stored and read; `reading` None where that failed."""

    arrived: Arrived
    sha256: str
    reading: Reading | None
    file_hashes: tuple[str, ...]

    @property
    def parsed(self) -> ParsedMessage | None:
        return self.reading.parsed if self.reading else None

    @property
    def text(self) -> str:
        return self.reading.text if self.reading else ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the database knows of a batch: asked once, since each question costs as much as reading a message.

    Kept up to date while the batch is stored; `links` goes by the address as it was written.
    """

    uids: set[int]
    by_hash: dict[str, int]
    links: dict[str, Linked]


@dataclass(frozen=True, slots=True)
class MailIntake:
    """The intake of one mailbox. `parsers` runs what is too big for the event loop."""

    db: Database
    blobs: BlobStore
    linker: Linker
    mailbox_id: int
    team_id: int
    parsers: Executor
    owner_id: int | None = None
    """Whose own mailbox it is: then nothing of it that is on no client's card is told, or offered, to the team."""

    async def store(
        self, place: FolderPlace, batch: Sequence[Arrived], *, cursor: Mapping[str, Any], is_new: bool, now: datetime
    ) -> int:
        """Store a batch and move the folder's `cursor` (columns of `mail_folders`) with it; return how many are new.

        `is_new` False is history: linked and on the card, but nothing to do. Raises Unavailable; then nothing moved.
        """
        ready = [await self._prepare(arrived) for arrived in batch]
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
        async with self.db.begin() as conn:
            seen = await self._look_up(conn, place, ready)
            for one in ready:
                stored += await self._store_one(conn, place, one, seen, is_new=is_new, now=now)
            if cursor:
                await conn.execute(sa.update(folders).where(folders.c.id == place.folder_id).values(**cursor))
        return stored

    async def _commit_alone(self, place: FolderPlace, one: _Ready, *, is_new: bool, now: datetime) -> int:
        """Store one message as it was read; where that cannot be, its bytes alone, to be shown raw."""
        try:
            return await self._commit(place, [one], cursor={}, is_new=is_new, now=now)
        except HubError:
            raise
        except Exception:
            log.exception("message %s of folder %d is stored unread: %s", one.arrived.uid, place.folder_id, one.sha256)
        raw_only = replace(one, reading=None, file_hashes=())
        return await self._commit(place, [raw_only], cursor={}, is_new=is_new, now=now)

    async def _prepare(self, arrived: Arrived) -> _Ready:
        sha256 = await self.blobs.put(arrived.raw)
        reading = await self._read(arrived.raw, sha256)
        files = reading.parsed.attachments if reading else ()
        hashes = tuple([await self.blobs.put(file.content) for file in files])
        return _Ready(arrived, sha256, reading, hashes)

    async def _read(self, raw: bytes, sha256: str) -> Reading | None:
        """Read here when small, else in a worker that may die of it. None: the message is stored and shown raw."""
        work = functools.partial(parsing.read, raw, mark=secrets.token_hex(8))
        try:
            if len(raw) <= SMALL_BYTES:
                return work()
            async with asyncio.timeout(PARSE_WITHIN.total_seconds()):
                return await self._in_worker(work)
        except Exception:
            # The bytes are kept under this hash, and the message says of itself that it was not read.
            log.exception("a message was not read: %s", sha256)
            return None

    async def _in_worker(self, work: functools.partial[Reading]) -> Reading:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.parsers, work)
        except BrokenProcessPool:
            # Another message may have killed the worker that this one stood in line for.
            return await loop.run_in_executor(self.parsers, work)

    async def _look_up(self, conn: AsyncConnection, place: FolderPlace, ready: Sequence[_Ready]) -> _Seen:
        if not ready:
            return _Seen(set(), {}, {})
        here = (locations.c.folder_id == place.folder_id, locations.c.uidvalidity == place.uidvalidity)
        uids = sa.select(locations.c.uid).where(*here, locations.c.uid.in_([one.arrived.uid for one in ready]))
        same = sa.select(messages.c.raw_sha256, messages.c.id).where(
            messages.c.mailbox_id == self.mailbox_id, messages.c.raw_sha256.in_([one.sha256 for one in ready])
        )
        there = set((await conn.execute(uids)).scalars())
        return _Seen(there, {row.raw_sha256: row.id for row in await conn.execute(same)}, {})

    async def _store_one(
        self, conn: AsyncConnection, place: FolderPlace, one: _Ready, seen: _Seen, *, is_new: bool, now: datetime
    ) -> bool:
        if one.arrived.uid in seen.uids:
            return False
        message_id = seen.by_hash.get(one.sha256) or await self._own_copy(conn, place, one)
        is_known = message_id is not None
        if message_id is None:
            message_id = await self._store_new(conn, place, one, seen, is_new=is_new, now=now)
            seen.by_hash[one.sha256] = message_id
        await self._add_location(conn, place, one.arrived.uid, message_id)
        seen.uids.add(one.arrived.uid)
        return not is_known

    async def _add_location(self, conn: AsyncConnection, place: FolderPlace, uid: int, message_id: int) -> None:
        values = {"folder_id": place.folder_id, "uidvalidity": place.uidvalidity, "uid": uid, "message_id": message_id}
        await conn.execute(insert(conn, locations).values(**values).on_conflict_do_nothing())

    async def _own_copy(self, conn: AsyncConnection, place: FolderPlace, one: _Ready) -> int | None:
        """The message that Hub itself sent, where this is its copy in Sent: other bytes perhaps, but its Message-ID."""
        if place.role != "sent" or one.parsed is None or not one.parsed.message_id:
            return None
        own = (
            sa.select(messages.c.id)
            .join(outbox, outbox.c.message_id == messages.c.id)
            .where(messages.c.mailbox_id == self.mailbox_id, messages.c.message_id == one.parsed.message_id[:500])
        )
        found = (await conn.execute(own)).scalar()
        return int(found) if found is not None else None

    async def _store_new(
        self, conn: AsyncConnection, place: FolderPlace, one: _Ready, seen: _Seen, *, is_new: bool, now: datetime
    ) -> int:
        parsed = one.parsed or _unreadable()
        is_out = place.role == "sent"
        linked = await self._link(conn, parsed, seen, is_out=is_out)
        thread = await conversations.join(
            conn,
            mailbox_id=self.mailbox_id,
            message_id=parsed.message_id[:500],
            in_reply_to=parsed.in_reply_to[:500],
            references=[one_id[:500] for one_id in parsed.references],
            subject=guard.shown(parsed.subject, max_chars=1000),
            at=one.arrived.received_at,
            now=now,
            client_id=linked.best.client_id if linked.best else None,
            contact_id=linked.best.contact_id if linked.best else None,
        )
        owner = await self._owner(conn, linked, thread)
        values = self._values(one, parsed, is_out=is_out) | owner | {"thread_id": thread}
        values["candidates"] = [asdict(candidate) for candidate in linked.candidates]
        row = (await conn.execute(messages.insert().values(**values).returning(messages))).mappings().one()
        await self._store_files(conn, row["id"], one)
        if one.reading is not None:
            await search.add(conn, {row["id"]: one.reading.terms})
        client_id, contact_id = owner["client_id"], owner["contact_id"]
        if client_id is not None:
            at, data = row["received_at"], timeline_data(row)
            await timeline.put(
                conn, "message", row["id"], client_id=client_id, contact_id=contact_id, at=at, data=data, now=now
            )
        data = {"direction": row["direction"], "state": row["state"], "thread": thread}
        to = audience_of(team_id=self.team_id, owner_id=self.owner_id)
        await tell(conn, "message", row["id"], at=now, **to, client_id=client_id, data=data)
        if is_out:
            if not await self._has_later_mail(conn, thread, row["received_at"]):
                await queue.settle(conn, "message", thread, now=now)
        elif is_new and parsed.auto == "none" and not linked.is_own:
            await self._offer(conn, row, linked, now=now)
        return int(row["id"])

    async def _has_later_mail(self, conn: AsyncConnection, thread: int, at: datetime) -> bool:
        """Tell whether somebody wrote after this answer: history is read backwards, and answers nothing newer."""
        later = sa.select(messages.c.id).where(
            messages.c.thread_id == thread, messages.c.direction == "in", messages.c.received_at > at
        )
        return (await conn.execute(later.limit(1))).first() is not None

    def _values(self, one: _Ready, parsed: ParsedMessage, *, is_out: bool) -> dict[str, Any]:
        sender = parsed.from_ or Address("", "")
        return {
            "mailbox_id": self.mailbox_id,
            "direction": "out" if is_out else "in",
            "state": "sent" if is_out else "received",
            "message_id": parsed.message_id[:500],
            "in_reply_to": parsed.in_reply_to[:500],
            "references": list(parsed.references),
            "subject": guard.shown(parsed.subject, max_chars=1000),
            "from_name": guard.shown(sender.name, max_chars=300),
            "from_address": sender.address.lower()[:254],
            **{name: [asdict(a) for a in getattr(parsed, name)] for name in ("to", "cc", "bcc", "reply_to")},
            "date": parsed.date,
            "received_at": one.arrived.received_at,
            "text": one.text.replace("\0", ""),
            "html": None,
            "snippet": mime.first_line(one.text, max_chars=200),
            "auto": parsed.auto,
            "raw_sha256": one.sha256,
            "size": len(one.arrived.raw),
            "parse_state": "parsed" if one.parsed else "failed",
            "defects": list(parsed.defects),
            "about": parsed.about,
            "flags": sorted(flag.lstrip("\\").lower() for flag in one.arrived.flags),
            "link_manual": False,
        }

    async def _link(self, conn: AsyncConnection, parsed: ParsedMessage, seen: _Seen, *, is_out: bool) -> Linked:
        """Whose mail is it: the sender's, or for our own mail the first recipient's that somebody knows."""
        if not is_out:
            return await self._whose(conn, parsed.from_.address if parsed.from_ else "", seen)
        linked = Linked(None, (), None)
        for recipient in (*parsed.to, *parsed.cc)[:20]:
            linked = await self._whose(conn, recipient.address, seen)
            if linked.best is not None:
                break
        return linked

    async def _whose(self, conn: AsyncConnection, address: str, seen: _Seen) -> Linked:
        if address not in seen.links:
            seen.links[address] = await self.linker.by_email(conn, address)
        return seen.links[address]

    async def _owner(self, conn: AsyncConnection, linked: Linked, thread: int) -> dict[str, Any]:
        """The client and contact: by the address; else the thread's, as likely only, since ids can be forged."""
        best = linked.best
        if best is not None:
            who = {"client_id": best.client_id, "contact_id": best.contact_id}
            return {**who, "link_reason": best.reason, "link_confidence": best.confidence}
        query = sa.select(threads.c.client_id, threads.c.contact_id).where(threads.c.id == thread)
        client_id = None if linked.is_own else (await conn.execute(query)).one().client_id
        if client_id is None:
            return {"client_id": None, "contact_id": None, "link_reason": None, "link_confidence": None}
        return {"client_id": client_id, "contact_id": None, "link_reason": "thread", "link_confidence": "likely"}

    async def _store_files(self, conn: AsyncConnection, message_id: int, one: _Ready) -> None:
        """Store the attachments, and then the safe HTML that names its pictures by them."""
        if one.reading is None:
            return
        ids: dict[int, int] = {}
        for place, (file, sha256) in enumerate(zip(one.reading.parsed.attachments, one.file_hashes, strict=True)):
            values = {"name": file.name[:300], "type": file.type[:200], "size": file.size, "sha256": sha256}
            values |= {"message_id": message_id, "inline": file.inline, "cid": (file.cid or None) and file.cid[:300]}
            made = await conn.execute(attachments.insert().values(**values).returning(attachments.c.id))
            ids[place] = made.scalar_one()
        if (html := one.reading.html_with(ids)) is not None:
            update = sa.update(messages).where(messages.c.id == message_id)
            await conn.execute(update.values(html=html.replace("\0", "")))

    async def _offer(self, conn: AsyncConnection, row: sa.RowMapping, linked: Linked, *, now: datetime) -> None:
        client_id = row["client_id"]
        if self.owner_id is not None and client_id is None:
            return
        name = await _client_name(conn, client_id) or row["from_name"] or row["from_address"] or "—"
        lead_id = None
        if client_id is None and linked.address:
            lead_id = await leads.join_or_open(
                conn,
                team_id=self.team_id,
                reason="new",
                name=row["from_name"] or linked.address,
                address_kind="email",
                address=linked.address,
                now=now,
            )
        data = {"subject": row["subject"], "snippet": row["snippet"], "message_id": row["id"], "lead_id": lead_id}
        await queue.offer(
            conn,
            team_id=self.team_id,
            kind="message",
            ref_id=row["thread_id"],
            title=name,
            address=row["from_address"],
            client_id=client_id,
            data=data | {"from_name": row["from_name"]},
            now=now,
        )


def _unreadable() -> ParsedMessage:
    """What is known of a message that no parser got through: nothing but that it is there."""
    return replace(mime.parse(b""), defects=("unparsed",))


async def _client_name(conn: AsyncConnection, client_id: int | None) -> str | None:
    if client_id is None:
        return None
    return (await conn.execute(sa.select(clients.c.name).where(clients.c.id == client_id))).scalar()
