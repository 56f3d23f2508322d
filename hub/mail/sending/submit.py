"""What happens when a person presses "Send": the message is frozen, then stored with all that depends on it.

Decides whose message it is, which conversation it joins and what is written where. Does not send. Invariants: the
bytes are in the blob store before the transaction begins, and message, outbox, recipients, card, feed and audit are
one transaction.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import guard
from hub.crm import queue
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.linking import Linker
from hub.crm.models import clients, contacts
from hub.errors import NotFound, Refused
from hub.mail import register, search
from hub.mail.intake import conversations
from hub.mail.models import attachments, mailboxes, messages, outbox, outbox_recipients
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import file_name, first_line
from hub.mail.reading.sanitize import html_to_text, safe_html
from hub.mail.register import MessageRow
from hub.mail.sending.compose import Composed, Draft, OutgoingFile, compose, new_message_id
from hub.mail.sending.outbox import TOPIC, own_mailbox, show
from hub.store.blobs import BlobStore
from hub.store.engine import Database, hint_after_commit


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """What a person wants to send. `mailbox` is the address it goes out from.

    `in_reply_to` is the id of a message in Hub, or a Message-ID. `client_id` names the card it is written from.
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


@dataclass(frozen=True, slots=True)
class _StoredFile:
    name: str
    type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A message whose bytes are in the blob store and will never change; `queue_message` takes it."""

    new: NewMessage
    draft: Draft
    composed: Composed
    raw_sha256: str
    files: tuple[_StoredFile, ...]
    mailbox_id: int
    answered: MessageRow | None


async def freeze(db: Database, blobs: BlobStore, actor: Actor, new: NewMessage, *, now: datetime) -> Frozen:
    """Build the bytes and store them, before any transaction is open.

    Raises Refused for what cannot be sent, NotFound for a mailbox or message the actor may not use.
    """
    async with db.read() as conn:
        mailbox = await own_mailbox(conn, actor, mailboxes.c.address == new.mailbox.strip().lower())
        answered = await _answered(conn, actor, mailbox.id, new.in_reply_to)
    given = new.in_reply_to if isinstance(new.in_reply_to, str) else ""
    parent = answered.message_id if answered else given
    references = (*(answered.references if answered else ()), parent)
    html = new.html
    if html is not None:
        html = await asyncio.to_thread(safe_html, html, cid_url=lambda _cid: None, allow_remote=True)
    text = await asyncio.to_thread(html_to_text, html) if html is not None and new.text is None else new.text
    if not (text or "").strip() and not new.files:
        raise Refused("empty_message", "a message needs a text or a file", field="text")
    draft = Draft(
        sender=Address(mailbox.name or actor.name, mailbox.address),
        to=new.to,
        cc=new.cc,
        bcc=new.bcc,
        subject=new.subject,
        text=text or "",
        html=html,
        in_reply_to=parent,
        references=tuple(filter(None, references)),
        files=new.files,
        message_id=new_message_id(uuid4(), mailbox.address),
        date=now,
    )
    composed = await asyncio.to_thread(compose, draft)
    raw_sha256 = await blobs.put(composed.raw)
    files = [
        _StoredFile(
            file_name(file.name, number=n, kind=file.type),
            guard.shown(file.type),
            len(file.content),
            await blobs.put(file.content),
        )
        for n, file in enumerate(new.files, 1)
    ]
    return Frozen(
        new=new,
        draft=draft,
        composed=composed,
        raw_sha256=raw_sha256,
        files=tuple(files),
        mailbox_id=mailbox.id,
        answered=answered,
    )


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


async def queue_message(conn: AsyncConnection, actor: Actor, frozen: Frozen, *, linker: Linker, now: datetime) -> int:
    """Put a frozen message into the outbox, the register and on the client's card; return the message's id.

    The queue item of the conversation it answers is done with, unless a colleague holds it. Raises NotFound where
    the mailbox is no longer one of the actor's teams'.
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
        "from_address": frozen.composed.envelope_from,
        "to": _people(draft.to),
        "cc": _people(draft.cc),
        "bcc": _people(draft.bcc),
        "reply_to": [],
        "date": now,
        "received_at": now,
        "text": (draft.text or "").replace("\x00", ""),
        "html": draft.html,
        "snippet": first_line(draft.text or "", max_chars=300),
        "auto": "none",
        "raw_sha256": frozen.raw_sha256,
        "size": len(frozen.composed.raw),
        "parse_state": "parsed",
        "defects": [],
        "flags": ["seen"],
        "author_id": actor.user_id,
        "candidates": [],
        **link,
    }
    message_id: int = (await conn.execute(messages.insert().values(**values).returning(messages.c.id))).scalar_one()
    for file in frozen.files:
        row = {"name": file.name, "type": file.type, "size": file.size, "sha256": file.sha256, "inline": False}
        await conn.execute(attachments.insert().values(message_id=message_id, **row))
    await search.add_stored(conn, [message_id])
    row = {"message_id": message_id, "mailbox_id": mailbox.id, "state": "queued", "not_before": now}
    outbox_id = (await conn.execute(outbox.insert().values(**row).returning(outbox.c.id))).scalar_one()
    rows = [{"outbox_id": outbox_id, "address": a, "state": "queued"} for a in frozen.composed.recipients]
    await conn.execute(outbox_recipients.insert(), rows)
    await _close_answered(conn, actor, thread_id, now=now)
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
    linked = await linker.by_email(conn, frozen.composed.recipients[0])
    if linked.best is None:
        return {"client_id": None, "contact_id": None, **unlinked}
    best = linked.best
    reason = {"link_reason": best.reason, "link_confidence": best.confidence, "link_manual": False}
    return {"client_id": best.client_id, "contact_id": best.contact_id, **reason}


async def _close_answered(conn: AsyncConnection, actor: Actor, thread_id: int, *, now: datetime) -> None:
    item = await queue.find_by_thing(conn, "message", thread_id)
    if item is not None and (item.state == "waiting" or item.owner_id == actor.user_id):
        await queue.settle(conn, "message", thread_id, now=now)
