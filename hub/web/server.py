"""The web application: its routes, what wraps every request, and the life of its loops.

Decides no page and no answer. Invariants: every route goes through `authentication`; every error becomes a page or
the API's shape; every response is hardened; at shutdown the streams end before the server waits for its connections.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote

from aiohttp import web

from hub import sanitize
from hub.errors import HubError, NotSignedIn, Refused
from hub.logs import new_trace, tracing, where_of
from hub.store.attempts import open_attempts
from hub.web import auth, compression, health, pbx, recording_stream, render, security
from hub.web.api import endpoint
from hub.web.api.routes import API_ROUTES
from hub.web.authentication import ENROLMENT, LIVE, SERVICES, EnrolmentMissing, authenticated, know_person
from hub.web.errors import REQUEST_ID, Bug, Compressed, error_of_status, json_error, with_headers, wrong_method
from hub.web.last_uses import USES, LastUses
from hub.web.live import LiveFeed
from hub.web.pages.routes import PAGE_ROUTES
from hub.web.request_context import MAX_UPLOAD_BYTES, Services
from hub.web.routes import Route, loggable_path
from hub.web.sign_in_limits import LIMITS, SignInLimits

__all__ = ["ROUTES", "Services", "make_app"]

log = logging.getLogger(__name__)
TRACE: web.RequestKey[str] = web.RequestKey("trace", str)

ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *pbx.ROUTES,
    *render.ROUTES,
    *auth.ROUTES,
    *PAGE_ROUTES,
    *API_ROUTES,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(services: Services) -> web.Application:
    """Build the application. Its loops run from its start-up to its clean-up; run both in one task."""
    app = web.Application(middlewares=[_count, _answer_errors], client_max_size=MAX_UPLOAD_BYTES)
    app[SERVICES] = services
    app[LIVE] = LiveFeed(services.db)
    app[USES] = LastUses()
    app[health.COUNTS] = health.Counts()
    app[health.LAST_LOOK] = health.LastLook()
    app[LIMITS] = SignInLimits(open_attempts(services.settings.hub.redis))
    app[recording_stream.LISTENERS] = recording_stream.Listeners()
    app[pbx.QUESTIONS] = pbx.Questions()
    app[render.PAGES] = render.Pages.load(services.settings.hub.zone)
    app.on_response_prepare.append(_name)
    app.on_response_prepare.append(security.hardener(services.settings.web.public_url))
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_run_loops)
    app.on_cleanup.append(_close_attempts)
    for resource in _resources():
        app.router.register_resource(resource)
    return app


@functools.cache
def _resources() -> tuple[web.AbstractResource, ...]:
    """Every route of Hub; they hold nothing of an application, so all of a process share them."""
    router = web.UrlDispatcher()
    for route in ROUTES:
        handle = authenticated(route)
        # `/clients/count` is no client: a call with another method is told so, and not that there is no such client.
        path = route.path.replace("{id}", "{id:[0-9]+}") if route.path.startswith("/api/") else route.path
        router.add_route(route.method, path, handle)
        if route.method == "GET":
            router.add_route("HEAD", path, handle)
    return tuple(router.resources())


async def _run_loops(app: web.Application) -> AsyncIterator[None]:
    # Should one of them meet a bug, the task group cancels the task that started the server: loud, not silent.
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(app[LIVE].run()), tasks.create_task(app[USES].run(app[SERVICES].db))]
        yield
        for task in running:
            task.cancel()


async def _close_attempts(app: web.Application) -> None:
    await app[LIMITS].attempts.close()


async def _end_streams(app: web.Application) -> None:
    app[LIVE].close()


@web.middleware
async def _count(request: web.Request, handler: Handler) -> web.StreamResponse:
    trace = request[TRACE] = new_trace()
    with tracing(trace):
        response = await handler(request)
    request.app[health.COUNTS].add(response.status)
    compression.compress(request, response)
    return response


async def _name(request: web.Request, response: web.StreamResponse) -> None:
    """Tell the id under which the log has this request."""
    response.headers.setdefault(REQUEST_ID, request.get(TRACE, ""))


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        _refuse_compressed(request)
        _refuse_unreadable(request)
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        refusal: HubError = wrong_method(error.allowed_methods)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        refusal = error_of_status(error.status)
    except HubError as error:
        refusal = error
    except ConnectionResetError:
        # Who asked has gone in the middle of a long answer: nobody is there to be told.
        log.info("%s %r was broken off by the client", request.method, loggable_path(request))
        return web.Response()
    except Exception as error:  # noqa: BLE001
        bug = Bug.numbered()
        # The one place where a bug does not stop its task further: the request ends here, and its number is logged.
        place = where_of(error)
        log.error("bug %s in %s %r: %s", bug.details["number"], request.method, loggable_path(request), place)
        refusal = bug
    return await _answer(request, refusal)


def _refuse_compressed(request: web.Request) -> None:
    """Raise Compressed for any coding of the body, on whichever path. The listener never unpacks one either."""
    codings = ",".join(request.headers.getall("Content-Encoding", ()))
    codings += "," + ",".join(request.headers.getall("Transfer-Encoding", ()))
    if any(one.strip().lower() not in ("", "identity", "chunked") for one in codings.split(",")):
        raise Compressed("compressed_body", "send the body uncompressed, without Content-Encoding")


def _refuse_unreadable(request: web.Request) -> None:
    """Raise Refused for bytes in the path or a header that are no text: no database or log takes them."""
    for name, value in (("the path", request.path), *request.headers.items()):
        if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
            raise Refused("bad_header", f"{sanitize.shown(name)} is not UTF-8")
    if "\x00" in request.path:
        raise Refused("control_character", "the path must not contain U+0000")


async def _answer(request: web.Request, error: HubError) -> web.StreamResponse:
    if request.path.startswith(endpoint.PREFIX + "/") or request.path in health.PATHS:
        return json_error(error)
    if isinstance(error, NotSignedIn) and request.path != "/live":
        return _to_sign_in(request, ENROLMENT if isinstance(error, EnrolmentMissing) else "/login")
    await know_person(request)
    return with_headers(render.error_page(request, error), error)


def _to_sign_in(request: web.Request, target: str) -> web.Response:
    """Send a person whose session is over, or not whole yet, to a page, and back to where they were after it."""
    if request.method in ("GET", "HEAD") and request.path != "/" and "HX-Request" not in request.headers:
        target += f"?next={quote(request.path_qs, safe='')}"
    if "HX-Request" in request.headers:
        return web.Response(status=401, headers={"HX-Redirect": target})
    return web.Response(status=303, headers={"Location": target})
