"""Operations on many records, and what became of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId, Json, Moment

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    states = "state IN ('queued', 'running', 'done', 'cancelled', 'failed', 'undone')"
    op.create_table(
        "operations",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("object_kind", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("user_id", BigId, nullable=True),
        sa.Column("params", Json, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("is_undoing", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("error", sa.String(length=300), server_default="", nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=False),
        sa.Column("finished_at", Moment(), nullable=True),
        sa.CheckConstraint(states, name=op.f("ck_operations_state")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_operations_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    op.create_index("ix_operations_state", "operations", ["state", "id"])
    op.create_index(op.f("ix_operations_user_id"), "operations", ["user_id"])
    op.create_table(
        "operation_rows",
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=300), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], name=op.f("fk_operation_rows_operation_id")),
        sa.PrimaryKeyConstraint("operation_id", "record_id", name=op.f("pk_operation_rows")),
    )
    op.create_index("ix_operation_rows_outcome", "operation_rows", ["operation_id", "outcome", "record_id"])
