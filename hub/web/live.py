"""Changes for every open page: one reader of the feed per process, one bounded queue per stream.

The reader draws what is pushed once per change and kind of viewer; `access.can_receive` decides for each stream. A
stream that falls behind, or comes back with a position that is gone, is told `reset` and goes on from the head.
Invariant: between the position a stream began at and the newest it was sent, it missed nothing it may hear of.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import utc_now
from hub.crm import access, endings, queue
from hub.crm.access import Actor, Principals
from hub.errors import NotFound, Refused, Unavailable
from hub.store import changes
from hub.store.changes import Change, Position
from hub.store.engine import Database

BACKLOG = 200
"""Changes that may wait for a slow stream. One more and they are dropped for a `reset`."""
MAX_STREAMS_OF_ONE = 30
LOOK_EVERY_S = 2.0
HELD_BACK_S = 0.03

_MACHINERY = Actor(0, "", "", "admin", frozenset(), None, None)


@dataclass(frozen=True, slots=True)
class LiveChange:
    """A change and what rows of lists need to be drawn of it. `drawn` keeps what was drawn, by kind of viewer."""

    change: Change
    item: queue.Item | None
    of_client: Principals | None = None
    """Of the client on whose card it stands."""
    drawn: dict[object, bytes] = field(default_factory=dict, compare=False)


class EventStream:
    """One reader's end: an ordered queue with a bound. `next()` gives a change, or None for "reset"."""

    def __init__(self, actor: Actor, after: Position, *, session_id: int | None, token_id: int | None = None) -> None:
        self.actor = actor
        self.after = after
        self.session_id = session_id
        self.token_id = token_id
        self._waiting: deque[LiveChange] = deque()
        self._lost = False
        self._wake = asyncio.Event()
        self.is_closed = False

    def offer(self, told: LiveChange) -> None:
        """Put a change in, if this reader may hear of it. Never blocks: what does not fit is lost and said so."""
        if self._lost or self.is_closed or not self._may_hear(told):
            return
        if len(self._waiting) >= BACKLOG:
            self._waiting.clear()
            self._lost = True
        else:
            self._waiting.append(told)
        self._wake.set()

    def put_before(self, missed: Sequence[LiveChange]) -> None:
        """Put what was missed in front of what has come since."""
        may_hear = [told for told in missed if self._may_hear(told)]
        self._waiting.extendleft(reversed(may_hear))

    def _may_hear(self, told: LiveChange) -> bool:
        return access.can_receive(self.actor, told.change, told.of_client)

    def take_rights(self, actor: Actor | None) -> None:
        """Go on by the rights that the person has now: what is shown is asked for anew; without a person, end.

        A page ends as well where the person must set up a second step first; an API token needs none.
        """
        if actor is None or (actor.must_enrol and self.session_id is not None):
            self.close()
        elif actor != self.actor:
            self.actor = actor
            self.lose()

    def lose(self) -> None:
        """Have the reader start anew."""
        self._waiting.clear()
        self._lost = True
        self._wake.set()

    def close(self) -> None:
        self.is_closed = True
        self._wake.set()

    async def wait(self, *, at_most_s: float) -> bool:
        """Wait until there is something to take or the stream is closed; False after `at_most_s` seconds."""
        if not self._waiting and not self._lost and not self.is_closed:
            self._wake.clear()
            try:
                async with asyncio.timeout(at_most_s):
                    await self._wake.wait()
            except TimeoutError:
                return False
        return True

    def take(self, *, head: Position) -> list[LiveChange] | None:
        """Take all that waits; None where something was lost, and the stream then goes on behind `head`."""
        if self._lost:
            self._lost = False
            self.after = head
            return None
        fresh = [told for told in self._waiting if told.change.position > self.after]
        self._waiting.clear()
        if fresh:
            self.after = fresh[-1].change.position
        return fresh


