"""From a template and facts to an answer: pages, pieces of pages, and errors a person can read.

Adds what every template is given (see `look`); decides nothing that is shown. Invariants: a template asks for no
fact that its handler did not give, and what a person may read of a bug is its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from hub.clock import utc_now
from hub.crm.access import Actor
from hub.errors import HubError, NotFound
from hub.store.changes import Position
from hub.web.assets import FOLDER, PREFIX, read_assets
from hub.web.door import LANGUAGES, SERVICES, VISIT, language_of
from hub.web.look import make_environment
from hub.web.routes import Route
from hub.web.visit import Visit

FOR_EVER = "public, max-age=31536000, immutable"


def find_templates() -> Path:
    """Return the folder of templates: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for place in (package / "templates", package.parents[1] / "templates"):
        if place.is_dir():
            return place
    raise RuntimeError("the templates are not there")


@dataclass(frozen=True, slots=True)
class Pages:
    """The templates, once per language."""

    environments: Mapping[str, jinja2.Environment]
    files: frozenset[str]
    """What may be asked for under `/static`: the names that the build wrote, and nothing else of the disk."""

    @classmethod
    def load(cls) -> Pages:
        """Read the manifest of assets. Raises ConfigError where they are not built."""
        folder, assets = find_templates(), read_assets()
        environments = {language: make_environment(folder, language, assets) for language in LANGUAGES}
        return cls(environments, frozenset(assets.names.values()))

    def text(self, language: str, name: str, context: Mapping[str, Any]) -> str:
        return self.environments[language].get_template(name).render(context)


PAGES: web.AppKey[Pages] = web.AppKey("pages", Pages)


def page(
    visit: Visit, name: str, context: Mapping[str, Any], *, feed: Position | None = None, status: int = 200
) -> web.Response:
    """Answer with a template. `feed` is the position that the page's facts are at least as new as."""
    given: dict[str, Any] = {
        "actor": visit.visitor,
        "lang": visit.language,
        "csrf": visit.session.csrf if visit.session else "",
        "feed": str(feed) if feed is not None else "",
        "is_demo": visit.services.is_demo,
        "path": visit.request.path_qs,
        "now": visit.now,
    }
    text = visit.request.app[PAGES].text(visit.language, name, {**given, **context})
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def piece(pages: Pages, language: str, name: str, context: Mapping[str, Any], *, actor: Actor) -> str:
    """Draw a piece that is pushed to pages that are open."""
    return pages.text(language, name, {"actor": actor, "now": utc_now(), "lang": language, **context})


def go(visit: Visit, path: str) -> web.Response:
    """Send the browser on to another page of ours after a deed."""
    if visit.is_fragment:
        return web.Response(status=204, headers={"HX-Redirect": path})
    return web.Response(status=303, headers={"Location": path})


def error_page(request: web.Request, error: HubError) -> web.Response:
    """Answer an error as a page, or as the piece that htmx shows of it."""
    services = request.app[SERVICES]
    visit = request.get(VISIT)
    language = visit.language if visit else language_of(request, services, None)
    context = {
        "actor": visit.visitor if visit else None,
        "lang": language,
        "csrf": visit.session.csrf if visit and visit.session else "",
        "feed": "",
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


async def static(visit: Visit) -> web.StreamResponse:
    """A built file; its name changes with its content, so it may be kept for ever."""
    name = visit.request.match_info["name"]
    if name not in visit.request.app[PAGES].files:
        raise NotFound("page_missing", "there is nothing here")
    return web.FileResponse(FOLDER / name, headers={"Cache-Control": FOR_EVER})


ROUTES = (Route("GET", PREFIX + "/{name}", static, "anyone", "nothing"),)
