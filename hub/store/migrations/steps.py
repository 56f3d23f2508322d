"""Steps that migrations share. Frozen: a step of a released migration never changes; a new shape is a new step."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId, Moment


def folded(name: str, length: int) -> sa.Column[str]:
    """Return the twin of a text that lists compare and sort by."""
    return sa.Column(name, sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql"))


def link(name: str, target: str, *, nullable: bool = True) -> sa.Column[int]:
    """Return a foreign key to `target.id`, with an index."""
    return sa.Column(name, BigId, sa.ForeignKey(f"{target}.id"), nullable=nullable, index=True)


def create_kind(name: str, *columns: sa.Column[object]) -> None:
    """Create the table of a kind of record: its own columns, those of every kind, and the indexes of its moments."""
    op.create_table(
        name,
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        *columns,
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("changed_at", Moment()),
        sa.Column("archived_at", Moment()),
    )
    for column in ("created_at", "changed_at"):
        op.create_index(f"ix_{name}_{column}_id", name, [column, "id"])


def create_values(name: str) -> None:
    """Create the table of the values of a kind's characteristics."""
    table = f"{name}_values"
    op.create_table(
        table,
        sa.Column("record_id", BigId, sa.ForeignKey(f"{name}.id"), primary_key=True),
        sa.Column("field_id", BigId, primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True),
        sa.Column("num", sa.BigInteger()),
        sa.Column("text", sa.Text()),
        folded("text_folded", 600),
        sa.Column("date", sa.Date()),
        sa.Column("moment", Moment()),
    )
    for column in ("num", "text_folded", "date", "moment"):
        where = sa.text(f"{column} IS NOT NULL")
        columns = ["field_id", column, "record_id"]
        op.create_index(f"ix_{table}_{column}", table, columns, sqlite_where=where, postgresql_where=where)
