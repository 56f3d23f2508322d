"""The connection for all folders but INBOX, where a server gives a mailbox two; else INBOX's own reads them as well.

A thousand folders take a while to be polled, and INBOX must not wait for it. Decides who reads the other
folders, and when a second connection is asked for again. Invariants: at no time do two connections read the same
folder; a server that gives no second one, or ends the first because of it, is not asked for it again but after pauses
that grow; what happens here stops INBOX in no case but a bug.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from hub.clock import monotonic_s
from hub.errors import HubError
from hub.mail.imap.connection import ImapConnection, connected
from hub.mail.sync.pauses import Pauses
from hub.mail.sync.session import MailSession
from hub.settings import MailServer

log = logging.getLogger(__name__)

NOT_GIVEN_S, LONGEST_NOT_GIVEN_S = 60.0, 3600.0
"""Before a second connection is asked for again that the server did not give."""
TOLERATED_S = 5.0
"""A first connection that ends so soon after the second began may have ended because of it."""
SOON_S = 10.0
"""For so short a pause INBOX's connection does not take the other folders over."""


@dataclass(slots=True)
class Manners:
    """How a server takes two connections. Lives as long as the reader of a mailbox."""

    refusals: int = 0
    not_before: float = 0.0
    opened_at: float | None = None

    def refused(self) -> float:
        """Note that there is no second connection now; return after how many seconds to ask again."""
        pause_s = min(NOT_GIVEN_S * (1 << min(self.refusals, 10)), LONGEST_NOT_GIVEN_S)
        self.refusals += 1
        self.not_before = monotonic_s() + pause_s
        return pause_s


@dataclass(slots=True)
class SecondLine:
    """`inbox` is the session of the first connection; `session_on` makes the second's, `tell` shows its problems."""

    server: MailServer
    inbox: MailSession
    session_on: Callable[[ImapConnection], MailSession]
    tell: Callable[[], Awaitable[None]]
    manners: Manners
    watch_for: timedelta
    look_every_s: float
    _pauses: Pauses = field(default_factory=Pauses)

    async def run(self) -> None:
        """Read the other folders until cancelled."""
        while True:
            pause_s = self.manners.not_before - monotonic_s()
            if pause_s <= 0:
                pause_s = await self._live()
            if pause_s > SOON_S:
                self.inbox.turn_to("all")
            await asyncio.sleep(pause_s)

    async def _live(self) -> float:
        """Live through one connection; return after how many seconds the next is to be tried."""
        began, is_open = monotonic_s(), False
        try:
            async with connected(self.server) as imap:
                is_open, self.manners.opened_at = True, monotonic_s()
                self.inbox.turn_to("inbox")
                # It may be in the midst of the other folders.
                async with self.inbox.others:
                    await self._read(self.session_on(imap))
        except HubError as error:
            if not is_open:
                log.info("%s gives no second connection: %s", self.server.host, error.message)
                return max(self.manners.refused(), self._pauses.after(error, lasted_s=0))
            log.warning("%s: the connection for folders ended: %s", self.server.host, error.message)
            return self._pauses.after(error, lasted_s=monotonic_s() - began)
        return 0.0

    async def _read(self, session: MailSession) -> None:
        while True:
            is_behind = await session.catch_up()
            await self.tell()
            if self.manners.opened_at and monotonic_s() - self.manners.opened_at > TOLERATED_S:
                self.manners.refusals, self.manners.opened_at = 0, None
            if not is_behind:
                await session.watch(at_most=self.watch_for, look_every_s=self.look_every_s)

    def first_line_ended(self) -> None:
        """Note that the first connection ended: perhaps because there was a second."""
        opened_at, self.manners.opened_at = self.manners.opened_at, None
        if opened_at is not None and monotonic_s() - opened_at < TOLERATED_S:
            pause_s = self.manners.refused()
            log.warning("%s ended INBOX's connection beside a second; no second for %d s", self.server.host, pause_s)
