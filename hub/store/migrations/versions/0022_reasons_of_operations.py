"""Reasons of the results and errors of operations, as data that each language can say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Json

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operation_rows", sa.Column("reasons", Json, nullable=True))
    op.add_column("operations", sa.Column("error_reasons", Json, nullable=True))
