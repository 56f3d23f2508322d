"""A PBX's stream in a file: what `hub record` writes and `hub replay` reads. Pure.

A file is AMI as it came over the wire, packet by packet, with a head of `#` lines and one header more in each packet:
`Hub-At`, the seconds since the recording began. `Hub-Mark` packets say when the line came up or went down. A plain
capture, without head and marks, is read too. Invariant: whatever a file holds, reading it takes bounded memory, and
every refusal names the line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.clock import rfc3339
from hub.errors import Refused
from hub.telephony.line.charsets import LineDecoder
from hub.telephony.tracking.directions import PbxRules

FORMAT = "# hub-record 1"
MAX_LINE_BYTES = 65_536
MAX_HEADERS = 1_000
MAX_PACKET_BYTES = 262_144
MAX_HEAD_LINES = 200

Headers = list[tuple[str, str]]

_HEAD_LINE = re.compile(r"# ?([a-z_-]+): ?(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a recording says of itself: enough to tell its calls without the configuration of its PBX."""

    pbx: str
    started_at: datetime
    rules: PbxRules
    version: str = ""
    masked: str = "secrets"


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of a file. `line` is where it begins; `at` when it came, None where the file does not say."""

    line: int
    at: datetime | None
    headers: Headers

    def frame(self) -> dict[str, str]:
        """Return the headers as the link gives them: of one that comes twice, the last."""
        return dict(self.headers)


def head_bytes(head: Head) -> bytes:
    """Write the head of a file."""
    lists = {"queues": head.rules.hub_queues, "own_numbers": head.rules.own_numbers}
    if head.rules.internal_contexts is not None:
        lists["internal_contexts"] = head.rules.internal_contexts
    lines = [
        FORMAT,
        f"# pbx: {head.pbx}",
        f"# started_at: {rfc3339(head.started_at)}",
        f"# asterisk: {head.version}",
        f"# masked: {head.masked}",
        *(f"# {name}: {' '.join(sorted(''.join(word.split()) for word in words))}" for name, words in lists.items()),
        "# `hub replay` tells the calls of this file. Hub-At is seconds since started_at.",
    ]
    return "".join(" ".join(line.splitlines()) + "\r\n" for line in lines).encode() + b"\r\n"


def packet_bytes(headers: Iterable[tuple[str, str]], *, at_s: float) -> bytes:
    """Write one packet that came `at_s` seconds after the recording began."""
    lines = [f"Hub-At: {at_s:.6f}", *(f"{key}: {value}" for key, value in headers), "", ""]
    return "\r\n".join(lines).encode("utf-8", "replace")


class StreamReader:
    """Turn the bytes of a file, however they were cut, into packets. `head` is there once the first packet is."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.line = 0
        self._rest = bytearray()
        self._decoder = LineDecoder()
        self._searched = 0
        self._head: dict[str, str] = {}
        self._is_hub_record = False
        self._headers: Headers = []
        self._size = 0
        self._began = 0

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that `data` completes. Raises Refused that names the line."""
        self._rest += data
        start = 0
        while (end := self._rest.find(b"\n", max(start, self._searched))) >= 0:
            self.line += 1
            line = bytes(self._rest[start:end]).rstrip(b"\r")
            start = end + 1
            if packet := self._take(line):
                yield packet
        del self._rest[:start]
        self._searched = len(self._rest)
        if len(self._rest) > MAX_LINE_BYTES:
            raise self._refused(self.line + 1, f"is longer than {MAX_LINE_BYTES} bytes: this is no AMI stream")

    def close(self) -> Iterator[Packet]:
        """Yield the last packet where nothing ends it."""
        yield from self.feed(b"\n\n")

    def _take(self, line: bytes) -> Packet | None:
        if len(line) > MAX_LINE_BYTES:
            raise self._refused(self.line, f"is longer than {MAX_LINE_BYTES} bytes: this is no AMI stream")
        if not line.strip():
            return self._packet() if self._headers else None
        if line.startswith(b"#") and not self._headers:
            self._take_head(line.decode("utf-8", "replace"))
            return None
        text = self._decoder.decode(line)
        key, colon, value = text.partition(":")
        if not colon:
            # The greeting, or what a person wrote into the file: tolerated, since a capture is often cut by hand.
            return None
        if not self._headers:
            self._began, self._size = self.line, 0
        self._headers.append((key, value.removeprefix(" ")))
        self._size += len(line)
        if len(self._headers) > MAX_HEADERS or self._size > MAX_PACKET_BYTES:
            raise self._refused(self._began, "begins a packet without end: this is no AMI stream")
        return None

    def _take_head(self, line: str) -> None:
        if line.strip() == FORMAT:
            self._is_hub_record = True
        elif line.startswith("# hub-record "):
            raise self._refused(self.line, "names a format that this Hub does not know: upgrade Hub")
        elif (found := _HEAD_LINE.fullmatch(line)) and len(self._head) < MAX_HEAD_LINES:
            self._head.setdefault(found[1], found[2].strip())

    def _packet(self) -> Packet:
        headers, self._headers = self._headers, []
        if self._is_hub_record and self.head is None:
            self.head = self._read_head()
        at = None
        if headers[0][0] == "Hub-At" and self.head is not None:
            at = self.head.started_at + timedelta(seconds=self._seconds(headers[0][1]))
            headers = headers[1:]
        return Packet(self._began, at, headers)

    def _seconds(self, text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= 366 * 86_400:
            raise self._refused(self._began, "Hub-At is not a number of seconds")
        return seconds

    def _read_head(self) -> Head:
        told = self._head
        try:
            started_at = datetime.fromisoformat(told.get("started_at", "")).astimezone(UTC)
        except (ValueError, OverflowError):
            raise self._refused(self._began, "comes before a `# started_at:` line with a time") from None
        rules = PbxRules(
            pbx=told.get("pbx", "") or "recorded",
            internal_contexts=frozenset(told.get("internal_contexts", "").split()) or None,
            hub_queues=frozenset(told.get("queues", "").split()),
            own_numbers=frozenset(told.get("own_numbers", "").split()),
        )
        return Head(
            pbx=rules.pbx,
            started_at=started_at,
            rules=rules,
            version=told.get("asterisk", ""),
            masked=told.get("masked", ""),
        )

    def _refused(self, line: int, what: str) -> Refused:
        return Refused("stream_invalid", f"line {line} {what}", line=line)
