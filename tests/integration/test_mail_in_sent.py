"""The Sent folder over the wire: the outbox's questions, and the copy that comes back to Hub's own reader."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.linking import Linker
from hub.errors import Unavailable
from hub.mail.models import folders, locations
from hub.mail.reading.headers import Address
from hub.mail.sending import submit
from hub.mail.sending.submit import NewMessage
from hub.mail.sync.sent_folder import ImapSentFolder
from hub.settings import MailServer
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import mail
from tests.integration.test_mail_in import BOX, Office, Peer, peer, running_office  # noqa: F401 - a fixture
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


async def queue_a_message(office: Office) -> tuple[str, bytes]:
    """Write a message in Hub; return its Message-ID and its frozen bytes."""
    new = NewMessage(mailbox=BOX, to=(Address("", "irina@romashka.test"),), subject="Счёт", text="Добрый день")
    frozen = await submit.freeze(office.db, office.blobs, office.actor, new, now=utc_now())
    async with office.db.begin() as conn:
        linker = Linker("RU", own_emails=frozenset({BOX}))
        await submit.queue_message(conn, office.actor, frozen, linker=linker, now=utc_now())
    (row,) = await office.messages()
    return row.message_id, await office.blobs.get(row.raw_sha256)


async def copies_on_record(office: Office) -> int:
    async with office.db.read() as conn:
        query = sa.select(sa.func.count()).select_from(locations.join(folders)).where(folders.c.role == "sent")
        return int((await conn.execute(query)).scalar_one())


async def test_what_was_put_into_sent_is_found_there_and_nothing_else_is(peer: Peer) -> None:  # noqa: F811
    sent = ImapSentFolder(peer.imap)
    assert not await sent.has("<1@romashka.test>")
    await sent.append(mail(), at=AT)
    assert await sent.has("<1@romashka.test>")
    assert not await sent.has("<2@romashka.test>")


async def test_a_mail_server_that_is_away_makes_no_answer_of_the_sent_folder() -> None:
    sent = ImapSentFolder(MailServer(host="127.0.0.1", port=free_port(), tls="none", username="u"))
    with pytest.raises(Unavailable):
        await sent.has("<1@romashka.test>")
    with pytest.raises(Unavailable):
        await sent.append(mail(), at=AT)


async def test_the_copies_of_what_hub_sent_are_the_one_message_also_when_the_server_wrote_into_them(
    db: Database,
    blobs: BlobStore,
    peer: Peer,  # noqa: F811
) -> None:
    async with running_office(db, blobs, peer.imap) as office:
        message_id, raw = await queue_a_message(office)
        sent = ImapSentFolder(peer.imap)
        await sent.append(raw, at=utc_now())
        await sent.append(b"X-Server: kept a copy\r\n" + raw, at=utc_now())
        assert await sent.has(message_id)
        await office.stop()
        await office.start()

        async def both() -> bool:
            return await copies_on_record(office) == 2

        await wait_for(both, what="both copies are on record", deadline_s=20)
        (message,) = await office.messages()
        assert (message.message_id, message.direction, message.state) == (message_id, "out", "queued")


async def test_a_stranger_who_uses_the_id_of_our_mail_is_a_message_of_its_own(
    db: Database,
    blobs: BlobStore,
    peer: Peer,  # noqa: F811
) -> None:
    async with running_office(db, blobs, peer.imap) as office:
        message_id, _ = await queue_a_message(office)
        await office.until_state("up")
        await peer.deliver(mail("evil@x.test", message_id=message_id))
        await office.until(lambda found: len(found) == 2, "the stranger's mail beside ours")
        assert sorted(m.direction for m in await office.messages()) == ["in", "out"]
