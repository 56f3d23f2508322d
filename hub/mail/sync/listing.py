"""Which folders a mailbox has, as its rows say: those that are read, and those that the server has no more."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from hub.clock import utc_now
from hub.mail.imap.asking import Folder
from hub.mail.models import folders
from hub.mail.sync import places
from hub.mail.sync.choice import Choice
from hub.store.engine import Database
from hub.store.upsert import insert

log = logging.getLogger(__name__)

_UNSEEN: dict[str, Any] = {
    "uidvalidity": None,
    "high_uid": 0,
    "low_uid": None,
    "highestmodseq": None,
    "gaps": [],
    "on_server": 0,
    "is_chosen": False,
}


async def store_choice(db: Database, mailbox_id: int, choice: Choice) -> None:
    """Note which folders are read, and what each is for."""
    wanted = {one.name: one.role for one in choice.folders}
    query = sa.select(folders.c.name, folders.c.role, folders.c.is_chosen).where(folders.c.mailbox_id == mailbox_id)
    async with db.begin() as conn:
        known = {row.name: (row.role, row.is_chosen) for row in await conn.execute(query)}
        dropped = [name for name, (_, is_chosen) in known.items() if is_chosen and name not in wanted]
        for at in range(0, len(dropped), places.AT_ONCE):
            some = folders.c.name.in_(dropped[at : at + places.AT_ONCE])
            mine = sa.update(folders).where(folders.c.mailbox_id == mailbox_id, some)
            await conn.execute(mine.values(is_chosen=False))
        values = {"role": sa.bindparam("role"), "is_chosen": True}
        row = insert(conn, folders).values(mailbox_id=mailbox_id, name=sa.bindparam("name"), gaps=[], **values)
        upsert = row.on_conflict_do_update(index_elements=["mailbox_id", "name"], set_=values)
        if others := [{"name": name, "role": role} for name, role in wanted.items() if known.get(name) != (role, True)]:
            await conn.execute(upsert, others)


async def forget_missing(db: Database, mailbox_id: int, listed: Sequence[Folder]) -> None:
    """What lay in a folder that the server has no more lies nowhere; where it was renamed, it was found again."""
    there = {one.name for one in listed if one.selectable}
    if not there:
        return
    query = sa.select(folders.c.id, folders.c.name).where(
        folders.c.mailbox_id == mailbox_id, folders.c.uidvalidity.is_not(None)
    )
    async with db.read() as conn:
        known = (await conn.execute(query)).all()
    for row in known:
        if row.name in there or row.name == "INBOX":
            continue
        more = 1
        while more:
            async with db.begin() as conn:
                more = await places.forget(conn, row.id, but_epoch=None, now=utc_now())
                if not more:
                    await conn.execute(sa.update(folders).where(folders.c.id == row.id).values(**_UNSEEN))
        log.info("folder %s is no longer on the server", row.name)
