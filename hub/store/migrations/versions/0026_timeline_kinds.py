"""The timeline of a client by kind: the last call, the last message, and calls or messages alone."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_timeline_entries_kind", "timeline_entries", ["client_id", "kind", "at", "id"])
