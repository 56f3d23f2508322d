"""The jobs of the mail, done to their end, in a process that may be killed: `python -m tests.faults.mail_jobs URL`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from hub.app import RELINKS
from hub.crm.linking import Linker
from hub.crm.relinking import RelinkRuns
from hub.mail import jobs, relink
from hub.mail.jobs import MailJobs
from hub.store.blobs import BlobStore
from hub.store.engine import open_database


async def main(url: str) -> None:
    relink.BATCH, relink.WINDOW, jobs.INDEXED_AT_ONCE = 2, 5, 2
    db = open_database(url)
    try:
        of_mail, relinks = MailJobs(db, Linker("RU"), BlobStore(Path("unused"))), RelinkRuns(db, Linker("RU"), RELINKS)
        while await of_mail.step() or await relinks.step():
            pass
    finally:
        await db.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
