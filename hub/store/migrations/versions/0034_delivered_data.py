"""Which parts of the typical data a database was given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Moment

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delivered_data",
        sa.Column("part", sa.String(length=100), nullable=False),
        sa.Column("delivered_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("part", name=op.f("pk_delivered_data")),
    )
