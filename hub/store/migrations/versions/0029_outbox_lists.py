"""Outbox messages that came back, the indexes by which lists of the outbox and drafts are read, and grants.

Until now everybody saw the outbox of their teams, whatever the role says: each role is granted that.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_IN_OUTBOX = sa.text("state NOT IN ('sent', 'undone') OR copy_state = 'failed' OR bounced")


def upgrade() -> None:
    op.add_column("outbox", sa.Column("bounced", sa.Boolean(), nullable=False, server_default=sa.false()))
    messages = sa.table("messages", sa.column("id"), sa.column("state"))
    outbox = sa.table("outbox", *(sa.column(name) for name in ("message_id", "state", "bounced")))
    came_back = outbox.c.message_id.in_(sa.select(messages.c.id).where(messages.c.state == "bounced"))
    op.execute(outbox.update().where(outbox.c.state == "sent", came_back).values(bounced=sa.true()))
    for name, columns in (("ix_outbox_open", ["id"]), ("ix_outbox_open_not_before", ["not_before", "id"])):
        op.create_index(name, "outbox", columns, sqlite_where=_IN_OUTBOX, postgresql_where=_IN_OUTBOX)
    for column in ("created_at", "saved_at"):
        op.create_index(f"ix_drafts_{column}", "drafts", [column, "id"])
    conn = op.get_bind()
    roles = sa.table("roles", sa.column("id"), sa.column("key"))
    grants = sa.table("role_grants", *(sa.column(name) for name in ("role_id", "kind", "action", "scope")))
    for role in conn.execute(sa.select(roles)).all():
        if role.key == "admin":
            continue
        held = conn.execute(sa.select(grants).where(grants.c.role_id == role.id, grants.c.kind == "*")).all()
        general = {row.action: row.scope for row in held}
        # What could not be exported at all goes no further than what is seen.
        for action in ("see", *(["export"] if general.get("export") == "all" else [])):
            if general.get(action) != "team":
                row = {"role_id": role.id, "kind": "outbox", "action": action, "scope": "team"}
                conn.execute(sa.insert(grants).values(**row))
