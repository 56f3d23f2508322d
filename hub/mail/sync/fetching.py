"""Messages off the server in groups of bounded size, and which of them it would not give.

One message must not stop a mailbox: what a server refuses is narrowed down to the message, and what ends the line is
remembered beyond the connection (`trouble`); both are set aside and asked for again later. An answer without bytes
where the server tells of some is no message: it is asked for once more at once, and set aside then. Invariant: each UID
asked for is in the messages, is `missing`, or is no longer on the server.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hub.errors import Refused, Unavailable
from hub.mail.imap.asking import Fetched
from hub.mail.imap.connection import ImapConnection
from hub.mail.imap.grammar import uid_set
from hub.mail.imap.refusals import Throttled, is_for_now
from hub.mail.sync.trouble import Place as Place
from hub.mail.sync.trouble import Trouble as Trouble

log = logging.getLogger(__name__)

MAX_GROUP_BYTES = 16 * 1024 * 1024
MAX_GROUP = 20
"""New messages of one transaction: a manager who takes a call waits behind it."""
MAX_OLD_GROUP_BYTES = 8 * 1024 * 1024
MAX_OLD_GROUP = 200
"""History makes no work for anybody and is stored at a stroke; two such groups are in memory at once."""
MAX_MESSAGE_BYTES = 200 * 1024 * 1024
MANY = 10
"""So many refused at once is the server's trouble, not the messages'."""


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
            alone = size > MAX_MESSAGE_BYTES or self.trouble.is_suspect(self.place, uid)
            if alone or not groups or len(groups[-1]) >= most or total + size > most_bytes:
                groups.append([])
                total = 0
            groups[-1].append(uid)
            # The one after a message that goes alone begins a group of its own.
            total = most_bytes + 1 if alone else total + size
            if size > MAX_MESSAGE_BYTES:
                log.error("message %d of folder %d has %d bytes: it stays on the server", uid, self.place[0], size)
                self.trouble.too_large.add((self.place, uid))
        return [tuple(group) for group in groups]

    async def take(self, group: Sequence[int]) -> Taken:
        """Fetch a group. Raises Unavailable when the line ends, or the server refuses one and all; Throttled."""
        resting = [uid for uid in group if self.trouble.is_resting(self.place, uid)]
        asked = sorted(set(group) - set(resting))
        messages, refused = await self._bodies(asked)
        given = {one.uid: one for one in messages if one.raw}
        if doubtful := set(asked) - set(given) - set(refused):
            given |= await self._once_more(doubtful, blank={one.uid: one for one in messages if not one.raw})
        missing = await self._still_there(set(asked) - set(given))
        if given:
            self.trouble.gives_something(self.place)
        elif len(set(missing) & set(refused)) >= MANY and self.trouble.gives_nothing(self.place):
            raise Unavailable("imap_refused", f"the mail server gives none of {len(missing)} messages")
        if missing:
            log.warning("folder %d: the server does not give %s", self.place[0], missing)
        self.trouble.cleared(self.place, set(asked) - set(missing))
        for uid in missing:
            self.trouble.not_given(self.place, [uid], is_for_now=is_for_now(refused.get(uid, "")))
        return Taken(tuple(given[uid] for uid in sorted(given)), tuple(sorted([*missing, *resting])))

    async def _once_more(self, doubtful: Collection[int], *, blank: dict[int, Fetched]) -> dict[int, Fetched]:
        """Return those of `doubtful` that are messages after all: they come now, or the server tells them to be empty.

        `blank` came without a byte.
        """
        try:
            empty = {one.uid for one in await self.imap.sizes(sorted(blank)) if one.size == 0}
        except Refused:
            empty = set()
        given = {uid: one for uid, one in blank.items() if uid in empty}
        if again := await self._still_there(set(doubtful) - set(given)):
            messages, _ = await self._bodies(again)
            given |= {one.uid: one for one in messages if one.raw}
        return given

    async def _still_there(self, uids: Collection[int]) -> list[int]:
        there = await self.imap.uids(b"UID " + uid_set(sorted(uids))) if uids else []
        return [uid for uid in there if uid in uids]

    async def _bodies(self, uids: Sequence[int]) -> tuple[list[Fetched], dict[int, str]]:
        """Fetch `uids`; where the server refuses, halve until only those are left out that it refuses alone.

        Returns the messages, and the server's words about those that it refused.
        """
        try:
            return (await self.imap.fetch(uids) if uids else []), {}
        except Refused as error:
            if len(uids) == 1:
                return [], {uids[0]: error.message}
        except Unavailable as error:
            self._blame(error, uids)
            raise
        half = len(uids) // 2
        first, refused = await self._bodies(uids[:half])
        second, more = await self._bodies(uids[half:])
        return first + second, refused | more

    def _blame(self, error: Unavailable, uids: Sequence[int]) -> None:
        """Suspect what was asked for when the line ended, unless the server said that it is about itself."""
        if not isinstance(error, Throttled) and error.code != "imap_bye_for_now":
            self.trouble.line_ended(self.place, uids)

    async def _sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """The sizes that the server tells. What it does not tell is fetched all the same, and may be missing then."""
        trusted = [uid for uid in uids if not self.trouble.is_suspect(self.place, uid)]
        doubted = [uid for uid in uids if self.trouble.is_suspect(self.place, uid)]
        asked = [trusted] if trusted else []
        asked += [[uid] for uid in doubted if not self.trouble.is_resting(self.place, uid)]
        sizes: dict[int, int] = {}
        for some in asked:
            try:
                sizes |= {one.uid: one.size for one in await self.imap.sizes(some)}
            except Refused:
                continue
            except Unavailable as error:
                self._blame(error, some)
                raise
        return sizes
