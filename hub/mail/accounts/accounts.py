"""Mailboxes that stand in the database: what a person wrote on a page, typed, and who may change it.

Decides who may add and change which mailbox; connecting is others'. Invariants: a secret goes into `mail_secrets` and
comes out for the line only; whatever changes has an audit row and hints the keeper; a host that somebody without the
administrator's role named is never in a private network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.addresses import parse_email
from hub.crm.audit import record
from hub.crm.models import team_members, teams, users
from hub.errors import Conflict, Forbidden, NotFound, Refused
from hub.hosts import read_host
from hub.mail.accounts import secrets
from hub.mail.imap.refusals import Advice, advice
from hub.mail.models import folders as folder_rows
from hub.mail.models import mailboxes
from hub.settings import Secret
from hub.store.changes import publish
from hub.store.encryption import Vault
from hub.store.engine import hint_after_commit
from hub.store.unique import looked_for

TOPIC = "mailboxes"
"""Hinted when a mailbox was added, changed, paused or is to be tried again."""

Tls = Literal["tls", "starttls", "none"]
Auth = Literal["auto", "plain", "login", "scram", "oauth"]
Oauth = Literal["", "google", "microsoft"]
MOST_FOLDERS = 200


class Side(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one of a mailbox's servers is reached; the password stands elsewhere."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    tls: Tls = "tls"
    username: Annotated[str, msgspec.Meta(max_length=300)] = ""
    auth: Auth = "auto"
    tls_exception: Annotated[str, msgspec.Meta(pattern=r"^(sha256:([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2})?$")] = ""


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `mailboxes.settings` holds. `folders` empty: all that the server has."""

    imap: Side
    smtp: Side
    oauth: Oauth = ""
    folders: tuple[Annotated[str, msgspec.Meta(max_length=500)], ...] = ()
    history_days: Annotated[int, msgspec.Meta(ge=0, le=36500)] = 0
    may_private: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What a person wrote of a mailbox. A password that is None stays as it is."""

    address: str
    name: str
    team_id: int | None
    settings: AccountSettings
    imap_password: Secret | None = None
    smtp_password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox as its page shows it. `settings` is None where the configuration file has them."""

    id: int
    address: str
    name: str
    team_id: int
    team_name: str
    owner_id: int | None
    owner_name: str
    source: Literal["file", "page"]
    is_enabled: bool
    settings: AccountSettings | None
    state: str
    error: str
    error_at: datetime | None
    send_state: str
    send_error: str
    seen_at: datetime | None
    first_synced_at: datetime | None
    secret_kinds: frozenset[str] = field(default_factory=frozenset)

    @property
    def advice(self) -> Advice:
        """What to do about a refused sign-in at this provider."""
        return advice(self.error) if self.state == "auth_refused" else ""


def may_own(actor: Actor) -> bool:
    """Whether the person may add a mailbox of their own."""
    return actor.has("own_mailbox")


def _visible(actor: Actor) -> sa.ColumnElement[bool]:
    return sa.true() if actor.is_admin else mailboxes.c.owner_id == actor.user_id


async def listed(conn: AsyncConnection, actor: Actor) -> list[Account]:
    """Return the mailboxes that the actor may set up: an administrator all, everybody else their own."""
    return await _accounts(conn, _visible(actor))


async def find(conn: AsyncConnection, actor: Actor, mailbox_id: int) -> Account:
    """Raises NotFound, also for one that is not the actor's."""
    found = await _accounts(conn, sa.and_(_visible(actor), mailboxes.c.id == mailbox_id))
    if not found:
        raise NotFound("mailbox_missing", "there is no such mailbox")
    return found[0]


async def own(conn: AsyncConnection, actor: Actor) -> list[Account]:
    """Return the actor's personal mailboxes."""
    return await _accounts(conn, mailboxes.c.owner_id == actor.user_id)


async def _accounts(conn: AsyncConnection, which: sa.ColumnElement[bool]) -> list[Account]:
    columns = (mailboxes, teams.c.name.label("team_name"), users.c.name.label("owner_name"))
    query = sa.select(*columns).join(teams, teams.c.id == mailboxes.c.team_id)
    query = query.outerjoin(users, users.c.id == mailboxes.c.owner_id).where(which).order_by(mailboxes.c.address)
    rows = (await conn.execute(query.limit(1000))).all()
    return [
        Account(
            id=row.id,
            address=row.address,
            name=row.name,
            team_id=row.team_id,
            team_name=row.team_name,
            owner_id=row.owner_id,
            owner_name=row.owner_name or "",
            source=row.source,
            is_enabled=row.is_enabled,
            settings=read_settings(row.settings) if row.source == "page" else None,
            state=row.state,
            error=row.error,
            error_at=row.error_at,
            send_state=row.send_state,
            send_error=row.send_error,
            seen_at=row.seen_at,
            first_synced_at=row.first_synced_at,
            secret_kinds=await secrets.kinds_of(conn, row.id),
        )
        for row in rows
    ]


