"""Mailboxes that stand in the database: what a person wrote on a page, typed, and who may change it.

Decides who may add and change which mailbox; connecting is others'. Invariants: a secret goes into `mail_secrets` and
comes out for the line only; whatever changes has an audit row, a row of the history, and hints the keeper; of two
writers the later, if it names an older version, is refused; a host that somebody without the administrator's role named
is never in a private network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.addresses import parse_email
from hub.crm.audit import record
from hub.crm.base import history
from hub.crm.base.history import Edit, Way
from hub.crm.models import team_members, teams, users
from hub.errors import Conflict, Forbidden, NotFound, Refused
from hub.hosts import read_host
from hub.mail.accounts import account_versions, secrets
from hub.mail.accounts.account import Account, AccountSettings, Side, Written, read_settings
from hub.mail.mailbox_kind import MAILBOXES, ListedMailbox, set_up_by
from hub.mail.models import folders as folder_rows
from hub.mail.models import mailboxes
from hub.store.changes import publish
from hub.store.encryption import Vault
from hub.store.engine import hint_after_commit
from hub.store.unique import looked_for

TOPIC = "mailboxes"
"""Hinted when a mailbox was added, changed, paused or is to be tried again."""

MOST_FOLDERS = 200


def may_own(actor: Actor) -> bool:
    """Whether the person may add a mailbox of their own."""
    return actor.has("own_mailbox")


async def detailed(conn: AsyncConnection, rows: Sequence[ListedMailbox]) -> list[Account]:
    """Return mailboxes that were read through `records` with their settings and the names of teams and owners."""
    found = {one.id: one for one in await _accounts(conn, mailboxes.c.id.in_([row.id for row in rows]))}
    return [found[row.id] for row in rows if row.id in found]


async def find(conn: AsyncConnection, actor: Actor, mailbox_id: int) -> Account:
    """Raises NotFound, also for one that is not the actor's."""
    return await _one(conn, actor, mailbox_id)


async def lock(
    conn: AsyncConnection, actor: Actor, mailbox_id: int, *, version: int | None = None, mine: Written | None = None
) -> Account:
    """Return a mailbox and keep others from writing it. Raises NotFound; Conflict where `version` is an older one.

    `mine` is what the actor wants to write: the conflict names each field that differs.
    """
    account = await _one(conn, actor, mailbox_id, is_locked=True)
    if version is not None and version != account.version:
        await account_versions.refuse(conn, account, version, mine)
    return account


async def _one(conn: AsyncConnection, actor: Actor, mailbox_id: int, *, is_locked: bool = False) -> Account:
    which = sa.and_(set_up_by(actor), mailboxes.c.id == mailbox_id)
    found = await _accounts(conn, which, is_locked=is_locked)
    if not found:
        raise NotFound("mailbox_missing", "there is no such mailbox")
    return found[0]


async def own(conn: AsyncConnection, actor: Actor) -> list[Account]:
    """Return the actor's personal mailboxes."""
    return await _accounts(conn, mailboxes.c.owner_id == actor.user_id)


async def _accounts(conn: AsyncConnection, which: sa.ColumnElement[bool], *, is_locked: bool = False) -> list[Account]:
    columns = (mailboxes, teams.c.name.label("team_name"), users.c.name.label("owner_name"))
    query = sa.select(*columns).join(teams, teams.c.id == mailboxes.c.team_id)
    query = query.outerjoin(users, users.c.id == mailboxes.c.owner_id).where(which).order_by(mailboxes.c.address)
    query = query.limit(1000)
    rows = (await conn.execute(query.with_for_update(of=mailboxes, key_share=True) if is_locked else query)).all()
    held = await secrets.kinds_of_many(conn, [row.id for row in rows])
    return [
        Account(
            id=row.id,
            version=row.version,
            address=row.address,
            name=row.name,
            team_id=row.team_id,
            team_name=row.team_name,
            owner_id=row.owner_id,
            owner_name=row.owner_name or "",
            source=row.source,
            sign_in=row.sign_in,
            is_enabled=row.is_enabled,
            settings=read_settings(row.settings) if row.source == "page" else None,
            state=row.state,
            error=row.error,
            error_at=row.error_at,
            send_state=row.send_state,
            send_error=row.send_error,
            seen_at=row.seen_at,
            last_mail_at=row.last_mail_at,
            first_synced_at=row.first_synced_at,
            created_at=row.created_at,
            secret_kinds=held.get(row.id, frozenset()),
        )
        for row in rows
    ]


