"""The filters `from` and `to` of the lists: a number or an address, or the bounds of a time."""

from __future__ import annotations

import re
from datetime import datetime

from hub.web.request_context import parse_moment

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}($|[T ])")


def party_or_moment(text: str | None, *, field: str) -> tuple[str | None, datetime | None]:
    """Read `from` or `to`: what begins as an RFC 3339 date is a bound in time, all else names a party.

    A `+` that a query turned into a space is mended. Raises Refused for a date that is none.
    """
    if text is None:
        return None, None
    if _DATE.match(text):
        return None, parse_moment(re.sub(r" (?=\d\d:\d\d$)", "+", text), field=field)
    return text.strip(), None
