"""What happens when a person presses "Send": the message is frozen, then stored with all that depends on it.

Decides whose message it is, which conversation it joins, what is written where, and from when on it may go. Does not
send. Invariants: the bytes are in the blob store before the transaction begins; message, outbox, recipients, card,
feed, audit and the end of its draft are one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crash_points import point
from hub.crm import queue
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.hours import read_zone
from hub.crm.linking import Linker
from hub.crm.models import clients, contacts, team_rules
from hub.errors import NotFound, Refused
from hub.mail import answering, register, search
from hub.mail.intake import conversations
from hub.mail.intake.reply_tag import tagged_id
from hub.mail.models import attachments, mailboxes, messages, outbox, outbox_recipients
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import file_name, first_line
from hub.mail.reading.sanitize import safe_html, sent_html, text_to_html
from hub.mail.register import AttachmentRow, MessageRow
from hub.mail.sending import drafts, identities, plain_text, replying, thread_index
from hub.mail.sending.compose import Draft, OutgoingFile, Stream, compose_stream, domain_of, new_message_id
from hub.mail.sending.drafts import DraftFile
from hub.mail.sending.outbox import TOPIC, own_mailbox, show
from hub.store.blobs import BlobStore
from hub.store.engine import Database, hint_after_commit

HEAD_BYTES = 64 * 1024
MOST_AHEAD = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """What a person wants to send. `mailbox` is the address it goes out from.

    `in_reply_to` is the id of a message in Hub, or a Message-ID. `client_id` names the card it is written from.
    `send_at`: not before then. `draft`: what it was written as, in the version that was read. `quotes`: the message
    that is answered, or the one that it `forwards`, stands below. `identity_id`: as whom of one's own senders.
    """

    mailbox: str
    to: tuple[Address, ...]
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    subject: str
    text: str | None = None
    html: str | None = None
    in_reply_to: int | str | None = None
    files: tuple[OutgoingFile, ...] = ()
    client_id: int | None = None
    contact_id: int | None = None
    send_at: datetime | None = None
    draft: drafts.Draft | None = None
    forwards: int | None = None
    quotes: bool = False
    identity_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """In which words and at which clock the writer reads, for the line above a quote. `zone` None: this machine's."""

    language: str = "en"
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A message whose bytes are in the blob store and will never change; `queue_message` takes it."""

    new: NewMessage
    draft: Draft
    stream: Stream
    raw_sha256: str
    size: int
    files: tuple[DraftFile, ...]
    mailbox_id: int
    answered: MessageRow | None
    shown_html: str | None
    """What stands in the register: the HTML that went out, as a page of Hub shows it."""


async def freeze(
    db: Database,
    blobs: BlobStore,
    actor: Actor,
    new: NewMessage,
    *,
    now: datetime,
    reader: Reader | None = None,
    reply_key: bytes | None = None,
) -> Frozen:
    """Build the bytes and store them, before any transaction is open. `reply_key` makes an id of Hub's own.

    Raises Refused for what cannot be sent, an infected file among it, NotFound for a mailbox or message the actor may
    not use.
    """
    async with db.read() as conn:
        mailbox = await own_mailbox(conn, actor, mailboxes.c.address == new.mailbox.strip().lower())
        sender = await _sender(conn, actor, mailbox, new.identity_id)
        answered = await _answered(conn, actor, mailbox.id, new.in_reply_to)
        forwarded = await register.find(conn, actor, new.forwards) if new.forwards is not None else None
        zone = (reader.zone if reader else None) or await _zone_of(conn, mailbox.team_id)
    if new.send_at is not None and new.send_at > now + MOST_AHEAD:
        raise Refused("too_far_ahead", "at most a year ahead", field="send_at")
    given = new.in_reply_to if isinstance(new.in_reply_to, str) else ""
    parent = answered.message_id if answered else given
    references = (*(answered.references if answered else ()), parent)
    files = [await _kept(blobs, file, n) for n, file in enumerate(new.files, 1)]
    original = forwarded or answered
    quoted = original if new.quotes or forwarded is not None else None
    text, html, files = await _bodies(new, quoted, files, reader or Reader())
    async with db.read() as conn:
        await register.refuse_infected(conn, {one.sha256 for one in files}, field="attachments")
    draft = Draft(
        sender=sender,
        to=new.to,
        cc=new.cc,
        bcc=new.bcc,
        subject=new.subject,
        text=text or "",
        html=html,
        in_reply_to=parent,
        references=tuple(filter(None, references)),
        files=tuple(_outgoing(blobs, one) for one in files),
        message_id=_own_id(mailbox.address, reply_key),
        date=(max(now, new.send_at) if new.send_at is not None else now).astimezone(zone),
    )
    draft = replace(draft, thread_index=await _thread_index(blobs, answered, draft))
    stream = await asyncio.to_thread(compose_stream, draft)
    raw_sha256, size = await blobs.put_stream(stream.pieces)
    return Frozen(
        new=new,
        draft=draft,
        stream=stream,
        raw_sha256=raw_sha256,
        size=size,
        files=tuple(files),
        mailbox_id=mailbox.id,
        answered=answered,
        shown_html=await asyncio.to_thread(_shown, draft.html) if draft.html is not None else None,
    )


async def _zone_of(conn: AsyncConnection, team_id: int) -> tzinfo | None:
    """Return the time zone that a team's rules name; None, which is this machine's, where they name none."""
    query = sa.select(team_rules.c.time_zone).where(team_rules.c.team_id == team_id)
    name = (await conn.execute(query)).scalar()
    return read_zone(name) if name else None


def _own_id(mailbox: str, reply_key: bytes | None) -> str:
    if reply_key is None:
        return new_message_id(uuid4(), mailbox)
    return tagged_id(reply_key, uuid4(), domain_of(mailbox))


async def _kept(blobs: BlobStore, file: OutgoingFile, number: int) -> DraftFile:
    """Store a file's bytes; one that is stored already only says where (`read` of it is never called here)."""
    sha256 = await blobs.put(file.content) if file.read is None else (await blobs.put_stream(file.pieces()))[0]
    name = file_name(sanitize.one_line(file.name, field="attachments", max_bytes=2000), number=number, kind=file.type)
    return DraftFile(0, name, sanitize.shown(file.type), file.length, sha256, file.cid is not None, file.cid)


