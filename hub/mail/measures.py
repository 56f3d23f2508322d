"""Measures of messages, each in one place: a condition of SQL, and the same of a row in hand.

Lists, badges and rows take these, so that a filter and a row never differ; a test holds each pair together.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hub.mail.choices import MailDirection
from hub.mail.models import messages


def unread(table: Any = messages) -> sa.ColumnElement[bool]:
    """Incoming messages that nobody has opened, here or in another mail program."""
    return sa.and_(table.c.direction == MailDirection.IN, ~flagged("seen", table))


def is_unread(message: Any) -> bool:
    """`unread` of a row."""
    return bool(message.direction == MailDirection.IN) and "seen" not in (message.flags or ())


def flagged(flag: str, table: Any = messages) -> sa.ColumnElement[bool]:
    """Messages that bear a flag of their mailbox: `seen`, `answered`, `flagged`."""
    return sa.cast(table.c.flags, sa.Text).contains(f'"{flag}"')
