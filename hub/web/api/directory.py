"""Teams and people over the API, as far as the asker works with them."""

from __future__ import annotations

from typing import Annotated

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import directory
from hub.web.api.endpoint import Endpoint, Page
from hub.web.api.shapes import Cursor, Ref, Shape, one_of
from hub.web.request_context import RequestContext, read_cursor, write_cursor


class UserShape(Shape, frozen=True, kw_only=True):
    id: int
    name: str
    email: str
    role: Annotated[str, one_of("admin", "manager")]
    extension: str | None
    teams: list[int]
    disabled: bool


class People(Shape, frozen=True, kw_only=True):
    items: list[UserShape]
    next: Cursor | None


class Teams(Shape, frozen=True, kw_only=True):
    items: list[Ref]
    next: Cursor | None


async def teams(conn: AsyncConnection, ctx: RequestContext, _query: Page) -> Teams:
    rows = await directory.my_teams(conn, ctx.actor)
    return Teams(items=[Ref(id=row.id, name=row.name) for row in rows], next=None)


async def people(conn: AsyncConnection, ctx: RequestContext, query: Page) -> People:
    after = read_cursor(query.cursor)[1] if query.cursor else 0
    rows = await directory.people(conn, ctx.actor, after=after, limit=query.limit)
    items = [
        UserShape(
            id=r.id,
            name=r.name,
            email=r.email,
            role=r.role,
            extension=r.extension,
            teams=list(r.team_ids),
            disabled=r.is_disabled,
        )
        for r in rows
    ]
    last = rows[-1] if len(rows) == query.limit else None
    return People(items=items, next=write_cursor("", last.id) if last else None)


ENDPOINTS = (
    Endpoint(method="GET", path="/teams", summary="Your teams", reads=teams, query=Page, answer=Teams),
    Endpoint(method="GET", path="/users", summary="Your team mates", reads=people, query=Page, answer=People),
)
