"""Reading messages: the register's pages, one message with its attachments, a thread. Writes nothing.

Every question passes through `crm.access`; an attachment is reached only through a message that may be seen.
Lists go by key (`received_at`, `id`), newest first, carry no bodies, and count nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.models import clients, contacts, teams, users
from hub.errors import NotFound
from hub.mail.models import attachments, mailboxes, messages, outbox, outbox_recipients


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    id: int
    message_id: int
    name: str
    type: str
    size: int
    sha256: str
    inline: bool
    cid: str | None


@dataclass(frozen=True, slots=True)
class RecipientRow:
    """How the sending to one recipient went."""

    address: str
    state: str
    code: int | None
    reply: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message as lists, cards and the API show it. `text` and `html` are None in lists; `html` is safe already."""

    id: int
    mailbox_id: int
    mailbox_address: str
    team_id: int
    team_name: str
    thread_id: int | None
    direction: str
    state: str
    message_id: str
    in_reply_to: str
    references: list[str]
    subject: str
    from_name: str
    from_address: str
    to: list[dict[str, str]]
    cc: list[dict[str, str]]
    bcc: list[dict[str, str]]
    reply_to: list[dict[str, str]]
    date: datetime | None
    received_at: datetime
    snippet: str
    auto: str
    raw_sha256: str
    size: int
    parse_state: str
    defects: list[str]
    flags: list[str]
    author_id: int | None
    author_name: str | None
    client_id: int | None
    client_name: str | None
    contact_id: int | None
    contact_name: str | None
    link_reason: str | None
    link_confidence: str | None
    link_manual: bool
    candidates: list[dict[str, Any]]
    text: str | None = None
    html: str | None = None
    attachments: tuple[AttachmentRow, ...] = ()
    recipients: tuple[RecipientRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilters:
    """What a list of messages may be narrowed by; None is "any". `since` and `until` bound `received_at`.

    `sender` and `recipient` are whole addresses in their normal form; a recipient stands in To or Cc.
    """

    client_id: int | None = None
    mailbox_id: int | None = None
    mailbox: str | None = None
    thread_id: int | None = None
    direction: str | None = None
    state: str | None = None
    team_id: int | None = None
    text: str | None = None
    sender: str | None = None
    recipient: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_EXTRA = ("text", "html", "attachments", "recipients")
_JOINED = ("mailbox_address", "team_id", "team_name", "author_name", "client_name", "contact_name")
_PLAIN = [name for name in MessageRow.__slots__ if name not in _EXTRA + _JOINED]


def _query(actor: Actor, *, with_body: bool) -> sa.Select[Any]:
    names = [
        mailboxes.c.address.label("mailbox_address"),
        mailboxes.c.team_id.label("team_id"),
        teams.c.name.label("team_name"),
        users.c.name.label("author_name"),
        clients.c.name.label("client_name"),
        contacts.c.name.label("contact_name"),
    ]
    columns = [messages.c[name] for name in (*_PLAIN, *(("text", "html") if with_body else ()))]
    return (
        sa.select(*columns, *names)
        .join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)
        .join(teams, teams.c.id == mailboxes.c.team_id)
        .outerjoin(users, users.c.id == messages.c.author_id)
        .outerjoin(clients, clients.c.id == messages.c.client_id)
        .outerjoin(contacts, contacts.c.id == messages.c.contact_id)
        .where(access.talk_visible(actor, team_id=mailboxes.c.team_id, client_id=messages.c.client_id))
        .where(messages.c.state != "cancelled")
    )


def _row(row: sa.RowMapping, **more: Any) -> MessageRow:
    return MessageRow(**{name: row[name] for name in (*_PLAIN, *_JOINED)}, **more)


