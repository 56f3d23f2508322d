"""Setting up mailboxes: a person's own, the form, the trial, and signing in with a provider.

Invariants: whoever sets up a mailbox is an administrator or its owner; a test uses what is typed, and stores nothing;
what comes back from a provider is believed only by the browser session that went there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import directory
from hub.errors import Forbidden, HubError, Refused
from hub.mail.accounts import accounts, oauth, secrets
from hub.mail.accounts.account import Account, Written
from hub.mail.accounts.boxes import mailbox_of, reach_of
from hub.mail.accounts.discovery import Discovery
from hub.mail.accounts.oauth import Client, Journey, TokenSource
from hub.mail.accounts.trial import try_mailbox
from hub.mail.choices import SignIn
from hub.mail.mailbox_kind import MAILBOXES
from hub.settings import Secret
from hub.store import changes
from hub.store.encryption import Vault
from hub.store.leases import holder_name
from hub.web import render
from hub.web.i18n import translator
from hub.web.mailbox_forms import form_values, read_form, typed
from hub.web.request_context import RequestContext
from hub.web.routes import Route

NEW = {"imap_tls": "tls", "smtp_tls": "tls", "imap_auth": "auto", "smtp_auth": "auto", "history_days": "0"}


class SettingsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`said` names what has just been done."""

    said: str = ""
    address: str = ""


class CallbackQuery(msgspec.Struct, frozen=True, kw_only=True):
    code: str = ""
    state: str = ""
    error: str = ""


def _vault(ctx: RequestContext) -> Vault:
    return Vault.of(ctx.services.settings)


