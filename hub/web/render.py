"""From a template and facts to a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from hub.errors import HubError
from hub.store.changes import Position
from hub.web.visit import Services, Visit


def find_templates() -> Path:
    """Return the folder of templates: beside the package in a checkout, inside of it when installed."""
    package = Path(__file__).resolve().parent
    for place in (package / "templates", package.parents[1] / "templates"):
        if place.is_dir():
            return place
    raise RuntimeError("the templates are not there")


@dataclass(frozen=True, slots=True)
class Pages:
    env: jinja2.Environment

    @classmethod
    def of(cls, services: Services) -> Pages:
        loader = jinja2.FileSystemLoader(find_templates())
        return cls(jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined))


PAGES: web.AppKey[Pages] = web.AppKey("pages", Pages)


def page(
    visit: Visit, name: str, context: Mapping[str, Any], *, feed: Position | None = None, status: int = 200
) -> web.Response:
    return web.Response(text=name, status=status, content_type="text/html")


def go(visit: Visit, path: str) -> web.Response:
    """Send the browser on to another page of ours after a deed."""
    if visit.is_fragment:
        return web.Response(status=204, headers={"HX-Redirect": path})
    return web.Response(status=303, headers={"Location": path})


def error_page(request: web.Request, error: HubError) -> web.Response:
    return web.Response(text=f"{error.code}: {error.message}", status=error.status)


def add_static(app: web.Application) -> None:
    pass
