"""The steps of a sign-in: a password within the limits, a second step where the person has one, a new session.

`sign_in_limits` decides how often a password or a code may be tried, `crm.people` and `crm.two_factor` whether it is
right. Between the two steps there is no session: a sealed cookie, of use for minutes, says whose password was right.
Invariants: a session is opened only after every step that the person has, in the transaction that used the code up;
a password that is changed meanwhile makes the first step worthless.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import audit, known_devices, people, presence, two_factor
from hub.crm.access import Actor, load_actor
from hub.crm.people import AccountKey
from hub.errors import NotSignedIn, TooMany, Unavailable
from hub.store.encryption import Vault
from hub.web import menu
from hub.web.authentication import device_cookie, is_https, session_cookie
from hub.web.client_address import network_of
from hub.web.request_context import RequestContext, Services
from hub.web.sign_in_limits import LIMITS

log = logging.getLogger(__name__)
SECOND_STEP = "/login/code"
SECOND_STEP_LASTS = timedelta(minutes=10)
MAX_COOKIE_CHARS = 4000
MAX_NEXT_BYTES = 2000
"""A longer way back is forgotten: browsers drop a cookie over 4 KB."""
_PLACE = "second_step"


def home_of(actor: Actor) -> str:
    """Return the path of the page on which a person begins their day."""
    if actor.is_admin:
        return "/calls"
    return "/desk" if actor.has_page("desk") else menu.groups_for(actor)[0].entries[0].href


@dataclass(frozen=True, slots=True)
class FirstStep:
    """A sign-in whose password was right. `password` is a digest of the password's hash, `next_path` our own path."""

    user_id: int
    password: str
    next_path: str
    until: datetime


async def check_password(ctx: RequestContext, account: AccountKey, device: str) -> tuple[int, str] | None:
    """Return whose password was typed and its hash, None where it is wrong. Raises TooMany, Unavailable."""
    limits = ctx.request.app[LIMITS]
    known = False
    if device:
        async with ctx.db.read() as conn:
            known = await known_devices.is_known(conn, device, account, now=ctx.now)
    network = network_of(ctx.client_address)
    one = await limits.count(account, network, device=known_devices.digest(device) if known else None)
    try:
        async with limits.turn(known=known):
            async with ctx.db.read() as conn:
                user_id, stored = await people.password_of(conn, account)
            is_right = await people.fits(stored, ctx.form.fields.get("password", ""))
    except (TooMany, Unavailable):
        # No password was looked at.
        await limits.attempts.give_back(one)
        raise
    if not is_right or user_id is None:
        await _note_failure(ctx, user_id, "password")
        return None
    await limits.forgive(one)
    return user_id, stored


async def _note_failure(ctx: RequestContext, user_id: int | None, what: str) -> None:
    """Log and audit a wrong password or code. What was typed is kept by neither: it may be a password."""
    whose = f"of user {user_id}" if user_id is not None else "of nobody here"
    log.warning("a sign-in failed: a wrong %s %s, from %s", what, whose, ctx.client_address)
    details = {"address": ctx.client_address} | ({"step": what} if what != "password" else {})
    async with ctx.db.begin() as conn:
        await audit.record(
            conn,
            "sign_in.failed",
            at=ctx.now,
            user_id=None,
            object_kind="user",
            object_id=user_id,
            details=details,
        )


async def pass_password(ctx: RequestContext, user_id: int, password_hash: str, *, next_path: str) -> web.Response:
    """Sign a person in whose password was right, or ask for the second step that they have.

    Raises NotSignedIn where the password was changed, or the account disabled, since it was checked.
    """
    kept = next_path if len(next_path.encode()) <= MAX_NEXT_BYTES else ""
    first = FirstStep(user_id, digest(password_hash), kept, ctx.now + SECOND_STEP_LASTS)
    async with ctx.db.begin() as conn:
        await _require_same_password(conn, first)
        if not await two_factor.is_on(conn, user_id):
            return await _open_session(conn, ctx, first)
    response = web.Response(status=303, headers={"Location": SECOND_STEP})
    _set_cookie(ctx, response, _step_cookie(ctx.services), _seal(ctx, first), SECOND_STEP_LASTS, "Strict")
    return response


