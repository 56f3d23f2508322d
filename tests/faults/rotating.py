"""A scenario for the driver: rotate the keys of the secrets. Arguments: the database, the file of keys."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from hub.commands.keys import SEALED
from hub.store.encryption import Vault
from hub.store.engine import open_database
from hub.store.key_rotation import rotate


async def main(url: str, keys: str) -> None:
    db = open_database(url)
    try:
        await rotate(db, Vault(Path(keys)), SEALED)
    finally:
        await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
