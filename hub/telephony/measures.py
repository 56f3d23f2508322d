"""Measures of calls, each in one place: a condition of SQL, and the same of a row in hand.

Lists, the wallboard and reports take these, so that a badge, a filter and a row never differ; a test holds each pair
together on every kind of call.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hub.telephony.choices import CallDirection, CallOutcome, CallState
from hub.telephony.models import calls

_REACHED = (CallOutcome.ANSWERED, CallOutcome.VOICEMAIL)


def missed() -> sa.ColumnElement[bool]:
    """Incoming calls that are over and reached neither a person nor the voicemail."""
    is_over = sa.and_(calls.c.direction == CallDirection.INBOUND, calls.c.state == CallState.ENDED)
    return sa.and_(is_over, sa.or_(calls.c.outcome.is_(None), calls.c.outcome.not_in(_REACHED)))


def is_missed(call: Any) -> bool:
    """`missed` of a row."""
    is_over = bool(call.direction == CallDirection.INBOUND and call.state == CallState.ENDED)
    return is_over and call.outcome not in _REACHED


def abandoned() -> sa.ColumnElement[bool]:
    """Those missed calls whose caller hung up while waiting."""
    return sa.and_(missed(), calls.c.outcome == CallOutcome.ABANDONED)


def is_abandoned(call: Any) -> bool:
    """`abandoned` of a row."""
    return is_missed(call) and bool(call.outcome == CallOutcome.ABANDONED)


def answered() -> sa.ColumnElement[bool]:
    """Calls in which a person spoke with the caller, those that live among them."""
    return calls.c.answered_at.is_not(None)


def is_answered(call: Any) -> bool:
    """`answered` of a row."""
    return call.answered_at is not None
