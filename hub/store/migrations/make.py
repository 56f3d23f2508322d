"""Write a new revision by comparing the models with a database at head: `python -m hub.store.migrations.make TEXT`.

A developer's command, run by nothing else. The models are found by the names of their modules, since the store
itself knows no package above it. What it writes is a draft to read and mend.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from hub.store.engine import open_database
from hub.store.migrate import upgrade

MODELS = (
    "hub.store.changes",
    "hub.store.leases",
    "hub.crm.models",
    "hub.crm.base.history",
    "hub.crm.base.dictionaries",
    "hub.crm.base.operations",
    "hub.crm.base.views",
    "hub.crm.base.characteristics",
    "hub.telephony.models",
    "hub.mail.models",
    "hub.mail.sending.models",
)


async def main(text: str) -> None:
    for name in MODELS:
        importlib.import_module(name)
    versions = Path(__file__).with_name("versions")
    with tempfile.TemporaryDirectory() as folder:
        db = open_database(f"sqlite:///{folder}/draft.db")
        if any(versions.glob("0*.py")):
            await upgrade(db)

        def write(connection: sa.Connection) -> None:
            config = Config()
            config.set_main_option("script_location", "hub.store:migrations")
            config.attributes["connection"] = connection
            number = f"{len(list(versions.glob('0*.py'))) + 1:04d}"
            command.revision(config, message=text, autogenerate=True, rev_id=number)

        async with db.begin() as conn:
            await conn.run_sync(write)
        await db.close()


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Draft"))
