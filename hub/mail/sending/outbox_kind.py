"""The outbox as a kind of record: the row, the fields, who may see what. People decide on a message, they edit none.

Decides how a row is named for a person (`OutboxStand`). What has gone out and needs nobody is in no list of it.
Invariant: a person's own mail is its author's, mail of a personal mailbox its owner's, the rest the mailbox's team's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.base import registry
from hub.crm.base.collections import Collection, Pairs
from hub.crm.base.entity import Entity
from hub.crm.base.fields import Choice, Integer, Link, Moment, Person, Text
from hub.crm.base.labels import _
from hub.crm.base.permissions import Action, scope
from hub.mail.choices import OutboxStand
from hub.mail.models import IN_OUTBOX, mailboxes, messages, outbox, outbox_recipients

if TYPE_CHECKING:
    from hub.mail.sending.standing import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A row of the outbox as the base reads it; collections of one value each but the recipients."""

    id: int
    message_id: int
    mailbox_id: int
    state: str
    not_before: datetime
    attempts: int
    reason: str
    stand: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    author: tuple[int, ...] = ()
    client: tuple[int, ...] = ()
    written: tuple[datetime, ...] = ()
    standing: Standing | None = None
    """The details that pages and answers show of it (`standing.detailed`)."""


_STAND = sa.case(
    (outbox.c.state.in_(("queued", "sending")), str(OutboxStand.WAITING)),
    (outbox.c.state != "sent", outbox.c.state),
    (outbox.c.bounced, str(OutboxStand.BOUNCED)),
    else_=str(OutboxStand.NO_COPY),
)
_IS_OPEN = sa.text(f"(outbox.{IN_OUTBOX.replace(' OR ', ' OR outbox.')})")
"""As the partial indexes have it, word for word."""
STANDS = sa.select(outbox.c.id, _STAND.label("value")).where(_IS_OPEN).subquery("stands")
"""Every row that is in the outbox still, with its stand."""


def may(actor: Actor, action: Action) -> sa.ColumnElement[bool]:
    """Rows with which the actor may do this: one's own are what one wrote, and those of one's own mailbox."""
    reach = scope(actor, "outbox", action)
    if reach == "none" or action not in ("see", "export"):
        return sa.false()
    if actor.is_admin:
        return sa.true()
    wrote = outbox.c.message_id.in_(sa.select(messages.c.id).where(messages.c.author_id == actor.user_id))
    boxes: sa.ColumnElement[bool] = mailboxes.c.owner_id == actor.user_id
    if reach != "own":
        is_reached = access.of_my_teams(actor, mailboxes.c.team_id) if reach == "team" else sa.true()
        boxes = sa.or_(boxes, sa.and_(mailboxes.c.owner_id.is_(None), is_reached))
    return sa.or_(wrote, outbox.c.mailbox_id.in_(sa.select(mailboxes.c.id).where(boxes)))


def found(text: str, _region: str) -> sa.ColumnElement[bool]:
    """Rows whose subject or a recipient's address has this text."""
    text = text.strip()
    titled = sa.select(messages.c.id).where(messages.c.subject.icontains(text, autoescape=True))
    addressed = outbox_recipients.c.address.contains(text.lower(), autoescape=True)
    return sa.or_(
        outbox.c.message_id.in_(titled), outbox.c.id.in_(sa.select(outbox_recipients.c.outbox_id).where(addressed))
    )


def _of_message(column: sa.Column[Any]) -> Pairs:
    joined = sa.select(outbox.c.id, column.label("value")).join_from(outbox, messages)
    return _pairs(joined.where(column.is_not(None)).subquery("of_message"))


def _pairs(rows: Any) -> Pairs:
    return Pairs(rows.c.id, rows.c.value)


OUTBOX: Entity[OutboxRow, Any] = Entity(
    kind="outbox",
    path="outbox",
    title=_("Outgoing message"),
    titles=_("Outbox"),
    table=outbox,
    row=OutboxRow,
    order="-id",
    name=outbox.c.state,
    rule=may,
    actions=("see", "export"),
    in_lists=sa.and_(sa.true(), _IS_OPEN),
    search=found,
    fields=(
        Collection(
            Text(messages.c.subject, _("Subject")),
            _("Message"),
            name="subject",
            store=_of_message(messages.c.subject),
            shown=True,
            filterable=False,
        ),
        Collection(
            Choice(outbox.c.state, _("State"), options=OutboxStand.options()),
            _("State"),
            name="stand",
            store=_pairs(STANDS),
            shown=True,
        ),
        Collection(
            Text(outbox_recipients.c.address, _("To"), folded=outbox_recipients.c.address),
            _("To"),
            name="recipients",
            store=Pairs(outbox_recipients.c.outbox_id, outbox_recipients.c.address),
            shown=True,
            filterable=False,
        ),
        Collection(
            Person(messages.c.author_id, _("Written by")),
            _("Written by"),
            name="author",
            store=_of_message(messages.c.author_id),
            shown=True,
        ),
        Collection(
            Link(messages.c.client_id, _("Client"), to="client"),
            _("Client"),
            name="client",
            store=_of_message(messages.c.client_id),
        ),
        Link(outbox.c.mailbox_id, _("Mailbox"), to="mailbox", shown=True),
        Collection(
            Moment(messages.c.received_at, _("Written")),
            _("Written"),
            name="written",
            store=_of_message(messages.c.received_at),
        ),
        Integer(outbox.c.attempts, _("Attempts"), sortable=False),
        Text(outbox.c.reason, _("Reason"), sortable=False),
        Moment(outbox.c.not_before, _("Goes at"), shown=True),
    ),
)
registry.register(OUTBOX)
