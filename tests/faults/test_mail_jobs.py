"""Jobs that are killed at each of their points: begun again, they end with the same cards, words and changes told."""

from __future__ import annotations

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients
from hub.crm.access import Actor
from hub.crm.models import relink_jobs, timeline_entries
from hub.mail import jobs, register
from hub.mail.filters import MessageFilters
from hub.mail.models import mail_jobs, messages
from hub.store.blobs import BlobStore
from hub.store.changes import changes
from hub.store.engine import Database
from tests.faults import driver
from tests.testbed import talk

IVAN = "ivan@romashka.example"
ADMIN = Actor(1, "", "", "admin", frozenset(), None, None)


async def test_killed_at_any_point_each_message_is_moved_told_and_found_once(
    db: Database, db_url: str, blobs: BlobStore
) -> None:
    stored = [await talk.message(db, blobs, sender=IVAN, subject="Договор") for _ in range(6)]
    async with db.begin() as conn:
        ivan = await clients.create(conn, None, kind="person", name="Иван", now=utc_now())
        await clients.add_address(conn, None, ivan, kind="email", raw=IVAN, now=utc_now())
        await conn.execute(sa.text("DELETE FROM message_search"))
        await conn.execute(changes.delete())
        await jobs.rebuild_search(conn, now=utc_now())
    killed = []
    async for run in driver.runs("tests.faults.mail_jobs", [db_url], only="mail.jobs,relinking"):
        killed.append(run.killed_at)
        async with db.read() as conn:
            moved = set((await conn.execute(sa.select(messages.c.id).where(messages.c.client_id == ivan))).scalars())
            on_card = set((await conn.execute(sa.select(timeline_entries.c.ref_id))).scalars())
            told = (
                (await conn.execute(sa.select(changes.c.object_id).where(changes.c.kind == "message"))).scalars().all()
            )
        assert moved == on_card == set(told), "a link, its card and the word of it are one"
        assert len(told) == len(set(told))
    assert killed[-1] is None
    assert len(killed) > 3
    async with db.read() as conn:
        assert [(await conn.execute(sa.select(table))).all() for table in (mail_jobs, relink_jobs)] == [[], []]
        found = await register.listed(conn, ADMIN, MessageFilters(text="договоры"), limit=9)
        assert {one.id for one in found} == set(stored)
    assert moved == set(stored)
