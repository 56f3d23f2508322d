"""The version that a PBX says it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pbx_states", sa.Column("version", sa.String(length=60), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("pbx_states", "version")