def _outgoing(blobs: BlobStore, file: DraftFile) -> OutgoingFile:
    return OutgoingFile(file.name, file.type, cid=file.cid, read=partial(blobs.pieces, file.sha256), size=file.size)


_CID_SRC = re.compile(r"""\bsrc\s*=\s*["']?cid:([^"'\s>]{1,300})""", re.IGNORECASE)


async def _bodies(
    new: NewMessage, quoted: MessageRow | None, files: list[DraftFile], reader: Reader
) -> tuple[str | None, str | None, list[DraftFile]]:
    """Return text, HTML and files with the original below: what is shown of its pictures goes along."""
    text, html = new.text, (new.html or "").strip() or None
    kind: replying.Kind = "forward" if new.forwards is not None else "reply"
    if html is not None:
        html = await _safe(html, files)
        text = await asyncio.to_thread(plain_text.of_html, html) if text is None else text
    if not (text or "").strip() and not files and new.forwards is None:
        raise Refused("empty_message", "a message needs a text or a file", field="text")
    original = original_of(quoted, reader) if quoted is not None else None
    if original is not None and quoted is not None:
        if html is None and quoted.html and kind == "forward":
            html = await asyncio.to_thread(text_to_html, text or "")
        text = replying.with_original_text(text or "", original, kind=kind, language=reader.language)
        if html is not None:
            renamed, more = _pictures_along(quoted.html or "", [one for one in quoted.attachments if one.cid])
            original = replace(original, html=renamed if quoted.html is not None else None)
            files = [*files, *more]
            html = await _safe(replying.with_original_html(html, original, kind=kind, language=reader.language), files)
    if html is None:
        return text, None, [replace(one, cid=None, inline=False) for one in files]
    shown = set(_CID_SRC.findall(html))
    # A picture that was deleted from the text again stays behind.
    return text, html, [one for one in files if one.cid is None or one.cid in shown]


