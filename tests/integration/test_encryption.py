"""Secrets at rest: what lies in the database is of no use without the keys, and no rotation loses one."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.commands.keys import SEALED
from hub.crm import people
from hub.errors import Unavailable
from hub.mail.accounts import secrets
from hub.mail.models import mail_secrets, mailboxes
from hub.settings import Secret
from hub.store.encryption import Sealed, Vault
from hub.store.engine import Database
from hub.store.key_rotation import rotate
from tests.faults.driver import runs

PASSWORD = "пароль, который не должен лежать открытым"


async def some_mailboxes(db: Database, vault: Vault, count: int) -> list[int]:
    ids = []
    async with db.begin() as conn:
        team = await people.ensure_team(conn, "sales", now=utc_now())
        for n in range(count):
            row = {"address": f"box{n}@hub.test", "team_id": team, "created_at": utc_now(), "source": "page"}
            ids.append((await conn.execute(mailboxes.insert().values(**row))).inserted_primary_key[0])
            await secrets.keep(conn, vault, ids[-1], "imap", Secret(f"{PASSWORD} {n}"), now=utc_now())
    return ids


async def all_open(db: Database, vault: Vault, ids: list[int]) -> None:
    async with db.read() as conn:
        for n, mailbox_id in enumerate(ids):
            assert (await secrets.read(conn, vault, mailbox_id))["imap"].reveal() == f"{PASSWORD} {n}"


async def test_what_lies_in_the_row_tells_nothing_and_opens_with_the_key_only(db: Database, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys" / "secrets.keys")
    ids = await some_mailboxes(db, vault, 2)
    assert stat.S_IMODE(vault.path.stat().st_mode) == 0o600
    await all_open(db, vault, ids)
    async with db.read() as conn:
        rows = (await conn.execute(sa.select(mail_secrets).order_by(mail_secrets.c.id))).all()
    assert all(PASSWORD.encode() not in row.sealed for row in rows)
    other = Vault(tmp_path / "other")
    other.make_if_missing()
    with pytest.raises(Sealed):
        other.open(rows[0].key_id, rows[0].sealed, place=secrets.place_of(ids[0], "imap"))
    vault.path.rename(tmp_path / "lost")
    with pytest.raises(Unavailable, match=r"secrets\.keys: the file with the keys of the secrets is missing"):
        vault.ring()


async def test_a_sealed_secret_cannot_be_moved_to_another_mailbox_or_purpose(db: Database, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secrets.keys")
    mine, theirs = await some_mailboxes(db, vault, 2)
    async with db.begin() as conn:
        row = (await conn.execute(sa.select(mail_secrets).where(mail_secrets.c.mailbox_id == theirs))).one()
        moved = sa.update(mail_secrets).where(mail_secrets.c.mailbox_id == mine)
        await conn.execute(moved.values(sealed=row.sealed, key_id=row.key_id))
    async with db.read() as conn:
        with pytest.raises(Sealed):
            await secrets.read(conn, vault, mine)
        assert [one.mailbox_id async for one in secrets.unopened(conn, vault)] == [mine]
    with pytest.raises(Sealed):
        vault.open(row.key_id, row.sealed, place=secrets.place_of(theirs, "smtp"))
    bent = row.sealed[:-1] + bytes([row.sealed[-1] ^ 1])
    with pytest.raises(Sealed):
        vault.open(row.key_id, bent, place=secrets.place_of(theirs, "imap"))


async def test_two_processes_that_make_the_first_key_have_the_same_one(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys" / "secrets.keys")
    made = await asyncio.gather(*(asyncio.to_thread(vault.make_if_missing) for _ in range(8)))
    assert made.count(True) == 1 and len(vault.ring().keys) == 1
    assert [path.name for path in vault.path.parent.iterdir()] == ["secrets.keys"]


async def test_a_rotation_seals_everything_anew_while_others_write(db: Database, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secrets.keys")
    ids = await some_mailboxes(db, vault, 150)
    (old,) = vault.ring().keys

    async def rewrite() -> None:
        for n, mailbox_id in enumerate(ids):
            async with db.begin() as conn:
                await secrets.keep(conn, vault, mailbox_id, "imap", f"{PASSWORD} {n}", now=utc_now())

    await asyncio.gather(rewrite(), rotate(db, vault, SEALED), rotate(db, vault, SEALED))
    await rotate(db, vault, SEALED)
    assert list(vault.ring().keys) == [vault.ring().newest] and old not in vault.ring().keys
    await all_open(db, vault, ids)


async def test_a_rotation_does_not_begin_where_a_secret_cannot_be_opened(db: Database, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secrets.keys")
    await some_mailboxes(db, vault, 2)
    before = vault.path.read_text()
    async with db.begin() as conn:
        await conn.execute(sa.update(mail_secrets).where(mail_secrets.c.id == 1).values(key_id="0000dead"))
    with pytest.raises(Unavailable, match="0000dead"):
        await rotate(db, vault, SEALED)
    assert vault.path.read_text() == before


async def test_a_rotation_killed_at_any_point_leaves_every_secret_readable(
    db: Database, db_url: str, tmp_path: Path
) -> None:
    vault = Vault(tmp_path / "secrets.keys")
    ids = await some_mailboxes(db, vault, 120)
    points = []
    async for run in runs("tests.faults.rotating", [db_url, str(vault.path)], only="vault."):
        await all_open(db, vault, ids)
        points.append(run.killed_at)
    assert {"vault.key_added", "vault.batch_sealed", "vault.batch", "vault.before_drop", "vault.dropped"} <= set(points)
    assert len(vault.ring().keys) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "holds no key"), ("abc", "line 1 is no key"), ("\xff", "is not a file of keys"), ("0123abcd AA==", "line 1")],
)
def test_a_broken_file_of_keys_is_named(tmp_path: Path, text: str, said: str) -> None:
    vault = Vault(tmp_path / "secrets.keys")
    vault.path.write_text(text, "latin-1")
    with pytest.raises(Unavailable, match=said):
        vault.ring()
