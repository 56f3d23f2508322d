"""What `hub serve` does with an outbox from its start until nothing is due; the driver kills it in between.

Called as `python -m tests.faults.outbox_scenario DATABASE BLOBS MAILBOX_ID SETTINGS`, SETTINGS being a mailbox in JSON.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from hub.mail.sending.sender import Sender
from hub.mail.sync.sent_folder import ImapSentFolder
from hub.settings import Mailbox, MailServer, Secret
from hub.store.blobs import BlobStore
from hub.store.engine import open_database


async def main(url: str, folder: str, mailbox_id: int, settings: str) -> None:
    given = msgspec.json.decode(settings)
    servers = {
        name: MailServer(**(given[name] | {"password": Secret(given[name]["password"])})) for name in ("imap", "smtp")
    }
    mailbox = Mailbox(address=given["address"], team="sales", **servers)
    db = open_database(url)
    try:
        sender = Sender(db, BlobStore(Path(folder)), mailbox, mailbox_id, ImapSentFolder(mailbox.imap))
        await sender.settle_left_over()
        await sender.work()
    finally:
        await db.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
