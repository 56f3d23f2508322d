"""The meeting that a message speaks of, and Gmail's id of a message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("event_uid", sa.String(length=300), nullable=True))
    op.add_column("messages", sa.Column("gm_msgid", sa.BigInteger(), nullable=True))
    for name, column in (("ix_messages_event", "event_uid"), ("ix_messages_gm_msgid", "gm_msgid")):
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "messages", ["mailbox_id", column], sqlite_where=where, postgresql_where=where)
