"""Lists of values on pages: all lists, the values of one in their order, and the form of a value with where it is used.

Whoever keeps the lists opens these. Invariant: a form that is refused comes back with what was typed, and each problem
at its field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.base import dictionaries, dictionary_uses, merge_values
from hub.crm.base.dictionaries import Value, ValueInput
from hub.crm.base.dictionary_uses import KnownDictionary
from hub.crm.base.field import Field
from hub.crm.base.fields import Choice, Option, Text, YesNo
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.errors import Conflict
from hub.web import render
from hub.web.base import forms
from hub.web.request_context import RequestContext
from hub.web.routes import Route

COLORS = (
    Option("grey", _("Grey")),
    Option("red", _("Red")),
    Option("orange", _("Orange")),
    Option("yellow", _("Yellow")),
    Option("green", _("Green")),
    Option("teal", _("Teal")),
    Option("blue", _("Blue")),
    Option("indigo", _("Indigo")),
    Option("purple", _("Purple")),
    Option("pink", _("Pink")),
)
ICONS = (
    Option("star", _("Star")),
    Option("flag", _("Flag")),
    Option("target", _("Target")),
    Option("users", _("People")),
    Option("user", _("Person")),
    Option("building", _("Building")),
    Option("phone", _("Phone")),
    Option("mail", _("Letter")),
    Option("globe", _("Globe")),
    Option("megaphone", _("Megaphone")),
    Option("calendar", _("Calendar")),
    Option("clock", _("Clock")),
    Option("file-text", _("Document")),
    Option("ban", _("Ban sign")),
    Option("check", _("Check mark")),
)
RU = Text(sa.Column("label_ru", sa.String(200)), _("Name in Russian"))
EN = Text(sa.Column("label_en", sa.String(200)), _("Name in English"))
_STYLE: tuple[Field, ...] = (
    Choice(sa.Column("color", sa.String(20)), _("Colour"), options=COLORS),
    Choice(sa.Column("icon", sa.String(40)), _("Icon"), options=ICONS),
    YesNo(sa.Column("active", sa.Boolean(), nullable=False), _("May be chosen")),
)


@dataclass(frozen=True, slots=True)
class UsePlace:
    """Where a value is used, with the address of the list of those records."""

    titles: str
    label: str
    count: int
    is_more: bool
    href: str


def title_of(known: KnownDictionary, ctx: RequestContext) -> str:
    """Return what a list is called: of a characteristic in the reader's language, else a text to translate."""
    return known.of.text(ctx.language) if known.of else known.title


def _may(ctx: RequestContext) -> None:
    access.require(ctx.actor, "dictionaries")


def _edit(ctx: RequestContext) -> Edit:
    return Edit(ctx.actor, "page", ctx.now)


def _path(known: KnownDictionary) -> str:
    return f"/dictionaries/{known.name}"


async def _known(conn: AsyncConnection, ctx: RequestContext) -> KnownDictionary:
    return await dictionary_uses.find(conn, ctx.request.match_info["name"])


