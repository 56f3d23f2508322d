"""Requisites of a client: full name, ИНН, КПП, ОГРН, addresses and site."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.migrations.steps import folded

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, length in (("full_name", 500), ("legal_address", 500), ("address", 500), ("site", 300)):
        op.add_column("clients", sa.Column(name, sa.String(length), nullable=False, server_default=""))
    for name, length in (("full_name_folded", 300), ("inn", 12), ("kpp", 9), ("ogrn", 15)):
        op.add_column("clients", folded(name, length))
        op.create_index(f"ix_clients_{name}", "clients", [name, "id"])