async def listed(
    conn: AsyncConnection,
    actor: Actor,
    filters: MessageFilters,
    *,
    before: tuple[datetime, int] | None = None,
    limit: int = 50,
) -> list[MessageRow]:
    """Return messages the actor may see, newest first, without bodies but with attachments' names.

    `before` is (received_at, id) of the last of the page before. `filters.text` looks into subject and sender.
    """
    query = _query(actor, with_body=False)
    for column in ("client_id", "mailbox_id", "thread_id", "direction", "state"):
        if (wanted := getattr(filters, column)) is not None:
            query = query.where(messages.c[column] == wanted)
    if filters.mailbox is not None:
        query = query.where(mailboxes.c.address == filters.mailbox.lower())
    if filters.team_id is not None:
        query = query.where(mailboxes.c.team_id == filters.team_id)
    if filters.text:
        part = f"%{_escape(filters.text)}%"
        wanted_in = (messages.c.subject, messages.c.from_address, messages.c.from_name)
        query = query.where(sa.or_(*(column.ilike(part, escape="\\") for column in wanted_in)))
    if filters.sender is not None:
        query = query.where(messages.c.from_address == filters.sender)
    if filters.recipient is not None:
        quoted = f'"{filters.recipient}"'
        places = (sa.cast(messages.c[name], sa.Text).contains(quoted, autoescape=True) for name in ("to", "cc"))
        query = query.where(sa.or_(*places))
    if filters.since is not None:
        query = query.where(messages.c.received_at >= filters.since)
    if filters.until is not None:
        query = query.where(messages.c.received_at < filters.until)
    if before is not None:
        at = sa.literal(before[0], messages.c.received_at.type)
        query = query.where(sa.tuple_(messages.c.received_at, messages.c.id) < sa.tuple_(at, before[1]))
    query = query.order_by(messages.c.received_at.desc(), messages.c.id.desc()).limit(limit)
    rows = (await conn.execute(query)).mappings().all()
    files = await _attachments(conn, [row["id"] for row in rows])
    return [_row(row, attachments=files.get(row["id"], ())) for row in rows]


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def find(conn: AsyncConnection, actor: Actor, message_id: int) -> MessageRow:
    """Return a message with body, attachments and recipients. Raises NotFound, also for what may not be seen."""
    row = (await conn.execute(_query(actor, with_body=True).where(messages.c.id == message_id))).mappings().first()
    if row is None:
        raise NotFound("message_missing", "no such message")
    files = await _attachments(conn, [message_id])
    sent_to = sa.select(outbox_recipients).join(outbox, outbox.c.id == outbox_recipients.c.outbox_id)
    recipients = await conn.execute(sent_to.where(outbox.c.message_id == message_id).order_by(outbox_recipients.c.id))
    return _row(
        row,
        text=row["text"],
        html=row["html"],
        attachments=files.get(message_id, ()),
        recipients=tuple(RecipientRow(r.address, r.state, r.code, r.reply) for r in recipients),
    )


async def attachment(conn: AsyncConnection, actor: Actor, attachment_id: int) -> AttachmentRow:
    """Return an attachment of a message the actor may see. Raises NotFound."""
    row = (await conn.execute(sa.select(attachments).where(attachments.c.id == attachment_id))).mappings().first()
    if row is None:
        raise NotFound("attachment_missing", "no such attachment")
    await find(conn, actor, row["message_id"])
    return AttachmentRow(**{name: row[name] for name in AttachmentRow.__slots__})


async def _attachments(conn: AsyncConnection, message_ids: list[int]) -> dict[int, tuple[AttachmentRow, ...]]:
    query = sa.select(attachments).where(attachments.c.message_id.in_(message_ids)).order_by(attachments.c.id)
    found: dict[int, tuple[AttachmentRow, ...]] = {}
    for row in (await conn.execute(query)).mappings():
        one = AttachmentRow(**{name: row[name] for name in AttachmentRow.__slots__})
        found[one.message_id] = (*found.get(one.message_id, ()), one)
    return found


@dataclass(frozen=True, slots=True)
class MailboxRow:
    """A mailbox with its health. `state` is connecting, up, down or auth_refused."""

    id: int
    address: str
    name: str
    team_id: int
    state: str
    error: str
    seen_at: datetime | None


async def mailboxes_of(conn: AsyncConnection, actor: Actor) -> list[MailboxRow]:
    """Return the mailboxes the actor may write from: those of their teams."""
    query = sa.select(mailboxes).where(access.of_my_teams(actor, mailboxes.c.team_id)).order_by(mailboxes.c.address)
    rows = (await conn.execute(query)).mappings()
    return [MailboxRow(**{name: row[name] for name in MailboxRow.__slots__}) for row in rows]


def timeline_data(message: Mapping[Any, Any]) -> dict[str, Any]:
    """The snapshot of a message that its timeline entry carries: the keys below, of the body only a snippet."""
    return {
        "direction": message["direction"],
        "state": message["state"],
        "subject": message["subject"],
        "snippet": message["snippet"],
        "from_name": message["from_name"],
        "from_address": message["from_address"],
        "to": message["to"],
        "thread_id": message["thread_id"],
        "auto": message["auto"],
    }
