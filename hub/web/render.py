"""From a template and facts to an answer: pages, pieces of pages, and errors a person can read.

Adds what every template is given (see `look`); decides nothing that is shown. Invariants: a template asks for no
fact that its handler did not give, and what a person may read of a bug is its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import jinja2
from aiohttp import web

from hub import resources
from hub.clock import utc_now
from hub.errors import HubError, NotFound
from hub.store.changes import Position
from hub.web import security
from hub.web.assets import FOLDER, PREFIX, read_assets
from hub.web.authentication import LANGUAGES, REQUEST_CONTEXT, SERVICES, language_of
from hub.web.guide import screens
from hub.web.jinja_env import make_environment
from hub.web.request_context import RequestContext
from hub.web.routes import Route

FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Pages:
    """The templates, once per language."""

    environments: Mapping[str, jinja2.Environment]
    files: frozenset[str]
    """The files served under `/static`: the names that the build wrote, and nothing else of the disk."""

    @classmethod
    def load(cls, zone: tzinfo) -> Pages:
        """Read the manifest of assets. `zone` is the company's. Raises ConfigError where they are not built."""
        folder, assets = resources.folder("templates"), read_assets()
        environments = {language: make_environment(folder, language, assets, zone=zone) for language in LANGUAGES}
        return cls(environments, frozenset(assets.names.values()))

    def text(self, language: str, name: str, context: Mapping[str, Any]) -> str:
        return self.environments[language].get_template(name).render(context)


PAGES: web.AppKey[Pages] = web.AppKey("pages", Pages)


def page(
    ctx: RequestContext, name: str, context: Mapping[str, Any], *, feed: Position | None = None, status: int = 200
) -> web.Response:
    """Answer with a template. `feed` is the position that the page's facts are at least as new as.

    Without one, a page of somebody who is signed in follows the feed from where it stood when they asked.
    """
    if feed is None and ctx.session is not None and not ctx.is_fragment:
        feed = ctx.head
    given: dict[str, Any] = {
        "actor": ctx.visitor,
        "lang": ctx.language,
        "csrf": security.masked(ctx.session.csrf) if ctx.session else "",
        "session_key": ctx.session.id if ctx.session else "",
        "feed": str(feed) if feed is not None else "",
        "is_demo": ctx.services.is_demo,
        "path": ctx.request.path_qs,
        "now": ctx.now,
        "help": _help_of(ctx.request),
    }
    text = ctx.request.app[PAGES].text(ctx.language, name, {**given, **context})
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def _help_of(request: web.Request) -> str:
    """Return the name of the page of the user guide that belongs to the screen that was asked for."""
    resource = request.match_info.route.resource
    return screens.page_of(resource.canonical if resource else "")


def redirect(ctx: RequestContext, path: str) -> web.Response:
    """Send the browser on to another page of ours after a deed."""
    if ctx.is_fragment:
        return web.Response(status=204, headers={"HX-Redirect": path})
    return web.Response(status=303, headers={"Location": path})


def error_page(request: web.Request, error: HubError) -> web.Response:
    """Answer an error as a page, within the frame for who is signed in, or as the piece that htmx shows of it."""
    services = request.app[SERVICES]
    ctx = request.get(REQUEST_CONTEXT)
    language = ctx.language if ctx else language_of(request, services, None)
    context = {
        "actor": ctx.visitor if ctx else None,
        "lang": language,
        "csrf": security.masked(ctx.session.csrf) if ctx and ctx.session else "",
        "session_key": ctx.session.id if ctx and ctx.session else "",
        "feed": str(ctx.head or "") if ctx and ctx.session else "",
        "is_demo": services.is_demo,
        "path": request.path_qs if request.method == "GET" else "/",
        "now": utc_now(),
        "status": error.status,
        "code": error.code,
        "number": error.details.get("number", ""),
    }
    name = "error_fragment.html" if "HX-Request" in request.headers else "error.html"
    text = request.app[PAGES].text(language, name, context)
    return web.Response(text=text, status=error.status, content_type="text/html", charset="utf-8")


async def static(ctx: RequestContext) -> web.StreamResponse:
    """A built file; its name changes with its content, so it may be kept for ever."""
    name = ctx.request.match_info["name"]
    if name not in ctx.request.app[PAGES].files:
        raise NotFound("page_missing", "there is nothing here")
    return web.FileResponse(FOLDER / name, headers={"Cache-Control": FOR_EVER})


ROUTES = (Route("GET", PREFIX + "/{name}", static, "anyone", "nothing"),)
