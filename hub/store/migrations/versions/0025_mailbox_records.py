"""Mailboxes as records: version, change, the twin of the name, and the kind of sign-in."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

from hub.store.migrations.steps import folded
from hub.store.schema import Json, Moment

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("mailboxes", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("mailboxes", sa.Column("changed_at", Moment(), nullable=True))
    op.add_column("mailboxes", folded("name_folded", 200))
    op.add_column("mailboxes", sa.Column("sign_in", sa.String(9), nullable=False, server_default="password"))
    for name in ("created_at", "changed_at"):
        op.create_index(f"ix_mailboxes_{name}_id", "mailboxes", [name, "id"])
    for name in ("name_folded", "seen_at"):
        op.create_index(f"ix_mailboxes_{name}", "mailboxes", [name, "id"])
    _fill()


def _fill() -> None:
    """Write the new columns of the mailboxes that there are; the databases' own `lower` does not know every letter."""
    names = ("id", "name", "name_folded", "sign_in")
    here = sa.table("mailboxes", *(sa.Column(name) for name in names), sa.Column("settings", Json))
    conn = op.get_bind()
    for row in conn.execute(sa.select(here.c.id, here.c.name, here.c.settings)).all():
        values = {"name_folded": _fold(row.name) or None, "sign_in": (row.settings or {}).get("oauth") or "password"}
        conn.execute(sa.update(here).where(here.c.id == row.id).values(**values))


def _fold(text: str) -> str:
    return re.sub(r"\s+", " ", text.casefold().replace("ё", "е")).strip()[:200]
