"""The secrets of mailboxes from pages: passwords and OAuth's tokens, sealed in rows of their own.

Decides where each stands; how it is sealed is `store/encryption`'s. Invariants: a secret is written and never shown; a
secret of one mailbox does not open as another's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.models import mail_secrets
from hub.settings import Secret
from hub.store.encryption import Sealed, Vault
from hub.store.key_rotation import SealedTable
from hub.store.upsert import insert

Kind = Literal["imap", "smtp", "refresh", "access"]
"""`imap`, `smtp`: passwords. `refresh`, `access`: OAuth's tokens."""


def place_of(mailbox_id: int, kind: str) -> str:
    return f"mail_secrets/{mailbox_id}/{kind}"


SEALED = SealedTable(mail_secrets, place=lambda row: place_of(row.mailbox_id, row.kind))


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
    return (await kinds_of_many(conn, [mailbox_id])).get(mailbox_id, frozenset())


async def kinds_of_many(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """The same of several mailboxes, by their ids, in one statement."""
    query = sa.select(mail_secrets.c.mailbox_id, mail_secrets.c.kind).where(mail_secrets.c.mailbox_id.in_(ids))
    found: dict[int, frozenset[str]] = {}
    for mailbox_id, kind in await conn.execute(query):
        found[mailbox_id] = found.get(mailbox_id, frozenset()) | {kind}
    return found


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
