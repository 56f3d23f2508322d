"""Templates as records that people edit, and the grants on them.

Until now whoever may send mail wrote the templates of their teams, whatever the role says of other kinds, and everybody
saw those of their teams and of everybody: each role is granted what it reached.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.migrations.steps import folded
from hub.store.schema import Moment

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

WRITING = ("create", "edit", "delete")


def upgrade() -> None:
    _editable_templates()
    _grants()


def _editable_templates() -> None:
    op.add_column("mail_templates", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("mail_templates", sa.Column("created_at", Moment(), nullable=True))
    op.add_column("mail_templates", sa.Column("changed_at", Moment(), nullable=True))
    op.add_column("mail_templates", folded("name_folded", 200))
    names = ("id", "name", "name_folded", "renewed_at", "created_at", "changed_at")
    templates = sa.table("mail_templates", *(sa.column(name) for name in names))
    op.execute(templates.update().values(created_at=templates.c.renewed_at, changed_at=templates.c.renewed_at))
    conn = op.get_bind()
    for row in conn.execute(sa.select(templates.c.id, templates.c.name)).all():
        twin = " ".join(row.name.casefold().replace("ё", "е").split())
        conn.execute(templates.update().where(templates.c.id == row.id).values(name_folded=twin[:200]))
    for column in ("created_at", "changed_at"):
        op.create_index(f"ix_mail_templates_{column}_id", "mail_templates", [column, "id"])
    op.create_index("ix_mail_templates_name_folded", "mail_templates", ["name_folded", "id"])


def _grants() -> None:
    conn = op.get_bind()
    roles = sa.table("roles", sa.column("id"), sa.column("key"))
    grants = sa.table("role_grants", *(sa.column(name) for name in ("role_id", "kind", "action", "scope")))
    rights = sa.table("role_rights", sa.column("role_id"), sa.column("right"))
    for role in conn.execute(sa.select(roles)).all():
        if role.key == "admin":
            continue
        held = conn.execute(sa.select(grants).where(grants.c.role_id == role.id)).all()
        general = {row.action: row.scope for row in held if row.kind == "*"}
        can_send = sa.select(rights).where(rights.c.role_id == role.id, rights.c.right == "send_mail")
        writes = "none" if conn.execute(can_send).first() is None else "team"
        wanted = {"see": "team", **dict.fromkeys(WRITING, writes)}
        # What could not be done with templates at all goes no further than what is seen.
        wanted |= {action: "team" for action in ("export", "bulk") if general.get(action) == "all"}
        for action, scope in wanted.items():
            if general.get(action, "none") != scope:
                row = {"role_id": role.id, "kind": "template", "action": action, "scope": scope}
                conn.execute(sa.insert(grants).values(**row))
