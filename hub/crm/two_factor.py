"""The second step of a sign-in: a code of an authenticator app, or a recovery code.

Decides whether a person has a second step and whether a code is right; how often one may be tried is
`web.sign_in_limits`'. The app's secret is sealed by the vault, of a recovery code only its SHA-256 is stored.
Invariants: no code is accepted twice, whoever else tries at the same moment; a secret counts only after a first code
of it was right; whoever switches the second step off has recovery codes no longer.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import sessions, totp
from hub.crm.audit import record
from hub.crm.models import recovery_codes, roles, totp_secrets, users
from hub.errors import Conflict, Refused
from hub.store.changes import publish
from hub.store.encryption import Vault
from hub.store.key_rotation import SealedTable
from hub.store.upsert import insert

RECOVERY_CODES = 10
CONFIRM_WITHIN = timedelta(minutes=15)
"""Afterwards the password is asked again: a secret that was begun and left is shown to nobody."""
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: nothing in it is mistaken for another sign."""
_RECOVERY_CHARS = 16
"""80 bits: too many to be searched for by their hash."""
_MISREAD = str.maketrans({"o": "0", "i": "1", "l": "1", "-": None, " ": None})


@dataclass(frozen=True, slots=True)
class TwoFactor:
    """The state of a person's second step. `since` is None where it is off; `is_required`: the role asks for it."""

    since: datetime | None
    is_required: bool
    codes_left: int


def _place(user_id: int) -> str:
    return f"totp_secrets/{user_id}"


SEALED = SealedTable(totp_secrets, place=lambda row: _place(row.user_id))


def _digest(recovery_code: str) -> str:
    return hashlib.sha256(recovery_code.encode("utf-8", "surrogatepass")).hexdigest()


async def state_of(conn: AsyncConnection, user_id: int) -> TwoFactor:
    """Return the state of an existing person."""
    person = sa.select(users.c.two_factor_at, roles.c.requires_two_factor)
    joined = person.outerjoin(roles, roles.c.id == users.c.role_id).where(users.c.id == user_id)
    row = (await conn.execute(joined)).one()
    unused = sa.select(sa.func.count()).select_from(recovery_codes)
    left = await conn.execute(unused.where(recovery_codes.c.user_id == user_id, recovery_codes.c.used_at.is_(None)))
    return TwoFactor(row.two_factor_at, bool(row.requires_two_factor), left.scalar_one())


async def is_on(conn: AsyncConnection, user_id: int) -> bool:
    """Tell whether a person signs in by two steps; it does not change before the transaction ends."""
    query = sa.select(users.c.two_factor_at).where(users.c.id == user_id).with_for_update(read=True)
    return (await conn.execute(query)).scalar() is not None


async def begin(conn: AsyncConnection, vault: Vault, user_id: int, *, now: datetime) -> bytes:
    """Make a secret for a person's app, in place of one that was never confirmed; return it. Raises Conflict."""
    await _require_off(conn, user_id)
    secret = secrets.token_bytes(totp.SECRET_BYTES)
    key_id, sealed = await vault.seal(conn, totp.written(secret), place=_place(user_id))
    values = {"key_id": key_id, "sealed": sealed, "created_at": now, "last_step": None}
    statement = insert(conn, totp_secrets).values(user_id=user_id, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=values))
    return secret


async def begun(conn: AsyncConnection, vault: Vault, user_id: int, *, now: datetime) -> bytes:
    """Return the secret that waits for its first code. Raises Conflict where there is none, or it is too old."""
    await _require_off(conn, user_id)
    fresh = sa.select(totp_secrets.c.user_id).where(
        totp_secrets.c.user_id == user_id, totp_secrets.c.created_at > now - CONFIRM_WITHIN
    )
    secret = await _secret(conn, vault, user_id) if (await conn.execute(fresh)).first() else None
    if secret is None:
        raise Conflict("two_factor_not_begun", "begin again: there is no secret to confirm")
    return secret


async def confirm(
    conn: AsyncConnection, vault: Vault, user_id: int, code: str, *, session_id: int, now: datetime
) -> list[str]:
    """Switch the second step on by the app's first code; return the recovery codes, which cannot be read again.

    Every session of theirs but `session_id` ends: it was opened by a password alone. Raises Refused for a wrong
    code, Conflict where nothing was begun or it is on already.
    """
    await begun(conn, vault, user_id, now=now)
    if not await _use_app_code(conn, vault, user_id, code, now=now):
        raise Refused("wrong_code", "the code is wrong", field="code")
    off = sa.and_(users.c.id == user_id, users.c.two_factor_at.is_(None))
    if not (await conn.execute(sa.update(users).where(off).values(two_factor_at=now))).rowcount:
        raise Conflict("two_factor_on", "the second step is on already")
    await sessions.end_all(conn, user_id, but=session_id, by=user_id, now=now)
    await _note(conn, "user.two_factor_on", user_id, by=user_id, now=now)
    return await _new_codes(conn, user_id)


