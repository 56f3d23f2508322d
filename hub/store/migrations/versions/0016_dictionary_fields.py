"""The source of a client; icons of dictionaries' values; help below a characteristic."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Json

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("source", sa.String(length=60), nullable=True))
    op.create_index("ix_clients_source", "clients", ["source", "id"])
    op.add_column("dictionary_values", sa.Column("icon", sa.String(length=40), server_default="", nullable=False))
    op.add_column("characteristics", sa.Column("help", Json, nullable=True))
