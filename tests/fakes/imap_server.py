"""An IMAP server for fault tests on a real loopback socket: a small mailbox that misbehaves where a test says so.

Speaks what Hub asks (LIST, SELECT, UID SEARCH, UID FETCH, IDLE, NOOP). Not a contract-true server: that is Dovecot.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from hub.settings import MailServer, Secret

Server = TypeVar("Server", bound="FakeImapServer")
Answer = Callable[[bytes, bytes], "bytes | None"]
"""Given the tag and the command: bytes to answer instead, or None for the usual answer."""


class Cut(bytes):
    """An answer after which the line is cut."""


@dataclass
class FakeFolder:
    uidvalidity: int = 1
    uidnext: int | None = None
    """None: the highest UID and one. 0: the server does not tell."""
    messages: dict[int, bytes] = field(default_factory=dict)
    internaldate: bytes = b"24-Nov-2020 09:00:00 +0000"
    of_gmail: dict[int, bytes] = field(default_factory=dict)
    """What X-GM-MSGID and X-GM-LABELS say of a message, as the words of its FETCH row."""


class FakeImapServer:
    """`instead` is asked before each command; `heard` is every command line of all connections, in order."""

    def __init__(self) -> None:
        self.folders: dict[str, FakeFolder] = {"INBOX": FakeFolder(), "Sent": FakeFolder()}
        self.capabilities = b"IMAP4rev1 IDLE UIDPLUS"
        self.greeting = b"* OK ready"
        self.instead: Answer = lambda tag, command: None
        self.heard: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._idlers: set[asyncio.StreamWriter] = set()

    @property
    def settings(self) -> MailServer:
        return MailServer(host="127.0.0.1", port=self.port, tls="none", username="u", password=Secret("p"))

    def deliver(self, uid: int, raw: bytes, folder: str = "INBOX") -> None:
        self.folders[folder].messages[uid] = raw
        for writer in self._idlers:
            writer.write(b"* %d EXISTS\r\n" % len(self.folders[folder].messages))

    def say(self, line: bytes) -> int:
        """Say something to all that are in IDLE; return how many those are."""
        for writer in self._idlers:
            writer.write(line + b"\r\n")
        return len(self._idlers)

    def usual(self, command: bytes, folder: str = "INBOX") -> bytes:
        """What would be answered, before the last line."""
        return self._untagged(command, self.folders[folder])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        selected = FakeFolder()
        try:
            writer.write(self.greeting + b"\r\n")
            while True:
                tag, _, command = (await reader.readuntil(b"\r\n")).rstrip(b"\r\n").partition(b" ")
                self.heard.append(command)
                if (other := self.instead(tag, command)) is not None:
                    writer.write(other)
                    if isinstance(other, Cut):
                        await writer.drain()
                        break
                    continue
                if command.startswith(b"SELECT"):
                    selected = self.folders[command.split(b'"')[1].decode()]
                if command == b"IDLE":
                    writer.write(b"+ idling\r\n")
                    self._idlers.add(writer)
                    await reader.readuntil(b"DONE\r\n")
                    self._idlers.discard(writer)
                else:
                    writer.write(self._untagged(command, selected))
                writer.write(tag + b" OK done\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._idlers.discard(writer)
            writer.close()

    def _untagged(self, command: bytes, selected: FakeFolder) -> bytes:
        word = command.split(b" ")[0]
        if word == b"CAPABILITY":
            return b"* CAPABILITY " + self.capabilities + b"\r\n"
        if word == b"LIST":
            rows = [b'* LIST (%s) "/" "%s"' % (b"\\Sent" if n == "Sent" else b"", n.encode()) for n in self.folders]
            return b"".join(row + b"\r\n" for row in rows)
        if word == b"STATUS":
            folder = self.folders[command.split(b'"')[1].decode()]
            counts = (len(folder.messages), max(folder.messages, default=0) + 1, folder.uidvalidity)
            return b'* STATUS "%s" (MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN 0)\r\n' % (
                command.split(b'"')[1],
                *counts,
            )
        if word == b"SELECT":
            top = max(selected.messages, default=0) + 1 if selected.uidnext is None else selected.uidnext
            told = b"* OK [UIDNEXT %d] next\r\n" % top if top else b""
            return (
                b"* %d EXISTS\r\n* OK [UIDVALIDITY %d] ok\r\n" % (len(selected.messages), selected.uidvalidity) + told
            )
        if command.startswith(b"UID SEARCH"):
            found = sorted(uid for uid in selected.messages if is_asked(uid, command, selected))
            return b"* SEARCH" + b"".join(b" %d" % uid for uid in found) + b"\r\n"
        if command.startswith(b"UID FETCH"):
            found = sorted(uid for uid in selected.messages if is_asked(uid, command, selected))
            return b"".join(self._row(uid, command, selected) for uid in found)
        return b""

    def _row(self, uid: int, command: bytes, selected: FakeFolder) -> bytes:
        raw = selected.messages[uid]
        if b"RFC822.SIZE" in command:
            return b"* 1 FETCH (UID %d RFC822.SIZE %d)\r\n" % (uid, len(raw))
        if command.endswith(b"(UID FLAGS)"):
            return b"* 1 FETCH (UID %d FLAGS ())\r\n" % uid
        more = selected.of_gmail.get(uid, b"") + b" " if b"X-GM-" in command else b""
        about = (uid, selected.internaldate, more, len(raw))
        head = b'* 1 FETCH (UID %d FLAGS () INTERNALDATE "%s" %bBODY[] {%d}\r\n' % about
        return head + raw + b")\r\n"


def is_asked(uid: int, command: bytes, selected: FakeFolder) -> bool:
    """Tell whether a SEARCH or FETCH means this UID; a search by anything else finds all."""
    match = re.match(rb"UID (?:FETCH|SEARCH UID) ([\d,:*]+)", command)
    top = max(selected.messages, default=0)
    for run in match[1].split(b",") if match else []:
        first, last = ((top if end == b"*" else int(end)) for end in (run.split(b":") * 2)[:2])
        if min(first, last) <= uid <= max(first, last):
            return True
    return match is None


def uids_of(command: bytes) -> set[int]:
    """The UIDs that a FETCH of messages names one by one or as narrow runs."""
    found: set[int] = set()
    match = re.match(rb"UID FETCH ([\d,:]+) ", command)
    for run in match[1].split(b",") if match else []:
        first, _, last = run.partition(b":")
        found |= set(range(int(first), min(int(last or first), int(first) + 100_000) + 1))
    return found


@asynccontextmanager
async def fake_imap(server: Server | None = None, *, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = server or FakeImapServer()  # type: ignore[assignment]
    assert server is not None
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
