"""Leads that people edit: version, note, source, archiving, and the values of their characteristics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.migrations.steps import create_values
from hub.store.schema import Moment

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leads", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("leads", sa.Column("changed_at", Moment(), nullable=True))
    op.add_column("leads", sa.Column("archived_at", Moment(), nullable=True))
    op.add_column("leads", sa.Column("note", sa.Text(), nullable=False, server_default=""))
    op.add_column("leads", sa.Column("source", sa.String(60), nullable=True))
    op.create_index("ix_leads_source", "leads", ["source", "id"])
    create_values("leads")
