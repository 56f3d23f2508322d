"""Whom a call may be handed to inside the house: colleagues by id, extension or name.

Refuses who wants no calls; who is away or in a call may be tried, for whoever hands a call on sees that. Invariant:
what comes out is an extension of digits, or None for what is to be read as a number outside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import phones
from hub.crm.models import users
from hub.crm.presence import State, said_of
from hub.errors import Refused
from hub.telephony.presence import presence

_SHORT = re.compile(r"[0-9]{2,6}")
_HAS_DIGIT = re.compile(r"[0-9+]")
AT_MOST = 8


@dataclass(frozen=True, slots=True)
class Colleague:
    """A person with a phone on one PBX, as they look now. `wants_calls` is False for who is not to be disturbed."""

    id: int
    name: str
    extension: str
    state: State
    wants_calls: bool


def _with_phone(pbx: str) -> sa.Select[tuple[int, str, str | None]]:
    """Everybody enabled who has a phone on this PBX: its own row there, else the one that holds everywhere."""
    extension = phones.extension_on(pbx)
    query = sa.select(users.c.id, users.c.name, extension.label("extension"))
    return query.where(users.c.disabled_at.is_(None), extension.is_not(None))


async def search(conn: AsyncConnection, text: str, *, pbx: str, but: int, now: datetime) -> list[Colleague]:
    """Return up to 8 colleagues whose name holds each word of `text` or whose extension begins with it, by name."""
    words = sanitize.shown(text, max_chars=60).casefold().split()
    rows = await conn.execute(_with_phone(pbx).where(users.c.id != but).order_by(users.c.name).limit(2_000))
    # Names fold here: SQLite's lower() knows no Cyrillic.
    found = [
        row for row in rows if all(word in row.name.casefold() or row.extension.startswith(word) for word in words)
    ][:AT_MOST]
    seen = await presence.of_people(conn, [row.id for row in found], now)
    unwilling = await _unwilling(conn, [row.id for row in found], now=now)
    return [
        Colleague(row.id, row.name, row.extension, seen[row.id].state, row.id not in unwilling)
        for row in found
        if row.id in seen
    ]


async def name_of(conn: AsyncConnection, extension: str, *, pbx: str) -> str | None:
    """Return whose phone an extension is."""
    owner = await phones.owner_of(conn, pbx, extension)
    return owner[1] if owner else None


async def find_target(conn: AsyncConnection, to: str | int, *, pbx: str, now: datetime) -> str | None:
    """Return the extension that `to` means: a person's id, an extension, or a whole name; None for a number outside.

    Raises Refused for a person without a phone or who is not to be disturbed, and for a name that nobody or several
    have.
    """
    extension = await _extension_meant(conn, to, pbx=pbx)
    owner = await phones.owner_of(conn, pbx, extension)
    if owner is not None and await _unwilling(conn, [owner[0]], now=now):
        raise Refused("colleague_dnd", f"{owner[1]} does not want to be disturbed", field="to", colleague=owner[1])
    return extension


async def _unwilling(conn: AsyncConnection, user_ids: list[int], *, now: datetime) -> set[int]:
    """Return who of these people said that they are not to be disturbed; a call they are in hides that word."""
    said = await said_of(conn, user_ids)
    return {user_id for user_id, word in said.items() if word.at(now).state == "dnd"}


async def _extension_meant(conn: AsyncConnection, to: str | int, *, pbx: str) -> str | None:
    if isinstance(to, int):
        row = (await conn.execute(_with_phone(pbx).where(users.c.id == to))).first()
        if row is None:
            raise Refused("no_such_colleague", "no colleague with a phone has this id", field="to")
        return sanitize.extension(row.extension, field="to")
    text = to.strip()
    if _SHORT.fullmatch(text):
        return sanitize.extension(text, field="to")
    if _HAS_DIGIT.search(text):
        return None
    wanted = text.casefold()
    rows = [row for row in await conn.execute(_with_phone(pbx)) if row.name.casefold() == wanted]
    if len(rows) != 1:
        raise Refused("no_such_colleague", f"{len(rows)} colleagues are called {sanitize.shown(text)!r}", field="to")
    return sanitize.extension(rows[0].extension, field="to")
