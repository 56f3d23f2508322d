"""Pages of the lists that are read by hand: one row more than a page holds tells whether another one follows.

Lists of kinds are read by `hub.crm.base.records`; whatever else is listed goes through here, on pages and API alike.
Invariant: a page that nothing follows has no cursor, so that nobody is led to an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from hub.crm.base.keyset import Page
from hub.web.request_context import write_cursor

T = TypeVar("T")
PAGE = 50
"""Rows of a page in the browser."""


def by_id(row: Any) -> tuple[str, int]:
    """The place of a row in a list that is ordered by id."""
    return "", row.id


def cut(
    rows: Sequence[T], place: Callable[[T], tuple[str | int | datetime, ...]] = by_id, *, limit: int = PAGE
) -> Page[T]:
    """Return the page of rows that were read with `limit + 1`; `place` is what a row stands by in the list's order."""
    shown = list(rows[:limit])
    return Page(shown, write_cursor(*place(shown[-1])) if len(rows) > limit else None)
