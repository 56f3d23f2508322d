"""Typical data on pages: what Hub was delivered with, what the company changed of it, and bringing it back.

Only an administrator opens these. Decides nothing: `crm.typical_data` compares and restores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from hub.crm import typical_data
from hub.crm.base.history import Edit
from hub.crm.base.labels import _
from hub.crm.typical_data import Difference, Item, ItemState
from hub.crm.typical_data.restoring import find
from hub.web import render
from hub.web.i18n import translator
from hub.web.pages.dictionaries import COLORS, ICONS
from hub.web.request_context import RequestContext
from hub.web.routes import Route

STATES: dict[ItemState, str] = {
    "delivered": _("as delivered"),
    "changed": _("differs"),
    "switched_off": _("switched off"),
    "missing": _("not there"),
}
_MARKS: dict[str, str] = {option.value: option.label for option in (*COLORS, *ICONS)}


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item in the reader's language. `differences` are (name, as it was delivered, as it is now)."""

    key: str
    label: str
    state: ItemState
    differences: tuple[tuple[str, str, str], ...]


async def listed(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        parts = await typical_data.compare(conn)
    return render.page(ctx, "administration/typical_data.html", {"parts": parts})


async def one(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        part = find(await typical_data.compare(conn), ctx.request.match_info["name"])
    items = sorted((_shown(item, ctx) for item in part.items), key=lambda item: item.state == "delivered")
    context = {"part": part, "items": items, "states": STATES}
    return render.page(ctx, "administration/typical_part.html", context)


async def restore(ctx: RequestContext) -> web.StreamResponse:
    """Bring one item back, or, where the form names none, the whole part."""
    part, key = ctx.request.match_info["name"], ctx.form.text("key")
    async with ctx.db.begin() as conn:
        edit = Edit(ctx.actor, "page", ctx.now)
        keys = [key] if key else None
        await typical_data.restore(conn, part, keys, language=ctx.services.settings.hub.language, edit=edit)
    return render.redirect(ctx, f"/typical-data/{part}")


def _shown(item: Item, ctx: RequestContext) -> ShownItem:
    differences = tuple(_difference(one, ctx) for one in item.differences)
    return ShownItem(item.key, _text(item.label, ctx), item.state, differences)


def _difference(one: Difference, ctx: RequestContext) -> tuple[str, str, str]:
    say = translator(ctx.language).gettext
    name = f"{say(one.of)}: {say(one.name)}" if one.of else say(one.name)
    return name, _text(one.was, ctx), _text(one.now, ctx)


def _text(value: str | Mapping[str, str], ctx: RequestContext) -> str:
    if isinstance(value, str):
        return translator(ctx.language).gettext(_MARKS.get(value, value)) if value else "—"
    return " / ".join(value[language] for language in ("ru", "en") if value.get(language)) or "—"


ROUTES = (
    Route("GET", "/typical-data", listed, who="admin"),
    Route("GET", "/typical-data/{name}", one, who="admin"),
    Route("POST", "/typical-data/{name}", restore, who="admin"),
)
