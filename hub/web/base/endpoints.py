"""The REST calls of any kind: list, count, one, history, make, change, archive, restore.

Made from a `WebKind`; a kind that needs another call beside these writes an `Endpoint` by hand. Decides no rights:
`records` asks them. Invariant: what is sent is read by `Entity.read`, so that every field with a problem is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web as http
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm.base import history, records
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.records import Edit
from hub.web.api.endpoint import Endpoint, Page
from hub.web.api.shapes import Ref
from hub.web.base import export, schema
from hub.web.base.answers import answers
from hub.web.base.kind import RecordQuery, WebKind, asked, reading
from hub.web.request_context import RequestContext, read_cursor, write_cursor


class RecordCalls:
    """The calls of one kind."""

    def __init__(self, web: WebKind) -> None:
        self.web = web
        self.entity = web.entity

    def endpoints(self) -> tuple[Endpoint, ...]:
        entity, path = self.entity, self.web.path
        record = schema.record_type(self.web)
        page = schema.list_type(self.web, record)
        one, many = entity.title.lower(), entity.titles.lower()
        reads = (
            Endpoint(
                method="GET", path=path, summary=entity.titles, reads=self.page, query=self.web.query, answer=page
            ),
            Endpoint(
                method="GET",
                path=f"{path}/count",
                summary=f"How many {many} there are, up to 10,000",
                reads=self.count,
                query=self.web.query,
                answer=schema.Counted,
            ),
            Endpoint(
                method="GET",
                path=f"{path}/export",
                summary=f"{entity.titles} as a file",
                streams=self.export,
                query=export.query_of(self.web),
                content_types=tuple(export.CONTENT_TYPES.values()),
            ),
            Endpoint(method="GET", path=f"{path}/{{id}}", summary=f"One {one}", reads=self.one, answer=record),
            Endpoint(
                method="GET",
                path=f"{path}/{{id}}/history",
                summary=f"Who changed what of a {one}, newest first",
                reads=self.history,
                query=Page,
                answer=schema.Edits,
            ),
        )
        if not entity.is_editable:
            return reads
        new, change = schema.new_type(entity), schema.change_type(entity)
        sent = dict[str, Any]
        return (
            *reads,
            Endpoint(
                method="POST",
                path=path,
                summary=f"Make a {one}",
                writes=self.create,
                body=new,
                decodes=sent,
                answer=record,
                status=201,
            ),
            Endpoint(
                method="PATCH",
                path=f"{path}/{{id}}",
                summary=f"Change what is sent of a {one}",
                writes=self.change,
                body=change,
                decodes=sent,
                answer=record,
            ),
            Endpoint(
                method="DELETE", path=f"{path}/{{id}}", summary=f"Archive a {one}", writes=self.archive, answer=record
            ),
            Endpoint(
                method="POST",
                path=f"{path}/{{id}}/restore",
                summary=f"Bring an archived {one} back",
                writes=self.restore,
                answer=record,
            ),
        )

    async def page(self, conn: AsyncConnection, ctx: RequestContext, query: RecordQuery) -> dict[str, Any]:
        wanted = await asked(conn, ctx, self.entity, query)
        found = await records.page(
            conn,
            ctx.actor,
            self.entity,
            where=await self.web.condition(conn, ctx, query, wanted.tree),
            sort=wanted.sort,
            cursor=query.cursor,
            limit=query.limit,
            archived=query.archived,
        )
        return {"items": await answers(conn, ctx, self.web, found.items), "next": found.next}

    async def count(self, conn: AsyncConnection, ctx: RequestContext, query: RecordQuery) -> records.Count:
        where = await self.web.condition(conn, ctx, query)
        return await records.count(conn, ctx.actor, self.entity, where=where, archived=query.archived)

    async def export(self, ctx: RequestContext, query: Any) -> http.StreamResponse:
        return await export.export(ctx, self.web, query)

    async def one(self, conn: AsyncConnection, ctx: RequestContext, _query: Any) -> dict[str, Any]:
        return await self._answer(conn, ctx, await records.get(conn, ctx.actor, self.entity, ctx.id()))

    async def history(self, conn: AsyncConnection, ctx: RequestContext, query: Page) -> schema.Edits:
        record_id = ctx.id()
        await records.get(conn, ctx.actor, self.entity, record_id)
        before = read_cursor(query.cursor)[1] if query.cursor else None
        rows = await history.page(conn, self.entity.kind, record_id, before=before, limit=query.limit + 1)
        more = rows[query.limit - 1] if len(rows) > query.limit else None
        items = [
            schema.Edited(
                id=row.id,
                at=rfc3339(row.at) or "",
                by=Ref(id=row.user_id, name=row.user_name or "") if row.user_id is not None else None,
                way=row.way,
                operation=row.operation_id,
                version=row.version,
                changes=row.changes,
            )
            for row in rows[: query.limit]
        ]
        return schema.Edits(items=items, next=write_cursor("", more.id) if more else None)

    async def create(self, conn: AsyncConnection, ctx: RequestContext, body: Mapping[str, Any]) -> dict[str, Any]:
        given = self.entity.read(body, is_new=True, reading=reading(ctx))
        write = self.web.write().create
        assert write is not None
        return await self._answer(conn, ctx, await write(conn, given, edit=_edit(ctx)))

    async def change(self, conn: AsyncConnection, ctx: RequestContext, body: Mapping[str, Any]) -> dict[str, Any]:
        version, changes = read_version(body)
        given = self.entity.read(changes, is_new=False, reading=reading(ctx))
        write = self.web.write().update
        assert write is not None
        row = await write(conn, ctx.id(), given, edit=_edit(ctx), version=version)
        return await self._answer(conn, ctx, row)

    async def archive(self, conn: AsyncConnection, ctx: RequestContext, _body: Any) -> dict[str, Any]:
        write = self.web.write().archive
        assert write is not None
        return await self._answer(conn, ctx, await write(conn, ctx.id(), edit=_edit(ctx)))

    async def restore(self, conn: AsyncConnection, ctx: RequestContext, _body: Any) -> dict[str, Any]:
        write = self.web.write().restore
        assert write is not None
        return await self._answer(conn, ctx, await write(conn, ctx.id(), edit=_edit(ctx)))

    async def _answer(self, conn: AsyncConnection, ctx: RequestContext, row: Any) -> dict[str, Any]:
        return (await answers(conn, ctx, self.web, [row]))[0]


def _edit(ctx: RequestContext) -> Edit:
    return Edit(ctx.actor, "api", ctx.now)


def read_version(body: Mapping[str, Any]) -> tuple[int | None, dict[str, Any]]:
    """Split what is sent into the version that the asker had seen and the fields. Raises Invalid."""
    changes = dict(body)
    version = changes.pop("version", None)
    if version is None:
        return None, changes
    if isinstance(version, bool) or not isinstance(version, int) or not 0 < version < 2**31:
        raise Invalid({"version": Problem("not_a_number", _("Must be a whole number"))})
    return version, changes
