"""A process that keeps mailboxes, to be killed. Arguments: the database, the data folder, the lease in seconds."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from hub.crm.linking import Linker
from hub.mail.accounts.keeper import MailKeeper
from hub.settings import HubSection, Settings
from hub.store.blobs import BlobStore
from hub.store.engine import open_database


async def main(url: str, folder: str, lease_s: str) -> None:
    settings = Settings(hub=HubSection(data_dir=folder, page_networks=("127.0.0.0/8",)))
    # A name that tells the others nothing: the lease alone has to run out.
    with ThreadPoolExecutor(1) as parsers:
        keeper = MailKeeper(
            open_database(url),
            BlobStore(Path(folder) / "blobs"),
            Linker("RU"),
            settings,
            parsers,
            holder="a process elsewhere",
            lease=timedelta(seconds=float(lease_s)),
        )
        await keeper.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
