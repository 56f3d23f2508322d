"""Typical data given to a database: each part once, and only where the company has nothing of its own there.

Invariant: a part is delivered once however often and by however many processes Hub starts, so that what the company
deletes stays deleted.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristic_definitions, dictionaries, registry
from hub.crm.base.characteristics import definitions
from hub.crm.base.history import Edit
from hub.crm.models import delivered_data
from hub.crm.typical_data.content import CHARACTERISTICS, GROUP, values_of
from hub.store.upsert import insert


async def deliver(conn: AsyncConnection, *, language: str, now: datetime) -> None:
    """Give the database what it was not given yet; `language` is that of the groups of characteristics."""
    known = set((await conn.execute(sa.select(delivered_data.c.part))).scalars())
    for one in dictionaries.declared():
        if f"list.{one.name}" not in known and await _is_first(conn, f"list.{one.name}", now):
            there = await dictionaries.lock(conn, one.name)
            if not there:
                await dictionaries.deliver(conn, one.name, values_of(one.name), now=now)
    for kind, fields in CHARACTERISTICS.items():
        if f"characteristics.{kind}" not in known and await _is_first(conn, f"characteristics.{kind}", now):
            taken = {one.key for one in await definitions(conn, [kind])}
            for field in fields:
                if field.key not in taken:
                    given = structs.replace(field, group=GROUP[language])
                    edit = Edit(None, "hub", now)
                    await characteristic_definitions.create(conn, registry.kind(kind), given, edit=edit)


async def _is_first(conn: AsyncConnection, part: str, now: datetime) -> bool:
    """Note that a part is delivered; tell whether nobody did before. Another process at it is waited for."""
    noted = insert(conn, delivered_data).values(part=part, delivered_at=now).on_conflict_do_nothing()
    return bool((await conn.execute(noted)).rowcount)
