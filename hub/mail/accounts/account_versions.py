"""The versions of a mailbox: its history field by field, and the refusal of whoever writes over a newer one.

Decides no rights: `accounts` locks a mailbox for whoever may set it up. Invariant: the history holds no secret; of a
password it says that another was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import history
from hub.crm.base.history import Edit
from hub.errors import Conflict
from hub.mail.accounts.account import Account, Side, Written
from hub.mail.mailbox_kind import HIDDEN, MAILBOXES
from hub.mail.models import mailboxes


async def refuse(conn: AsyncConnection, account: Account, version: int, mine: Written | None) -> NoReturn:
    """Raise Conflict for a version that is not the newest; it names each field of `mine` that differs."""
    later = await history.since(conn, MAILBOXES.kind, account.id, version=version)
    originals, theirs = history.originals(later), told(account)
    differing = {
        name: {"mine": value, "theirs": theirs.get(name), "original": originals.get(name, theirs.get(name))}
        for name, value in (told_of(mine).items() if mine is not None else ())
        if value != theirs.get(name) and not (name == "team" and account.owner_id is not None)
    }
    by = {"id": later[0].user_id, "name": later[0].user_name} if later and later[0].user_id else None
    raise Conflict("record_changed", "someone else changed this first", changed_by=by, fields=differing)


async def write(
    conn: AsyncConnection, before: Account, values: Mapping[str, Any], now: Mapping[str, Any], edit: Edit
) -> None:
    """Write a locked mailbox: the columns, and in the history the fields of `now` that differ from before."""
    shown = told(before)
    changes = {name: [was, value] for name, value in now.items() if (was := shown.get(name)) != value}
    if now.get("password"):
        changes["password"] = [HIDDEN, HIDDEN]
    version = before.version + bool(changes)
    kept = {"version": version, "changed_at": edit.now} if changes else {}
    await conn.execute(sa.update(mailboxes).where(mailboxes.c.id == before.id).values(**values, **kept))
    if changes:
        await history.write(conn, MAILBOXES.kind, before.id, version=version, changes=changes, edit=edit)


def told(account: Account) -> dict[str, Any]:
    """Return the fields of a mailbox as its history has them."""
    of_row = {"enabled": account.is_enabled}
    if account.settings is None:
        return of_row
    return of_row | told_of(Written(account.address, account.name, account.team_id, account.settings))


def told_of(written: Written) -> dict[str, Any]:
    """The same of what a person wrote; of a password only that there is one."""
    settings = written.settings
    found = {
        "name": written.name,
        "team": written.team_id,
        "sign_in": settings.oauth or "password",
        "imap": _told_side(settings.imap),
        "smtp": _told_side(settings.smtp),
        "folders": ", ".join(settings.folders),
        "history_days": str(settings.history_days),
    }
    return found | ({"password": HIDDEN} if written.passwords else {})


def _told_side(side: Side) -> str:
    words = (f"{side.host}:{side.port}", side.tls, side.username, side.auth, side.tls_exception)
    return ", ".join(word for word in words if word)
