"""A mailbox of half a million messages, and one in which nothing happens: neither costs more than it must."""

from __future__ import annotations

import re

from hub.mail import health
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import mail
from tests.fakes.imap_server import FakeFolder, FakeImapServer, fake_imap
from tests.integration.test_mail_in import running_office
from tests.testbed.waiting import wait_for

MANY = 500_000


class LargeServer(FakeImapServer):
    """INBOX holds every UID up to `MANY`, but for a desert in the middle; messages are made when they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.longest: dict[bytes, int] = {}

    def _there(self, first: int, last: int) -> list[int]:
        return [uid for uid in range(first, min(last, MANY) + 1) if not 100_000 < uid <= 499_500]

    def _untagged(self, command: bytes, selected: FakeFolder) -> bytes:
        answer = self._answer(command, selected)
        word = b"body" if b"BODY.PEEK" in command else b" ".join(command.split(b" ")[:2])
        self.longest[word] = max(self.longest.get(word, 0), len(answer))
        return answer

    def _answer(self, command: bytes, selected: FakeFolder) -> bytes:
        word = command.split(b" ")[0]
        if word in (b"STATUS", b"SELECT") and b"INBOX" in command:
            count = MANY - 399_500
            if word == b"SELECT":
                text = b"* %d EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT %d] next\r\n"
                return text % (count, MANY + 1)
            return b'* STATUS "INBOX" (MESSAGES %d UIDNEXT %d UIDVALIDITY 1 UNSEEN 0)\r\n' % (count, MANY + 1)
        span = re.search(rb" (\d+):(\d+|\*)", command)
        if not command.startswith(b"UID") or not span:
            return super()._untagged(command, selected)
        uids = self._there(int(span[1]), MANY if span[2] == b"*" else int(span[2]))
        if b"RETURN (MAX)" in command:
            return b'* ESEARCH (TAG "x") UID MAX %d\r\n' % uids[-1] if uids else b'* ESEARCH (TAG "x") UID\r\n'
        if b"SEARCH" in command:
            return b"* SEARCH" + b"".join(b" %d" % uid for uid in uids) + b"\r\n"
        rows = []
        for uid in uids:
            folder = FakeFolder(messages={uid: mail(message_id=f"<{uid}@x.test>", subject=f"s{uid}")})
            rows.append(self._row(uid, command, folder))
        return b"".join(rows)


async def test_no_answer_grows_with_the_mailbox_and_history_goes_over_a_desert_at_once(
    db: Database, blobs: BlobStore
) -> None:
    async with fake_imap(LargeServer()) as server:
        server.capabilities += b" ESEARCH"
        del server.folders["Sent"]
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 500, "the newest five hundred are there", deadline_s=60)
            async with db.read() as conn:
                (inbox,) = (await health.folders_of(conn, [office.mailbox_id]))[office.mailbox_id]
            assert inbox.on_server == 100_500
            assert not inbox.is_complete
            assert 500 <= inbox.stored < 100_500

            async def has_crossed() -> bool:
                return any(b"UID SEARCH UID 99001:100000" in line for line in server.heard)

            await wait_for(has_crossed, what="history goes on beyond the desert", deadline_s=60)
    other = {word: size for word, size in server.longest.items() if word != b"body"}
    assert max(other.values()) < 40_000, other
    searches = [line for line in server.heard if line.startswith(b"UID SEARCH")]
    assert len(searches) < 20, "one search serves many messages"


async def test_a_mailbox_in_which_nothing_happens_is_left_alone(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        # What is below the only message was deleted: its history ends in nothing.
        server.deliver(101, mail())
        async with running_office(db, blobs, server.settings) as office:
            await office.until(lambda found: len(found) == 1, "the message")

            async def is_listening() -> bool:
                return server.heard[-1] == b"IDLE"

            await wait_for(is_listening, what="INBOX is listened to")
            heard = len(server.heard)
            assert heard < 40
            # A word of the server, and all that it brings about: then it is silent again.
            server.deliver(102, mail(message_id="<2@romashka.test>"))
            await office.until(lambda found: len(found) == 2, "the next message")
            await wait_for(is_listening, what="INBOX is listened to again")
            assert len(server.heard) - heard < 10, server.heard[heard:]
