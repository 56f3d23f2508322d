"""What of a PBX's stream goes into a file, and how it is written there. Pure.

Keeps what the tracker reads: the events, and the lists of channels, bridges and the like after each sign-in. Leaves
out what Hub itself drops by name (channel variables, dialled digits), other programs' user events, and the answers to
its own actions. Invariants: nothing is held beyond one packet's bound, and a file never grows past its limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from hub.telephony.line.charsets import LineDecoder
from hub.telephony.line.wire import GREETING, UNWANTED
from hub.telephony.presence import devices
from hub.telephony.replay.masking import Mask
from hub.telephony.replay.replay import CHANNELS, DETAILS, LIST_ROWS
from hub.telephony.replay.stream_file import MAX_PACKET_BYTES, Head, Headers, head_bytes, packet_bytes

_OURS = b"\r\nActionID: hub-"
_NO_CALLS = UNWANTED | devices.EVENTS
"""What the tracker reads nothing from; where telephones are in the network is nobody else's business."""
_SNAPSHOT = frozenset({CHANNELS, *DETAILS, *LIST_ROWS})


class Recorder:
    """Turn the bytes of a line into the bytes of a file. Feed it whatever comes, cut anywhere."""

    def __init__(self, head: Head, mask: Mask, *, max_bytes: int) -> None:
        self._started_at = head.started_at
        self._mask = mask
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._decoder = LineDecoder()
        self.is_full = False
        self.packets = 0
        own = frozenset(mask.number(number) for number in head.rules.own_numbers)
        self.head = head_bytes(replace(head, rules=replace(head.rules, own_numbers=own)))
        self._written = len(self.head)

    def feed(self, data: bytes, *, at: datetime) -> bytes:
        """Take what a line said; return what is to be written."""
        self._rest += data
        if self._rest.startswith(GREETING[: len(self._rest)]):
            end = self._rest.find(b"\r\n")
            if end < 0:
                return b""
            del self._rest[: end + 2]
        *packets, rest = bytes(self._rest).split(b"\r\n\r\n")
        # What is longer than a packet can be is no AMI; the link cuts such a line, and here it is not kept.
        self._rest = bytearray(rest if len(rest) <= MAX_PACKET_BYTES else b"")
        return b"".join([self._packet(packet.lstrip(b"\r\n"), at) for packet in packets])

    def mark(self, what: str, *, at: datetime, **told: str) -> bytes:
        """Write that the line came up or went down; what was half heard of the line before is forgotten."""
        if what != "up":
            self._rest.clear()
        return self._write([("Hub-Mark", what), *((key.title(), value) for key, value in told.items())], at)

    def _packet(self, packet: bytes, at: datetime) -> bytes:
        if packet[:7] != b"Event: ":
            return b""
        name = packet[7 : (packet + b"\r").find(b"\r", 7)].decode("ascii", "replace")
        is_answer = _OURS in packet and name != "OriginateResponse"
        if name not in _SNAPSHOT if is_answer else name in _NO_CALLS:
            return b""
        pairs = (self._decoder.decode(line).partition(":") for line in packet.split(b"\r\n"))
        headers = [(key, value.removeprefix(" ")) for key, colon, value in pairs if colon]
        said = next((value for key, value in headers if key == "UserEvent"), "Hub")
        if not said.startswith("Hub"):
            return b""
        return self._write(self._mask.headers(headers), at)

    def _write(self, headers: Iterable[tuple[str, str]], at: datetime) -> bytes:
        if self.is_full:
            return b""
        clean: Headers = [(key.replace("\n", " "), value.replace("\n", " ")) for key, value in headers]
        raw = packet_bytes(clean, at_s=max(0.0, (at - self._started_at).total_seconds()))
        if self._written + len(raw) > self._max_bytes:
            self.is_full = True
            return b""
        self._written += len(raw)
        self.packets += 1
        return raw
