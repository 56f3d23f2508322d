"""What many tests begin with: clients and letters as they come in, a team's mailbox, and the verbs of the API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import aiohttp
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients, leads, people, queue
from hub.crm.access import Actor, load_actor
from hub.crm.base import records
from hub.crm.linking import Linker
from hub.mail import register as mail_register
from hub.mail.intake.intake import Arrived, FolderPlace, MailIntake
from hub.mail.models import folders, mailboxes
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.telephony.reading import register
from hub.telephony.reading.call_kind import CALLS, CallRow

T0 = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ROMASHKA = {
    "name": "ООО «Ромашка»",
    "phones": ["8 (495) 123-45-67"],
    "emails": ["Info@Romashka.example"],
    "contacts": [{"name": "Иванова Анна", "position": "бухгалтер", "phones": ["+7 916 123-45-67"]}],
}


async def made(api: aiohttp.ClientSession, body: dict[str, Any] = ROMASHKA) -> dict[str, Any]:
    """Make a client over the API; return it."""
    async with api.post("clients", json=body) as answer:
        assert answer.status == 201, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def got(api: aiohttp.ClientSession, path: str, status: int = 200, **params: str) -> dict[str, Any]:
    """GET a path of the API; return the JSON. Asserts the status."""
    async with api.get(path, params=params) as answer:
        assert answer.status == status, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def post(api: aiohttp.ClientSession, path: str, **keywords: Any) -> tuple[int, dict[str, Any]]:
    """POST to a path of the API; return status and JSON."""
    async with api.post(path, **keywords) as answer:
        return answer.status, await answer.json()


async def calls_of(conn: AsyncConnection, actor: Actor, **equal: Any) -> list[CallRow]:
    """Return the calls that a person may see, newest first, with names and legs; `equal` are values of columns."""
    where = sa.and_(sa.true(), *(CALLS.table.c[name] == value for name, value in equal.items()))
    return await register.detailed(conn, actor, (await records.page(conn, actor, CALLS, where=where)).items)


async def leads_of(conn: AsyncConnection, actor: Actor) -> list[leads.Lead]:
    """Return the leads that a person may see, whatever their state, the latest first."""
    return (await records.page(conn, actor, leads.LEADS)).items


class Box:
    """A team's mailbox with its intake and one manager."""

    def __init__(self, db: Database, blobs: BlobStore) -> None:
        self.db, self.blobs = db, blobs
        self.uid = 0

    async def open(self) -> None:
        async with self.db.begin() as conn:
            user_id = await people.add_user(
                conn,
                email="anna@hub.test",
                name="Анна",
                role="manager",
                password_hash="x",
                team_names=["sales"],
                now=T0,
            )
            actor = await load_actor(conn, user_id)
            assert actor
            self.actor: Actor = actor
            (self.team_id,) = actor.team_ids
            box = mailboxes.insert().values(address="sales@hub.test", team_id=self.team_id, created_at=T0)
            self.mailbox_id = (await conn.execute(box.returning(mailboxes.c.id))).scalar_one()
            self.places = {}
            for role in ("inbox", "sent"):
                row = {"mailbox_id": self.mailbox_id, "name": role, "role": role, "gaps": []}
                made = await conn.execute(folders.insert().values(**row).returning(folders.c.id))
                self.places[role] = FolderPlace(made.scalar_one(), role, 1)  # type: ignore[arg-type]
        linker = Linker("RU", frozenset(), frozenset({"sales@hub.test"}))
        self.intake = MailIntake(self.db, self.blobs, linker, self.mailbox_id, self.team_id, ThreadPoolExecutor(1))

    async def arrive(self, raw: bytes, *, role: str = "inbox", is_new: bool = True, uid: int | None = None) -> int:
        self.uid += 1
        arrived = Arrived(uid or self.uid, raw, (), T0)
        cursor = {"high_uid": self.uid}
        return await self.intake.store(self.places[role], [arrived], cursor=cursor, is_new=is_new, now=T0)

    async def messages(self) -> list[mail_register.MessageRow]:
        async with self.db.read() as conn:
            return await mail_register.listed(conn, self.actor, mail_register.MessageFilters())

    async def waiting(self) -> list[queue.Item]:
        async with self.db.read() as conn:
            return await queue.listed(conn, self.actor, state="waiting")

    async def leads(self) -> list[leads.Lead]:
        async with self.db.read() as conn:
            return await leads_of(conn, self.actor)


def mail(
    sender: str = "Ирина <irina@romashka.test>",
    *,
    message_id: str = "<1@romashka.test>",
    more: str = "",
    body: str = "Добрый день!",
    to: str = "sales@hub.test",
    subject: str = "Question",
) -> bytes:
    """Return a letter of plain text as it comes in."""
    head = f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n{more}"
    return (head + f"Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n").encode()


async def known_client(box: Box) -> int:
    """Make the client that `mail` is from; return the id."""
    async with box.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=T0)
        await clients.add_address(conn, None, client_id, kind="email", raw="Irina@Romashka.test", now=T0)
    return client_id
