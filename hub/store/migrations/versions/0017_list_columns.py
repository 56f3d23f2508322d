"""The columns that each person chose for a list, and the order of saved views."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Json

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "list_columns",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("columns", Json, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_list_columns_user_id")),
        sa.PrimaryKeyConstraint("user_id", "kind", name=op.f("pk_list_columns")),
    )
    op.add_column("views", sa.Column("position", sa.Integer(), nullable=True))
