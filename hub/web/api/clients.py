"""A client's timeline, and "whose is this?" over the API. The rest of a client's calls are in `hub.web.crm`."""

from __future__ import annotations

from typing import Annotated, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import linking, timeline
from hub.crm.base import records
from hub.crm.clients import CLIENTS
from hub.errors import Refused
from hub.mail.filters import shown_by_twin
from hub.web.api.endpoint import Endpoint, Page, Query
from hub.web.api.shapes import Cursor, Moment, Ref, Shape, at, one_of, ref
from hub.web.paging import cut
from hub.web.request_context import RequestContext, read_time_cursor


class EntryShape(Shape, frozen=True, kw_only=True):
    """One entry of a timeline; `ref` is the call's or message's id, `data` what a card shows of it."""

    id: int
    kind: Annotated[str, one_of("call", "message")]
    ref: int
    contact: int | None
    at: Moment
    data: dict[str, Any]


class Entries(Shape, frozen=True, kw_only=True):
    items: list[EntryShape]
    next: Cursor | None


class CandidateShape(Shape, frozen=True, kw_only=True):
    client: Ref | None
    contact: Ref | None
    reason: Annotated[str, one_of("contact", "client", "domain", "thread", "manual")]
    confidence: Annotated[str, one_of("exact", "likely")]


class Matched(Shape, frozen=True, kw_only=True):
    """The owners of an address. `own` says that it is the company's own; `best` is who it links to by itself."""

    address: str | None
    own: bool
    best: CandidateShape | None
    candidates: list[CandidateShape]
    items: list[CandidateShape]
    next: Cursor | None


class Match(Query, frozen=True, kw_only=True):
    phone: str | None = None
    email: str | None = None


async def entries(conn: AsyncConnection, ctx: RequestContext, query: Page) -> Entries:
    client_id = ctx.id()
    await records.get(conn, ctx.actor, CLIENTS, client_id)
    rows = await timeline.page(
        conn, ctx.actor, client_id, before=read_time_cursor(query.cursor), limit=query.limit + 1, but=shown_by_twin()
    )
    page = cut(rows, lambda row: (row.at, row.id), limit=query.limit)
    items = [
        EntryShape(id=r.id, kind=r.kind, ref=r.ref_id, contact=r.contact_id, at=at(r.at), data=r.data)
        for r in page.items
    ]
    return Entries(items=items, next=page.next)


async def match(conn: AsyncConnection, ctx: RequestContext, query: Match) -> Matched:
    linker = ctx.services.linker
    if (query.phone is None) == (query.email is None):
        raise Refused("address_missing", "give either phone or email")
    linked = (
        await linker.by_phone(conn, query.phone)
        if query.phone is not None
        else await linker.by_email(conn, query.email or "")
    )
    linked = await linking.seen_by(conn, ctx.actor, linked)

    def shape(one: Any) -> CandidateShape:
        client, contact = ref(one.client_id, one.client_name), ref(one.contact_id, one.contact_name)
        return CandidateShape(client=client, contact=contact, reason=one.reason, confidence=one.confidence)

    every = [shape(one) for one in linked.candidates]
    best = shape(linked.best) if linked.best else None
    return Matched(address=linked.address, own=linked.is_own, best=best, candidates=every, items=every, next=None)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/clients/{id}/timeline",
        summary="What was said and written, newest first",
        reads=entries,
        query=Page,
        answer=Entries,
    ),
    Endpoint(method="GET", path="/match", summary="Whose is this?", reads=match, query=Match, answer=Matched),
)