def read_settings(raw: Any) -> AccountSettings:
    """Read what a row holds. Raises Refused where a hand other than Hub's wrote it."""
    try:
        return msgspec.convert(raw, AccountSettings)
    except msgspec.ValidationError as error:
        raise Refused("mailbox_settings", f"the mailbox's settings in the database are wrong: {error}") from None


async def add(
    conn: AsyncConnection, vault: Vault, actor: Actor, written: Written, *, personal: bool, now: datetime
) -> int:
    """Add a mailbox, a personal one for the actor where `personal`. Raises Refused, Forbidden, Conflict."""
    if personal and not may_own(actor):
        raise Forbidden("privilege_missing", "an administrator has to allow you a mailbox of your own first")
    if not personal:
        access.require_admin(actor)
    written = checked(actor, written)
    team_id = await _team_of(conn, actor, written.team_id, personal=personal)
    row = {
        "address": written.address,
        "name": written.name,
        "team_id": team_id,
        "owner_id": actor.user_id if personal else None,
        "source": "page",
        "settings": msgspec.to_builtins(written.settings),
        "created_at": now,
    }
    taken = sa.select(mailboxes.c.id).where(mailboxes.c.address == written.address)

    async def look() -> None:
        if (await conn.execute(taken)).first() is not None:
            raise Conflict("mailbox_exists", f"{written.address} is a mailbox of Hub already", field="address")

    async with looked_for(conn, look):
        mailbox_id = int((await conn.execute(mailboxes.insert().values(**row).returning(mailboxes.c.id))).scalar_one())
    await _keep_passwords(conn, vault, mailbox_id, written, now)
    await _changed(conn, actor, "mailbox.added", mailbox_id, now, {"address": written.address, "personal": personal})
    return mailbox_id


async def change(
    conn: AsyncConnection, vault: Vault, actor: Actor, mailbox_id: int, written: Written, *, now: datetime
) -> None:
    """Write a mailbox's settings anew; its address stays. Raises NotFound, Refused."""
    before = await find(conn, actor, mailbox_id)
    if before.settings is None:
        raise Refused("mailbox_of_file", f"{before.address} stands in the configuration file; change it there")
    written = checked(actor, written)
    if written.address != before.address:
        raise Refused("mailbox_address", "a mailbox keeps its address; add another mailbox instead", field="address")
    is_personal = before.owner_id is not None
    team_id = before.team_id if is_personal else await _team_of(conn, actor, written.team_id, personal=False)
    values = {"name": written.name, "team_id": team_id, "settings": msgspec.to_builtins(written.settings)}
    await conn.execute(sa.update(mailboxes).where(mailboxes.c.id == mailbox_id).values(**values, **_fresh()))
    await _forget_for_other_ways(conn, mailbox_id, before.settings, written)
    await _keep_passwords(conn, vault, mailbox_id, written, now)
    await choose_folders(conn, mailbox_id, written.settings.folders)
    said = {"hosts": [written.settings.imap.host, written.settings.smtp.host], "passwords": _which(written)}
    await _changed(conn, actor, "mailbox.changed", mailbox_id, now, said)


async def enable(conn: AsyncConnection, actor: Actor, mailbox_id: int, is_enabled: bool, *, now: datetime) -> None:
    """Pause a mailbox, or let it work again; what it holds stays. Raises NotFound."""
    await find(conn, actor, mailbox_id)
    values: dict[str, Any] = {"is_enabled": is_enabled} | (_fresh() if is_enabled else {})
    await conn.execute(sa.update(mailboxes).where(mailboxes.c.id == mailbox_id).values(**values))
    await _changed(conn, actor, "mailbox.resumed" if is_enabled else "mailbox.paused", mailbox_id, now, {})


async def try_again(conn: AsyncConnection, actor: Actor, mailbox_id: int, *, now: datetime) -> None:
    """Have a mailbox whose sign-in was refused tried at once. Raises NotFound."""
    await find(conn, actor, mailbox_id)
    await conn.execute(sa.update(mailboxes).where(mailboxes.c.id == mailbox_id).values(**_fresh()))
    await _changed(conn, actor, "mailbox.tried_again", mailbox_id, now, {})


async def signed_in(conn: AsyncConnection, actor: Actor, mailbox_id: int, provider: str, *, now: datetime) -> None:
    """A person has given Hub new tokens for a mailbox."""
    await conn.execute(sa.update(mailboxes).where(mailboxes.c.id == mailbox_id).values(**_fresh()))
    await _changed(conn, actor, "mailbox.signed_in", mailbox_id, now, {"provider": provider})


async def choose_folders(conn: AsyncConnection, mailbox_id: int, names: Sequence[str]) -> None:
    """Say which of the folders that are known are read; none named is all."""
    chosen = sa.true() if not names else folder_rows.c.name.in_([*names, "INBOX"])
    rows = sa.update(folder_rows).where(folder_rows.c.mailbox_id == mailbox_id)
    await conn.execute(rows.values(is_chosen=sa.case((chosen, sa.true()), else_=sa.false())))


