"""Indexes by which lists of records are sorted: the moments of every kind, the names of people, teams and roles."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_clients_changed_at", "clients")
    for table in ("clients", "contacts", "leads", "users", "teams", "roles"):
        for column in ("created_at", "changed_at"):
            op.create_index(f"ix_{table}_{column}_id", table, [column, "id"])
    for table in ("users", "teams", "roles"):
        op.create_index(f"ix_{table}_name_folded_id", table, ["name_folded", "id"])
