"""A list as a file: CSV, XLSX or JSON lines, of any kind, as its reader sees it.

The columns, the condition and the rights are those of the list. It is walked in batches, so that no snapshot is held
and neither side ever holds the whole: in the order of the ids, for an edit may move a record in any other; what nobody
edits, as messages, in its own order. Names of references stand in the cells, of hidden ones
nothing. Invariants: no cell of a table file is a formula; an export has an audit row before its first byte.
"""

from __future__ import annotations

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
import sqlalchemy as sa
from aiohttp import web as http
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.audit import record
from hub.crm.base import permissions, records
from hub.crm.base.collections import item_of
from hub.crm.base.conditions import tree as conditions
from hub.crm.base.field import Field
from hub.crm.base.fields import Amount
from hub.crm.base.labels import Invalid, Problem, _
from hub.errors import Refused
from hub.sanitize import csv_cell
from hub.web.api.endpoint import Query
from hub.web.base import columns
from hub.web.base.answers import answers
from hub.web.base.kind import WebKind, asked
from hub.web.base.list_fields import Choices, every_field, read_choices
from hub.web.files import disposition
from hub.web.i18n import N_, Translator, translator
from hub.web.request_context import RequestContext, parse_id

T = TypeVar("T")
Format = Literal["csv", "xlsx", "jsonl"]
BATCH = 500
MOST_ROWS_OF_XLSX = 1_048_575
CONTENT_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/x-ndjson",
}
CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Export:
    """An export that may be written: the list with its condition and columns, and how each value is said."""

    ctx: RequestContext
    web: WebKind
    where: sa.ColumnElement[bool]
    archived: bool
    shown: tuple[Field, ...]
    choices: Choices
    words: Translator
    is_whole: bool = False

    async def batches(self, read: Callable[[AsyncConnection, list[Any]], Awaitable[list[T]]]) -> AsyncIterator[list[T]]:
        """Yield what `read` makes of the records, by id. A slow reader holds no connection to the database."""
        cursor: str | None = None
        # JSON lines hold whole records, whichever columns are shown.
        only = None if self.is_whole else {field.name for field in self.shown}
        while True:
            async with self.ctx.db.read() as conn:
                found = await records.page(
                    conn,
                    self.ctx.actor,
                    self.web.entity,
                    where=self.where,
                    sort="id" if self.web.entity.is_editable else "",
                    cursor=cursor,
                    limit=BATCH,
                    archived=self.archived,
                    only=only,
                )
                made = await read(conn, found.items)
            if made:
                yield made
            if (cursor := found.next) is None:
                return

    @property
    def heads(self) -> list[str]:
        return ["ID", *(self.words.label(field) for field in self.shown)]

    async def rows(self, conn: AsyncConnection, items: Sequence[Any]) -> list[list[Any]]:
        """Return the cells of records: numbers, days and moments as such, everything else as text."""
        values = await columns.read_values(conn, self.ctx, self.web, self.shown, items)
        return [[row.id, *(self.cell(field, values.of(row, field), values) for field in self.shown)] for row in items]

    def cell(self, field: Field, value: Any, values: columns.Values) -> Any:
        """Return one cell."""
        if field.is_empty(value):
            return ""
        if isinstance(value, tuple):
            return "; ".join(str(self.cell(item_of(field), one, values)) for one in value)
        item = item_of(field)
        if item.kind is not None:
            return values.names.get((item.kind, item.ids(value)[0]), "")
        if item.type == "choice":
            return dict(self.choices.options(field)).get(value, value)
        if item.type == "moment":
            return value.astimezone(self.ctx.zone).replace(tzinfo=None, microsecond=0)
        if isinstance(value, bool):
            return self.words.gettext(N_("Yes") if value else N_("No"))
        if isinstance(value, Amount):
            return f"{value.value:f} {value.currency}"
        if isinstance(value, (int, Decimal, date)):
            return value
        return item.form_text(value)


def query_of(web: WebKind) -> type[Query]:
    """Return the query of a kind's export: the list's, the format, and perhaps the ids of chosen rows."""
    parts: list[Any] = [("format", Format, "csv"), ("ids", Annotated[str, msgspec.Meta(max_length=4_000)], "")]
    made = msgspec.defstruct("ExportQuery", parts, bases=(web.query,), frozen=True, kw_only=True)
    return cast("type[Query]", made)


