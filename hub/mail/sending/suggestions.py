"""Whom a person may mean by the first letters: contacts, clients and colleagues with an e-mail address.

Decides the order only: who is found by address or name, people of the card that is open first. Invariant: cards are
open to every manager, and so is what is suggested from them; nothing of messages is.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.clients import fold
from hub.crm.models import addresses, clients, contacts, users

MOST = 8


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A name, an address, and of whom (a client's name, empty for a colleague)."""

    name: str
    address: str
    of: str


async def suggest(conn: AsyncConnection, actor: Actor, text: str, *, client_id: int | None = None) -> list[Suggestion]:
    """Return at most `MOST` people whose address begins with `text`, or whose name has a word that does."""
    begins = text.strip().lower()[:100]
    if not begins:
        return []
    plain = _escape(begins)
    owner = sa.func.coalesce(addresses.c.client_id, contacts.c.client_id)
    people = (
        sa.select(
            sa.func.coalesce(contacts.c.name, clients.c.name).label("name"),
            addresses.c.value.label("address"),
            clients.c.name.label("of"),
            clients.c.id.label("client_id"),
        )
        .select_from(addresses)
        .outerjoin(contacts, contacts.c.id == addresses.c.contact_id)
        .join(clients, clients.c.id == owner)
        .where(access.of_visible_client(actor, clients.c.id))
        .where(addresses.c.kind == "email", clients.c.archived_at.is_(None), contacts.c.archived_at.is_(None))
        .where(sa.or_(addresses.c.value.like(f"{plain}%", escape="\\"), *_named(text.strip()[:100])))
    )
    first = sa.case((clients.c.id == client_id, 0), else_=1)
    found = [Suggestion(r.name, r.address, r.of) for r in await conn.execute(people.order_by(first).limit(MOST))]
    named = sa.or_(users.c.email.like(f"{plain}%", escape="\\"), users.c.name.ilike(f"{plain}%", escape="\\"))
    colleagues = sa.select(users.c.name, users.c.email).where(named, users.c.disabled_at.is_(None))
    found += [
        Suggestion(r.name, r.email, "") for r in await conn.execute(colleagues.order_by(users.c.name).limit(MOST))
    ]
    return list({one.address: one for one in reversed(found)}.values())[::-1][:MOST]


def _named(text: str) -> list[sa.ColumnElement[bool]]:
    """A client's name is folded in the database, a contact's stands as it was written: capitals are tried for it."""
    folded = _escape(fold(text))
    if not folded:
        return []
    ways = [(clients.c.name_folded, folded), (contacts.c.name, _escape(text)), (contacts.c.name, _escape(text.title()))]
    return [column.like(f"{before}{word}%", escape="\\") for column, word in ways for before in ("", "% ")]


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
