"""What a list of messages may be narrowed by, as conditions on `messages` alone.

Who may see a message is decided here too (`may`): the kind of messages asks it for every list and card. Knows
neither the search's index nor the shape of a row. Invariant: each condition stands for any alias of the table, so that
the same mail in another mailbox can be asked the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.util import ClauseAdapter

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.base.permissions import Action
from hub.crm.models import queue_items, timeline_entries
from hub.mail import measures
from hub.mail.models import attachments, mailboxes, messages


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilters:
    """What a list of messages may be narrowed by; None is "any". `since` and `until` bound `received_at`.

    `text` is a question to the search (`mail.query`). `sender` and `recipient` are whole addresses in their normal
    form; a recipient stands in To or Cc. `is_gone`: no folder of the server holds it any more. `is_open`: its
    thread waits for somebody of a team, or is somebody's to do.
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
    author_id: int | None = None
    auto: str | None = None
    has_file: bool | None = None
    is_unread: bool | None = None
    is_flagged: bool | None = None
    is_linked: bool | None = None
    is_gone: bool | None = None
    is_unreadable: bool | None = None
    is_automatic: bool | None = None
    is_open: bool | None = None


_EQUAL = ("client_id", "mailbox_id", "thread_id", "direction", "state", "author_id", "auto")


def may(actor: Actor, action: Action, table: Any = messages) -> sa.ColumnElement[bool]:
    """Messages with which the actor may do this, without a join.

    One's own are those that one wrote, and those of one's own mailbox; nobody else but an administrator reaches the
    mail of a personal mailbox, unless it is on a client's card. What was taken back is a draft again, and nobody's.
    """
    is_there: sa.ColumnElement[bool] = table.c.state != "undone"
    if actor.is_admin:
        return is_there if action in access.TALK_ACTIONS else sa.false()
    if not actor.has("read_mail"):
        return sa.false()

    def of_mailbox(which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        is_it: sa.ColumnElement[bool] = table.c.mailbox_id.in_(sa.select(mailboxes.c.id).where(which))
        return is_it

    is_shared, is_mine = mailboxes.c.owner_id.is_(None), mailboxes.c.owner_id == actor.user_id
    permitted = access.talk_permitted(
        actor,
        "message",
        action,
        client_id=table.c.client_id,
        own=sa.or_(table.c.author_id == actor.user_id, of_mailbox(is_mine)),
        of_team=of_mailbox(sa.and_(is_shared, access.of_my_teams(actor, mailboxes.c.team_id))),
        every=of_mailbox(is_shared),
    )
    return sa.and_(is_there, permitted)


def conditions(filters: MessageFilters, table: Any = messages) -> Iterator[sa.ColumnElement[bool]]:
    """Yield what must hold of `table` (`messages` or an alias); the search's question is not in it."""
    for name in _EQUAL:
        if (wanted := getattr(filters, name)) is not None:
            yield table.c[name] == wanted
    if filters.mailbox is not None:
        yield table.c.mailbox_id.in_(sa.select(mailboxes.c.id).where(mailboxes.c.address == filters.mailbox.lower()))
    if filters.team_id is not None:
        yield table.c.mailbox_id.in_(sa.select(mailboxes.c.id).where(mailboxes.c.team_id == filters.team_id))
    if filters.sender is not None:
        yield table.c.from_address == filters.sender
    if filters.recipient is not None:
        yield goes_to(filters.recipient, table)
    if filters.since is not None:
        yield table.c.received_at >= filters.since
    if filters.until is not None:
        yield table.c.received_at < filters.until
    if filters.has_file is not None:
        has_file = sa.exists().where(attachments.c.message_id == table.c.id, attachments.c.inline.is_(False))
        yield has_file if filters.has_file else ~has_file
    if filters.is_unread is not None:
        yield measures.unread(table) if filters.is_unread else ~measures.unread(table)
    if filters.is_flagged is not None:
        yield measures.flagged("flagged", table) if filters.is_flagged else ~measures.flagged("flagged", table)
    if filters.is_linked is not None:
        yield table.c.client_id.is_not(None) if filters.is_linked else table.c.client_id.is_(None)
    if filters.is_gone is not None:
        yield table.c.deleted_at.is_not(None) if filters.is_gone else table.c.deleted_at.is_(None)
    if filters.is_unreadable is not None:
        yield table.c.parse_state == "failed" if filters.is_unreadable else table.c.parse_state != "failed"
    if filters.is_automatic is not None:
        yield table.c.auto != "none" if filters.is_automatic else table.c.auto == "none"
    if filters.is_open is not None:
        of_thread = sa.and_(queue_items.c.kind == "message", queue_items.c.ref_id == table.c.thread_id)
        is_open = sa.exists().where(of_thread, queue_items.c.state != "done")
        yield is_open if filters.is_open else ~is_open


def narrowest(filters: MessageFilters) -> sa.ColumnElement[bool] | None:
    """Return the condition by which few messages are left, where there is one."""
    for name in ("thread_id", "client_id"):
        if (wanted := getattr(filters, name)) is not None:
            same: sa.ColumnElement[bool] = messages.c[name] == wanted
            return same
    return None


def goes_to(address: str, table: Any = messages) -> sa.ColumnElement[bool]:
    """Messages with this whole address among their recipients."""
    quoted = f'"{address}"'
    return sa.or_(*(sa.cast(table.c[name], sa.Text).contains(quoted, autoescape=True) for name in ("to", "cc")))


def has_elder_twin(actor: Actor, where: sa.ColumnElement[bool] | None) -> sa.ColumnElement[bool]:
    """Tell whether the same mail stands in a list already, from another mailbox (`_is_same`).

    `where` is the condition of the list on `messages`.
    """
    twin = messages.alias("twin")
    is_listed = [] if where is None else [ClauseAdapter(twin).traverse(where)]
    return sa.exists().where(_is_same(messages, twin), twin.c.id < messages.c.id, may(actor, "see", twin), *is_listed)


def _is_same(own: Any, twin: Any) -> sa.ColumnElement[bool]:
    """The same mail in another mailbox: its Message-ID, going the same way. Ours from one mailbox to another is two.

    Some programs give every mail the same Message-ID, and anybody may give theirs another's: so sender, subject and
    date must agree, too.
    """
    return sa.and_(
        own.c.message_id != "",
        *(twin.c[name] == own.c[name] for name in ("message_id", "direction", "from_address", "subject")),
        twin.c.date.is_not_distinct_from(own.c.date),
        twin.c.mailbox_id != own.c.mailbox_id,
    )


def shown_by_twin() -> sa.ColumnElement[bool]:
    """Entries of a client's timeline whose mail another entry of it shows already, from another mailbox."""
    own, twin = messages.alias("own"), messages.alias("twin")
    return sa.and_(
        timeline_entries.c.kind == "message",
        sa.exists().where(
            own.c.id == timeline_entries.c.ref_id,
            _is_same(own, twin),
            twin.c.client_id == timeline_entries.c.client_id,
            twin.c.id < own.c.id,
        ),
    )
