"""Messages as a kind of record: the row, the fields, who may see one, and the search. Nobody writes one by hand.

Queries beyond the base are in `register`. Invariant: a list never carries the body of a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import TALK_ACTIONS
from hub.crm.base import registry
from hub.crm.base.collections import Collection, Pairs
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field, Reading
from hub.crm.base.fields import Choice, Email, Integer, Link, Moment, Person, Team, Text
from hub.crm.base.labels import FieldError, _
from hub.mail import measures, search
from hub.mail.choices import AutoKind, MailDirection, MessageState
from hub.mail.filters import may
from hub.mail.mailbox_kind import MAILBOXES
from hub.mail.models import attachments, mailboxes, messages


class People(Field):
    """The people in a mail's head: `{"name", "address"}` each. Shown only; the search asks them (`to:`)."""

    type = "people"

    def convert(self, value: object, reading: Reading) -> Any:
        raise FieldError("read_only", _("Cannot be changed"))

    def is_empty(self, value: Any) -> bool:
        return not value

    def dump(self, value: list[Mapping[str, str]]) -> str:
        """Return the addresses, as an export has them."""
        return "; ".join(one["address"] for one in value[:50])


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMessage:
    """A message as the base reads it for a list: without its body."""

    id: int
    mailbox_id: int
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
    client_id: int | None
    contact_id: int | None
    link_reason: str | None
    link_confidence: str | None
    link_manual: bool
    candidates: list[dict[str, Any]]
    team: tuple[int, ...] = ()
    files: tuple[str, ...] = ()
    """The names of the files that are not part of the text."""

    @property
    def is_unread(self) -> bool:
        return measures.is_unread(self)


class OfMailbox:
    """The store of a column of the mailbox that a message lies in: one value, as a collection has it."""

    def __init__(self, column: sa.Column[Any]) -> None:
        self.column = column

    async def load(self, conn: AsyncConnection, ids: Sequence[int]) -> Mapping[int, tuple[Any, ...]]:
        value = sa.select(self.column).where(mailboxes.c.id == messages.c.mailbox_id).scalar_subquery()
        found = await conn.execute(sa.select(messages.c.id, value).where(messages.c.id.in_(ids)))
        return {message_id: (value,) for message_id, value in found}

    async def replace(self, conn: AsyncConnection, record_id: int, values: tuple[Any, ...], *, now: datetime) -> None:
        raise NotImplementedError("nobody edits messages")

    def owners(self, condition: Any) -> sa.Select[tuple[int]]:
        of_such = sa.select(mailboxes.c.id).where(condition(self.column))
        return sa.select(messages.c.id).where(messages.c.mailbox_id.in_(of_such))


def _pairs(found: Any) -> Pairs:
    return Pairs(found.c.id, found.c.value)


_files = sa.select(attachments.c.message_id.label("id"), attachments.c.name.label("value"))
MESSAGES: Entity[ListedMessage, Any] = Entity(
    kind="message",
    title=_("Message"),
    titles=_("Messages"),
    table=messages,
    row=ListedMessage,
    order="-received_at",
    name=messages.c.subject,
    rule=may,
    actions=TALK_ACTIONS,
    client=messages.c.client_id,
    full_text=search.found,
    walked_by={messages.c.received_at: search.NEWEST_KEY},
    fields=(
        Text(messages.c.subject, _("Subject"), shown=True, sortable=False),
        Choice(messages.c.direction, _("Direction"), options=MailDirection.options(), sortable=False),
        Choice(messages.c.state, _("State"), options=MessageState.options(), sortable=False),
        Email(messages.c.from_address, _("Sender's address"), sortable=False),
        Text(messages.c.from_name, _("Sender's name"), sortable=False),
        People(messages.c.to, _("To"), filterable=False, sortable=False),
        People(messages.c.cc, _("Cc"), filterable=False, sortable=False),
        Link(messages.c.client_id, _("Client"), to="client", shown=True),
        Link(messages.c.contact_id, _("Contact"), to="contact"),
        Link(messages.c.mailbox_id, _("Mailbox"), to=MAILBOXES.kind, shown=True),
        Collection(Team(mailboxes.c.team_id, _("Team")), _("Team"), store=OfMailbox(mailboxes.c.team_id), name="team"),
        Person(messages.c.author_id, _("Written by"), name="author"),
        Choice(messages.c.auto, _("Sender type"), options=AutoKind.options(), sortable=False),
        Collection(
            Text(attachments.c.name, _("File")),
            _("Files"),
            name="files",
            store=_pairs(_files.where(attachments.c.inline.is_(False)).subquery("files")),
        ),
        Integer(messages.c.size, _("Size"), sortable=False, most=2**63 - 1),
        Text(messages.c.message_id, _("Message-ID"), sortable=False),
        Integer(messages.c.thread_id, _("Conversation"), name="thread", sortable=False, most=2**63 - 1),
        Moment(messages.c.date, _("Date"), sortable=False),
        Moment(messages.c.deleted_at, _("Deleted at"), sortable=False),
        Moment(messages.c.received_at, _("When"), shown=True),
    ),
)
registry.register(MESSAGES)
