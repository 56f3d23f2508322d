"""The secrets of mailboxes from pages: passwords and OAuth's tokens, sealed in rows of their own.

Decides where each stands; how it is sealed is `store/encryption`'s. Invariants: a secret is written and never shown; a
secret of one mailbox does not open as another's; rotating the keys can be stopped anywhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import crash_points
from hub.errors import Unavailable
from hub.mail.models import mail_secrets
from hub.settings import Secret
from hub.store.encryption import Sealed, Vault, lock
from hub.store.engine import Database
from hub.store.upsert import insert

Kind = Literal["imap", "smtp", "refresh", "access"]
"""`imap`, `smtp`: passwords. `refresh`, `access`: OAuth's tokens."""
BATCH = 100


def place_of(mailbox_id: int, kind: str) -> str:
    return f"mail_secrets/{mailbox_id}/{kind}"


async def keep(
    conn: AsyncConnection, vault: Vault, mailbox_id: int, kind: Kind, secret: Secret | str, *, now: datetime
) -> None:
    """Write a mailbox's secret, in place of the one before."""
    key_id, sealed = await vault.seal(conn, secret, place=place_of(mailbox_id, kind))
    values = {"key_id": key_id, "sealed": sealed, "renewed_at": now}
    statement = insert(conn, mail_secrets).values(mailbox_id=mailbox_id, kind=kind, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["mailbox_id", "kind"], set_=values))


async def forget(conn: AsyncConnection, mailbox_id: int, *kinds: Kind) -> None:
    where = (mail_secrets.c.mailbox_id == mailbox_id, mail_secrets.c.kind.in_(kinds))
    await conn.execute(sa.delete(mail_secrets).where(*where))


async def read(conn: AsyncConnection, vault: Vault, mailbox_id: int) -> dict[str, Secret]:
    """Return a mailbox's secrets by kind. Raises Sealed where a key is missing, Unavailable without any key."""
    rows = await conn.execute(sa.select(mail_secrets).where(mail_secrets.c.mailbox_id == mailbox_id))
    return {row.kind: vault.open(row.key_id, row.sealed, place=place_of(mailbox_id, row.kind)) for row in rows}


async def kinds_of(conn: AsyncConnection, mailbox_id: int) -> frozenset[str]:
    """Return which secrets a mailbox has, without opening them."""
    found = await conn.execute(sa.select(mail_secrets.c.kind).where(mail_secrets.c.mailbox_id == mailbox_id))
    return frozenset(found.scalars())


@dataclass(frozen=True, slots=True)
class Unopened:
    mailbox_id: int
    kind: str
    reason: str


async def unopened(conn: AsyncConnection, vault: Vault) -> AsyncIterator[Unopened]:
    """Yield every secret that no key opens. Raises Unavailable where there are secrets and no keys."""
    for row in (await conn.execute(sa.select(mail_secrets).order_by(mail_secrets.c.id))).all():
        try:
            vault.open(row.key_id, row.sealed, place=place_of(row.mailbox_id, row.kind))
        except Sealed as error:
            yield Unopened(row.mailbox_id, row.kind, error.message)


async def rotate(db: Database, vault: Vault) -> int:
    """Seal every secret with a new key and forget the old ones; return how many were sealed anew.

    Killed at any point it leaves the old keys in the file, and the next run finishes. Raises Sealed, and changes
    nothing, where a secret cannot be opened: its key may still be found in a backup.
    """
    vault.make_if_missing()
    async with db.read() as conn:
        async for one in unopened(conn, vault):
            raise Unavailable("secret_sealed", f"{one.reason}; enter that secret anew, or bring the key back first")
    async with db.begin() as conn:
        await lock(conn, shared=False)
        vault.add_key()
    count = 0
    while sealed := await _seal_some(db, vault):
        count += sealed
        crash_points.point("vault.batch")
    async with db.begin() as conn:
        # Alone: whoever sealed with an old key has committed before, and who comes after reads the file anew.
        await lock(conn, shared=False)
        newest = vault.ring().newest
        others = sa.select(sa.func.count()).select_from(mail_secrets).where(mail_secrets.c.key_id != newest)
        if (await conn.execute(others)).scalar_one() == 0:
            crash_points.point("vault.before_drop")
            vault.drop_keys(but=newest)
            crash_points.point("vault.dropped")
    return count


async def _seal_some(db: Database, vault: Vault) -> int:
    async with db.begin() as conn:
        await lock(conn, shared=True)
        old = sa.select(mail_secrets).where(mail_secrets.c.key_id != vault.ring().newest)
        rows = (await conn.execute(old.order_by(mail_secrets.c.id).limit(BATCH).with_for_update())).all()
        for row in rows:
            place = place_of(row.mailbox_id, row.kind)
            key_id, sealed = await vault.seal(conn, vault.open(row.key_id, row.sealed, place=place), place=place)
            same = sa.update(mail_secrets).where(mail_secrets.c.id == row.id)
            await conn.execute(same.values(key_id=key_id, sealed=sealed))
        crash_points.point("vault.batch_sealed")
    return len(rows)
