"""The intake killed at each of its points and begun again: each message is there once, and so is all that follows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import sqlalchemy as sa

from hub.crm import people
from hub.crm.models import leads, queue_items
from hub.mail.models import attachments, folders, locations, mailboxes, messages, threads
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.faults.driver import runs
from tests.faults.mail_intake import MESSAGES, T0, batch, take_in


async def a_mailbox(db: Database, number: int) -> tuple[int, int, int]:
    """Make a team with a mailbox and a folder; return the ids of mailbox, team and folder."""
    async with db.begin() as conn:
        team_id = await people.ensure_team(conn, f"team {number}", now=T0)
        box = mailboxes.insert().values(address=f"box{number}@hub.test", team_id=team_id, created_at=T0)
        mailbox_id = (await conn.execute(box.returning(mailboxes.c.id))).scalar_one()
        row = {"mailbox_id": mailbox_id, "name": "INBOX", "role": "inbox", "gaps": []}
        folder_id = (await conn.execute(folders.insert().values(**row).returning(folders.c.id))).scalar_one()
    return mailbox_id, team_id, folder_id


async def count(db: Database, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    async with db.read() as conn:
        return int((await conn.execute(sa.select(sa.func.count()).select_from(table).where(*where))).scalar_one())


async def high_uid(db: Database, folder_id: int) -> int:
    async with db.read() as conn:
        query = sa.select(folders.c.high_uid).where(folders.c.id == folder_id)
        return int((await conn.execute(query)).scalar_one())


async def test_killed_at_any_point_each_message_is_stored_once_and_each_stranger_is_one_lead(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    root = tmp_path / "killed"
    ids = await a_mailbox(db, 0)
    met = []
    arguments = [db_url, str(root)]
    # Each run gets a mailbox of its own: the arguments are read anew for each.
    arguments += [str(one) for one in ids]
    async for run in runs("tests.faults.mail_intake", arguments, only="mail.intake,store.blobs"):
        met.append(run.killed_at)
        there = await count(db, messages, messages.c.mailbox_id == ids[0])
        assert there in (0, MESSAGES)
        assert await high_uid(db, ids[2]) == (MESSAGES if there else 0)
        assert there == (MESSAGES if run.killed_at in (None, "mail.intake.committed") else 0)

        assert await take_in(db, BlobStore(root), ids) == MESSAGES - there
        mine = messages.c.mailbox_id == ids[0]
        of_mine = sa.select(messages.c.id).where(mine)
        assert await count(db, messages, mine, messages.c.parse_state == "parsed") == MESSAGES
        assert await count(db, locations, locations.c.message_id.in_(of_mine)) == MESSAGES
        assert await count(db, attachments, attachments.c.message_id.in_(of_mine)) == MESSAGES
        assert await count(db, threads, threads.c.mailbox_id == ids[0]) == 6
        assert await count(db, queue_items, queue_items.c.team_id == ids[1], queue_items.c.state == "waiting") == 6
        async with db.read() as conn:
            times = (await conn.execute(sa.select(leads.c.times).where(leads.c.team_id == ids[1]))).scalars().all()
        assert times == [6, 6]
        for path in root.rglob("*"):
            if path.is_file() and not path.name.startswith(".new-"):
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        for one in batch(ids[0]):
            assert await BlobStore(root).get(hashlib.sha256(one.raw).hexdigest()) == one.raw

        ids = await a_mailbox(db, len(met))
        arguments[2:] = [str(one) for one in ids]
        for path in root.rglob("*"):
            if path.is_file():
                path.unlink()
    assert met == [
        "store.blobs.flushed",
        "store.blobs.named",
        "mail.intake.prepared",
        "mail.intake.before_commit",
        "mail.intake.committed",
        None,
    ]