class LiveFeed:
    """The process's one reader of the feed and the streams that hang on it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._streams: set[EventStream] = set()
        self._is_closing = False
        self._started = asyncio.Event()
        self.head = Position(0, 0)

    @property
    def stream_count(self) -> int:
        return len(self._streams)

    async def run(self) -> None:
        """Read and fan out until cancelled."""
        with self._db.bus.subscribe(changes.TOPIC) as hints, self._db.loops.loop("feed") as loop:
            was_hinted = 0
            while True:
                if await loop.retry(self._read):
                    was_hinted = 0
                    continue
                # On PostgreSQL a committed change stays unread while an older transaction runs, and its end hints
                # nobody: after a hint without a change, look again soon, then at leisure.
                soon = 0 < was_hinted <= 20
                if await hints.wait(at_most_s=HELD_BACK_S if soon else LOOK_EVERY_S):
                    was_hinted = 1
                else:
                    was_hinted = was_hinted + 1 if soon else 0

    async def _read(self) -> bool:
        async with self._db.read() as conn:
            if not self._started.is_set():
                self.head = await changes.head(conn)
                self._started.set()
            found = await changes.read_after(conn, self.head)
            told = await draw_ready(conn, found)
            now = await self._changed_rights(conn, found)
        # From here to the end nothing awaits: a stream that joins sees either none or all of this batch.
        for stream in self._streams:
            if stream.actor.user_id in now:
                stream.take_rights(now[stream.actor.user_id])
        for one in told:
            for stream in self._streams:
                stream.offer(one)
            self._end_by(one.change)
        self.head = changes.newest_of(found, self.head)
        return bool(found)

    async def _changed_rights(self, conn: AsyncConnection, found: Sequence[Change]) -> dict[int, Actor | None]:
        """Return those who have a stream here and whose account, teams or role these changes concern, as they are; also
        those who substitute others now, or no longer do, because the time for it has come.
        """
        people = {user_id for one in found if one.kind == "user" for user_id in one.ids}
        roles = {role_id for one in found if one.kind == "role" for role_id in one.ids}
        at = utc_now()
        concerned = {
            one.user_id
            for one in (stream.actor for stream in self._streams)
            if one.user_id in people or one.role_id in roles or (one.changes_at is not None and one.changes_at <= at)
        }
        return {user_id: await access.load_actor(conn, user_id) for user_id in concerned}

    def _end_by(self, change: Change) -> None:
        """End the streams of sessions and tokens that ended, wherever that was done."""
        session_ids, token_ids = endings.ended_by(change)
        for stream in self._streams:
            if stream.session_id in session_ids or stream.token_id in token_ids:
                stream.close()

    async def join(
        self, actor: Actor, after: Position | None, *, session_id: int | None = None, token_id: int | None = None
    ) -> EventStream:
        """Open a stream that hears all after `after` (None: from now on); its first news is `reset` if that is gone.

        Raises Unavailable while the feed cannot be read, Refused for too many streams of one person.
        """
        try:
            async with asyncio.timeout(10):
                await self._started.wait()
        except TimeoutError:
            raise Unavailable("feed_unavailable", "the feed cannot be read now") from None
        if sum(s.actor.user_id == actor.user_id for s in self._streams) >= MAX_STREAMS_OF_ONE:
            raise Refused("too_many_streams", f"at most {MAX_STREAMS_OF_ONE} streams of one person")
        stream = EventStream(actor, after or self.head, session_id=session_id, token_id=token_id)
        joined_at = self.head
        if self._is_closing:
            stream.close()
        self._streams.add(stream)
        missed: list[LiveChange] | None = []
        try:
            async with self._db.read() as conn:
                # Rights that changed between the look at the asker and this moment passed this stream by.
                stream.take_rights(await access.load_actor(conn, actor.user_id))
                if after is not None and after != joined_at:
                    missed = await _missed(conn, after, joined_at)
        except BaseException:
            self.leave(stream)
            raise
        if missed is None:
            stream.lose()
        else:
            stream.put_before(missed)
        return stream

    def leave(self, stream: EventStream) -> None:
        self._streams.discard(stream)

    def has_streams(self, user_id: int) -> bool:
        """Tell whether a page of this person is open in this process."""
        return any(stream.actor.user_id == user_id and not stream.is_closed for stream in self._streams)

    def close_session(self, session_id: int) -> None:
        """End the streams of a browser that has signed out."""
        for stream in self._streams:
            if stream.session_id == session_id:
                stream.close()

    def close(self) -> None:
        """End every stream, those to come as well: the server is going down."""
        self._is_closing = True
        for stream in self._streams:
            stream.close()


async def draw_ready(conn: AsyncConnection, found: Sequence[Change]) -> list[LiveChange]:
    """Add to each change the row that pages draw of it, in the state it has now."""
    items: dict[int, queue.Item | None] = {}
    for change in found:
        if change.kind == "queue_item" and change.object_id not in items:
            try:
                items[change.object_id] = await queue.find(conn, change.object_id, actor=_MACHINERY)
            except NotFound:
                items[change.object_id] = None
    of_clients = await access.principals_of_clients(conn, {c.client_id for c in found if c.client_id is not None})
    return [
        LiveChange(c, items.get(c.object_id) if c.kind == "queue_item" else None, of_clients.get(c.client_id or 0))
        for c in found
    ]


async def _missed(conn: AsyncConnection, after: Position, until: Position) -> list[LiveChange] | None:
    """Return what lies between two positions, None where it is gone or too much."""
    if not await changes.can_resume(conn, after):
        return None
    found = await changes.read_after(conn, after, limit=BACKLOG + 1)
    if len(found) > BACKLOG:
        return None
    return await draw_ready(conn, [c for c in found if c.position <= until])
