"""Status, industry, region and external ID of a client."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.migrations.steps import folded

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("state", "industry", "region"):
        op.add_column("clients", sa.Column(name, sa.String(60)))
    op.add_column("clients", sa.Column("external_id", sa.String(100)))
    op.add_column("clients", folded("external_id_folded", 100))
    for name in ("state", "industry", "region", "external_id_folded"):
        op.create_index(f"ix_clients_{name}", "clients", [name, "id"])