async def listed(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    async with ctx.db.read() as conn:
        found = await dictionary_uses.every_dictionary(conn)
        values = await dictionaries.load(conn, [one.name for one in found])
    rows = [(one, title_of(one, ctx), values[one.name]) for one in found]
    return render.page(ctx, "administration/dictionaries.html", {"rows": rows})


async def values(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    return await _values(ctx, {})


async def _values(ctx: RequestContext, texts: Mapping[str, str], *, error: Invalid | None = None) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        known = await _known(conn, ctx)
        found = (await dictionaries.load(conn, [known.name]))[known.name]
        problems = _at_fields(error.problems, ctx) if error else None
        form = await forms.make_form(conn, ctx, _labels(ctx), texts, problems=problems)
    context = {"known": known, "title": title_of(known, ctx), "values": _as_tree(found), "form": form, "error": error}
    return render.page(ctx, "administration/values.html", context, status=error.status if error else 200)


def _labels(ctx: RequestContext) -> tuple[Field, Field]:
    """Return the fields of a name, that of the reader's language first."""
    return (RU, EN) if ctx.language == "ru" else (EN, RU)


def _at_fields(problems: Mapping[str, Problem], ctx: RequestContext) -> dict[str, Problem]:
    """Return problems by the form's fields: a label stands in two of them, a key in none."""
    first = _labels(ctx)[0].name
    return {first if name in ("label", "key") else name: one for name, one in problems.items()}


def _as_tree(found: Sequence[Value]) -> list[tuple[Value, int]]:
    """Return values with how deep they stand below others, each behind the one above it."""
    below: dict[str | None, list[Value]] = {}
    for one in found:
        below.setdefault(one.parent, []).append(one)
    placed: list[tuple[Value, int]] = []

    def place(parent: str | None, depth: int) -> None:
        for one in below.get(parent, ()):
            placed.append((one, depth))
            place(one.key, depth + 1)

    place(None, 0)
    return placed


def _given(ctx: RequestContext, fields: Sequence[Field]) -> ValueInput:
    """Return what a form of these fields sent. Raises Invalid."""
    texts = forms.sent_texts(fields, ctx)
    read = forms.read_texts(fields, texts, ctx)
    label = {lang: read[name] for lang, name in (("ru", "label_ru"), ("en", "label_en")) if read.get(name)}
    given: dict[str, Any] = {"label": label}
    for name in ("color", "icon"):
        if name in read:
            given[name] = read[name] or ""
    for name in ("active", "parent"):
        if name in read:
            given[name] = read[name]
    return ValueInput(**given)


async def add(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    fields = _labels(ctx)
    try:
        async with ctx.db.begin() as conn:
            known = await _known(conn, ctx)
            await dictionaries.create(conn, known.name, _given(ctx, fields), edit=_edit(ctx))
    except Invalid as error:
        return await _values(ctx, forms.sent_texts(fields, ctx), error=error)
    return render.redirect(ctx, _path(known))


async def move(ctx: RequestContext) -> web.StreamResponse:
    """Put a value one place up or down."""
    _may(ctx)
    async with ctx.db.begin() as conn:
        known = await _known(conn, ctx)
        there = (await dictionaries.load(conn, [known.name]))[known.name]
        value = await dictionaries.get(conn, known.name, ctx.id())
        beside = [one for one in there if one.parent == value.parent]
        place = beside.index(value) + (-1 if ctx.form.text("to") == "up" else 1)
        if 0 <= place < len(beside):
            given = ValueInput(order=there.index(beside[place]))
            await dictionaries.update(conn, known.name, value.id, given, edit=_edit(ctx))
    return render.redirect(ctx, _path(known))


async def one(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    return await _form(ctx, None)


async def _form(
    ctx: RequestContext, texts: Mapping[str, str] | None, *, error: Invalid | Conflict | None = None
) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        known = await _known(conn, ctx)
        value = await dictionaries.get(conn, known.name, ctx.id())
        there = (await dictionaries.load(conn, [known.name]))[known.name]
        fields = _value_fields(ctx, known, there, value)
        shown = _texts(value) if texts is None else texts
        problems = _at_fields(error.problems, ctx) if isinstance(error, Invalid) else None
        form = await forms.make_form(conn, ctx, fields, shown, problems=problems, version=value.version)
        places = [_place(use, value) for use in await dictionary_uses.uses(conn, known.name, value.key)]
    others = [(one.key, one.text(ctx.language)) for one in there if one.active and one.key != value.key]
    context = {"known": known, "title": title_of(known, ctx), "value": value, "form": form, "uses": places}
    context |= {"others": others, "error": error, "below": [one for one in there if one.parent == value.key]}
    return render.page(ctx, "administration/value.html", context, status=error.status if error else 200)


def _value_fields(
    ctx: RequestContext, known: KnownDictionary, there: Sequence[Value], value: Value
) -> tuple[Field, ...]:
    parent: tuple[Field, ...] = ()
    if known.is_tree:
        options = tuple(Option(one.key, one.text(ctx.language)) for one in there if one.key != value.key)
        parent = (Choice(sa.Column("parent", sa.String(60)), _("Stands below"), options=options),)
    return (*_labels(ctx), *parent, *_STYLE)


def _texts(value: Value) -> dict[str, str]:
    texts = {"label_ru": value.label.get("ru", ""), "label_en": value.label.get("en", ""), "color": value.color}
    return texts | {"icon": value.icon, "active": "on" if value.active else "off", "parent": value.parent or ""}


def _place(use: dictionary_uses.Use, value: Value) -> UsePlace:
    where = json.dumps({"field": use.field.name, "op": "is", "value": [value.key]}, separators=(",", ":"))
    href = f"/{use.entity.plural}?{urlencode({'where': where})}"
    return UsePlace(use.entity.titles, use.field.label, use.count, use.count >= dictionary_uses.COUNTED, href)


async def change(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    async with ctx.db.read() as conn:
        known = await _known(conn, ctx)
        value = await dictionaries.get(conn, known.name, ctx.id())
        there = (await dictionaries.load(conn, [known.name]))[known.name]
    fields = _value_fields(ctx, known, there, value)
    try:
        async with ctx.db.begin() as conn:
            given, version = _given(ctx, fields), ctx.form.number("version")
            await dictionaries.update(conn, known.name, value.id, given, edit=_edit(ctx), version=version)
    except (Invalid, Conflict) as error:
        return await _form(ctx, forms.sent_texts(fields, ctx), error=error)
    return render.redirect(ctx, _path(known))


async def delete(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    try:
        async with ctx.db.begin() as conn:
            known = await _known(conn, ctx)
            await dictionary_uses.delete(conn, known.name, ctx.id(), edit=_edit(ctx))
    except Conflict as error:
        return await _form(ctx, None, error=error)
    return render.redirect(ctx, _path(known))


async def merge(ctx: RequestContext) -> web.StreamResponse:
    _may(ctx)
    try:
        async with ctx.db.begin() as conn:
            known = await _known(conn, ctx)
            begun = await merge_values.begin(conn, known.name, ctx.id(), ctx.form.text("into"), edit=_edit(ctx))
    except Invalid as error:
        return await _form(ctx, None, error=error)
    return render.redirect(ctx, f"/operations/{begun[0]}" if begun else _path(known))


ROUTES = (
    Route("GET", "/dictionaries", listed),
    Route("GET", "/dictionaries/{name}", values),
    Route("POST", "/dictionaries/{name}", add),
    Route("GET", "/dictionaries/{name}/{id}", one),
    Route("POST", "/dictionaries/{name}/{id}", change),
    Route("POST", "/dictionaries/{name}/{id}/move", move),
    Route("POST", "/dictionaries/{name}/{id}/delete", delete),
    Route("POST", "/dictionaries/{name}/{id}/merge", merge),
)
