"""The user guide: its index, its pages, its pictures, and what a search of it finds."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from hub.errors import NotFound
from hub.web import render
from hub.web.guide.book import image_files, read_book
from hub.web.guide.page import PREFIX
from hub.web.guide.search import search
from hub.web.request_context import RequestContext
from hub.web.routes import Route

KEPT_A_DAY = "private, max-age=86400"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    q: Annotated[str, msgspec.Meta(max_length=200)] = ""


async def index(ctx: RequestContext) -> web.StreamResponse:
    question = ctx.query(Question).q.strip()
    book = read_book(ctx.language)
    if not question:
        return _shown(ctx, book.index.name)
    context = {"book": book, "question": question, "hits": search(book.pages.values(), question)}
    return render.page(ctx, "help/found.html", context)


async def page(ctx: RequestContext) -> web.StreamResponse:
    return _shown(ctx, ctx.request.match_info["page"])


async def image(ctx: RequestContext) -> web.StreamResponse:
    path = image_files().get(ctx.request.match_info["name"])
    if path is None:
        raise NotFound("page_missing", "the guide has no such picture")
    headers = {"Content-Type": "image/webp", "Cache-Control": KEPT_A_DAY}
    return web.FileResponse(path, headers=headers)


def _shown(ctx: RequestContext, name: str) -> web.StreamResponse:
    book = read_book(ctx.language)
    found = book.pages.get(name)
    if found is None:
        raise NotFound("page_missing", "the guide has no such page")
    return render.page(ctx, "help/page.html", {"book": book, "shown": found, "question": ""})


ROUTES = (
    Route("GET", PREFIX, index),
    Route("GET", PREFIX + "/images/{name}", image),
    Route("GET", PREFIX + "/{page}", page),
)
