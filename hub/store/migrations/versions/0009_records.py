"""The history of records; version, change and folded name of clients, contacts, people and teams."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId, Json, Moment

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

AT_ONCE = 5_000


def upgrade() -> None:
    op.create_table(
        "history",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("user_id", BigId, nullable=True),
        sa.Column("way", sa.String(length=10), nullable=False),
        sa.Column("operation_id", sa.BigInteger(), nullable=True),
        sa.Column("changes", Json, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_history_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
    )
    op.create_index("ix_history_record", "history", ["kind", "record_id", "id"])
    op.create_index(op.f("ix_history_user_id"), "history", ["user_id"])
    op.create_index(op.f("ix_history_operation_id"), "history", ["operation_id"])

    twins = {"teams": ("name_folded", 63), "users": ("name_folded", 200), "contacts": ("name_folded", 300)}
    for table, (twin, length) in (twins | {"clients": ("name_sort", 300)}).items():
        kind = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column(twin, kind, nullable=True))
            batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
            batch_op.add_column(sa.Column("changed_at", Moment(), nullable=True))
            if table == "teams":
                batch_op.add_column(sa.Column("archived_at", Moment(), nullable=True))
            if table == "clients":
                batch_op.add_column(sa.Column("team_id", BigId, nullable=True))
                batch_op.create_foreign_key(op.f("fk_clients_team_id"), "teams", ["team_id"], ["id"])
        _fill(table, twin, length)

    op.create_index("ix_clients_name_sort", "clients", ["name_sort", "id"])
    op.create_index("ix_clients_changed_at", "clients", ["changed_at", "id"])
    op.create_index(op.f("ix_clients_team_id"), "clients", ["team_id"])
    op.create_index("ix_contacts_name_folded", "contacts", ["name_folded", "id"])


def _fill(table: str, twin: str, length: int) -> None:
    """Fill the new columns of the rows there are; the databases' own `lower` does not know every letter."""
    conn = op.get_bind()
    names = ("id", "name", twin, "created_at", "changed_at")
    here = sa.table(table, *(sa.Column(name) for name in names))
    conn.execute(sa.update(here).values(changed_at=here.c.created_at))
    last = 0
    while True:
        some = sa.select(here.c.id, here.c.name).where(here.c.id > last).order_by(here.c.id).limit(AT_ONCE)
        rows = conn.execute(some).all()
        if not rows:
            return
        write = sa.update(here).where(here.c.id == sa.bindparam("row")).values({twin: sa.bindparam("folded")})
        conn.execute(write, [{"row": row.id, "folded": _fold(row.name)[:length]} for row in rows])
        last = rows[-1].id


def _fold(text: str) -> str:
    return re.sub(r"\s+", " ", text.casefold().replace("ё", "е")).strip()
