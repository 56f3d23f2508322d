"""Bank accounts of clients; name in parts, birth date and sex of persons."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.migrations.steps import folded, link
from hub.store.schema import BigId

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client_bank_accounts",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        link("client_id", "clients", nullable=False),
        sa.Column("bic", sa.String(9), nullable=False),
        sa.Column("account", sa.String(20), nullable=False),
        sa.Column("correspondent_account", sa.String(20), nullable=False, server_default=""),
        sa.Column("bank", sa.String(200), nullable=False, server_default=""),
    )
    for name in ("last_name", "first_name", "middle_name"):
        op.add_column("clients", sa.Column(name, sa.String(100)))
        op.add_column("clients", folded(f"{name}_folded", 100))
        op.create_index(f"ix_clients_{name}_folded", "clients", [f"{name}_folded", "id"])
    op.add_column("clients", sa.Column("birth_date", sa.Date()))
    op.add_column("clients", sa.Column("sex", sa.String(10)))
    op.create_index("ix_clients_birth_date", "clients", ["birth_date", "id"])
