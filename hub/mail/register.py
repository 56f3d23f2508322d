"""Reading messages beyond the base: names and files of a page, one message with its attachments. Writes nothing.

Pages are read by `crm.base.records`, and who may see a message is `filters.may`'s; an attachment is reached only
through a message that may be seen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.base import records
from hub.crm.base.permissions import permitted
from hub.crm.models import clients, contacts, teams, users
from hub.errors import NotFound, Refused
from hub.mail import search
from hub.mail.excerpt import MAX_LOOKED_AT
from hub.mail.filters import MessageFilters, conditions, has_elder_twin, narrowest
from hub.mail.message_kind import MESSAGES, ListedMessage
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
    scan: str = "none"
    scan_note: str = ""


@dataclass(frozen=True, slots=True)
class RecipientRow:
    """How the sending to one recipient went."""

    address: str
    state: str
    code: int | None
    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow(ListedMessage):
    """A message as lists, cards and the API show it. `text` and `html` are None in lists; `html` is safe already."""

    mailbox_address: str
    team_id: int
    team_name: str
    author_name: str | None
    client_name: str | None
    contact_name: str | None
    text: str | None = None
    html: str | None = None
    attachments: tuple[AttachmentRow, ...] = ()
    recipients: tuple[RecipientRow, ...] = ()
    also_in: tuple[str, ...] = ()


_JOINED = ("mailbox_address", "team_id", "team_name", "author_name", "client_name", "contact_name")
_LISTED = [one.name for one in fields(ListedMessage)]
_PLAIN = [name for name in _LISTED if name in messages.c]


def _joined(actor: Actor, *columns: sa.Column[Any]) -> sa.Select[Any]:
    """Select these columns of messages with the names of what they refer to."""
    names = [
        mailboxes.c.address.label("mailbox_address"),
        mailboxes.c.team_id.label("team_id"),
        teams.c.name.label("team_name"),
        users.c.name.label("author_name"),
        access.shown_name(actor, "client").label("client_name"),
        access.shown_name(actor, "contact").label("contact_name"),
    ]
    return (
        sa.select(*columns, *names)
        .join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)
        .join(teams, teams.c.id == mailboxes.c.team_id)
        .outerjoin(users, users.c.id == messages.c.author_id)
        .outerjoin(clients, clients.c.id == messages.c.client_id)
        .outerjoin(contacts, contacts.c.id == messages.c.contact_id)
    )


async def detailed(
    conn: AsyncConnection, actor: Actor, rows: Sequence[ListedMessage], *, grouped: bool = False
) -> list[MessageRow]:
    """Return messages that were read through `records` with their names and attachments.

    `grouped`: and with the other mailboxes that hold the same mail (`also_in`).
    """
    ids = [row.id for row in rows]
    query = _joined(actor, messages.c.id).where(messages.c.id.in_(ids))
    named = {row["id"]: row for row in (await conn.execute(query)).mappings()}
    files = await _attachments(conn, ids)
    also = await _also_in(conn, actor, rows, named) if grouped else {}
    found = []
    for row in rows:
        facts = {name: getattr(row, name) for name in _LISTED} | {name: named[row.id][name] for name in _JOINED}
        found.append(MessageRow(**facts, attachments=files.get(row.id, ()), also_in=also.get(row.id, ())))
    return found


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

    `filters.text` is a question to the search; the order of what it finds is to the second. `before` is (received_at,
    id) of the last of the page before, where nothing is searched for. `grouped`: the same mail of several mailboxes
    is one row (`also_in`).
    """
    dialect, text = conn.dialect.name, filters.text or ""
    where = sa.and_(sa.true(), *conditions(filters))
    asked = [where, refined(actor, filters, dialect, where, grouped=grouped)]
    if text.strip():
        asked.append(search.found(text, dialect))
    if before is not None:
        place = sa.tuple_(sa.literal(before[0], messages.c.received_at.type), before[1])
        asked.append(sa.tuple_(messages.c.received_at, messages.c.id) < place)
    page = await records.page(conn, actor, MESSAGES, where=sa.and_(*asked), limit=limit, only=())
    return await detailed(conn, actor, page.items, grouped=grouped)


def refined(
    actor: Actor, filters: MessageFilters, dialect: str, where: sa.ColumnElement[bool] | None, *, grouped: bool
) -> sa.ColumnElement[bool]:
    """Return what a list with this condition leaves out: with `grouped` all but one of the same mail.

    A search within a client or a conversation looks through their messages alone.
    """
    found = [~has_elder_twin(actor, where)] if grouped else []
    if (few := narrowest(filters)) is not None and filters.text:
        found.append(search.among(filters.text, dialect, few))
    return sa.and_(sa.true(), *found)


async def _also_in(
    conn: AsyncConnection, actor: Actor, rows: Sequence[ListedMessage], named: Mapping[int, sa.RowMapping]
) -> dict[int, tuple[str, ...]]:
    """Return, by message, the other mailboxes that hold the same mail and that the actor may look into."""
    names = {row.message_id for row in rows if row.message_id}
    columns = (messages.c.id, messages.c.message_id, messages.c.direction, mailboxes.c.address)
    query = sa.select(*columns).join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)
    query = query.where(messages.c.message_id.in_(names), permitted(actor, MESSAGES, "see")).order_by(messages.c.id)
    same: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for one in await conn.execute(query):
        same.setdefault((one.message_id, one.direction), []).append((one.id, one.address))
    return {
        row.id: tuple(
            address
            for message_id, address in same.get((row.message_id, row.direction), ())
            if message_id != row.id and address != named[row.id]["mailbox_address"]
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
    query = _joined(actor, *messages.c).where(permitted(actor, MESSAGES, "see"), messages.c.id == message_id)
    row = (await conn.execute(query)).mappings().first()
    if row is None:
        raise NotFound("message_missing", "no such message")
    files = await _attachments(conn, [message_id])
    sent_to = sa.select(outbox_recipients).join(outbox, outbox.c.id == outbox_recipients.c.outbox_id)
    recipients = await conn.execute(sent_to.where(outbox.c.message_id == message_id).order_by(outbox_recipients.c.id))
    return MessageRow(
        **{name: row[name] for name in (*_PLAIN, *_JOINED)},
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
