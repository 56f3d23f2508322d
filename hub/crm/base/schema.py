"""The columns that tables of records share: whatever people edit has an id, a version and its moments.

Decides what an editable kind's table begins with; a table's own columns stand with its kind, the twin of a text is
`hub.store.schema.folded`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hub.store.schema import id_column, moment


def record_columns(*, archived: str = "archived_at", always_changed: bool = False) -> tuple[sa.Column[Any], ...]:
    """Return id, version, created_at, changed_at and the moment of archiving, new columns for each table.

    `archived` is empty for what is deleted or switched off instead; `always_changed`: `changed_at` is never null.
    `version` grows by one with each edit.
    """
    columns: list[sa.Column[Any]] = [
        id_column(),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        moment("created_at", nullable=False),
        moment("changed_at", nullable=not always_changed),
    ]
    return (*columns, moment(archived)) if archived else tuple(columns)


def record_indexes() -> tuple[sa.Index, sa.Index]:
    """Return the indexes by which a list sorts records by their moments, new ones for each table."""
    return sa.Index(None, "created_at", "id"), sa.Index(None, "changed_at", "id")
