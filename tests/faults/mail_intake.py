"""A batch of new mail taken in, in a process that may be killed: `… tests.faults.mail_intake DATABASE BLOBS IDS`."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from hub.crm.linking import Linker
from hub.mail.intake.intake import Arrived, FolderPlace, MailIntake
from hub.store.blobs import BlobStore
from hub.store.engine import Database, open_database

T0 = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MESSAGES = 12


def batch(mailbox_id: int) -> list[Arrived]:
    """Mail of two strangers, the second half of it answers to the first, each with a file of its own.

    Each mailbox gets other letters: the same letter in two mailboxes is one piece of work, which is not asked here.
    """
    box = mailbox_id
    found = []
    for n in range(MESSAGES):
        answers = f"In-Reply-To: <{n - 6}@box{box}.test>\r\n" if n >= 6 else ""
        raw = (
            f"From: Stranger <s{n % 2}@box{box}.test>\r\nTo: sales@hub.test\r\nSubject: Question {n}\r\n"
            f"Message-ID: <{n}@box{box}.test>\r\n{answers}MIME-Version: 1.0\r\n"
            "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
            f"--B\r\nContent-Type: application/pdf; name={n}.pdf\r\n\r\nfile {n}\r\n--B--\r\n"
        )
        found.append(Arrived(n + 1, raw.encode(), (), T0))
    return found


async def take_in(db: Database, blobs: BlobStore, ids: tuple[int, int, int]) -> int:
    """Store the batch into the mailbox, team and folder of these ids; return how many messages were new."""
    mailbox_id, team_id, folder_id = ids
    # The files are written in this very process, so that it can be killed while it writes.
    with ThreadPoolExecutor(1) as here:
        intake = MailIntake(db, blobs, Linker("RU"), mailbox_id, team_id, here)
        place = FolderPlace(folder_id, "inbox", 1)
        return await intake.store(place, batch(mailbox_id), cursor={"high_uid": MESSAGES}, is_new=True, now=T0)


async def main() -> None:
    url, folder, *ids = sys.argv[1:]
    db = open_database(url)
    mailbox_id, team_id, folder_id = map(int, ids)
    await take_in(db, BlobStore(Path(folder)), (mailbox_id, team_id, folder_id))
    await db.close()


if __name__ == "__main__":
    asyncio.run(main())
