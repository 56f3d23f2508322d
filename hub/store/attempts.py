"""How often something is tried, counted for all processes: in Redis where it is configured, else in this process.

Decides no number: each `Limit` says how many tries a key has within how long. Invariants: a try is counted for all of
its limits or for none, at once and before it is made, so that tries side by side cannot pass together; without an
answer from Redis nothing may be tried (Unavailable).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import redis.asyncio as redis

from hub.clock import monotonic_s
from hub.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `tries` within `window` for each key."""

    name: str
    tries: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Try:
    """One try, and what it counts for: pairs of limit and key."""

    counts: tuple[tuple[Limit, str], ...]
    id: str = field(default_factory=lambda: secrets.token_hex(8))


class Attempts(Protocol):
    """Where tries are counted. Each call raises Unavailable where it cannot be known."""

    async def take(self, one: Try) -> float:
        """Count a try; return 0, or the seconds to wait where a limit is reached, and nothing was counted."""
        ...

    async def give_back(self, one: Try) -> None:
        """Uncount a try that turned out to be none."""
        ...

    async def forget(self, limit: Limit, key: str) -> None:
        """Forget all tries of a key."""
        ...

    async def close(self) -> None: ...


class LocalAttempts:
    """In this process, in bounded memory: the key that was quiet the longest is forgotten first."""

    def __init__(self, *, max_keys: int = 20_000) -> None:
        self._max_keys = max_keys
        self._seen: OrderedDict[tuple[str, str], deque[tuple[float, str]]] = OrderedDict()

    async def take(self, one: Try) -> float:
        now_s = monotonic_s()
        if (wait_s := max((self._wait_s(limit, key, now_s) for limit, key in one.counts), default=0.0)) > 0:
            return wait_s
        for limit, key in one.counts:
            self._seen.setdefault((limit.name, key), deque(maxlen=limit.tries)).append((now_s, one.id))
            self._seen.move_to_end((limit.name, key))
        while len(self._seen) > self._max_keys:
            self._seen.popitem(last=False)
        return 0.0

    def _wait_s(self, limit: Limit, key: str, now_s: float) -> float:
        tries = self._seen.get((limit.name, key))
        if tries is None:
            return 0.0
        # A key that is still being tried is not quiet, though no more of its tries are counted.
        self._seen.move_to_end((limit.name, key))
        window_s = limit.window.total_seconds()
        while tries and tries[0][0] <= now_s - window_s:
            tries.popleft()
        return tries[0][0] + window_s - now_s if len(tries) >= limit.tries else 0.0

    async def give_back(self, one: Try) -> None:
        for limit, key in one.counts:
            tries = self._seen.get((limit.name, key), deque())
            for counted in [counted for counted in tries if counted[1] == one.id]:
                tries.remove(counted)

    async def forget(self, limit: Limit, key: str) -> None:
        self._seen.pop((limit.name, key), None)

    async def close(self) -> None:
        self._seen.clear()


_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = 0
for n, key in ipairs(KEYS) do
  local tries, window = tonumber(ARGV[n * 2]), tonumber(ARGV[n * 2 + 1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  if redis.call('ZCARD', key) >= tries then
    local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    wait = math.max(wait, tonumber(oldest[2]) + window - now)
  end
end
if wait > 0 then return wait end
for n, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[1])
  redis.call('PEXPIRE', key, ARGV[n * 2 + 1])
end
return 0
"""


class RedisAttempts:
    """In Redis, by its clock, each take in one script. Keys are digests: Redis learns no address of anybody."""

    DEADLINE_S = 4.0

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, decode_responses=True)
        self._take = self._redis.register_script(_TAKE)

    async def take(self, one: Try) -> float:
        numbers = [n for limit, _ in one.counts for n in (limit.tries, _milliseconds(limit))]
        async with self._asked():
            return int(await self._take([_name(*pair) for pair in one.counts], [one.id, *numbers])) / 1000

    async def give_back(self, one: Try) -> None:
        async with self._asked(), self._redis.pipeline(transaction=False) as pipe:
            for pair in one.counts:
                pipe.zrem(_name(*pair), one.id)
            await pipe.execute()

    async def forget(self, limit: Limit, key: str) -> None:
        async with self._asked():
            await self._redis.delete(_name(limit, key))

    @contextlib.asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.DEADLINE_S):
                yield
        except (redis.RedisError, OSError) as error:
            reason = str(error) or "it does not answer"
            raise Unavailable("limits_unavailable", f"redis: tries cannot be counted: {reason}") from error

    async def close(self) -> None:
        await self._redis.aclose()


def _milliseconds(limit: Limit) -> int:
    return int(limit.window.total_seconds() * 1000)


def _name(limit: Limit, key: str) -> str:
    # The braces keep all keys of a script on one node of a cluster.
    return f"{{hub:attempts}}:{limit.name}:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def open_attempts(redis_url: str) -> Attempts:
    """Return the counter of this configuration. Connects when it is first asked."""
    return RedisAttempts(redis_url) if redis_url else LocalAttempts()
