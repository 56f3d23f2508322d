"""What a list of messages may be narrowed by, as conditions on `messages` alone.

Rights are among them (`access`), so that no list can be asked without. Knows neither the search's index nor the shape
of a row. Invariant: each condition stands for any alias of the table, so that the same mail in another mailbox can be
asked the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hub.crm import access
from hub.crm.access import Actor
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


def may_see(actor: Actor, table: Any = messages) -> sa.ColumnElement[bool]:
    """The messages the actor may see, without a join. What was taken back is a draft again, and nobody's message."""
    open_ = access.mailbox_open(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
    is_there: sa.ColumnElement[bool] = table.c.state != "undone"
    if actor.is_admin:
        return is_there
    if not actor.has("read_mail"):
        return sa.false()
    theirs = table.c.mailbox_id.in_(sa.select(mailboxes.c.id).where(open_))
    return sa.and_(is_there, sa.or_(theirs, access.of_visible_client(actor, table.c.client_id)))


def conditions(actor: Actor, filters: MessageFilters, table: Any = messages) -> Iterator[sa.ColumnElement[bool]]:
    """Yield what must hold of `table` (`messages` or an alias), rights first; the search's question is not in it."""
    yield may_see(actor, table)
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


def has_elder_twin(actor: Actor, filters: MessageFilters) -> sa.ColumnElement[bool]:
    """Tell whether the same mail stands in the list already, from another mailbox (`_is_same`)."""
    twin = messages.alias("twin")
    return sa.exists().where(_is_same(messages, twin), twin.c.id < messages.c.id, *conditions(actor, filters, twin))


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