async def add(
    conn: AsyncConnection,
    vault: Vault,
    actor: Actor,
    written: Written,
    *,
    personal: bool,
    now: datetime,
    way: Way = "page",
) -> int:
    """Add a mailbox, a personal one for the actor where `personal`. Raises Refused, Forbidden, Conflict."""
    if personal and not may_own(actor):
        raise Forbidden("privilege_missing", "an administrator has to allow you a mailbox of your own first")
    if not personal:
        access.require_admin(actor)
    written = checked(actor, written)
    team_id = await _team_of(conn, actor, written.team_id, personal=personal)
    row = _row_of(written, team_id) | {
        "address": written.address,
        "owner_id": actor.user_id if personal else None,
        "source": "page",
        "created_at": now,
    }
    taken = sa.select(mailboxes.c.id).where(mailboxes.c.address == written.address)

    async def look() -> None:
        if (await conn.execute(taken)).first() is not None:
            raise Conflict("mailbox_exists", f"{written.address} is a mailbox of Hub already", field="address")

    async with looked_for(conn, look):
        mailbox_id = int((await conn.execute(mailboxes.insert().values(**row).returning(mailboxes.c.id))).scalar_one())
    await _keep_passwords(conn, vault, mailbox_id, written, now)
    edit = Edit(actor, way, now)
    await history.write(conn, MAILBOXES.kind, mailbox_id, version=1, changes={}, edit=edit)
    await _changed(conn, actor, "mailbox.added", mailbox_id, now, {"address": written.address, "personal": personal})
    return mailbox_id


def _row_of(written: Written, team_id: int) -> dict[str, Any]:
    """Return the columns of what a person wrote."""
    return {
        **MAILBOXES.field("name").store(written.name),
        "team_id": team_id,
        "settings": msgspec.to_builtins(written.settings),
        "sign_in": written.settings.oauth or "password",
    }


async def change(
    conn: AsyncConnection,
    vault: Vault,
    actor: Actor,
    mailbox_id: int,
    written: Written,
    *,
    now: datetime,
    way: Way = "page",
    version: int | None = None,
) -> None:
    """Write a mailbox's settings anew; its address stays. Raises NotFound, Refused, Conflict for an older version."""
    written = checked(actor, written)
    before = await lock(conn, actor, mailbox_id, version=version, mine=written)
    if before.settings is None:
        raise Refused("mailbox_of_file", f"{before.address} stands in the configuration file; change it there")
    if written.address != before.address:
        raise Refused("mailbox_address", "a mailbox keeps its address; add another mailbox instead", field="address")
    is_personal = before.owner_id is not None
    team_id = before.team_id if is_personal else await _team_of(conn, actor, written.team_id, personal=False)
    written = replace(written, team_id=team_id)
    values, told = _row_of(written, team_id) | _fresh(), account_versions.told_of(written)
    await account_versions.write(conn, before, values, told, Edit(actor, way, now))
    await _forget_for_other_ways(conn, mailbox_id, before.settings, written)
    await _keep_passwords(conn, vault, mailbox_id, written, now)
    await choose_folders(conn, mailbox_id, written.settings.folders)
    said = {"hosts": [written.settings.imap.host, written.settings.smtp.host], "passwords": written.passwords}
    await _changed(conn, actor, "mailbox.changed", mailbox_id, now, said)


async def enable(
    conn: AsyncConnection, actor: Actor, mailbox_id: int, is_enabled: bool, *, now: datetime, way: Way = "page"
) -> None:
    """Pause a mailbox, or let it work again; what it holds stays. Raises NotFound."""
    before = await lock(conn, actor, mailbox_id)
    values: dict[str, Any] = {"is_enabled": is_enabled} | (_fresh() if is_enabled else {})
    await account_versions.write(conn, before, values, {"enabled": is_enabled}, Edit(actor, way, now))
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
