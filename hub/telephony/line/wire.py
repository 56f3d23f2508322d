"""AMI as bytes: what came in becomes frames, what goes out becomes one safe packet. Pure.

Decides where a frame ends, which frames are not worth parsing, and which actions Asterisk would cut or misread.
Invariants: nothing is held beyond `max_frame_bytes`; bytes split anywhere give the same frames; no value can end
its own line; nothing that Asterisk would shorten in silence is ever written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub import sanitize
from hub.errors import Refused
from hub.telephony.line.charsets import LineDecoder

Frame = Mapping[str, str]
Fields = Mapping[str, str | Sequence[str]]

GREETING = b"Asterisk Call Manager/"
MAX_LINE_BYTES = 1_024
"""Asterisk reads an action's line into a buffer of this size and drops the rest without a word (manager.c)."""
MAX_HEADERS = 128
"""Asterisk ignores every header of an action past this one (AST_MAX_MANHEADERS)."""

UNWANTED = frozenset(
    {
        # 54 of the 87 events of a plain call are VarSet; the rest carry nothing that a call record shows.
        "VarSet", "Newexten", "TestEvent", "RTCPSent", "RTCPReceived", "DTMFBegin", "DTMFEnd",
        "ChannelTalkingStart", "ChannelTalkingStop", "MCID", "AOC-S", "AOC-D", "AOC-E",
        "SuccessfulAuth", "ChallengeSent", "ChallengeResponseFailed", "SessionLimit", "RequestBadFormat",
        "InvalidPassword", "InvalidAccountID", "FailedACL", "UnexpectedAddress", "RequestNotAllowed",
        "RequestNotSupported", "InvalidTransport", "LoadAverageLimit", "MemoryLimit", "AuthMethodNotAllowed",
        "Registry", "PresenceStateChange", "PresenceStatus",
        "MusicOnHoldStart", "MusicOnHoldStop", "BridgeVideoSourceUpdate", "BridgeInfoChannel",
        "NewConnectedLine", "BridgeCreate", "BridgeDestroy",
    }
)  # fmt: skip
"""Events that are dropped by name, before parsing."""


class BadPeer(Exception):
    """What is at the other end does not speak AMI, or floods. The message says which; the connection is cut."""


class FrameReader:
    """Turn bytes, however they were cut, into frames. One per connection."""

    def __init__(
        self, *, skip: frozenset[str] = UNWANTED, max_frame_bytes: int = 262_144, max_headers: int = 1_000
    ) -> None:
        self.version: str | None = None
        self._skip = frozenset(name.encode() for name in skip)
        self._buffer = bytearray()
        self._decoder = LineDecoder()
        self._max_frame_bytes = max_frame_bytes
        self._max_headers = max_headers

    def feed(self, data: bytes) -> list[dict[str, str]]:
        """Return the frames that `data` completes. A header that comes twice keeps its last value.

        Raises BadPeer on a stranger's greeting and past the bounds; frames of the same `data` are then lost.
        """
        buffer = self._buffer
        searched = max(0, len(buffer) - 3)
        buffer += data
        if self.version is None:
            if not self._greeted():
                return []
            searched = 0
        # Only the new bytes are searched: an endless line sent byte by byte must not cost its square.
        end = buffer.rfind(b"\r\n\r\n", searched)
        if len(buffer) - max(end, 0) > self._max_frame_bytes:
            raise BadPeer(f"a frame is longer than {self._max_frame_bytes} bytes")
        if end < 0:
            return []
        whole = bytes(buffer[:end])
        if b"\0" in whole:
            whole = whole.replace(b"\0", b"")  # PostgreSQL takes no text with it
        packets = whole.split(b"\r\n\r\n")
        del buffer[: end + 4]
        frames = []
        for packet in packets:
            # A lone line end before a frame is tolerated: some actions answer with one too many.
            packet = packet.lstrip(b"\r\n") if packet[:1] in b"\r\n" else packet
            if packet[:7] == b"Event: " and packet[7 : packet.find(b"\r\n", 7)] in self._skip:
                continue
            if len(packet) > self._max_frame_bytes:
                raise BadPeer(f"a frame is longer than {self._max_frame_bytes} bytes")
            if packet:
                frames.append(self._parse(packet))
        return frames

    def _greeted(self) -> bool:
        """Take the greeting line off the buffer; False while it is not whole."""
        seen = bytes(self._buffer[: len(GREETING)])
        if seen != GREETING[: len(seen)]:
            raise BadPeer("this port is not an Asterisk manager interface")
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > 200:
                raise BadPeer("the greeting does not end")
            return False
        self.version = self._buffer[len(GREETING) : min(end, 60)].decode("ascii", "replace")
        del self._buffer[: end + 2]
        return True

    def _parse(self, packet: bytes) -> dict[str, str]:
        try:
            lines = packet.decode("utf-8").split("\r\n")
        except UnicodeDecodeError:
            lines = [self._decoder.decode(line) for line in packet.split(b"\r\n")]
        if len(lines) > self._max_headers:
            raise BadPeer(f"a frame has more than {self._max_headers} headers")
        try:
            return dict([line.split(": ", 1) for line in lines])
        except ValueError:
            pairs = (line.partition(":") for line in lines)
            return {key: value.removeprefix(" ") for key, colon, value in pairs if colon}


def action_bytes(name: str, fields: Fields, *, action_id: str) -> bytes:
    """Write one action. A sequence becomes one header per item.

    Raises Refused for whatever would become another action, another header or another variable, or be cut.
    """
    if not (name.isascii() and name.isalnum()):
        raise Refused("bad_action", "an action's name is letters and digits", field="Action")
    lines = [f"Action: {name}", f"ActionID: {action_id}"]
    for key, value in fields.items():
        if not (key.isascii() and key.replace("-", "").isalnum()) or key.lower() in ("action", "actionid"):
            raise Refused("bad_header", f"{key!r} cannot be a header of an action", field=key)
        values = [value] if isinstance(value, str) else value
        for item in values:
            # Secret is a str whose format() hides it; the wire needs its text.
            text = str.__str__(item)
            sanitize.one_line(text, field=key, max_bytes=MAX_LINE_BYTES)
            # What `Getvar` asks for may be a function with arguments; everywhere else a comma makes more variables.
            if key.lower() == "variable" and "," in text and name != "Getvar":
                raise Refused("comma_in_variable", "a variable must not hold a comma", field=key)
            lines.append(key + ": " + text)
    if len(lines) > MAX_HEADERS:
        raise Refused("too_many_headers", f"{name} has more than {MAX_HEADERS} headers", field="Action")
    packet = []
    for line in lines:
        try:
            raw = line.encode("utf-8") + b"\r\n"
        except UnicodeEncodeError:
            raise Refused("not_text", f"{name} holds what is not text", field=line.partition(":")[0]) from None
        if len(raw) > MAX_LINE_BYTES:
            field = line.partition(":")[0]
            raise Refused("too_long", f"{field} makes a line of over {MAX_LINE_BYTES} bytes", field=field)
        packet.append(raw)
    return b"".join(packet) + b"\r\n"
