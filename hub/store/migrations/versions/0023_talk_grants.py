"""Grants of each role on calls and messages: what it reached before they were asked, so that nobody sees more or less.

Until now those of one's teams were seen whatever the role says, and messages exported; calls were exported and both
linked where the role allows it on other kinds.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

KINDS = ("call", "message")


def upgrade() -> None:
    conn = op.get_bind()
    roles = sa.table("roles", sa.column("id"), sa.column("key"))
    grants = sa.table("role_grants", *(sa.column(name) for name in ("role_id", "kind", "action", "scope")))
    for role in conn.execute(sa.select(roles)).all():
        if role.key == "admin":
            continue
        held = conn.execute(sa.select(grants).where(grants.c.role_id == role.id)).all()
        scopes = {(row.kind, row.action): row.scope for row in held}
        wanted = {("call", "see"), ("message", "see"), ("message", "export")}
        for kind, action in (("call", "export"), ("call", "edit"), ("message", "edit")):
            if scopes.get((kind, action), scopes.get(("*", action), "none")) != "none":
                wanted.add((kind, action))
        for kind, action in sorted(wanted):
            its = sa.and_(grants.c.role_id == role.id, grants.c.kind == kind, grants.c.action == action)
            conn.execute(sa.delete(grants).where(its))
            conn.execute(sa.insert(grants).values(role_id=role.id, kind=kind, action=action, scope="team"))