async def export(ctx: RequestContext, web: WebKind, query: Any) -> http.StreamResponse:
    """Answer with the list as a file. Raises Forbidden, Invalid."""
    entity = web.entity
    permissions.require(ctx.actor, entity.kind, "export")
    async with ctx.db.read() as conn:
        wanted = await asked(conn, ctx, entity, query)
        fields = await every_field(conn, ctx, entity)
        shown = await columns.shown(conn, ctx, web, fields, wanted.columns)
        choices = await read_choices(conn, ctx, shown)
        asked_for = [permissions.permitted(ctx.actor, entity, "export")]
        if (narrowed := await web.condition(conn, ctx, query, wanted.tree)) is not None:
            asked_for.append(narrowed)
    if query.ids:
        asked_for.append(entity.id.in_(_ids(query.ids)))
    job = Export(
        ctx, web, sa.and_(*asked_for), query.archived, shown, choices, translator(ctx.language), query.format == "jsonl"
    )
    response = http.StreamResponse(
        headers={
            "Content-Type": CONTENT_TYPES[query.format] + ("; charset=utf-8" if query.format == "csv" else ""),
            "Content-Disposition": disposition(f"{entity.plural}-{ctx.now:%Y-%m-%d}.{query.format}"),
            "Cache-Control": "private, no-store",
        }
    )
    if ctx.request.method != "HEAD":
        details = {"format": query.format, "where": conditions.dumps(wanted.tree)[:1000], "q": query.q[:300]}
        details |= {"columns": [field.name for field in shown], "ids": query.ids[:1000], "archived": query.archived}
        async with ctx.db.begin() as conn:
            await record(
                conn,
                f"{entity.plural}.exported",
                at=ctx.now,
                user_id=ctx.actor.user_id,
                object_kind=entity.kind,
                details=details,
            )
    if ctx.request.method == "HEAD":
        await response.prepare(ctx.request)
        return response
    await {"csv": _csv, "xlsx": _xlsx, "jsonl": _jsonl}[query.format](job, response)
    await response.write_eof()
    return response


def _ids(text: str) -> list[int]:
    try:
        return [parse_id(one, field="ids") for one in text.split(",")]
    except Refused:
        raise Invalid({"ids": Problem("not_an_id", _("Must be an id"))}) from None


async def _csv(job: Export, response: http.StreamResponse) -> None:
    await response.prepare(job.ctx.request)
    is_ru = job.ctx.language == "ru"
    # The mark tells Excel that this is UTF-8; where the comma is the decimal sign, it divides cells by semicolons.
    await response.write(("\ufeff" + _lines([job.heads], is_ru=is_ru)).encode())
    async for rows in job.batches(job.rows):
        await response.write(_lines(rows, is_ru=is_ru).encode())


def _lines(rows: Sequence[Sequence[Any]], *, is_ru: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";" if is_ru else ",", lineterminator="\r\n")
    writer.writerows([_csv_text(cell, is_ru=is_ru) for cell in row] for row in rows)
    return text.getvalue()


def _csv_text(cell: Any, *, is_ru: bool) -> str:
    """Return a cell as text: no formula, days and numbers as the reader's spreadsheet reads them."""
    if isinstance(cell, datetime):
        return cell.strftime("%d.%m.%Y %H:%M" if is_ru else "%Y-%m-%d %H:%M")
    if isinstance(cell, date):
        return cell.strftime("%d.%m.%Y" if is_ru else "%Y-%m-%d")
    if isinstance(cell, Decimal):
        return f"{cell:f}".replace(".", "," if is_ru else ".")
    return str(cell) if isinstance(cell, int) else csv_cell(cell)


async def _jsonl(job: Export, response: http.StreamResponse) -> None:
    await response.prepare(job.ctx.request)

    async def read(conn: AsyncConnection, items: list[Any]) -> list[dict[str, Any]]:
        return list(await answers(conn, job.ctx, job.web, items))

    async for whole in job.batches(read):
        await response.write(b"".join(msgspec.json.encode(one) + b"\n" for one in whole))


async def _xlsx(job: Export, response: http.StreamResponse) -> None:
    """Write the workbook to a file, row by row in a thread, and send the file."""
    import xlsxwriter  # a large library that only this needs

    with tempfile.TemporaryFile() as file:
        book = xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False, "in_memory": False})
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True})
        formats = {
            datetime: book.add_format({"num_format": "dd.mm.yyyy hh:mm"}),
            date: book.add_format({"num_format": "dd.mm.yyyy"}),
        }
        for column, head in enumerate(job.heads):
            sheet.write_string(0, column, head, bold)
        try:
            await _fill(job, sheet, formats)
        finally:
            await asyncio.to_thread(book.close)
        await response.prepare(job.ctx.request)
        file.seek(0)
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            await response.write(chunk)


async def _fill(job: Export, sheet: Any, formats: Any) -> None:
    """Write the rows below the heads. Raises Invalid where a sheet cannot hold them."""
    place = 1
    async for rows in job.batches(job.rows):
        if place - 1 + len(rows) > MOST_ROWS_OF_XLSX:
            most = _("An XLSX file holds %(max)s rows at most: choose CSV, or narrow the list")
            raise Invalid({"format": Problem("too_many_rows", most, {"max": MOST_ROWS_OF_XLSX})})
        await asyncio.to_thread(_write_rows, sheet, place, rows, formats)
        place += len(rows)


def _write_rows(sheet: Any, first: int, rows: Sequence[Sequence[Any]], formats: Any) -> None:
    for number, row in enumerate(rows, first):
        for column, cell in enumerate(row):
            if isinstance(cell, (datetime, date)):
                sheet.write_datetime(number, column, cell, formats[type(cell)])
            elif isinstance(cell, (int, Decimal)) and -(10**15) < cell < 10**15:
                sheet.write_number(number, column, cell)
            elif cell != "":
                sheet.write_string(number, column, str(cell)[:32_767])
