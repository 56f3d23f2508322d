"""Composing and sending mail: one service for the pages and the API.

Decides the initial content of a new message, a reply or a forward, and sends drafts and new messages. `drafts` decides
what may be saved, `submit` what may be sent. Invariant: a quoted message is loaded with the rights of its reader.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.linking import Linker
from hub.errors import NotFound
from hub.mail import register
from hub.mail.models import mailboxes
from hub.mail.register import MailboxRow, MessageRow
from hub.mail.sending import drafts, replying, sender_options, submit
from hub.mail.sending.drafts import Draft, DraftFile, Start
from hub.mail.sending.models import identities
from hub.mail.sending.recipients import read_addresses
from hub.mail.sending.sender_options import SenderOption, Writer
from hub.mail.sending.submit import Frozen, NewMessage, Reader
from hub.store.blobs import BlobStore
from hub.store.engine import Database

UNDO = timedelta(seconds=10)
When = Literal["hour", "evening", "morning", "monday"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """A composer's facts. `begun`: a draft of the reader's own that stands for the same already."""

    start: Start
    mailboxes: list[MailboxRow]
    mailbox: str
    sender: str = ""
    senders: tuple[SenderOption, ...] = ()
    templates: tuple[tuple[int, str], ...] = ()
    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    html: str = ""
    text: str = ""
    quotes: bool = False
    quoted: MessageRow | None = None
    files: tuple[DraftFile, ...] = ()
    draft_id: int | None = None
    version: int = 0
    saved_at: datetime | None = None
    send_at: datetime | None = None
    request_id: str = ""
    choices: tuple[tuple[When, datetime], ...] = ()
    begun: Draft | None = None
    max_bytes: int = drafts.MAX_FILES_BYTES


def later_choices(now: datetime) -> tuple[tuple[When, datetime], ...]:
    """Return the usual moments after `now` (at the company's clock), soonest first."""

    def at(days: int, hour: int) -> datetime:
        return datetime.combine(now.date() + timedelta(days=days), time(hour), tzinfo=now.tzinfo)

    evening, morning = at(0, 18), at(1, 9)
    monday = at(7 - now.weekday(), 9)
    found: list[tuple[When, datetime]] = [("hour", (now + timedelta(hours=1)).replace(second=0, microsecond=0))]
    if evening > now + timedelta(hours=1):
        found.append(("evening", evening))
    found.append(("morning", morning))
    if monday != morning:
        found.append(("monday", monday))
    return tuple(found)


async def own_addresses(conn: AsyncConnection) -> frozenset[str]:
    """Return every address that is the company's own: mailboxes and what people write under."""
    own = sa.union(sa.select(mailboxes.c.address), sa.select(identities.c.address).where(identities.c.address != ""))
    return frozenset(str(one).lower() for one in (await conn.execute(own)).scalars())


@dataclass(frozen=True, slots=True)
class Composer:
    """Composes and sends messages for one user."""

    db: Database
    blobs: BlobStore
    linker: Linker
    writer: Writer
    reply_key: bytes | None = field(default=None, repr=False)

    @property
    def _reader(self) -> Reader:
        return Reader(language=self.writer.language)

    async def freeze(self, new: NewMessage) -> Frozen:
        """Build and store the bytes of a message. Raises as `submit.freeze`."""
        writer = self.writer
        return await submit.freeze(
            self.db, self.blobs, writer.actor, new, now=writer.now, reader=self._reader, reply_key=self.reply_key
        )

    async def freeze_draft(self, draft: Draft) -> Frozen:
        """Build and store the bytes of a draft. Raises Refused for a bad address, and as `submit.freeze`."""
        to, cc, bcc = (read_addresses(getattr(draft, name), field=name) for name in ("to", "cc", "bcc"))
        return await self.freeze(submit.of_draft(draft, self.blobs, (to, cc, bcc)))

    async def queue(self, conn: AsyncConnection, frozen: Frozen, *, undo: timedelta | None) -> int:
        """Put a frozen message into the outbox; return its id. Raises as `submit.queue_message`."""
        writer = self.writer
        return await submit.queue_message(conn, writer.actor, frozen, linker=self.linker, now=writer.now, undo=undo)

    async def begin(
        self,
        conn: AsyncConnection,
        start: Start,
        *,
        original: MessageRow | None = None,
        to: str = "",
        mailbox: str = "",
    ) -> Writing:
        """Return what a new text, an answer or a forward begins with. Raises NotFound where nothing may be written."""
        boxes = await register.mailboxes_of(conn, self.writer.actor)
        if original is None and start.answers_id is not None:
            original = await register.find(conn, self.writer.actor, start.answers_id)
        if original is not None and start.kind in ("reply", "reply_all"):
            boxes = [one for one in boxes if one.id == original.mailbox_id]
        if not boxes:
            raise NotFound("mailbox_missing", "no mailbox to write from", field="mailbox")
        chosen = next((one for one in boxes if one.address == mailbox.lower()), boxes[0])
        if original is not None and start.kind == "forward":
            chosen = next((one for one in boxes if one.id == original.mailbox_id), chosen)
        offered = await sender_options.offered(conn, self.writer, boxes)
        sender = sender_options.chosen(offered, chosen, None)
        writing = Writing(
            start=start,
            mailboxes=boxes,
            mailbox=chosen.address,
            sender=sender.value if sender is not None else chosen.address,
            senders=offered,
            templates=tuple(await sender_options.templates_for(conn, self.writer, boxes)),
            text=sender_options.below(sender.signature) if sender is not None else "",
            to=to,
            request_id=secrets.token_hex(16),
            choices=later_choices(self.writer.now),
        )
        if original is None:
            return replace(writing, begun=await drafts.begun(conn, self.writer.actor, client_id=start.client_id))
        read = submit.original_of(original, self._reader)
        line, cc = to, ""
        if start.kind in ("reply", "reply_all"):
            own = await own_addresses(conn)
            people, copies = replying.answer_goes_to(read, own=own, everyone=start.kind == "reply_all")
            line, cc = replying.written(people), replying.written(copies)
        files: tuple[DraftFile, ...] = ()
        if start.kind == "forward":
            files = tuple(
                DraftFile(0, one.name, one.type, one.size, one.sha256, False, None)
                for one in original.attachments
                if one.cid is None or not one.inline
            )
        return replace(
            writing,
            to=line,
            cc=cc,
            subject=replying.subject_of(start.kind, original.subject),
            quotes=True,
            quoted=original,
            files=files,
            begun=await drafts.begun(conn, self.writer.actor, answers_id=original.id),
        )

    async def answer_to(self, conn: AsyncConnection, message: MessageRow) -> Writing | None:
        """Return the answer that a message's own page offers, None where its mailbox is not one of the reader's."""
        start = Start(kind="reply", answers_id=message.id, client_id=message.client_id, contact_id=message.contact_id)
        try:
            return await self.begin(conn, start, original=message)
        except NotFound:
            return None

    async def on_card(self, conn: AsyncConnection, client_id: int, to: str) -> Writing | None:
        """Return the new text that a client's card offers, None where there is no mailbox to write from."""
        try:
            return await self.begin(conn, Start(client_id=client_id), to=to)
        except NotFound:
            return None

    async def of_draft(self, conn: AsyncConnection, draft: Draft) -> Writing:
        """Return a draft as its composer shows it."""
        start = Start(
            kind=draft.kind, answers_id=draft.answers_id, client_id=draft.client_id, contact_id=draft.contact_id
        )
        fresh = await self.begin(conn, start, mailbox=draft.mailbox_address)
        return replace(
            fresh,
            mailbox=draft.mailbox_address,
            sender=_sender_of(fresh, draft),
            to=draft.to,
            cc=draft.cc,
            bcc=draft.bcc,
            subject=draft.subject,
            html=drafts.files_for_cids(draft.html, draft),
            text=draft.text,
            quotes=draft.quotes,
            files=tuple(one for one in draft.files if not one.inline),
            draft_id=draft.id,
            version=draft.version,
            saved_at=draft.saved_at,
            send_at=draft.send_at,
            begun=None,
        )


def _sender_of(fresh: Writing, draft: Draft) -> str:
    box = next((one for one in fresh.mailboxes if one.id == draft.mailbox_id), None)
    found = sender_options.chosen(fresh.senders, box, draft.identity_id) if box is not None else None
    if found is None or draft.identity_id is None:
        return draft.mailbox_address
    return found.value
