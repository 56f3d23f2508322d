"""Reading messages: the register's pages, one message with its attachments, a thread. Writes nothing.

Every question passes through `crm.access`; an attachment is reached only through a message that may be seen.
Lists go by key (`received_at`, `id`), newest first, carry no bodies, and count nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.models import clients, contacts, teams, users
from hub.errors import NotFound, Refused
from hub.mail import measures, search
from hub.mail.excerpt import MAX_LOOKED_AT
from hub.mail.filters import MessageFilters, conditions, has_elder_twin, may_see, narrowest
from hub.mail.models import attachments, mailboxes, messages, outbox, outbox_recipients
from hub.mail.query import parse


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
    scan: str = "none"
    scan_note: str = ""


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
    about: dict[str, Any]
    flags: list[str]
    deleted_at: datetime | None
    bounce_of: int | None
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
    also_in: tuple[str, ...] = ()

    @property
    def is_unread(self) -> bool:
        return measures.is_unread(self)


_EXTRA = ("text", "html", "attachments", "recipients", "also_in")
_JOINED = ("mailbox_address", "team_id", "team_name", "author_name", "client_name", "contact_name")
_PLAIN = [name for name in MessageRow.__slots__ if name not in _EXTRA + _JOINED]


def _query(actor: Actor, *, with_body: bool) -> sa.Select[Any]:
    names = [
        mailboxes.c.address.label("mailbox_address"),
        mailboxes.c.team_id.label("team_id"),
        teams.c.name.label("team_name"),
        users.c.name.label("author_name"),
        access.shown_name(actor, "client").label("client_name"),
        access.shown_name(actor, "contact").label("contact_name"),
    ]
    columns = [messages.c[name] for name in (*_PLAIN, *(("text", "html") if with_body else ()))]
    return (
        sa.select(*columns, *names)
        .join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)
        .join(teams, teams.c.id == mailboxes.c.team_id)
        .outerjoin(users, users.c.id == messages.c.author_id)
        .outerjoin(clients, clients.c.id == messages.c.client_id)
        .outerjoin(contacts, contacts.c.id == messages.c.contact_id)
        .where(may_see(actor))
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
    grouped: bool = False,
) -> list[MessageRow]:
    """Return messages the actor may see, newest first, without bodies but with attachments' names.

    `before` is (received_at, id) of the last of the page before. `filters.text` is a question to the search; the
    order of what it finds is to the second. `grouped`: the same mail of several mailboxes is one row (`also_in`).
    """
    ids = await ids_of(conn, actor, filters, before=before, limit=limit, grouped=grouped)
    query = _query(actor, with_body=False).where(messages.c.id.in_(ids))
    rows = {row["id"]: row for row in (await conn.execute(query)).mappings()}
    files = await _attachments(conn, ids)
    also = await _also_in(conn, actor, list(rows.values())) if grouped else {}
    return [_row(rows[one], attachments=files.get(one, ()), also_in=also.get(one, ())) for one in ids if one in rows]


async def ids_of(
    conn: AsyncConnection,
    actor: Actor,
    filters: MessageFilters,
    *,
    before: tuple[datetime, int] | None = None,
    limit: int,
    grouped: bool = False,
) -> list[int]:
    """Return only the ids of `listed`: decided on narrow rows, since a message's row may be long."""
    dialect, question = conn.dialect.name, parse(filters.text or "")
    statement = search.narrowed(sa.select(messages.c.id), question, dialect, few=narrowest(filters))
    statement = statement.where(*conditions(actor, filters))
    if grouped:
        statement = statement.where(~has_elder_twin(actor, filters))
    if before is not None:
        statement = statement.where(search.older_than(question, dialect, before))
    statement = statement.order_by(*search.newest_first(question, dialect)).limit(limit)
    return list((await conn.execute(statement)).scalars())


async def _also_in(conn: AsyncConnection, actor: Actor, rows: Sequence[sa.RowMapping]) -> dict[int, tuple[str, ...]]:
    """Return, by message, the other mailboxes that hold the same mail and that the actor may look into."""
    names = {row["message_id"] for row in rows if row["message_id"]}
    columns = (messages.c.id, messages.c.message_id, messages.c.direction, mailboxes.c.address)
    query = sa.select(*columns).join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)
    query = query.where(messages.c.message_id.in_(names), may_see(actor)).order_by(messages.c.id)
    same: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for one in await conn.execute(query):
        same.setdefault((one.message_id, one.direction), []).append((one.id, one.address))
    return {
        row["id"]: tuple(
            address
            for message_id, address in same.get((row["message_id"], row["direction"]), ())
            if message_id != row["id"] and address != row["mailbox_address"]
        )
        for row in rows
    }


async def heads(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, str]:
    """Return the beginnings of the texts of messages that were listed, for showing why they were found."""
    text = sa.func.substr(messages.c.text, 1, MAX_LOOKED_AT).label("text")
    query = sa.select(messages.c.id, text).where(messages.c.id.in_(ids))
    return {row.id: row.text for row in await conn.execute(query)}


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


async def refuse_infected(conn: AsyncConnection, hashes: Collection[str], *, field: str | None = None) -> None:
    """Raise Refused `infected` where the scanner found something in one of these files, in whatever message it came."""
    found = sa.select(attachments.c.name, attachments.c.scan_note)
    found = found.where(attachments.c.sha256.in_(sorted(hashes)), attachments.c.scan == "infected").limit(1)
    if (row := (await conn.execute(found)).first()) is not None:
        text = f"the virus scanner found {row.scan_note!r} in the file {sanitize.shown(row.name)!r}"
        raise Refused("infected", text, field=field)


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
    """Return the mailboxes the actor may write from: those of their teams, and their own."""
    mine = access.mailbox_writable(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
    return await _mailboxes(conn, mine)


async def mailboxes_seen(conn: AsyncConnection, actor: Actor) -> list[MailboxRow]:
    """Return the mailboxes the actor may look into."""
    return await _mailboxes(
        conn, access.mailbox_open(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
    )


async def _mailboxes(conn: AsyncConnection, which: sa.ColumnElement[bool]) -> list[MailboxRow]:
    rows = (await conn.execute(sa.select(mailboxes).where(which).order_by(mailboxes.c.address))).mappings()
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
