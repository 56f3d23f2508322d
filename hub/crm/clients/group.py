"""A client's group of companies: those above it, up to the holding, and those directly below.

Invariant: no company stands above itself, whoever writes at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.permissions import permitted
from hub.crm.clients.table import CLIENTS
from hub.crm.models import clients

DEEPEST = 20
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Company:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Group:
    """`above`: the holding first, the parent last. `has_more`: there are more companies below."""

    above: tuple[Company, ...]
    below: tuple[Company, ...]
    has_more: bool


async def check_parent(conn: AsyncConnection, client_id: int, parent_id: int) -> None:
    """Raise Invalid where the parent would stand below the client; keep other writers of parents waiting."""
    if conn.dialect.name == "postgresql":
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext("client parents"))))
    above = [row.id for row in await conn.execute(_above(parent_id))]
    if client_id == parent_id or client_id in above:
        raise Invalid({"parent": Problem("circle", _("A company cannot stand above itself"))})
    if len(above) >= DEEPEST:
        raise Invalid(
            {"parent": Problem("too_deep", _("At most %(max)s companies above one another"), {"max": DEEPEST})}
        )


async def read(conn: AsyncConnection, actor: Actor | None, client_id: int) -> Group:
    """Return the group of a client, those of it that the actor may see."""
    above = [row.id for row in await conn.execute(_above(client_id))]
    may_see = permitted(actor, CLIENTS, "see")
    names = sa.select(clients.c.id, clients.c.name).where(clients.c.id.in_(above), may_see)
    known = {row.id: Company(row.id, row.name) for row in await conn.execute(names)} if above else {}
    of = sa.select(clients.c.id, clients.c.name).where(
        clients.c.parent_id == client_id, clients.c.archived_at.is_(None)
    )
    rows = (await conn.execute(of.where(may_see).order_by(clients.c.name_sort, clients.c.id).limit(SHOWN + 1))).all()
    below = tuple(Company(row.id, row.name) for row in rows[:SHOWN])
    return Group(tuple(known[one] for one in reversed(above) if one in known), below, len(rows) > SHOWN)


def _above(client_id: int) -> sa.Select[tuple[int]]:
    """Return the ids of the companies above a client, the nearest first."""
    first = sa.select(clients.c.parent_id.label("id"), sa.literal(1).label("step")).where(clients.c.id == client_id)
    chain = first.cte(recursive=True)
    upper = clients.alias()
    after = sa.select(upper.c.parent_id, chain.c.step + 1).join(chain, upper.c.id == chain.c.id)
    chain = chain.union_all(after.where(chain.c.step <= DEEPEST))
    return sa.select(chain.c.id).where(chain.c.id.is_not(None)).order_by(chain.c.step)
