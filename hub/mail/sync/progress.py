"""How far the first load of a mailbox is: "so many of so many", by folder and in all. Reads only.

Invariant: of a folder that is all there nothing is counted, so a page may ask at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.models import folders
from hub.mail.sync import places
from hub.mail.sync.places import Epoch


@dataclass(frozen=True, slots=True)
class FolderProgress:
    """One folder that is read. `stored` of `on_server` messages; `refused`: those the server would not give."""

    name: str
    role: str
    stored: int
    on_server: int
    refused: int
    is_complete: bool
    compared_at: datetime | None


@dataclass(frozen=True, slots=True)
class Progress:
    """All folders of a mailbox that are read."""

    folders: tuple[FolderProgress, ...]

    @property
    def stored(self) -> int:
        return sum(one.stored for one in self.folders)

    @property
    def on_server(self) -> int:
        return sum(one.on_server for one in self.folders)

    @property
    def is_complete(self) -> bool:
        """Whether all history that is wanted is there; False, too, while nothing was looked at yet."""
        return bool(self.folders) and all(one.is_complete for one in self.folders)


async def progress(conn: AsyncConnection, mailbox_id: int) -> Progress:
    """Tell how far a mailbox is. Asks for no rights: whoever shows it has."""
    query = sa.select(folders).where(folders.c.mailbox_id == mailbox_id, folders.c.is_chosen)
    found = []
    for row in (await conn.execute(query.order_by(folders.c.id))).all():
        is_complete = row.uidvalidity is not None and (row.low_uid or 1) <= 1
        stored = max(row.on_server - len(row.gaps), 0)
        if row.uidvalidity is None:
            stored = 0
        elif not is_complete:
            stored = min(stored, await places.how_many(conn, Epoch(row.id, row.uidvalidity)))
        found.append(
            FolderProgress(row.name, row.role, stored, row.on_server, len(row.gaps), is_complete, row.compared_at)
        )
    return Progress(tuple(found))
