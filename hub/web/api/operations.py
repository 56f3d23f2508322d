"""Edit or archive many records at once, and what such operations become: progress, results, cancel, resume, undo."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import bulk_archive, bulk_edit, operations
from hub.crm.base.bulk_selection import MAX_IDS, Selection
from hub.crm.base.conditions import tree
from hub.crm.base.entity import Entity
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.operations import OUTCOMES, STATES, Outcome
from hub.crm.operation_kinds import WORKS
from hub.web.api.endpoint import Endpoint, Id, Nothing, Page, Writes
from hub.web.api.shapes import Cursor, Moment, Shape, one_of
from hub.web.base.kind import reading
from hub.web.crm.routes import KINDS
from hub.web.request_context import RequestContext, read_cursor, write_cursor


class Bulk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The records, by their ids or by a condition with a search `q`, and what to do with each of them.

    Either `set`, the values of fields, or `archive`: true archives living records, false brings archived ones back.
    """

    set: dict[str, Any] | None = None
    archive: bool | None = None
    ids: Annotated[list[Id], msgspec.Meta(max_length=MAX_IDS)] | None = None
    where: dict[str, Any] | None = None
    q: Annotated[str, msgspec.Meta(max_length=300)] = ""


class Begun(Shape, frozen=True, kw_only=True):
    """The operation that was begun."""

    operation: int


class OperationShape(Shape, frozen=True, kw_only=True):
    """The state of an operation. `failed` of the `done` ones were refused, or could not be undone."""

    id: int
    kind: str
    object_kind: str
    state: Annotated[str, one_of(*STATES)]
    total: int
    done: int
    failed: int
    is_undoing: bool
    error: str
    user: int | None
    created_at: Moment
    changed_at: Moment
    finished_at: Moment | None


class OperationList(Shape, frozen=True, kw_only=True):
    items: list[OperationShape]
    next: Cursor | None


class ResultShape(Shape, frozen=True, kw_only=True):
    """The result for one record, with the reason where it was not simply done."""

    record: int
    outcome: Annotated[str, one_of(*OUTCOMES)]
    reason: str


class ResultList(Shape, frozen=True, kw_only=True):
    items: list[ResultShape]
    next: Cursor | None


class ResultQuery(Page, frozen=True, kw_only=True):
    outcome: Outcome | None = None


def _shape(operation: operations.Operation) -> OperationShape:
    return OperationShape(**operations.answer(operation))


def _edit(ctx: RequestContext) -> Edit:
    return Edit(ctx.actor, "api", ctx.now)


async def _found(conn: AsyncConnection, ctx: RequestContext) -> operations.Operation:
    return await operations.get(conn, ctx.actor, ctx.id(), is_admin=ctx.actor.is_admin)


async def page(conn: AsyncConnection, ctx: RequestContext, query: Page) -> OperationList:
    before = read_cursor(query.cursor)[1] if query.cursor else None
    found = await operations.page(conn, ctx.actor, is_admin=ctx.actor.is_admin, before=before, limit=query.limit)
    following = write_cursor("", int(found.next)) if found.next else None
    return OperationList(items=[_shape(one) for one in found.items], next=following)


async def one(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> OperationShape:
    return _shape(await _found(conn, ctx))


async def rows(conn: AsyncConnection, ctx: RequestContext, query: ResultQuery) -> ResultList:
    operation = await _found(conn, ctx)
    after = read_cursor(query.cursor)[1] if query.cursor else 0
    found = await operations.results(conn, operation.id, outcome=query.outcome, after=after, limit=query.limit)
    items = [ResultShape(record=one.record_id, outcome=one.outcome, reason=one.reason) for one in found.items]
    return ResultList(items=items, next=write_cursor("", int(found.next)) if found.next else None)


async def cancel(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> OperationShape:
    await operations.cancel(conn, await _found(conn, ctx), edit=_edit(ctx))
    return _shape(await _found(conn, ctx))


async def resume(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> OperationShape:
    await operations.resume(conn, await _found(conn, ctx), edit=_edit(ctx))
    return _shape(await _found(conn, ctx))


async def undo(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Begun:
    operation = await _found(conn, ctx)
    await operations.undo(conn, operation, WORKS[operation.kind], edit=_edit(ctx))
    return Begun(operation=operation.id)


def _bulk(entity: Entity[Any, Any]) -> Writes:
    async def bulk(conn: AsyncConnection, ctx: RequestContext, body: Bulk) -> Begun:
        where = None if body.where is None else tree.parse(body.where)
        read = reading(ctx)
        chosen = Selection(ids=body.ids, where=where, text=body.q.strip(), zone=read.zone, region=read.region)
        if (body.set is None) == (body.archive is None):
            raise Invalid({"set": Problem("bad_value", _("Give either set or archive"))})
        if body.archive is None:
            number = await bulk_edit.begin(conn, entity, body.set or {}, chosen, edit=_edit(ctx))
        else:
            number = await bulk_archive.begin(conn, entity, chosen, archives=body.archive, edit=_edit(ctx))
        return Begun(operation=number)

    return bulk


ENDPOINTS = (
    *(
        Endpoint(
            method="POST",
            path=f"/{entity.plural}/bulk",
            summary=f"Set fields of many {entity.titles.lower()} at once, archive them or bring them back",
            writes=_bulk(entity),
            body=Bulk,
            answer=Begun,
            status=202,
        )
        for entity in (web.entity for web in KINDS)
        if entity.is_editable
    ),
    Endpoint(method="GET", path="/operations", summary="Operations", reads=page, query=Page, answer=OperationList),
    Endpoint(method="GET", path="/operations/{id}", summary="One operation", reads=one, answer=OperationShape),
    Endpoint(
        method="GET",
        path="/operations/{id}/rows",
        summary="What became of each record",
        reads=rows,
        query=ResultQuery,
        answer=ResultList,
    ),
    Endpoint(method="POST", path="/operations/{id}/cancel", summary="Stop it", writes=cancel, answer=OperationShape),
    Endpoint(
        method="POST", path="/operations/{id}/resume", summary="Let it go on", writes=resume, answer=OperationShape
    ),
    Endpoint(
        method="POST",
        path="/operations/{id}/undo",
        summary="Take back what it did",
        writes=undo,
        answer=Begun,
        status=202,
    ),
)
