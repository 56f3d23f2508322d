"""The hint bus: "something changed", said after a commit. Never carries data, never decides.

A lost hint costs latency only: every subscriber also looks by itself every few seconds. `LocalBus` serves one
process, `RedisBus` several. Invariant: a subscription that exists before a hint is given wakes for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import redis.asyncio as redis

log = logging.getLogger(__name__)


class Subscription:
    """A wake-up flag for one listener; many hints before a look are one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, *, at_most_s: float) -> bool:
        """Return True once hinted, False after `at_most_s` seconds without a hint."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Bus(Protocol):
    """The interface of a bus, as the store needs it."""

    async def hint(self, topic: str) -> None: ...

    def subscribe(self, topic: str) -> contextlib.AbstractContextManager[Subscription]: ...

    async def run(self) -> None: ...

    async def close(self) -> None: ...


class LocalBus:
    """Hints within this process."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Subscription]] = {}

    async def hint(self, topic: str) -> None:
        self.wake(topic)

    def wake(self, topic: str) -> None:
        for listener in self._listeners.get(topic, ()):
            listener.wake()

    def wake_all(self) -> None:
        for topic in self._listeners:
            self.wake(topic)

    @contextlib.contextmanager
    def subscribe(self, topic: str) -> Iterator[Subscription]:
        listener = Subscription()
        self._listeners.setdefault(topic, set()).add(listener)
        try:
            yield listener
        finally:
            self._listeners[topic].discard(listener)

    async def run(self) -> None:
        """Nothing to do: hints go straight to the listeners."""

    async def close(self) -> None:
        self._listeners.clear()


class RedisBus:
    """Hints between processes through Redis pub/sub, and straight to the listeners of this one.

    With Redis gone, hints stay within the process and everybody falls back on looking; when it is back, all
    listeners are woken once, since hints were missed.
    """

    CHANNEL = "hub:hints"

    def __init__(self, url: str) -> None:
        self._local = LocalBus()
        self._redis = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, decode_responses=True)
        self._listen = redis.Redis.from_url(url, socket_connect_timeout=2, decode_responses=True)
        self._outgoing: asyncio.Queue[str] = asyncio.Queue(maxsize=1000)
        self.connected = asyncio.Event()

    async def hint(self, topic: str) -> None:
        self._local.wake(topic)
        # Full means that Redis hangs: the hint is dropped, which costs the other processes latency only.
        with contextlib.suppress(asyncio.QueueFull):
            self._outgoing.put_nowait(topic)

    def subscribe(self, topic: str) -> contextlib.AbstractContextManager[Subscription]:
        return self._local.subscribe(topic)

    async def run(self) -> None:
        """Send and receive hints until cancelled; reconnects for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            tasks.create_task(self._receive())

    async def _send(self) -> None:
        while True:
            topic = await self._outgoing.get()
            try:
                await self._redis.publish(self.CHANNEL, topic)
            except (redis.RedisError, OSError) as error:
                log.warning("redis: a hint was not sent: %s", error)
            _heed_cancellation()

    async def _receive(self) -> None:
        delay_s = 0.2
        while True:
            try:
                async for topic in self._messages():
                    delay_s = 0.2
                    self._local.wake(topic)
            except (redis.RedisError, OSError) as error:
                log.warning("redis: no hints from other processes: %s", error)
            self.connected.clear()
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))  # noqa: S311
            delay_s = min(delay_s * 2, 10)

    async def _messages(self) -> AsyncIterator[str]:
        async with self._listen.pubsub() as channel:
            await channel.subscribe(self.CHANNEL)
            while True:
                message = await channel.get_message(timeout=1.0)
                _heed_cancellation()
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self._local.wake_all()
                    self.connected.set()
                elif message["type"] == "message":
                    yield str(message["data"])

    async def close(self) -> None:
        await self._redis.aclose()
        await self._listen.aclose()
        await self._local.close()


def _heed_cancellation() -> None:
    """Raise the CancelledError that redis-py 8.1 swallows when it is cancelled while it connects."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
