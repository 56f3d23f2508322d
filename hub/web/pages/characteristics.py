"""Characteristics on pages: those of each kind in their order, the form of one, and the change of its type.

Whoever keeps the lists opens these. Invariant: a form that is refused comes back with what was typed, and each problem
at its field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from aiohttp import web

from hub.crm import access
from hub.crm.base import change_type, characteristic_definitions, characteristics, registry
from hub.crm.base.characteristic_definitions import DefinitionInput
from hub.crm.base.characteristic_types import CharacteristicType
from hub.crm.base.characteristics import Definition
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.fields import Choice, LongText, Text, YesNo
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.errors import Conflict, NotFound
from hub.web import render
from hub.web.base import forms
from hub.web.base.kind import reading
from hub.web.request_context import RequestContext
from hub.web.routes import Route

TYPE_LABELS = {one.value: one.label for one in CharacteristicType}
RU = Text(sa.Column("label_ru", sa.String(200)), _("Name in Russian"))
EN = Text(sa.Column("label_en", sa.String(200)), _("Name in English"))
TYPE = Choice(sa.Column("type", sa.String(20), nullable=False), _("Type"), options=CharacteristicType.options())
CHOICES = LongText(
    sa.Column("choices", sa.Text()), _("Options"), max_chars=50_000, help=_("Of a list only: one option a line")
)
_REST: tuple[Field, ...] = (
    Text(sa.Column("help_ru", sa.String(200)), _("Hint in Russian"), help=_("Stands below the field in forms")),
    Text(sa.Column("help_en", sa.String(200)), _("Hint in English")),
    Text(sa.Column("group", sa.String(100)), _("Group"), help=_("Fields of one group stand under its heading")),
    YesNo(sa.Column("required", sa.Boolean(), nullable=False), _("Must be filled in")),
)
ACTIVE = YesNo(sa.Column("active", sa.Boolean(), nullable=False), _("Shown on cards and in forms"))


class KindQuery(msgspec.Struct, frozen=True, kw_only=True):
    kind: str = ""


def kinds() -> list[Entity[Any, Any]]:
    """Return the kinds that have characteristics."""
    return [entity for entity in registry.kinds().values() if entity.has_characteristics]


def _kind(word: str) -> Entity[Any, Any]:
    found = kinds()
    for entity in found:
        if entity.kind == (word or found[0].kind):
            return entity
    raise NotFound("page_missing", "there is nothing here")


def _may(ctx: RequestContext) -> None:
    access.require(ctx.actor, "dictionaries")


def _edit(ctx: RequestContext) -> Edit:
    return Edit(ctx.actor, "page", ctx.now)


def _fields(ctx: RequestContext, row: Definition | None) -> tuple[Field, ...]:
    labels = (RU, EN) if ctx.language == "ru" else (EN, RU)
    return (*labels, TYPE, CHOICES, *_REST) if row is None else (*labels, *_REST, ACTIVE)


def _texts(row: Definition) -> dict[str, str]:
    told = row.help or {}
    texts = {"label_ru": row.label.get("ru", ""), "label_en": row.label.get("en", ""), "group": row.group}
    texts |= {"help_ru": told.get("ru", ""), "help_en": told.get("en", "")}
    return texts | {name: "on" if getattr(row, name) else "off" for name in ("required", "active")}


def _given(ctx: RequestContext, fields: Sequence[Field]) -> DefinitionInput:
    """Return what a form of these fields sent. Raises Invalid."""
    read = forms.read_texts(fields, forms.sent_texts(fields, ctx), ctx)
    given: dict[str, Any] = {}
    for word in ("label", "help"):
        given[word] = {lang: read[f"{word}_{lang}"] for lang in ("ru", "en") if read.get(f"{word}_{lang}")}
    given["group"] = read.get("group") or ""
    for name in ("type", "required", "active"):
        if name in read:
            given[name] = read[name]
    if lines := [line.strip() for line in (read.get("choices") or "").splitlines() if line.strip()]:
        given["choices"] = [{ctx.language: line} for line in lines]
    return DefinitionInput(**given)


def _at_fields(problems: Mapping[str, Problem], fields: Sequence[Field], ctx: RequestContext) -> dict[str, Problem]:
    """Return problems by the form's fields: a label and a hint stand in two of them, a key in none."""
    words = {"label": fields[0].name, "key": fields[0].name, "help": f"help_{ctx.language}"}
    return {words.get(name, name): one for name, one in problems.items()}


