"""When tokens and sessions were last used: noted by each request, written beside it.

A request never waits for the write, and of each token or session there is one write a minute at most. What was noted
in the last moment before a crash is lost; that costs a list a minute.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import datetime, timedelta

from aiohttp import web

from hub.crm import sessions, tokens
from hub.store.engine import Database

EVERY = timedelta(minutes=1)
MAX_REMEMBERED = 50_000


class LastUses:
    """The uses of this process that are to be written."""

    def __init__(self) -> None:
        self._written: OrderedDict[tuple[str, int], datetime] = OrderedDict()
        self._waiting: dict[tuple[str, int], datetime] = {}
        self._noted = asyncio.Event()

    def token(self, token_id: int, now: datetime) -> None:
        """Note that a token was used."""
        self._note(("token", token_id), now)

    def session(self, session_id: int, now: datetime) -> None:
        """Note that a browser was seen."""
        self._note(("session", session_id), now)

    def _note(self, key: tuple[str, int], now: datetime) -> None:
        last = self._written.get(key)
        if last is not None and last <= now < last + EVERY:
            return
        self._written[key] = now
        self._written.move_to_end(key)
        if len(self._written) > MAX_REMEMBERED:
            self._written.popitem(last=False)
        self._waiting[key] = now
        self._noted.set()

    async def run(self, db: Database) -> None:
        """Write what is noted, until cancelled."""
        await db.loops.run("last_uses", lambda: self._write(db), wait=self._noted.wait)

    async def _write(self, db: Database) -> None:
        self._noted.clear()
        noted = dict(self._waiting)
        if not noted:
            return
        async with db.begin() as conn:
            await tokens.note_uses(conn, {key: at for (kind, key), at in noted.items() if kind == "token"})
            await sessions.note_uses(conn, {key: at for (kind, key), at in noted.items() if kind == "session"})
        for key, at in noted.items():
            if self._waiting.get(key) == at:
                del self._waiting[key]


USES: web.AppKey[LastUses] = web.AppKey("last_uses", LastUses)
