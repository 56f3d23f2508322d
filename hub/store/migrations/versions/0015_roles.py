"""Roles with grants on records, rights and pages; the delivered ones, and each person's by what they were before."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId, Moment

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

PRESETS = (
    (
        "admin",
        "Administrator",
        ("dictionaries", "own_mailbox", "read_mail", "recordings", "send_mail", "supervise", "telephony"),
        ("desk", "clients", "contacts", "calls", "messages", "leads", "outbox", "team", "reports", "settings"),
        {
            "*": "see=all create=all edit=all delete=all assign=all export=all bulk=all",
        },
    ),
    (
        "head",
        "Head of a team",
        ("read_mail", "recordings", "send_mail", "supervise", "telephony"),
        ("desk", "clients", "contacts", "calls", "messages", "leads", "outbox", "team", "reports"),
        {
            "*": "see=team create=team edit=team delete=team assign=team export=team bulk=team",
            "user": "see=team create=none edit=none delete=none assign=none export=none bulk=none",
            "team": "see=team create=none edit=none delete=none assign=none export=none bulk=none",
            "role": "see=none create=none edit=none delete=none assign=none export=none bulk=none",
            "client": "see=all create=all edit=all assign=all delete=team export=team bulk=team",
            "contact": "see=all create=all edit=all assign=all delete=team export=team bulk=team",
        },
    ),
    (
        "manager",
        "Manager",
        ("read_mail", "send_mail", "telephony"),
        ("desk", "clients", "contacts", "calls", "messages", "leads", "outbox", "team"),
        {
            "*": "see=team create=own edit=own delete=own assign=own",
            "user": "see=team create=none edit=none delete=none assign=none export=none bulk=none",
            "team": "see=team create=none edit=none delete=none assign=none export=none bulk=none",
            "role": "see=none create=none edit=none delete=none assign=none export=none bulk=none",
            "client": "see=all create=all edit=all assign=all delete=own",
            "contact": "see=all create=all edit=all assign=all delete=own",
        },
    ),
    (
        "observer",
        "Observer",
        ("read_mail",),
        ("clients", "contacts", "calls", "messages", "leads", "team", "reports"),
        {
            "*": "see=all",
            "user": "see=all create=none edit=none delete=none assign=none export=none bulk=none",
            "team": "see=all create=none edit=none delete=none assign=none export=none bulk=none",
            "role": "see=none create=none edit=none delete=none assign=none export=none bulk=none",
        },
    ),
)


def upgrade() -> None:
    twin = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")
    op.create_table(
        "roles",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=20), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("name_folded", twin, nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=True),
        sa.Column("archived_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("key", name=op.f("uq_roles_key")),
        sa.UniqueConstraint("name", name=op.f("uq_roles_name")),
    )
    op.create_table(
        "role_grants",
        sa.Column("role_id", BigId, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("scope", sa.String(length=10), nullable=False),
        sa.CheckConstraint("scope IN ('none', 'own', 'team', 'all')", name=op.f("ck_role_grants_scope")),
        sa.ForeignKeyConstraint(["role_id"], ["roles.id"], name=op.f("fk_role_grants_role_id")),
        sa.PrimaryKeyConstraint("role_id", "kind", "action", name=op.f("pk_role_grants")),
    )
    for table, column, length in (("role_rights", "right", 20), ("role_pages", "page", 30)):
        op.create_table(
            table,
            sa.Column("role_id", BigId, nullable=False),
            sa.Column(column, sa.String(length=length), nullable=False),
            sa.ForeignKeyConstraint(["role_id"], ["roles.id"], name=op.f(f"fk_{table}_role_id")),
            sa.PrimaryKeyConstraint("role_id", column, name=op.f(f"pk_{table}")),
        )
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("role_id", BigId, nullable=True))
        batch_op.create_foreign_key(op.f("fk_users_role_id"), "roles", ["role_id"], ["id"])
        batch_op.create_index(batch_op.f("ix_users_role_id"), ["role_id"])
    with op.batch_alter_table("user_privileges", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_user_privileges_privilege"), type_="check")
    _deliver()


def _deliver() -> None:
    conn, now = op.get_bind(), datetime.now(UTC)
    roles = sa.table(
        "roles",
        *(sa.Column(name, kind) for name, kind in (("id", BigId), ("key", sa.String()), ("name", sa.String()))),
        sa.Column("name_folded", sa.String()),
        *(sa.Column(name, Moment()) for name in ("created_at", "changed_at")),
    )
    users = sa.table("users", *(sa.Column(name) for name in ("role", "role_id")))
    grants = sa.table("role_grants", *(sa.Column(name) for name in ("role_id", "kind", "action", "scope")))
    rights = sa.table("role_rights", sa.Column("role_id"), sa.Column("right"))
    shown = sa.table("role_pages", sa.Column("role_id"), sa.Column("page"))
    for key, name, held, pages, kinds in PRESETS:
        row = {"key": key, "name": name, "name_folded": name.lower(), "created_at": now, "changed_at": now}
        role_id = conn.execute(sa.insert(roles).values(**row).returning(roles.c.id)).scalar_one()
        of_role = [
            {"role_id": role_id, "kind": kind, "action": action, "scope": scope}
            for kind, words in kinds.items()
            for action, scope in (word.split("=") for word in words.split())
        ]
        conn.execute(sa.insert(grants), of_role)
        conn.execute(sa.insert(rights), [{"role_id": role_id, "right": right} for right in held])
        conn.execute(sa.insert(shown), [{"role_id": role_id, "page": page} for page in pages])
        conn.execute(sa.update(users).where(users.c.role == key).values(role_id=role_id))