async def accept(conn: AsyncConnection, vault: Vault, user_id: int, typed: str, *, now: datetime) -> bool:
    """Use up a code of the app or a recovery code; return False where it is wrong or was used.

    Raises Unavailable where no key opens the app's secret; recovery codes need none.
    """
    code = typed.lower().translate(_MISREAD)
    if len(code) == _RECOVERY_CHARS:
        return await _use_recovery_code(conn, user_id, code, now=now)
    return await _use_app_code(conn, vault, user_id, code, now=now)


async def _use_app_code(conn: AsyncConnection, vault: Vault, user_id: int, code: str, *, now: datetime) -> bool:
    secret = await _secret(conn, vault, user_id)
    step = totp.step_of(secret, code, now=now) if secret is not None else None
    if step is None:
        return False
    # The database decides between two that come at once: no step is used twice, nor one before it (RFC 6238, 5.2).
    table = totp_secrets.c
    unused = sa.and_(table.user_id == user_id, sa.or_(table.last_step.is_(None), table.last_step < step))
    return bool((await conn.execute(sa.update(totp_secrets).where(unused).values(last_step=step))).rowcount)


async def _use_recovery_code(conn: AsyncConnection, user_id: int, code: str, *, now: datetime) -> bool:
    table = recovery_codes.c
    unused = sa.and_(table.user_id == user_id, table.code_hash == _digest(code), table.used_at.is_(None))
    if not (await conn.execute(sa.update(recovery_codes).where(unused).values(used_at=now))).rowcount:
        return False
    left = (await state_of(conn, user_id)).codes_left
    await _note(conn, "user.recovery_code_used", user_id, by=user_id, now=now, details={"left": left})
    return True


async def renew_codes(conn: AsyncConnection, user_id: int, *, now: datetime) -> list[str]:
    """Make new recovery codes; those before stop working. Raises Conflict where the second step is off."""
    if not await is_on(conn, user_id):
        raise Conflict("two_factor_off", "the second step is off")
    await _note(conn, "user.recovery_codes_made", user_id, by=user_id, now=now)
    return await _new_codes(conn, user_id)


async def switch_off(conn: AsyncConnection, user_id: int, *, now: datetime) -> None:
    """Switch one's own second step off. Raises Refused where the role asks for one. Twice is once."""
    if (await state_of(conn, user_id)).is_required:
        raise Refused("two_factor_required", "your role asks for a second step")
    await _remove(conn, user_id, "user.two_factor_off", by=user_id, now=now)


async def reset(conn: AsyncConnection, user_id: int, *, by: int | None, now: datetime) -> None:
    """Take the second step from a person who lost phone and codes; `by` is None for the command. Twice is once.

    Where the role asks for one, they set up another right after the next sign-in.
    """
    await _remove(conn, user_id, "user.two_factor_reset", by=by, now=now)


async def _remove(conn: AsyncConnection, user_id: int, action: str, *, by: int | None, now: datetime) -> None:
    await conn.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    await conn.execute(sa.delete(totp_secrets).where(totp_secrets.c.user_id == user_id))
    on = sa.and_(users.c.id == user_id, users.c.two_factor_at.is_not(None))
    if (await conn.execute(sa.update(users).where(on).values(two_factor_at=None))).rowcount:
        await _note(conn, action, user_id, by=by, now=now)


async def _new_codes(conn: AsyncConnection, user_id: int) -> list[str]:
    await conn.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    made = ["".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_CHARS)) for _ in range(RECOVERY_CODES)]
    await conn.execute(sa.insert(recovery_codes), [{"user_id": user_id, "code_hash": _digest(one)} for one in made])
    return ["-".join(one[at : at + 4] for at in range(0, _RECOVERY_CHARS, 4)) for one in made]


async def _secret(conn: AsyncConnection, vault: Vault, user_id: int) -> bytes | None:
    row = (await conn.execute(sa.select(totp_secrets).where(totp_secrets.c.user_id == user_id))).first()
    return None if row is None else totp.read(vault.open(row.key_id, row.sealed, place=_place(user_id)).reveal())


async def _require_off(conn: AsyncConnection, user_id: int) -> None:
    if await is_on(conn, user_id):
        raise Conflict("two_factor_on", "the second step is on already")


async def _note(
    conn: AsyncConnection,
    action: str,
    user_id: int,
    *,
    by: int | None,
    now: datetime,
    details: dict[str, int] | None = None,
) -> None:
    await publish(conn, "user", user_id, at=now, data={"owners": [user_id]})
    await record(conn, action, at=now, user_id=by, object_kind="user", object_id=user_id, details=details)
