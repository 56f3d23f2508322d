"""What is asked all day long is found by an index on SQLite, however much has been stored."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hub.mail.models import messages, outbox
from hub.store.engine import Database

_LINE = sa.and_(outbox.c.mailbox_id == 1, outbox.c.state.in_(("queued", "deferred")))


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (sa.select(outbox.c.id).where(_LINE).order_by(outbox.c.not_before, outbox.c.id).limit(1), "ix_outbox_line"),
        (sa.select(messages.c.thread_id).where(messages.c.from_address == "a@b.example"), "ix_messages_from"),
    ],
)
async def test_neither_what_was_sent_long_ago_nor_other_peoples_mail_is_looked_through(
    db: Database, query: sa.Select[Any], index: str
) -> None:
    async with db.read() as conn:
        if conn.dialect.name != "sqlite":
            pytest.skip("PostgreSQL plans by what is in the tables, and these are empty")
        text = str(query.compile(dialect=conn.dialect, compile_kwargs={"literal_binds": True}))
        plan = (await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")).all()
    assert any(index in row[3] for row in plan), plan
