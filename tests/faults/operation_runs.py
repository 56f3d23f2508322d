"""Operations run to their end in a process that may be killed: `python -m tests.faults.operation_runs URL AT_ONCE`."""

from __future__ import annotations

import asyncio
import sys

from hub.crm.access import load_actor
from hub.crm.base.operation_runs import OperationRuns
from hub.crm.operation_kinds import WORKS
from hub.store.engine import open_database


async def main(url: str, at_once: int) -> None:
    db = open_database(url)
    try:
        while await OperationRuns(db, WORKS, load_actor, at_once=at_once, batch_s=10).step():
            pass
    finally:
        await db.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
