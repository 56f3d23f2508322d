"""Mailboxes as a kind of record: the row, the fields, who may see one and who sets it up. `accounts` writes them.

Everybody sees what they may read or own, so that messages name their mailbox; its settings, its history and its place
in a list are for whoever sets it up. Invariant: no field holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.base import registry
from hub.crm.base.entity import Entity
from hub.crm.base.field import fold
from hub.crm.base.fields import Choice, Moment, Person, Team, Text, YesNo
from hub.crm.base.labels import _
from hub.mail.choices import MailboxSource, MailboxState, SendState, SignIn
from hub.mail.models import mailboxes

HIDDEN = "•••"
"""Stands in the history for a password, before and after."""


def set_up_by(actor: Actor) -> sa.ColumnElement[bool]:
    """Mailboxes that the actor may set up: an administrator all, everybody else their own."""
    return sa.true() if actor.is_admin else mailboxes.c.owner_id == actor.user_id


def may(actor: Actor, action: str) -> sa.ColumnElement[bool]:
    """Whoever may read or own a mailbox sees it; whoever sets it up exports and edits it."""
    if action == "see":
        team_id, owner_id = mailboxes.c.team_id, mailboxes.c.owner_id
        return sa.or_(set_up_by(actor), access.mailbox_open(actor, team_id=team_id, owner_id=owner_id))
    return set_up_by(actor) if action in ("export", "edit") else sa.false()


def matches(text: str, _region: str) -> sa.ColumnElement[bool]:
    """Mailboxes with this piece in their address or name."""
    piece = fold(text)
    columns = (mailboxes.c.address, mailboxes.c.name_folded)
    return sa.or_(*(column.contains(piece, autoescape=True) for column in columns))


class Setting(Text):
    """A setting of a mailbox in words, for its history: no list has it, and nobody asks for it."""

    def __init__(self, name: str, label: str) -> None:
        super().__init__(mailboxes.c.settings, label, name=name, hidden=True, filterable=False, sortable=False)

    def load(self, row: Mapping[str, Any]) -> str:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMailbox:
    """A mailbox as the base reads it for a list."""

    id: int
    address: str
    name: str
    team_id: int
    owner_id: int | None
    sign_in: str
    source: str
    is_enabled: bool
    state: str
    send_state: str
    seen_at: datetime | None
    last_mail_at: datetime | None
    created_at: datetime
    settings: Any


MAILBOXES: Entity[ListedMailbox, Any] = Entity(
    kind="mailbox",
    title=_("Mailbox"),
    titles=_("Mailboxes"),
    path="mailboxes",
    table=mailboxes,
    row=ListedMailbox,
    order="address",
    name=mailboxes.c.address,
    rule=may,
    actions=(),
    search=matches,
    fields=(
        Text(mailboxes.c.address, _("Address"), folded=mailboxes.c.address, shown=True),
        Choice(mailboxes.c.state, _("State"), options=MailboxState.options(), shown=True, sortable=False),
        Text(mailboxes.c.name, _("Name that recipients see"), shown=True),
        Team(mailboxes.c.team_id, _("Team"), shown=True),
        Person(mailboxes.c.owner_id, _("Belongs to"), name="owner", shown=True),
        Choice(mailboxes.c.send_state, _("Sending"), options=SendState.options(), sortable=False),
        YesNo(mailboxes.c.is_enabled, _("In use"), name="enabled", sortable=False),
        Choice(mailboxes.c.sign_in, _("Sign-in method"), options=SignIn.options(), shown=True, sortable=False),
        Choice(mailboxes.c.source, _("Set up in"), options=MailboxSource.options(), sortable=False),
        Moment(mailboxes.c.seen_at, _("Checked"), shown=True),
        Moment(mailboxes.c.last_mail_at, _("Last mail"), sortable=False),
        Moment(mailboxes.c.created_at, _("Created")),
        Setting("imap", _("Reading (IMAP)")),
        Setting("smtp", _("Sending (SMTP)")),
        Setting("folders", _("Folders")),
        Setting("history_days", _("How many days back")),
        Setting("password", _("Password")),
    ),
)
registry.register(MAILBOXES)
