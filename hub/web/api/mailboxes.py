"""Mailboxes over the API: one, add, change, test; their list is the base's. Secrets go in and never come out."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.errors import Refused
from hub.mail.accounts import accounts, secrets
from hub.mail.accounts.account import Account, AccountSettings, Oauth, Side, Written
from hub.mail.choices import MailboxState, SendState
from hub.mail.imap.refusals import Advice
from hub.settings import Secret
from hub.store.encryption import Vault
from hub.web.api.endpoint import Endpoint, Id, Nothing
from hub.web.api.shapes import Moment, Ref, Shape, one_of
from hub.web.pages.mailboxes import try_typed
from hub.web.request_context import RequestContext

Text = Annotated[str, msgspec.Meta(max_length=300)]
Password = Annotated[str, msgspec.Meta(max_length=900, extra_json_schema={"writeOnly": True})]


class MailboxSettings(Shape, frozen=True, kw_only=True):
    """How its servers are reached; `folders` empty: Hub chooses."""

    imap: Side
    smtp: Side
    oauth: Oauth
    folders: tuple[str, ...]
    history_days: int


class MailboxAccount(Shape, frozen=True, kw_only=True):
    """A mailbox. `settings` is null where the configuration file has them; passwords are never shown."""

    id: int
    version: int
    address: str
    name: str
    team: Ref
    owner: Ref | None
    source: Annotated[str, one_of("file", "page")]
    enabled: bool
    state: Annotated[str, MailboxState.schema()]
    error: str
    error_at: Moment | None
    send_state: Annotated[str, SendState.schema()]
    send_error: str
    seen_at: Moment | None
    settings: MailboxSettings | None
    secrets: list[str]


class NewMailbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`personal`: the caller's own, and no team. Without `smtp_password`, `password` is for both servers."""

    address: Text
    name: Text = ""
    team: Id | None = None
    personal: bool = False
    imap: Side
    smtp: Side
    oauth: Oauth = ""
    folders: tuple[str, ...] = ()
    history_days: Annotated[int, msgspec.Meta(ge=0, le=36500)] = 0
    password: Password | None = None
    smtp_password: Password | None = None


class MailboxChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field that is not named stays as it is. `version`: the one that was read; an older one is refused.
    `try_again`: have a refused sign-in tried now."""

    version: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] | None = None
    name: Text | None = None
    team: Id | None = None
    imap: Side | None = None
    smtp: Side | None = None
    oauth: Oauth | None = None
    folders: tuple[str, ...] | None = None
    history_days: Annotated[int, msgspec.Meta(ge=0, le=36500)] | None = None
    password: Password | None = None
    smtp_password: Password | None = None
    enabled: bool | None = None
    try_again: bool = False


class TrialStep(Shape, frozen=True, kw_only=True):
    """`advice` is what the provider wants where the sign-in is refused."""

    name: Annotated[str, one_of("imap", "folders", "smtp")]
    ok: bool
    took_ms: int
    detail: str
    advice: Annotated[str, one_of(*get_args(Advice))]


class MailboxTrial(Shape, frozen=True, kw_only=True):
    """The result of a test of the stored settings: each step, and the folders found."""

    ok: bool
    steps: list[TrialStep]
    folders: list[str]


def _vault(ctx: RequestContext) -> Vault:
    return Vault.of(ctx.services.settings)


def account(one: Account) -> MailboxAccount:
    settings = None
    if one.settings is not None:
        of = one.settings
        settings = MailboxSettings(
            imap=of.imap, smtp=of.smtp, oauth=of.oauth, folders=of.folders, history_days=of.history_days
        )
    return MailboxAccount(
        id=one.id,
        version=one.version,
        address=one.address,
        name=one.name,
        team=Ref(id=one.team_id, name=one.team_name),
        owner=Ref(id=one.owner_id, name=one.owner_name) if one.owner_id is not None else None,
        source=one.source,
        enabled=one.is_enabled,
        state=one.state,
        error=one.error,
        error_at=rfc3339(one.error_at),
        send_state=one.send_state,
        send_error=one.send_error,
        seen_at=rfc3339(one.seen_at),
        settings=settings,
        secrets=sorted(one.secret_kinds),
    )


async def found(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> MailboxAccount:
    return account(await accounts.find(conn, ctx.actor, ctx.id()))


async def add(conn: AsyncConnection, ctx: RequestContext, body: NewMailbox) -> MailboxAccount:
    settings = AccountSettings(
        imap=body.imap, smtp=body.smtp, oauth=body.oauth, folders=body.folders, history_days=body.history_days
    )
    passwords = (_secret(body.password), _secret(body.smtp_password))
    written = Written(body.address, body.name, body.team, settings, *passwords)
    vault = _vault(ctx)
    mailbox_id = await accounts.add(conn, vault, ctx.actor, written, personal=body.personal, now=ctx.now, way="api")
    return account(await accounts.find(conn, ctx.actor, mailbox_id))


async def change(conn: AsyncConnection, ctx: RequestContext, body: MailboxChange) -> MailboxAccount:
    before = await accounts.lock(conn, ctx.actor, ctx.id())
    named = {
        name: value
        for name in ("imap", "smtp", "oauth", "folders", "history_days")
        if (value := getattr(body, name)) is not None
    }
    others = (body.name, body.team, body.password, body.smtp_password)
    if named or any(value is not None for value in others):
        if before.settings is None:
            raise Refused("mailbox_of_file", f"{before.address} stands in the configuration file; change it there")
        written = Written(
            before.address,
            before.name if body.name is None else body.name,
            body.team or before.team_id,
            msgspec.structs.replace(before.settings, **named),
            _secret(body.password),
            _secret(body.smtp_password),
        )
        vault = _vault(ctx)
        await accounts.change(conn, vault, ctx.actor, before.id, written, now=ctx.now, way="api", version=body.version)
    else:
        await accounts.lock(conn, ctx.actor, before.id, version=body.version)
    if body.enabled is not None and body.enabled != before.is_enabled:
        await accounts.enable(conn, ctx.actor, before.id, body.enabled, now=ctx.now, way="api")
    if body.try_again:
        await accounts.try_again(conn, ctx.actor, before.id, now=ctx.now)
    return account(await accounts.find(conn, ctx.actor, before.id))


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text else None


class _Tried(msgspec.Struct, frozen=True, kw_only=True):
    trial: Any


async def _try(ctx: RequestContext, _body: Nothing) -> _Tried:
    """Try the stored settings, outside of any transaction."""
    async with ctx.db.read() as conn:
        account = await accounts.find(conn, ctx.actor, ctx.id())
        kept = await secrets.read(conn, _vault(ctx), account.id)
    if account.settings is None:
        raise Refused("mailbox_of_file", f"{account.address} stands in the configuration file: hub doctor tries it")
    written = Written(account.address, account.name, account.team_id, account.settings)
    return _Tried(trial=await try_typed(ctx, account, written, kept))


async def test(_conn: AsyncConnection, _ctx: RequestContext, body: Any) -> MailboxTrial:
    trial = body.trial
    steps = [
        TrialStep(name=s.name, ok=s.is_ok, took_ms=s.took_ms, detail=s.detail, advice=s.advice) for s in trial.steps
    ]
    return MailboxTrial(ok=trial.is_ok, steps=steps, folders=[name for name, _ in trial.folders])


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/mailboxes",
        summary="Add a mailbox",
        writes=add,
        body=NewMailbox,
        answer=MailboxAccount,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/mailboxes/{id}",
        summary="Change a mailbox, pause it, or have it tried again; what is not named stays as it is",
        writes=change,
        body=MailboxChange,
        answer=MailboxAccount,
    ),
    Endpoint(
        method="POST",
        path="/mailboxes/{id}/test",
        summary="Sign in to a mailbox's servers with its stored settings and list its folders; nothing is sent",
        prepare=_try,
        writes=test,
        answer=MailboxTrial,
    ),
)