async def _safe(html: str, files: list[DraftFile]) -> str:
    known = {one.cid for one in files if one.cid}
    clean = partial(sent_html, cid_url=lambda cid: f"cid:{cid}" if cid in known else None)
    return await asyncio.to_thread(clean, html)


def _shown(html: str) -> str:
    """What went out, as a page of Hub shows it."""
    return safe_html(html, cid_url=lambda cid: f"cid:{cid}", allow_remote=True)


async def _thread_index(blobs: BlobStore, parent: MessageRow | None, draft: Draft) -> bytes:
    """Go on with Outlook's index of what is answered; begin one where that has none, the same for all its answers."""
    if parent is None:
        conversation = next(iter((*draft.references, draft.in_reply_to)), "") or draft.message_id
        return thread_index.first(conversation, at=draft.date)
    index = None
    if parent.raw_sha256:
        with contextlib.suppress(NotFound, OSError):
            head = await asyncio.to_thread(lambda: next(iter(blobs.pieces(parent.raw_sha256)), b""))
            index = thread_index.of_head(head[:HEAD_BYTES])
    if index is None:
        root = next(iter((*parent.references, parent.in_reply_to, parent.message_id)), "")
        index = thread_index.first(root or parent.message_id, at=parent.date or parent.received_at)
    return thread_index.answer(index, draft.message_id, at=draft.date)


def _pictures_along(html: str, pictures: Iterable[AttachmentRow]) -> tuple[str, list[DraftFile]]:
    """Give the pictures that a quoted HTML shows Content-IDs of our own: a sender's may be anything."""
    along = []
    for number, one in enumerate(pictures, 1):
        was = f'src="cid:{one.cid}"'
        if was in html and one.type in drafts.PICTURES:
            cid = f"q{number}.{one.sha256[:16]}@hub"
            html = html.replace(was, f'src="cid:{cid}"')
            along.append(DraftFile(0, one.name, one.type, one.size, one.sha256, True, cid))
    return html, along


def original_of(message: MessageRow, reader: Reader) -> replying.Original:
    """Return a message as what is answered or forwarded."""

    def people(rows: list[dict[str, str]]) -> tuple[Address, ...]:
        return tuple(Address(one.get("name", ""), one["address"]) for one in rows)

    return replying.Original(
        is_ours=message.direction == "out",
        author=Address(message.from_name, message.from_address),
        reply_to=people(message.reply_to),
        to=people(message.to),
        cc=people(message.cc),
        subject=message.subject,
        text=message.text or "",
        html=message.html,
        at=(message.date or message.received_at).astimezone(reader.zone),
    )


def of_draft(draft: drafts.Draft, blobs: BlobStore, to: tuple[tuple[Address, ...], ...]) -> NewMessage:
    """Return a draft as the message it is to be; `to` are its To, Cc and Bcc as read."""
    is_answer = draft.kind in ("reply", "reply_all")
    return NewMessage(
        mailbox=draft.mailbox_address,
        to=to[0],
        cc=to[1],
        bcc=to[2],
        subject=draft.subject,
        text=None if draft.html else draft.text,
        html=draft.html or None,
        in_reply_to=draft.answers_id if is_answer else None,
        files=tuple(_outgoing(blobs, one) for one in draft.files),
        client_id=draft.client_id,
        contact_id=draft.contact_id,
        send_at=draft.send_at,
        draft=draft,
        forwards=draft.answers_id if draft.kind == "forward" else None,
        quotes=draft.quotes,
        identity_id=draft.identity_id,
    )


async def _sender(conn: AsyncConnection, actor: Actor, mailbox: sa.Row[Any], identity_id: int | None) -> Address:
    """Return what From says: the mailbox, or one of the actor's own identities in it. Raises NotFound."""
    if identity_id is None:
        return Address(mailbox.name or actor.name, mailbox.address)
    own = await identities.find(conn, actor, identity_id, mailbox_id=mailbox.id)
    return Address(own.name, own.address)


