"""One's own second step of the sign-in: set up with a QR code, new recovery codes, switched off.

`crm.two_factor` decides. Invariants: whatever changes it asks for the password again, but the code that finishes the
setting up; a secret and recovery codes are shown once, in the answer to a form, and stand in no address.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from markupsafe import Markup

from hub.crm import people, totp, two_factor
from hub.errors import HubError, Refused, TooMany
from hub.store.encryption import Vault
from hub.web import render
from hub.web.authentication import ENROLMENT, device_cookie
from hub.web.request_context import RequestContext
from hub.web.routes import Route
from hub.web.signing_in import check_password

ISSUER = "Hub"


async def show(ctx: RequestContext) -> web.StreamResponse:
    return await _page(ctx)


async def begin(ctx: RequestContext) -> web.StreamResponse:
    """Show a new secret for the app, as a QR code and as text."""
    if refusal := await _password_refusal(ctx):
        return await _page(ctx, refusal)
    async with ctx.db.begin() as conn:
        secret = await two_factor.begin(conn, _vault(ctx), ctx.actor.user_id, now=ctx.now)
    return await _page(ctx, secret=secret)


async def confirm(ctx: RequestContext) -> web.StreamResponse:
    """Switch the second step on by a first code, and show the recovery codes."""
    assert ctx.session is not None
    user_id, vault = ctx.actor.user_id, _vault(ctx)
    code = "".join(ctx.form.text("code", max_chars=100).split())
    try:
        async with ctx.db.begin() as conn:
            codes = await two_factor.confirm(conn, vault, user_id, code, session_id=ctx.session.id, now=ctx.now)
    except Refused as error:
        async with ctx.db.read() as conn:
            secret = await two_factor.begun(conn, vault, user_id, now=ctx.now)
        return await _page(ctx, error, secret=secret)
    return await _page(ctx, codes=codes)


async def renew(ctx: RequestContext) -> web.StreamResponse:
    """Make and show new recovery codes."""
    if refusal := await _password_refusal(ctx):
        return await _page(ctx, refusal)
    async with ctx.db.begin() as conn:
        codes = await two_factor.renew_codes(conn, ctx.actor.user_id, now=ctx.now)
    return await _page(ctx, codes=codes)


async def switch_off(ctx: RequestContext) -> web.StreamResponse:
    if refusal := await _password_refusal(ctx):
        return await _page(ctx, refusal)
    try:
        async with ctx.db.begin() as conn:
            await two_factor.switch_off(conn, ctx.actor.user_id, now=ctx.now)
    except Refused as error:
        return await _page(ctx, error)
    return render.redirect(ctx, ENROLMENT)


async def _password_refusal(ctx: RequestContext) -> HubError | None:
    """Return why the password that was typed does not do, None where it does; tries are limited as at sign-in."""
    device = ctx.request.cookies.get(device_cookie(ctx.services), "")
    try:
        found = await check_password(ctx, people.account_key(ctx.actor.email), device)
    except TooMany as error:
        return error
    return None if found else Refused("wrong_password", "the password is wrong", field="password")


def _vault(ctx: RequestContext) -> Vault:
    return Vault.of(ctx.services.settings)


async def _page(
    ctx: RequestContext, error: HubError | None = None, *, secret: bytes | None = None, codes: list[str] | None = None
) -> web.Response:
    async with ctx.db.read() as conn:
        state = await two_factor.state_of(conn, ctx.actor.user_id)
    context: dict[str, Any] = {
        "state": state,
        "error": error,
        "secret": totp.written(secret) if secret else "",
        "qr": _qr(totp.uri(secret, account=ctx.actor.email, issuer=ISSUER)) if secret else "",
        "codes": codes or [],
    }
    # Who may do nothing else yet has no menu either; with the codes on the page the rest of Hub is open.
    name = "account/enrolment.html" if ctx.actor.must_enrol else "account/two_factor.html"
    response = render.page(ctx, name, context, status=error.status if error else 200)
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.details["retry_after_s"])
    return response


def _qr(text: str) -> Markup:
    """Draw a QR code: black on white in either theme, since cameras read no other."""
    # Loaded by whoever sets one up: nobody else needs it.
    import segno

    drawn = segno.make(text, error="m", micro=False)
    return Markup(drawn.svg_inline(border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None))  # noqa: S704


ROUTES = (
    Route("GET", ENROLMENT, show, is_for_enrolment=True),
    Route("POST", f"{ENROLMENT}/begin", begin, is_for_enrolment=True),
    Route("POST", f"{ENROLMENT}/confirm", confirm, is_for_enrolment=True),
    Route("POST", f"{ENROLMENT}/codes", renew),
    Route("POST", f"{ENROLMENT}/off", switch_off),
)
