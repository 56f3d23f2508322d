"""The colleague who substitutes a person, and from when until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId, Moment

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users", schema=None) as table:
        table.add_column(sa.Column("substitute_id", BigId, nullable=True))
        table.add_column(sa.Column("substitute_from", Moment(), nullable=True))
        table.add_column(sa.Column("substitute_until", Moment(), nullable=True))
        table.create_foreign_key("fk_users_substitute_id", "users", ["substitute_id"], ["id"])
        table.create_index("ix_users_substitute_id", ["substitute_id"])