async def _answered(
    conn: AsyncConnection, actor: Actor, mailbox_id: int, in_reply_to: int | str | None
) -> MessageRow | None:
    """Return the message that is answered. A Message-ID that this mailbox never saw is only written in the header."""
    if in_reply_to is None or in_reply_to == "":
        return None
    if isinstance(in_reply_to, int):
        return await register.find(conn, actor, in_reply_to)
    query = sa.select(messages.c.id).where(messages.c.mailbox_id == mailbox_id, messages.c.message_id == in_reply_to)
    found = (await conn.execute(query.order_by(messages.c.id).limit(1))).scalar()
    return await register.find(conn, actor, found) if found is not None else None


async def queue_message(
    conn: AsyncConnection,
    actor: Actor,
    frozen: Frozen,
    *,
    linker: Linker,
    now: datetime,
    undo: timedelta | None = None,
) -> int:
    """Put a frozen message into the outbox, the register and on the client's card; return the message's id.

    It goes at its `send_at`, and not before `undo` is over: until then `cancelling.cancel` takes it back. The queue
    item of the conversation it answers is done with, unless a colleague holds it. Raises NotFound where the mailbox
    is no longer one of the actor's teams', Conflict where its draft was sent or changed meanwhile.
    """
    mailbox = await own_mailbox(conn, actor, mailboxes.c.id == frozen.mailbox_id)
    draft, answered = frozen.draft, frozen.answered
    link = await _link(conn, frozen, linker)
    same_mailbox = answered is not None and answered.mailbox_id == mailbox.id
    thread_id = await conversations.join(
        conn,
        mailbox_id=mailbox.id,
        message_id=draft.message_id,
        in_reply_to=draft.in_reply_to,
        references=draft.references,
        subject=draft.subject,
        at=now,
        now=now,
        client_id=link["client_id"],
        contact_id=link["contact_id"],
        answers_thread=answered.thread_id if answered and same_mailbox else None,
    )
    values = {
        "mailbox_id": mailbox.id,
        "thread_id": thread_id,
        "direction": "out",
        "state": "queued",
        "message_id": draft.message_id,
        "in_reply_to": draft.in_reply_to[:500],
        "references": list(draft.references),
        "subject": " ".join(draft.subject.split())[:1000],
        "from_name": draft.sender.name[:300],
        "from_address": frozen.stream.envelope_from,
        "to": _people(draft.to),
        "cc": _people(draft.cc),
        "bcc": _people(draft.bcc),
        "reply_to": [],
        "date": draft.date,
        "received_at": now,
        "text": (draft.text or "").replace("\x00", ""),
        "html": frozen.shown_html,
        "snippet": first_line(draft.text or "", max_chars=300),
        "auto": "none",
        "raw_sha256": frozen.raw_sha256,
        "size": frozen.size,
        "parse_state": "parsed",
        "defects": [],
        "flags": ["seen"],
        "author_id": actor.user_id,
        "candidates": [],
        **link,
    }
    message_id: int = (await conn.execute(messages.insert().values(**values).returning(messages.c.id))).scalar_one()
    for file in frozen.files:
        row = {"name": file.name, "type": file.type, "size": file.size, "sha256": file.sha256}
        row |= {"inline": file.inline, "cid": file.cid}
        await conn.execute(attachments.insert().values(message_id=message_id, **row))
    await search.add_stored(conn, [message_id])
    undo_until = now + undo if undo else None
    not_before = max(filter(None, (now, frozen.new.send_at, undo_until)))
    row = {"message_id": message_id, "mailbox_id": mailbox.id, "state": "queued", "not_before": not_before}
    row |= {"undo_until": undo_until}
    outbox_id = (await conn.execute(outbox.insert().values(**row).returning(outbox.c.id))).scalar_one()
    rows = [{"outbox_id": outbox_id, "address": a, "state": "queued"} for a in frozen.stream.recipients]
    await conn.execute(outbox_recipients.insert(), rows)
    if frozen.new.draft is not None:
        await drafts.become_message(conn, actor, frozen.new.draft.id, message_id, version=frozen.new.draft.version)
    elif not_before > now:
        await _park(conn, actor, frozen, message_id, now=now)
    # An answer from another mailbox is a conversation of its own.
    here = {thread_id, answered.thread_id if answered is not None else None}
    for one in sorted(filter(None, here)):
        await answering.stop(conn, actor.user_id, one, now=now)
    await _close_answered(conn, actor, thread_id, message_id, now=now)
    point("mail.submit.queued")
    details = {"mailbox": mailbox.address, "recipients": len(rows)}
    await record(
        conn,
        "message.queued",
        at=now,
        user_id=actor.user_id,
        object_kind="message",
        object_id=message_id,
        details=details,
    )
    await show(conn, message_id, "queued", now=now)
    hint_after_commit(conn, TOPIC)
    return message_id


