"""Indexes by which the lists of leads and calls are paged and searched."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_leads_last", "leads", ["last_at", "id"])
    op.create_index("ix_calls_from_number", "calls", ["from_number", "started_at"])
    op.create_index("ix_calls_to_number", "calls", ["to_number", "started_at"])
