"""Reading a stream of server-sent events the way a browser does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    id: str
    data: Any


class EventSource:
    """One open stream; `next()` gives the next event but for pings, `last_id` is what a reconnect would say."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""

    async def next(self, *, deadline_s: float = 5) -> Event:
        """Return the next dispatched event. Raises EOFError when the stream ends, TimeoutError when it says nothing."""
        async with asyncio.timeout(deadline_s):
            name, data = "message", ""
            while line := (await self.response.content.readline()).decode():
                field, _, value = line.rstrip("\n").partition(": ")
                if field == "id":
                    self.last_id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data = value
                elif line == "\n":
                    if data and name != "ping":
                        return Event(name, self.last_id, json.loads(data))
                    name, data = "message", ""
            raise EOFError

    async def until(self, name: str, *, deadline_s: float = 5) -> Event:
        """Return the next event of this name."""
        async with asyncio.timeout(deadline_s):
            while (found := await self.next()).name != name:
                pass
            return found

    async def opened(self) -> None:
        """Wait for the position that the server says first."""
        async with asyncio.timeout(5):
            while not self.last_id:
                line = (await self.response.content.readline()).decode()
                if line.startswith("id: "):
                    self.last_id = line.removeprefix("id: ").strip()


@asynccontextmanager
async def listening(
    client: aiohttp.ClientSession, path: str, *, last_id: str = "", headers: Mapping[str, str] = {}
) -> AsyncIterator[EventSource]:
    """Open a stream; `last_id` resumes."""
    sent = {"Accept": "text/event-stream", **headers, **({"Last-Event-ID": last_id} if last_id else {})}
    async with client.get(path, headers=sent, timeout=aiohttp.ClientTimeout(total=None)) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        source = EventSource(response)
        await source.opened()
        yield source
