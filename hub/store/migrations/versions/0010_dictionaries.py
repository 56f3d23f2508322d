"""Lists of values that an administrator edits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId, Json, Moment

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dictionary_values",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("dictionary", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=60), nullable=False),
        sa.Column("label", Json, nullable=False),
        sa.Column("color", sa.String(length=20), server_default="", nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("parent_id", BigId, nullable=True),
        sa.Column("data", Json, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["dictionary_values.id"], name=op.f("fk_dictionary_values_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dictionary_values")),
        sa.UniqueConstraint("dictionary", "key", name="uq_dictionary_values_key"),
    )
    op.create_index(op.f("ix_dictionary_values_parent_id"), "dictionary_values", ["parent_id"])