def _fresh() -> dict[str, Any]:
    """A mailbox that is to be tried as if nothing had been refused."""
    return {
        "state": "connecting",
        "error": "",
        "error_at": None,
        "refused_with": None,
        "send_state": "ok",
        "send_error": "",
        "send_error_at": None,
    }


def checked(actor: Actor, written: Written) -> Written:
    """Return what was written as it may be stored and tried. Raises Refused that names the field."""
    address = parse_email(written.address)
    if address is None:
        raise Refused("bad_address", f"{sanitize.shown(written.address)!r} is no mail address", field="address")
    settings = written.settings
    sides = {}
    for which in ("imap", "smtp"):
        side: Side = getattr(settings, which)
        sanitize.one_line(side.username, field=f"{which}.username", max_bytes=300)
        if side.auth == "oauth" and not settings.oauth:
            raise Refused("bad_auth", "say whose tokens open the mailbox: google or microsoft", field=f"{which}.auth")
        if settings.oauth:
            side = msgspec.structs.replace(side, auth="oauth")
        if settings.oauth and side.tls == "none":
            raise Refused("bad_tls", "a token is not sent in clear: tls or starttls", field=f"{which}.tls")
        sides[which] = msgspec.structs.replace(side, host=read_host(side.host, field=f"{which}.host"))
    if len(settings.folders) > MOST_FOLDERS:
        raise Refused("too_many_folders", f"at most {MOST_FOLDERS} folders", field="folders")
    for secret in (written.imap_password, written.smtp_password):
        if secret is not None:
            sanitize.one_line(secret.reveal(), field="password")
    settings = msgspec.structs.replace(settings, **sides, may_private=actor.is_admin)
    name = sanitize.one_line(written.name.strip(), field="name", max_bytes=200)
    return Written(address, name, written.team_id, settings, written.imap_password, written.smtp_password)


async def _team_of(conn: AsyncConnection, actor: Actor, team_id: int | None, *, personal: bool) -> int:
    if personal:
        mine = sa.select(team_members.c.team_id).where(team_members.c.user_id == actor.user_id)
        found = (await conn.execute(mine.order_by(team_members.c.team_id).limit(1))).scalar()
        if found is None:
            found = (await conn.execute(sa.select(teams.c.id).order_by(teams.c.id).limit(1))).scalar()
        if found is None:
            raise Refused("team_missing", "there is no team yet")
        return int(found)
    known = sa.select(teams.c.id).where(teams.c.id == (team_id or 0))
    if (await conn.execute(known)).first() is None:
        raise Refused("team_missing", "choose the team that gets the mail of strangers", field="team")
    assert team_id is not None
    return team_id


async def _forget_for_other_ways(
    conn: AsyncConnection, mailbox_id: int, before: AccountSettings, written: Written
) -> None:
    """A kept secret goes no other way than it was given for: to no other host, nor in clear where it went by TLS.

    Raises Refused where one is missing.
    """
    moved = [name for name in ("imap", "smtp") if _way(getattr(before, name)) != _way(getattr(written.settings, name))]
    if not moved:
        return
    if written.settings.oauth:
        await secrets.forget(conn, mailbox_id, "access", "refresh")
    elif written.imap_password is None and (moved != ["smtp"] or written.smtp_password is None):
        raise Refused("password_again", "another way to the server: type the password again", field="password")
    if "smtp" in moved:
        await secrets.forget(conn, mailbox_id, "smtp")


def _way(side: Side) -> tuple[str, int, str, str]:
    return side.host, side.port, side.tls, side.tls_exception


def _which(written: Written) -> list[str]:
    pairs = (("imap", written.imap_password), ("smtp", written.smtp_password))
    return [name for name, secret in pairs if secret is not None]


async def _keep_passwords(
    conn: AsyncConnection, vault: Vault, mailbox_id: int, written: Written, now: datetime
) -> None:
    if written.imap_password is not None:
        await secrets.keep(conn, vault, mailbox_id, "imap", written.imap_password, now=now)
    if written.smtp_password is not None:
        await secrets.keep(conn, vault, mailbox_id, "smtp", written.smtp_password, now=now)
    if written.settings.oauth:
        await secrets.forget(conn, mailbox_id, "imap", "smtp")
    else:
        await secrets.forget(conn, mailbox_id, "access", "refresh")


async def _changed(
    conn: AsyncConnection, actor: Actor, action: str, mailbox_id: int, now: datetime, details: dict[str, Any]
) -> None:
    who = {"at": now, "user_id": actor.user_id, "object_kind": "mailbox", "object_id": mailbox_id}
    await record(conn, action, **who, details=details)  # type: ignore[arg-type]
    await publish(conn, "mailbox", mailbox_id, at=now, data={})
    hint_after_commit(conn, TOPIC)