def _people(people: tuple[Address, ...]) -> list[dict[str, str]]:
    return [{"name": person.name, "address": person.address} for person in people]


async def _link(conn: AsyncConnection, frozen: Frozen, linker: Linker) -> dict[str, Any]:
    """Whose message it is: the card it was written from, else of the message it answers, else of its first reader."""
    new, answered = frozen.new, frozen.answered
    unlinked = {"link_reason": None, "link_confidence": None, "link_manual": False}
    if new.client_id is not None:
        if (await conn.execute(sa.select(clients.c.id).where(clients.c.id == new.client_id))).first() is None:
            raise NotFound("client_missing", "no such client", field="client")
        of_client = sa.select(contacts.c.id).where(contacts.c.id == new.contact_id)
        contact_id = (await conn.execute(of_client.where(contacts.c.client_id == new.client_id))).scalar()
        by_hand = {"link_reason": "manual", "link_confidence": "exact", "link_manual": True}
        return {"client_id": new.client_id, "contact_id": contact_id, **by_hand}
    if answered is not None and answered.client_id is not None:
        of_thread = {"link_reason": "thread", "link_confidence": "exact", "link_manual": False}
        return {"client_id": answered.client_id, "contact_id": answered.contact_id, **of_thread}
    linked = await linker.by_email(conn, frozen.stream.recipients[0])
    if linked.best is None:
        return {"client_id": None, "contact_id": None, **unlinked}
    best = linked.best
    reason = {"link_reason": best.reason, "link_confidence": best.confidence, "link_manual": False}
    return {"client_id": best.client_id, "contact_id": best.contact_id, **reason}


async def _close_answered(
    conn: AsyncConnection, actor: Actor, thread_id: int, message_id: int, *, now: datetime
) -> None:
    item = await queue.find_by_thing(conn, "message", thread_id)
    if item is not None and (item.state == "waiting" or (item.state == "claimed" and item.owner_id == actor.user_id)):
        await queue.close(conn, "message", thread_id, now=now)
        owned = item.state == "claimed"
        await drafts.keep_closed_item(conn, message_id, version=item.version + 1, owned=owned)


async def _park(conn: AsyncConnection, actor: Actor, frozen: Frozen, message_id: int, *, now: datetime) -> None:
    """A message that goes later comes back as a draft if it is taken back, also where it never was one."""
    new, answered = frozen.new, frozen.answered
    kind: replying.Kind = "forward" if new.forwards is not None else "reply" if answered is not None else "new"
    same = answered is not None and answered.mailbox_id == frozen.mailbox_id
    about = new.forwards if kind == "forward" else answered.id if answered is not None and same else None
    start = drafts.Start(
        kind=kind if about is not None else "new",
        answers_id=about,
        client_id=new.client_id,
        contact_id=new.contact_id if new.client_id is not None else None,
    )
    content = drafts.Content(
        mailbox=new.mailbox,
        to=replying.written(new.to),
        cc=replying.written(new.cc),
        bcc=replying.written(new.bcc),
        subject=" ".join(new.subject.splitlines()),
        html=new.html or "",
        text=new.text or "",
        quotes=new.quotes,
        send_at=new.send_at,
        identity_id=new.identity_id,
    )
    await drafts.park(conn, actor, message_id, start, content, frozen.files, now=now)
