"""Digits that are pressed once a dialled number answers, and why a dialled call reached nobody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("call_intents", sa.Column("keys", sa.String(length=8), nullable=True))
    op.add_column("calls", sa.Column("failure", sa.String(length=20), nullable=True))
