"""Until when the invitation of a person works who has set no password yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Moment

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("invited_until", Moment(), nullable=True))