async def listed(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    entity = _kind(ctx.query(KindQuery).kind)
    async with ctx.db.read() as conn:
        rows = await characteristics.definitions(conn, [entity.kind])
    context = {"entity": entity, "kinds": kinds(), "rows": rows, "types": TYPE_LABELS, "language": ctx.language}
    return render.page(ctx, "administration/characteristics.html", context)


async def new(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    return await _form(ctx, _kind(ctx.query(KindQuery).kind), None, {"type": "text"})


async def one(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    return await _one(ctx, None)


async def _one(
    ctx: RequestContext, texts: Mapping[str, str] | None, *, error: Invalid | Conflict | None = None
) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        row = await characteristic_definitions.get(conn, ctx.id())
    return await _form(ctx, _kind(row.kind), row, _texts(row) if texts is None else texts, error=error)


async def _form(
    ctx: RequestContext,
    entity: Entity[Any, Any],
    row: Definition | None,
    texts: Mapping[str, str],
    *,
    error: Invalid | Conflict | None = None,
) -> web.StreamResponse:
    fields = _fields(ctx, row)
    problems = _at_fields(error.problems, fields, ctx) if isinstance(error, Invalid) else None
    version = row.version if row else None
    async with ctx.db.read() as conn:
        form = await forms.make_form(conn, ctx, fields, texts, problems=problems, version=version)
    others = [(word, TYPE_LABELS[word]) for word in CharacteristicType if row and word not in (row.type, "person")]
    context: dict[str, Any] = {"entity": entity, "row": row, "form": form, "error": error, "types": TYPE_LABELS}
    context |= {"title": row.text(ctx.language) if row else "", "others": others}
    return render.page(ctx, "administration/characteristic.html", context, status=error.status if error else 200)


async def create(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    entity, fields = _kind(ctx.form.text("kind")), _fields(ctx, None)
    try:
        async with ctx.db.begin() as conn:
            await characteristic_definitions.create(conn, entity, _given(ctx, fields), edit=_edit(ctx))
    except Invalid as error:
        return await _form(ctx, entity, None, forms.sent_texts(fields, ctx), error=error)
    return render.redirect(ctx, f"/characteristics?kind={entity.kind}")


async def change(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    async with ctx.db.read() as conn:
        row = await characteristic_definitions.get(conn, ctx.id())
    fields = _fields(ctx, row)
    try:
        async with ctx.db.begin() as conn:
            given, version = _given(ctx, fields), ctx.form.number("version")
            await characteristic_definitions.update(conn, row.id, given, edit=_edit(ctx), version=version)
    except (Invalid, Conflict) as error:
        return await _one(ctx, forms.sent_texts(fields, ctx), error=error)
    return render.redirect(ctx, f"/characteristics?kind={row.kind}")


async def move(ctx: RequestContext) -> web.StreamResponse:
    """Put a characteristic one place up or down."""
    _may(ctx)
    async with ctx.db.begin() as conn:
        row = await characteristic_definitions.get(conn, ctx.id())
        there = [one.id for one in await characteristics.definitions(conn, [row.kind])]
        place = there.index(row.id) + (-1 if ctx.form.text("to") == "up" else 1)
        if 0 <= place < len(there):
            await characteristic_definitions.update(conn, row.id, DefinitionInput(order=place), edit=_edit(ctx))
    return render.redirect(ctx, f"/characteristics?kind={row.kind}")


async def change_of_type(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    try:
        async with ctx.db.begin() as conn:
            type_ = ctx.form.text("type")
            number, _made = await change_type.begin(conn, ctx.id(), type_, reading=reading(ctx), edit=_edit(ctx))
    except Invalid as error:
        return await _one(ctx, None, error=error)
    return render.redirect(ctx, f"/operations/{number}")


ROUTES = (
    Route("GET", "/characteristics", listed),
    Route("GET", "/characteristics/new", new),
    Route("POST", "/characteristics", create),
    Route("GET", "/characteristics/{id}", one),
    Route("POST", "/characteristics/{id}", change),
    Route("POST", "/characteristics/{id}/move", move),
    Route("POST", "/characteristics/{id}/change-type", change_of_type),
)
