"""When a mailbox, and what a folder did not give, is tried again; what is wrong with folders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import Json, Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("mailboxes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("retry_at", Moment(), nullable=True))
        batch_op.add_column(sa.Column("problems", Json, nullable=True))
    with op.batch_alter_table("mail_folders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("retry_at", Moment(), nullable=True))
