"""Channels that are gone though nobody heard them hang up: the PBX's list beside what the tracker still has.

Asks for the list now and then, less often the longer it is, and not while the reader lags. A channel that was known
before the list was asked for and is not in it has ended; its Hangup gets a moment to arrive, for it may be on its way.
Invariants: a channel that began meanwhile is never taken for gone, and nothing is concluded across a reconnect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import timedelta

from hub.errors import HubError
from hub.telephony.line import snapshot
from hub.telephony.line.link import PbxLink

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often the list is asked for. With 1,000 channels a lost call ends within 55 s, with few within 25 s."""

    at_least: timedelta = timedelta(seconds=20)
    at_most: timedelta = timedelta(seconds=50)
    channels_a_second: int = 20
    settle: timedelta = timedelta(seconds=5)
    """How long a Hangup may be on its way behind the list."""
    max_lag_frames: int = 500

    def pause(self, channels: int) -> timedelta:
        return min(max(self.at_least, timedelta(seconds=channels / self.channels_a_second)), self.at_most)


class VanishedChannels:
    """Watches the channels of one PBX."""

    def __init__(
        self,
        link: PbxLink,
        known: Callable[[], Set[str]],
        end: Callable[[Set[str]], None],
        *,
        cadence: Cadence | None = None,
    ) -> None:
        """`known` gives the uniqueids of the channels that the tracker has, `end` is told those that are gone."""
        self._link, self._known, self._end = link, known, end
        self._cadence = cadence or Cadence()

    async def rest(self) -> None:
        """Wait until it is time to look again."""
        await asyncio.sleep(self._cadence.pause(len(self._known())).total_seconds())

    async def look(self) -> None:
        """Ask once, and end what is gone."""
        connection, known = self._link.connection, frozenset(self._known())
        if connection is None or not known or self._link.lag > self._cadence.max_lag_frames:
            return
        try:
            listed = await snapshot.channel_ids(self._link)
        except HubError as error:
            log.info("pbx %s: no list of channels this time: %s", self._link.pbx.name, error.message)
            return
        suspects = known - listed if listed is not None else frozenset()
        if not suspects:
            return
        await asyncio.sleep(self._cadence.settle.total_seconds())
        await self._link.until_read()
        gone = suspects & frozenset(self._known())
        if gone and self._link.connection is connection:
            log.warning("pbx %s: %d channels ended without a word", self._link.pbx.name, len(gone))
            self._end(gone)
