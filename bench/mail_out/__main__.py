"""Messages a second through the outbox: `python -m bench.mail_out [sqlite|postgresql] [MESSAGES]`.

Both sides send the same frozen messages (two to five KB, Russian and English, plain and HTML) to one local Postfix,
each once: bare aiosmtplib over one connection that is reused, and Hub's outbox from the rows that wait to the rows
that are settled, cards and feed included, as `hub serve` does it: SQLite with `synchronous = FULL`, PostgreSQL with
`fsync`. Wanted: the outbox at half of the bare library's rate or more.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosmtplib
import sqlalchemy as sa
import uvloop

from hub.clock import utc_now
from hub.crm import clients, people
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.mail.models import mailboxes, outbox
from hub.mail.reading.headers import Address
from hub.mail.sending import submit
from hub.mail.sending.sender import Sender
from hub.mail.sending.submit import NewMessage
from hub.settings import Mailbox
from hub.store.blobs import BlobStore
from hub.store.engine import Database, open_database
from hub.store.migrate import upgrade
from tests.testbed.postfix import Postfix, running_postfix
from tests.testbed.postgres import running_postgres

BOX = "sales@hub.test"
DOMAIN = "romashka.test"
WORDS = "добрый день счёт договор отгрузка please find the invoice attached срок оплаты regards".split()


class NoSentFolder:
    """The mailbox keeps no copies here: only the sending is measured."""

    async def has(self, message_id: str) -> bool:
        return bool(message_id)

    async def append(self, raw: bytes, *, at: object) -> None:
        raise AssertionError(f"no copy is wanted: {len(raw)}, {at}")


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Database]:
    if kind == "sqlite":
        db = open_database(f"sqlite:///{folder}/hub.db")
        await upgrade(db)
        yield db
        await db.close()
        return
    with running_postgres() as server:
        db = open_database(await server.new_database())
        await upgrade(db)
        yield db
        await db.close()


async def office(db: Database) -> tuple[Actor, int, int]:
    now = utc_now()
    async with db.begin() as conn:
        about = {"email": "anna@hub.test", "name": "Анна", "role": "manager", "password_hash": "x"}
        user_id = await people.add_user(conn, team_names=["sales"], extension=None, now=now, **about)  # type: ignore[arg-type]
        team_id = await people.ensure_team(conn, "sales", now=now)
        row = {"address": BOX, "name": "Отдел продаж", "team_id": team_id, "created_at": now}
        box = (await conn.execute(mailboxes.insert().values(**row).returning(mailboxes.c.id))).scalar_one()
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=now)
        actor = await load_actor(conn, user_id)
    assert actor is not None
    return actor, int(box), client_id


async def queue_all(db: Database, blobs: BlobStore, actor: Actor, client_id: int, count: int) -> None:
    dice = random.Random(4)
    for number in range(count):
        text = "\n".join(" ".join(dice.choices(WORDS, k=9)) for _ in range(dice.randrange(5, 40)))
        new = NewMessage(
            mailbox=BOX,
            to=(Address("Иван", f"ivan@{DOMAIN}"),),
            subject=f"Счёт № {number}",
            text=text,
            html=f"<p>{text}</p>",
            client_id=client_id,
        )
        frozen = await submit.freeze(db, blobs, actor, new, now=utc_now())
        async with db.begin() as conn:
            await submit.queue_message(conn, actor, frozen, linker=Linker("RU"), now=utc_now())


async def bare(postfix: Postfix, raws: list[bytes]) -> float:
    """Messages a second of the library alone, over one connection."""
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=postfix.port, start_tls=False, local_hostname="bench")
    began, used = time.perf_counter(), time.process_time()
    async with client:
        for raw in raws:
            await client.sendmail(BOX, [f"ivan@{DOMAIN}"], raw)
    told("bare aiosmtplib", len(raws), began, used)
    return len(raws) / (time.perf_counter() - began)


def told(who: str, count: int, began: float, used: float) -> None:
    """Print a rate and the processor time of this process for a message: the first suffers from neighbours."""
    took, cpu = time.perf_counter() - began, time.process_time() - used
    print(f"{who}: {count / took:.0f} messages/s, {cpu / count * 1000:.2f} ms of processor time each")


async def through_outbox(db: Database, blobs: BlobStore, postfix: Postfix, mailbox_id: int, count: int) -> float:
    settings = Mailbox(address=BOX, team="sales", copy_to_sent="never", imap=postfix.server(), smtp=postfix.server())
    sender = Sender(db, blobs, settings, mailbox_id, NoSentFolder())
    began, used = time.perf_counter(), time.process_time()
    await sender.work()
    told("the outbox", count, began, used)
    rate = count / (time.perf_counter() - began)
    async with db.read() as conn:
        sent = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == "sent")
        assert (await conn.execute(sent)).scalar_one() == count
    return rate


async def main(kind: str, count: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    blobs = BlobStore(folder / "blobs")
    async with running_postfix(DOMAIN) as postfix, opened(kind, folder) as db:
        actor, mailbox_id, client_id = await office(db)
        await queue_all(db, blobs, actor, client_id, count)
        raws = [path.read_bytes() for path in sorted((folder / "blobs").rglob("*")) if path.is_file()]
        alone = await bare(postfix, raws)
        rate = await through_outbox(db, blobs, postfix, mailbox_id, count)
        again = await bare(postfix, raws)
    print(f"{kind}: ratio to the faster of both: {rate / max(alone, again):.2f} (wanted: 0.5)")


if __name__ == "__main__":
    named = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
    uvloop.run(main(named, int(sys.argv[2]) if len(sys.argv) > 2 else 1000))
