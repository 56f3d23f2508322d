"""Authentication of a request: identify the user, check the origin, apply the rule of the route.

Pages know a person by the session cookie, the API by a bearer token, and neither takes the other's. Invariant: a
handler runs only after this module let the request in by the rule of its route.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from hub.clock import utc_now
from hub.crm import access, people, tokens
from hub.crm.access import Actor
from hub.crm.people import Session
from hub.crm.tokens import Bearer
from hub.errors import NotSignedIn, Unavailable
from hub.web import security
from hub.web.i18n import READER_ZONE
from hub.web.last_uses import USES
from hub.web.live import LiveFeed
from hub.web.request_context import Form, RequestContext, Services, read_form
from hub.web.routes import Route

SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
LIVE: web.AppKey[LiveFeed] = web.AppKey("live", LiveFeed)
REQUEST_CONTEXT: web.RequestKey[RequestContext] = web.RequestKey("request_context", RequestContext)
LANGUAGES = ("ru", "en")
ENROLMENT = "/me/two-factor"
"""The page on which a person sets up the second step of the sign-in."""
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"


class EnrolmentMissing(NotSignedIn):
    """Signed in by a password alone, and the role asks for a second step: it is set up first."""


def session_cookie(services: Services) -> str:
    """The cookie's name; over https browsers themselves keep a sibling domain from setting a `__Host-` one."""
    return "__Host-hub_session" if is_https(services) else "hub_session"


def device_cookie(services: Services) -> str:
    """The cookie of a browser that somebody signed in with before (`crm.known_devices`)."""
    return "__Host-hub_device" if is_https(services) else "hub_device"


def is_https(services: Services) -> bool:
    return services.settings.web.public_url.startswith("https://")


def authenticated(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return what aiohttp calls for a route: the checks of its rule, then its own handler."""

    async def handle(request: web.Request) -> web.StreamResponse:
        ctx = await authenticate(route, request)
        return await route.handler(ctx)

    return handle


async def authenticate(route: Route, request: web.Request) -> RequestContext:
    """Check a request by its route's rule. Raises NotSignedIn, Forbidden, Refused, Unavailable."""
    services = request.app[SERVICES]
    now = utc_now()
    session: Session | None = None
    actor: Actor | None = None
    token_id: int | None = None
    if route.by == "token":
        if (found := await bearer(request, services)) is not None:
            actor, token_id = found.actor, found.token_id
            request.app[USES].token(token_id, now)
    elif route.by == "cookie":
        if not route.is_safe:
            security.refuse_foreign(request, public_url=services.settings.web.public_url)
        session = await find_session(request, services)
        actor = session.actor if session else None
        if session is not None:
            request.app[USES].session(session.id, now)
            if session.actor.must_enrol and route.who != "anyone" and not route.is_for_enrolment:
                raise EnrolmentMissing("two_factor_missing", "set up the second step of the sign-in first")
    language = language_of(request, services, actor)
    head = request.app[LIVE].head
    ctx = RequestContext(request, services, now, language, actor, session, Form({}), token_id, head)
    READER_ZONE.set(ctx.zone)
    # What is refused from here on is answered to this person, in their language and within their frame.
    request[REQUEST_CONTEXT] = ctx
    if route.who != "anyone" and actor is None:
        raise NotSignedIn("not_signed_in", "sign in first")
    if route.who == "admin" and actor is not None:
        access.require_admin(actor)
    if route.by == "cookie" and not route.is_safe:
        form = await read_form(request, is_signed_in=actor is not None)
        if session is not None and route.who != "anyone":
            given = request.headers.get(CSRF_HEADER) or form.fields.get(CSRF_FIELD, "")
            security.refuse_wrong_token(given, session.csrf)
        ctx = request[REQUEST_CONTEXT] = replace(ctx, form=form)
    return ctx


async def know_person(request: web.Request) -> None:
    """Look up who asked for an address that no route has, so that they are answered within their frame."""
    if REQUEST_CONTEXT in request or request.method != "GET":
        return
    services = request.app[SERVICES]
    try:
        session = await find_session(request, services)
    except Unavailable:
        return
    if session is not None and session.actor.must_enrol:
        return
    actor = session.actor if session else None
    language, head = language_of(request, services, actor), request.app[LIVE].head
    ctx = RequestContext(request, services, utc_now(), language, actor, session, Form({}), None, head)
    READER_ZONE.set(ctx.zone)
    request[REQUEST_CONTEXT] = ctx


async def find_session(request: web.Request, services: Services) -> Session | None:
    """Return the browser's live session, None where there is none."""
    secret = request.cookies.get(session_cookie(services), "")
    if not secret or len(secret) > 100:
        return None
    async with services.db.read() as conn:
        return await people.find_session(conn, secret, now=utc_now())


async def bearer(request: web.Request, services: Services) -> Bearer | None:
    """Return whose API token the request carries, None where it carries none that is good."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip() or len(token) > 200:
        return None
    async with services.db.read() as conn:
        return await tokens.find_bearer(conn, token.strip(), now=utc_now())


def language_of(request: web.Request, services: Services, actor: Actor | None) -> str:
    """The person's own language, else the browser's choice here, else the company's."""
    chosen = (actor.language if actor else None) or request.cookies.get("lang")
    return chosen if chosen in LANGUAGES else services.settings.hub.language
