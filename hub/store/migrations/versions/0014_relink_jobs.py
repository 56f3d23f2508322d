"""Addresses of which past calls and messages are asked anew whose they are; those that mail has begun move here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId, Moment

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "relink_jobs",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("below_id", sa.BigInteger(), nullable=True),
        sa.Column("unlinks", sa.Boolean(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relink_jobs")),
        sa.UniqueConstraint("kind", "address", name="uq_relink_jobs_address"),
    )
    kind = "CASE WHEN address LIKE '%@%' THEN 'email' ELSE 'domain' END"
    moved = f"SELECT {kind}, address, below_id, false, created_at FROM mail_jobs WHERE kind = 'relink'"
    op.execute(f"INSERT INTO relink_jobs (kind, address, below_id, unlinks, created_at) {moved}")
    op.execute("DELETE FROM mail_jobs WHERE kind = 'relink'")
