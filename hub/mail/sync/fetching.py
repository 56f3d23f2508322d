"""Messages off the server in groups of bounded size, and which of them it would not give.

One message must not stop a mailbox: what a server refuses is narrowed down to the message, and where asking for it
ends the whole line (Dovecot says BYE over a file that it cannot read) that is remembered beyond the connection, and
after `STRIKES_AT_MOST` it is not asked for again in this process. Invariant: each UID asked for is in the messages,
is `missing`, or is no longer on the server.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hub.errors import Refused, Unavailable
from hub.mail.imap.asking import Fetched
from hub.mail.imap.connection import ImapConnection
from hub.mail.imap.grammar import uid_set

log = logging.getLogger(__name__)

MAX_GROUP_BYTES = 16 * 1024 * 1024
MAX_GROUP = 20
"""New messages of one transaction: a manager who takes a call waits behind it."""
MAX_OLD_GROUP_BYTES = 8 * 1024 * 1024
MAX_OLD_GROUP = 200
"""History makes no work for anybody and is stored at a stroke; two such groups are in memory at once."""
MAX_MESSAGE_BYTES = 200 * 1024 * 1024
STRIKES_AT_MOST = 2
MANY = 10
"""So many refused at once is the server's trouble, not the messages'."""

Place = tuple[int, int]
"""A folder and its epoch."""


@dataclass(slots=True)
class Trouble:
    """Which messages were being asked for when lines ended. Lives as long as the reader of a mailbox."""

    suspects: set[tuple[Place, int]] = field(default_factory=set)
    strikes: Counter[tuple[Place, int]] = field(default_factory=Counter)

    def line_ended(self, place: Place, uids: Sequence[int]) -> None:
        """Take note: one of `uids` may be why; from now on each is asked for alone."""
        self.suspects.update((place, uid) for uid in uids)
        if len(uids) == 1:
            self.strikes[place, uids[0]] += 1

    def cleared(self, place: Place, uids: Sequence[int]) -> None:
        self.suspects.difference_update((place, uid) for uid in uids)

    def is_hopeless(self, place: Place, uid: int) -> bool:
        return self.strikes[place, uid] >= STRIKES_AT_MOST


@dataclass(frozen=True, slots=True)
class Taken:
    messages: tuple[Fetched, ...]
    missing: tuple[int, ...]
    """On the server still, but not given."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches from the selected folder of one connection."""

    imap: ImapConnection
    place: Place
    trouble: Trouble

    async def groups(self, uids: Sequence[int], *, is_history: bool = False) -> list[tuple[int, ...]]:
        """Cut `uids` (ascending) into groups to `take` one by one: few enough, small enough, suspects alone."""
        most, most_bytes = (MAX_OLD_GROUP, MAX_OLD_GROUP_BYTES) if is_history else (MAX_GROUP, MAX_GROUP_BYTES)
        sizes = await self._sizes(uids)
        groups: list[list[int]] = []
        total = 0
        for uid in uids:
            size = sizes.get(uid, 0)
            alone = size > MAX_MESSAGE_BYTES or (self.place, uid) in self.trouble.suspects
            if alone or not groups or len(groups[-1]) >= most or total + size > most_bytes:
                groups.append([])
                total = 0
            groups[-1].append(uid)
            # The one after a message that goes alone begins a group of its own.
            total = most_bytes + 1 if alone else total + size
            if size > MAX_MESSAGE_BYTES:
                log.error("message %d of folder %d has %d bytes: it stays on the server", uid, self.place[0], size)
                self.trouble.strikes[self.place, uid] = STRIKES_AT_MOST
        return [tuple(group) for group in groups]

    async def take(self, group: Sequence[int]) -> Taken:
        """Fetch a group. Raises Unavailable when the line ends, or the server refuses one and all."""
        if len(group) == 1 and self.trouble.is_hopeless(self.place, group[0]):
            return Taken((), tuple(group))
        messages = await self._bodies(group)
        absent = sorted(set(group) - {one.uid for one in messages})
        missing = await self.imap.uids(b"UID " + uid_set(absent)) if absent else []
        missing = [uid for uid in missing if uid in absent]
        if len(missing) >= MANY and not messages:
            raise Unavailable("imap_refused", f"the mail server gives none of {len(missing)} messages")
        if missing:
            log.warning("folder %d: the server does not give %s", self.place[0], missing)
        self.trouble.cleared(self.place, group)
        return Taken(tuple(messages), tuple(missing))

    async def _bodies(self, uids: Sequence[int]) -> list[Fetched]:
        """Fetch `uids`; where the server refuses, halve until only those are left out that it refuses alone."""
        try:
            return await self.imap.fetch(uids)
        except Refused:
            if len(uids) == 1:
                return []
        except Unavailable:
            self.trouble.line_ended(self.place, uids)
            raise
        half = len(uids) // 2
        return await self._bodies(uids[:half]) + await self._bodies(uids[half:])

    async def _sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """The sizes that the server tells. What it does not tell is fetched all the same, and may be missing then."""
        trusted = [uid for uid in uids if (self.place, uid) not in self.trouble.suspects]
        doubted = [uid for uid in uids if (self.place, uid) in self.trouble.suspects]
        asked = [trusted] if trusted else []
        asked += [[uid] for uid in doubted if not self.trouble.is_hopeless(self.place, uid)]
        sizes: dict[int, int] = {}
        for some in asked:
            try:
                sizes |= {one.uid: one.size for one in await self.imap.sizes(some)}
            except Refused:
                continue
            except Unavailable:
                self.trouble.line_ended(self.place, some)
                raise
        return sizes