async def pass_code(ctx: RequestContext, first: FirstStep, code: str) -> web.Response | None:
    """Sign a person in by the second step; return None for a wrong code. Raises TooMany, NotSignedIn, Unavailable."""
    limits = ctx.request.app[LIMITS]
    one = await limits.count_code(first.user_id, first.password)
    response = None
    async with ctx.db.begin() as conn:
        await _require_same_password(conn, first)
        if await two_factor.accept(conn, Vault.of(ctx.services.settings), first.user_id, code, now=ctx.now):
            response = await _open_session(conn, ctx, first)
    if response is None:
        await _note_failure(ctx, first.user_id, "code")
        return None
    await limits.forgive(one)
    response.del_cookie(_step_cookie(ctx.services), path="/", secure=is_https(ctx.services))
    return response


async def _require_same_password(conn: AsyncConnection, first: FirstStep) -> None:
    stored = await people.password_now(conn, first.user_id)
    if stored is None or digest(stored) != first.password:
        raise NotSignedIn("not_signed_in", "the password was changed a moment ago")


async def _open_session(conn: AsyncConnection, ctx: RequestContext, first: FirstStep) -> web.Response:
    """Begin a new session, in a browser that is known from now on."""
    user_id = first.user_id
    if ctx.session is not None:
        await people.revoke_session(conn, ctx.session.id, now=ctx.now)
    agent = ctx.request.headers.get("User-Agent", "")
    secret = await people.open_session(conn, user_id, user_agent=agent, address=ctx.client_address, now=ctx.now)
    device = ctx.request.cookies.get(device_cookie(ctx.services), "")
    known = await known_devices.remember(conn, user_id, device, now=ctx.now)
    await presence.arrive(conn, user_id, now=ctx.now)
    actor = await load_actor(conn, user_id)
    assert actor is not None
    response = web.Response(status=303, headers={"Location": first.next_path or home_of(actor)})
    _set_cookie(ctx, response, session_cookie(ctx.services), secret, people.SESSION_LASTS, "Lax")
    _set_cookie(ctx, response, device_cookie(ctx.services), known, known_devices.LASTS, "Strict")
    return response


def _set_cookie(
    ctx: RequestContext, response: web.Response, name: str, value: str, lasts: timedelta, same_site: str
) -> None:
    seconds, is_secure = int(lasts.total_seconds()), is_https(ctx.services)
    response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, secure=is_secure, samesite=same_site)


def _step_cookie(services: Services) -> str:
    return "__Host-hub_second_step" if is_https(services) else "hub_second_step"


def digest(password_hash: str) -> str:
    """Return what a first step and the count of its codes keep of a password's hash."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:32]


def _seal(ctx: RequestContext, first: FirstStep) -> str:
    vault = Vault.of(ctx.services.settings)
    key_id, sealed = vault.seal_in_passing(msgspec.json.encode(first).decode(), place=_PLACE)
    return base64.urlsafe_b64encode(key_id.encode() + sealed).decode("ascii").rstrip("=")


def first_step(ctx: RequestContext) -> FirstStep | None:
    """Return the first step that this browser passed minutes ago; None where there is none, or it is too old."""
    cookie = ctx.request.cookies.get(_step_cookie(ctx.services), "")
    if not cookie or len(cookie) > MAX_COOKIE_CHARS:
        return None
    try:
        raw = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
        text = Vault.of(ctx.services.settings).open(raw[:8].decode(), raw[8:], place=_PLACE).reveal()
        first = msgspec.json.decode(text, type=FirstStep)
    except (ValueError, Unavailable):
        return None
    return first if first.until > ctx.now else None
