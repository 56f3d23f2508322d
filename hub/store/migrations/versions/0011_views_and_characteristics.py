"""Saved lists; fields that an administrator defines, and their values for clients and contacts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId, Json, Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "characteristics",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("label", Json, nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("required", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("group", sa.String(length=100), server_default="", nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_characteristics")),
        sa.UniqueConstraint("kind", "key", name="uq_characteristics_key"),
    )
    op.create_table(
        "views",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("name_folded", sa.String(length=100), nullable=False),
        sa.Column("filters", Json, nullable=False),
        sa.Column("columns", Json, nullable=False),
        sa.Column("sort", sa.String(length=100), server_default="", nullable=False),
        sa.Column("shared_with", sa.String(length=10), nullable=False),
        sa.Column("owner_id", BigId, nullable=False),
        sa.Column("team_id", BigId, nullable=True),
        sa.Column("pinned", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=False),
        sa.CheckConstraint("(shared_with = 'team') = (team_id IS NOT NULL)", name=op.f("ck_views_team")),
        sa.CheckConstraint("shared_with IN ('me', 'team', 'all')", name=op.f("ck_views_shared_with")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_views_owner_id")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_views_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_views")),
        sa.UniqueConstraint("owner_id", "kind", "name_folded", name="uq_views_name"),
    )
    op.create_index(op.f("ix_views_owner_id"), "views", ["owner_id"])
    op.create_index(op.f("ix_views_team_id"), "views", ["team_id"])
    for kind in ("clients", "contacts"):
        _values_table(kind)


def _values_table(kind: str) -> None:
    table = f"{kind}_values"
    folded = sa.String(length=600).with_variant(sa.String(length=600, collation="C"), "postgresql")
    op.create_table(
        table,
        sa.Column("record_id", BigId, nullable=False),
        sa.Column("field_id", BigId, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("num", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("text_folded", folded, nullable=True),
        sa.Column("date", sa.Date(), nullable=True),
        sa.Column("moment", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["record_id"], [f"{kind}.id"], name=op.f(f"fk_{table}_record_id")),
        sa.PrimaryKeyConstraint("record_id", "field_id", "n", name=op.f(f"pk_{table}")),
    )
    for column in ("num", "text_folded", "date", "moment"):
        where = sa.text(f"{column} IS NOT NULL")
        columns = ["field_id", column, "record_id"]
        op.create_index(f"ix_{table}_{column}", table, columns, sqlite_where=where, postgresql_where=where)