async def own(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        boxes = await accounts.own(conn, ctx.actor)
    if not boxes and not accounts.may_own(ctx.actor):
        raise Forbidden("privilege_missing", "an administrator has to allow you a mailbox of your own first")
    return render.page(ctx, "mailboxes/own.html", {"boxes": boxes}, feed=feed)


async def new(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(SettingsQuery)
    async with ctx.db.read() as conn:
        return await _form(conn, ctx, NEW | {"address": query.address}, personal=False)


async def new_own(ctx: RequestContext) -> web.StreamResponse:
    if not accounts.may_own(ctx.actor):
        raise Forbidden("privilege_missing", "an administrator has to allow you a mailbox of your own first")
    async with ctx.db.read() as conn:
        return await _form(conn, ctx, NEW | {"address": ctx.actor.email}, personal=True)


async def add(ctx: RequestContext) -> web.StreamResponse:
    return await _add(ctx, personal=False)


async def add_own(ctx: RequestContext) -> web.StreamResponse:
    return await _add(ctx, personal=True)


async def _add(ctx: RequestContext, *, personal: bool) -> web.StreamResponse:
    try:
        written = read_form(ctx.form)
        async with ctx.db.begin() as conn:
            mailbox_id = await accounts.add(conn, _vault(ctx), ctx.actor, written, personal=personal, now=ctx.now)
    except Forbidden:
        raise
    except HubError as error:
        async with ctx.db.read() as conn:
            return await _form(conn, ctx, typed(ctx.form), personal=personal, error=error)
    return render.redirect(ctx, f"/mailboxes/{mailbox_id}/settings?said=added")


async def edit(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(SettingsQuery)
    async with ctx.db.read() as conn:
        account = await accounts.find(conn, ctx.actor, ctx.id())
        return await _form(conn, ctx, _values(account), account=account, said=query.said)


def _values(account: Account) -> dict[str, str]:
    if account.settings is None:
        return {}
    return form_values(Written(account.address, account.name, account.team_id, account.settings))


async def save(ctx: RequestContext) -> web.StreamResponse:
    try:
        written = read_form(ctx.form)
        async with ctx.db.begin() as conn:
            version = ctx.form.number("version")
            await accounts.change(conn, _vault(ctx), ctx.actor, ctx.id(), written, now=ctx.now, version=version)
    except HubError as error:
        if error.status == 404:
            raise
        async with ctx.db.read() as conn:
            account = await accounts.find(conn, ctx.actor, ctx.id())
            return await _form(conn, ctx, typed(ctx.form), account=account, error=error)
    return render.redirect(ctx, f"/mailboxes/{ctx.id()}/settings?said=saved")


async def find(ctx: RequestContext) -> web.StreamResponse:
    """Look for the servers of an address, and give the form back with what was found."""
    if not accounts.may_own(ctx.actor):
        raise Forbidden("privilege_missing", "an administrator has to allow you a mailbox of your own first")
    values = dict(typed(ctx.form))
    personal = not ctx.actor.is_admin or values.get("personal") == "yes"
    found, error = None, None
    try:
        reach = reach_of(ctx.services.settings, may_private=ctx.actor.is_admin)
        found = await Discovery(reach).find(ctx.form.text("address", max_chars=254))
    except Refused as refused:
        error = refused
    if found is not None:
        for name, server in (("imap", found.imap), ("smtp", found.smtp)):
            values |= {f"{name}_host": server.host, f"{name}_port": str(server.port), f"{name}_tls": server.tls}
            values[f"{name}_username"] = server.username
        values["username"] = found.imap.username
        if found.oauth in [one.name for one in oauth.registered(ctx.services.settings.oauth)]:
            values["oauth"] = found.oauth
    async with ctx.db.read() as conn:
        source = found.source if found else ("" if error else "nothing")
        return await _form(conn, ctx, values, personal=personal, error=error, found=source)


def _theirs(ctx: RequestContext, error: HubError | None, teams: Sequence[tuple[int, str]]) -> list[tuple[str, str]]:
    """Return what somebody else has written meanwhile: the label and the value of each field that differs."""
    words, named = translator(ctx.language), dict(teams)
    found = []
    for name, one in (error.details.get("fields", {}) if error is not None else {}).items():
        theirs = one["theirs"]
        if name == "team":
            theirs = named.get(theirs)
        elif name == "sign_in":
            theirs = words.gettext(SignIn.label_of(theirs))
        if name != "password":
            found.append((words.gettext(MAILBOXES.field(name).label), theirs or "—"))
    return found


async def _form(
    conn: AsyncConnection,
    ctx: RequestContext,
    values: Mapping[str, str],
    *,
    account: Account | None = None,
    personal: bool = False,
    error: HubError | None = None,
    said: str = "",
    found: str = "",
) -> web.StreamResponse:
    teams = [(team.id, team.name) for team in await directory.my_teams(conn, ctx.actor)]
    context = {
        "account": account,
        "version": account.version if account is not None else "",
        "values": values,
        "personal": personal or (account is not None and account.owner_id is not None),
        "teams": teams,
        "theirs": _theirs(ctx, error, teams),
        "providers": [(one.name, one.title) for one in oauth.registered(ctx.services.settings.oauth)],
        "folders": sorted(name.removeprefix("folder:") for name in values if name.startswith("folder:")),
        "error": error,
        "said": said,
        "found": found,
    }
    feed = await changes.head(conn) if account is not None and error is None else None
    return render.page(ctx, "mailboxes/form.html", context, feed=feed, status=error.status if error else 200)


async def switch(ctx: RequestContext) -> web.StreamResponse:
    is_enabled = ctx.form.text("enabled") == "yes"
    async with ctx.db.begin() as conn:
        await accounts.enable(conn, ctx.actor, ctx.id(), is_enabled, now=ctx.now)
    return render.redirect(ctx, f"/mailboxes/{ctx.id()}/settings?said={'resumed' if is_enabled else 'paused'}")


async def again(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await accounts.try_again(conn, ctx.actor, ctx.id(), now=ctx.now)
    return render.redirect(ctx, f"/mailboxes/{ctx.id()}/settings?said=again")


async def test_new(ctx: RequestContext) -> web.StreamResponse:
    if not accounts.may_own(ctx.actor):
        raise Forbidden("privilege_missing", "an administrator has to allow you a mailbox of your own first")
    return await _test(ctx, None, {})


async def test_known(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        account = await accounts.find(conn, ctx.actor, ctx.id())
        if account.settings is None:
            raise Refused("mailbox_of_file", f"{account.address} stands in the configuration file: hub doctor tries it")
        kept = await secrets.read(conn, _vault(ctx), account.id)
    return await _test(ctx, account, kept)


async def _test(ctx: RequestContext, account: Account | None, kept: Mapping[str, Secret]) -> web.StreamResponse:
    """Try what is typed; a password that is not typed is the one that is kept, if it still goes to the same host."""
    context: dict[str, Any] = {"trial": None, "error": None, "chosen": frozenset[str]()}
    try:
        written = read_form(ctx.form)
        context["trial"] = await try_typed(ctx, account, written, kept)
        context["chosen"] = frozenset(written.settings.folders)
    except Refused as error:
        context["error"] = error
    return render.page(ctx, "mailboxes/trial.html", context)


async def try_typed(ctx: RequestContext, account: Account | None, written: Written, kept: Mapping[str, Secret]) -> Any:
    """Try a mailbox as it is written. Raises Refused."""
    settings = ctx.services.settings
    written = accounts.checked(ctx.actor, written)
    before = account.settings if account is not None else None
    passwords = []
    for name, typed_one in (("imap", written.imap_password), ("smtp", written.smtp_password or written.imap_password)):
        is_same = before is not None and getattr(before, name).host == getattr(written.settings, name).host
        # A kept password is shown to no other host than the one it was typed for.
        passwords.append(typed_one or (kept.get(name, kept.get("imap", Secret(""))) if is_same else Secret("")))
    token = None
    if written.settings.oauth:
        if account is None or before is None:
            raise Refused("oauth_first", "save the mailbox first, then sign in")
        client = Client.of(settings.oauth, written.settings.oauth)
        if any(getattr(before, name).host != getattr(written.settings, name).host for name in ("imap", "smtp")):
            raise Refused("oauth_first", "save the mailbox first, then try it")
        token = TokenSource(ctx.db, _vault(ctx), client, account.id, holder_name())
    box = mailbox_of(
        written.settings,
        address=written.address,
        name=written.name,
        imap_password=passwords[0],
        smtp_password=passwords[1],
        token=token,
        reach=reach_of(settings, may_private=ctx.actor.is_admin),
    )
    return await try_mailbox(box)


# With a provider


def _callback(ctx: RequestContext) -> str:
    base = ctx.services.settings.web.public_url.rstrip("/") or str(ctx.request.url.origin())
    return f"{base}/oauth/callback"


async def sign_in(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        account = await accounts.find(conn, ctx.actor, ctx.id())
    assert ctx.session is not None
    client = Client.of(ctx.services.settings.oauth, provider_of(ctx, account))
    address = oauth.begin(
        client,
        _vault(ctx),
        mailbox_id=account.id,
        address=account.address,
        session=f"{ctx.session.id}/{ctx.session.csrf}",
        redirect_uri=_callback(ctx),
        now=ctx.now,
    )
    return web.Response(status=303, headers={"Location": address})


def provider_of(ctx: RequestContext, account: Account) -> str:
    """The provider of the tokens that open this mailbox; empty for one that is opened by a password."""
    if account.settings is not None:
        return account.settings.oauth
    of_file = {box.address.lower(): box.oauth for box in ctx.services.settings.mailbox}
    return of_file.get(account.address, "")


async def came_back(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(CallbackQuery)
    assert ctx.session is not None
    session = f"{ctx.session.id}/{ctx.session.csrf}"
    journey = Journey.open(_vault(ctx), query.state, session, now=ctx.now)
    async with ctx.db.read() as conn:
        account = await accounts.find(conn, ctx.actor, journey.mailbox_id)
    if not query.code or query.error or provider_of(ctx, account) != journey.provider:
        return render.redirect(ctx, f"/mailboxes/{account.id}/settings?said=not_signed_in")
    client = Client.of(ctx.services.settings.oauth, journey.provider)
    tokens = await oauth.exchange(
        client, code=query.code, verifier=journey.verifier, redirect_uri=_callback(ctx), now=ctx.now
    )
    async with ctx.db.begin() as conn:
        await oauth.keep_tokens(conn, _vault(ctx), account.id, tokens, now=ctx.now)
        await accounts.signed_in(conn, ctx.actor, account.id, journey.provider, now=ctx.now)
    return render.redirect(ctx, f"/mailboxes/{account.id}/settings?said=signed_in")


ROUTES = (
    Route("GET", "/mailboxes/new", new, "admin"),
    Route("POST", "/mailboxes", add, "admin"),
    Route("POST", "/mailboxes/find", find),
    Route("POST", "/mailboxes/test", test_new),
    Route("GET", "/me/mailbox", own),
    Route("GET", "/me/mailbox/new", new_own),
    Route("POST", "/me/mailbox", add_own),
    Route("GET", "/mailboxes/{id}/settings", edit),
    Route("POST", "/mailboxes/{id}/settings", save),
    Route("POST", "/mailboxes/{id}/test", test_known),
    Route("POST", "/mailboxes/{id}/switch", switch),
    Route("POST", "/mailboxes/{id}/again", again),
    Route("GET", "/mailboxes/{id}/sign-in", sign_in),
    Route("GET", "/oauth/callback", came_back),
)
