"""The scripted PBX's AMI socket: sign-in, liveness, events to everybody, and the faults of a line.

Knows no calls: actions that need one are handed to `act`. Invariant: nothing is said to who has not signed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hub.demo.pbx_channels import packet

MAX_ACTION_BYTES = 64 * 1024
MAX_UNREAD_BYTES = 4 * 1024 * 1024


@dataclass(eq=False, slots=True)
class _Client:
    writer: asyncio.StreamWriter
    signed_in: bool = False
    wants_events: bool = False


@dataclass(slots=True)
class Reply:
    """The answer to one action, or silence where it was lost."""

    writer: asyncio.StreamWriter | None
    action_id: dict[str, str]

    def __call__(self, response: str, message: str, **more: str) -> None:
        told = {"Message": message} if message else {}
        self.write({"Response": response, **self.action_id, **more, **told})

    def listed(self, message: str, closing: str, rows: Sequence[dict[str, str]]) -> None:
        """Answer with a list of events, as `CoreShowChannels` does."""
        self("Success", message, EventList="start")
        for row in rows:
            self.write({"Event": row["Event"], **self.action_id, **row})
        self.write({"Event": closing, **self.action_id, "EventList": "Complete", "ListItems": str(len(rows))})

    def write(self, headers: dict[str, str]) -> None:
        if self.writer is not None and not self.writer.is_closing():
            self.writer.write(packet(headers))


class AmiServer:
    """Listens on a free loopback port, the same one again after `close`."""

    def __init__(self, secret: str, act: Callable[[str, dict[str, str], Reply], None]) -> None:
        self.port = 0
        self.journal: list[dict[str, str]] = []
        self.booted = datetime.now(UTC)
        self.is_frozen = False
        self.lost: dict[str, int] = {}
        self.unanswered: dict[str, int] = {}
        self._secret, self._act = secret, act
        self._clients: set[_Client] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=MAX_ACTION_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut everybody; returns once nobody is served any more."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def cut(self) -> None:
        for client in list(self._clients):
            client.writer.transport.abort()

    def say_raw(self, data: bytes) -> None:
        """Send to everybody who signed in and wants events; who does not read is cut off, as Asterisk does."""
        if self.is_frozen:
            return
        for client in list(self._clients):
            if client.wants_events and not client.writer.is_closing():
                client.writer.write(data)
                if client.writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
                    client.writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(writer)
        self._clients.add(client)
        if task := asyncio.current_task():
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        try:
            while True:
                raw = await reader.readuntil(b"\r\n\r\n")
                if not self.is_frozen:
                    self._answer(client, _fields(raw))
                    await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            self._clients.discard(client)
            writer.close()

    def _answer(self, client: _Client, fields: dict[str, str]) -> None:
        name = fields.get("action", "").lower()
        reply = Reply(client.writer, {"ActionID": fields["actionid"]} if "actionid" in fields else {})
        if name == "login":
            self._sign_in(client, fields, reply)
        elif not client.signed_in:
            reply("Error", "Permission denied")
        elif name == "ping":
            reply("Success", "", Ping="Pong", Timestamp=f"{datetime.now(UTC).timestamp():.6f}")
        elif name == "corestatus":
            day, time = self.booted.strftime("%Y-%m-%d"), self.booted.strftime("%H:%M:%S.%f")
            reply("Success", "", CoreStartupDate=day, CoreStartupTime=time, CoreReloadDate=day)
        elif name == "coresettings":
            reply("Success", "", AsteriskVersion="22.10.1", SystemName="", AMIversion="11.0.0")
        elif name == "events":
            client.wants_events = fields.get("eventmask", "on").lower() not in ("off", "")
            reply("Success", "", Events="On" if client.wants_events else "Off")
        elif name == "logoff":
            reply("Goodbye", "Thanks for all the fish.")
            client.writer.close()
        else:
            self._hand_on(name, client, fields, reply)

    def _hand_on(self, name: str, client: _Client, fields: dict[str, str], reply: Reply) -> None:
        self.journal.append(fields)
        if self.lost.get(name, 0) > 0:
            self.lost[name] -= 1
            self._act(name, fields, Reply(None, {}))
            client.writer.transport.abort()
        elif self.unanswered.get(name, 0) > 0:
            self.unanswered[name] -= 1
            self._act(name, fields, Reply(None, {}))
        else:
            self._act(name, fields, reply)

    def _sign_in(self, client: _Client, fields: dict[str, str], reply: Reply) -> None:
        client.signed_in = fields.get("secret") == self._secret and fields.get("username") == "hub"
        if not client.signed_in:
            reply("Error", "Authentication failed")
            client.writer.close()
            return
        client.wants_events = fields.get("events", "on").lower() != "off"
        reply("Success", "Authentication accepted")
        uptime = str(int((datetime.now(UTC) - self.booted).total_seconds()))
        reply.write(
            {
                "Event": "FullyBooted",
                "Privilege": "system,all",
                "Uptime": uptime,
                "LastReload": uptime,
                "Status": "Fully Booted",
            }
        )


def _fields(raw: bytes) -> dict[str, str]:
    """The headers of an action, names in lower case; the variables HUB_… each under its own."""
    fields: dict[str, str] = {}
    for line in raw.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            continue
        value = value.strip()
        if name.lower() == "variable" and value.startswith("HUB_"):
            variable, _, value = value.partition("=")
            fields[variable.lower()] = value
            continue
        fields[name.strip().lower()] = value
    return fields
