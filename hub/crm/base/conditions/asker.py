"""For whom a condition is asked: who "me" is, in which zone days begin, and which fields and kinds they may ask about.

Decides no right: `Scope` is filled from `permissions` by the caller. Pure. Invariant: what is not in a Scope cannot be
asked about in any way, nor be told apart from what does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

import sqlalchemy as sa

from hub.crm.base.field import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The asker and the moment. A stored segment has no `user_id`: "me" is unknown there."""

    now: datetime
    user_id: int | None = None
    team_ids: frozenset[int] = frozenset()
    zone: tzinfo = UTC
    region: str = "RU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A kind as one asker may ask about it."""

    kind: str
    table: sa.FromClause
    fields: Mapping[str, Field]
    """Those that the asker may see, by name; characteristics as `c.KEY`."""
    permitted: sa.ColumnElement[bool] | None = None
    """The records that the asker may see, where this kind is asked about through another; None: all."""
    related: Callable[[str], Scope | None] = field(default=lambda _kind: None)
    """The scope of another kind; None where it does not exist, or the asker may see none of it."""

    @property
    def id(self) -> sa.ColumnElement[int]:
        return self.table.c.id
