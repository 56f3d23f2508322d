"""Participants of clients and the company that a client belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client_participants",
        sa.Column("client_id", BigId, sa.ForeignKey("clients.id"), primary_key=True),
        sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("role", sa.String(20), nullable=False),
    )
    op.create_index("ix_client_participants_user_id", "client_participants", ["user_id", "client_id"])
    # Alembic adds no constraint to a table of SQLite; with its column both databases take it.
    kind = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(
        f"ALTER TABLE clients ADD COLUMN parent_id {kind} CONSTRAINT fk_clients_parent_id REFERENCES clients (id)"
    )
    op.create_index("ix_clients_parent_id", "clients", ["parent_id"])
