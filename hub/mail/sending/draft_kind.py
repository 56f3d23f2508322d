"""Drafts as a kind of record, for their list: the row, the fields, and who may see one. `drafts` writes them.

Invariant: only the author ever sees a draft, whatever the role says of others' records; what was sent or deleted is in
no list.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hub.crm.access import Actor
from hub.crm.base import registry
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field, Reading
from hub.crm.base.fields import Choice, Link, Moment, Text
from hub.crm.base.labels import FieldError, _
from hub.crm.base.permissions import Action
from hub.mail.choices import DraftKind
from hub.mail.sending.models import drafts


class TypedLine(Field):
    """A line of recipients as it was typed, however unfinished. Shown only."""

    type = "typed_line"

    def convert(self, value: object, reading: Reading) -> Any:
        raise FieldError("read_only", _("Cannot be changed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRow:
    """A draft as the base reads it for a list: without its text."""

    id: int
    version: int
    created_at: datetime
    saved_at: datetime
    kind: str
    to: str
    cc: str
    subject: str
    client_id: int | None
    contact_id: int | None
    send_at: datetime | None
    mailbox_id: int


def may(actor: Actor, action: Action) -> sa.ColumnElement[bool]:
    """One's own drafts that are not deleted, to see and to take away."""
    if action not in ("see", "export"):
        return sa.false()
    return sa.and_(drafts.c.author_id == actor.user_id, drafts.c.deleted_at.is_(None))


DRAFTS: Entity[DraftRow, Any] = Entity(
    kind="draft",
    title=_("Draft"),
    titles=_("Drafts"),
    table=drafts,
    row=DraftRow,
    order="-saved_at",
    name=drafts.c.subject,
    rule=may,
    actions=(),
    in_lists=drafts.c.message_id.is_(None),
    fields=(
        Text(drafts.c.subject, _("Subject"), shown=True, searchable=True, sortable=False),
        Choice(drafts.c.kind, _("Type"), options=DraftKind.options(), sortable=False),
        TypedLine(drafts.c.to, _("To"), shown=True, filterable=False, sortable=False),
        TypedLine(drafts.c.cc, _("Cc"), filterable=False, sortable=False),
        Link(drafts.c.client_id, _("Client"), to="client", shown=True),
        Link(drafts.c.contact_id, _("Contact"), to="contact"),
        Link(drafts.c.mailbox_id, _("Mailbox"), to="mailbox", shown=True),
        Moment(drafts.c.created_at, _("Created")),
        Moment(drafts.c.saved_at, _("Saved"), shown=True),
    ),
)
registry.register(DRAFTS)
