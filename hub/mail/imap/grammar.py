"""IMAP responses as bytes: lines with literals in them become nested tokens. Pure and iterative (RFC 3501, 9).

Decides where a response ends and what its pieces are. Invariants: bytes split anywhere give the same responses;
no nesting, number of lines or literal can exhaust the stack or hold more than the bounds; a parenthesis or a brace
inside of a quoted string is text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from hub.errors import Unavailable

MAX_LINE_BYTES = 8 * 1024 * 1024
"""A SEARCH answer with half a million numbers is 4 MB; nothing honest is longer."""
MAX_LITERAL_BYTES = 256 * 1024 * 1024
MAX_RESPONSE_BYTES = MAX_LITERAL_BYTES + MAX_LINE_BYTES
MAX_DEPTH = 50
MAX_NUMBER = 2**32 - 1

Token: TypeAlias = "bytes | Quoted | list[Token] | None"  # noqa: S105 - no password


class Quoted(bytes):
    """A string or literal, told from an atom: `"NIL"` is not NIL."""


@dataclass(frozen=True, slots=True)
class Response:
    """One response: the text between literals, and the literals. `parts` begins and ends with text."""

    parts: tuple[bytes, ...]

    @property
    def line(self) -> bytes:
        """The text up to the first literal."""
        return self.parts[0]


class BadServer(Unavailable):
    """The server breaks the protocol or a bound: the connection is of no use."""

    def __init__(self, message: str) -> None:
        super().__init__("imap_protocol", f"the mail server {message}")


_LITERAL = re.compile(rb"\{(\d{1,12})\+?\}$")
_PROSE = re.compile(rb"(?:\+|\S+ (?:OK|NO|BAD|BYE|PREAUTH))(?: |$)", re.IGNORECASE)
"""A status is text for people: a `{5}` at its end announces nothing."""


class ResponseReader:
    """Bytes in, responses out."""

    def __init__(self, *, max_literal_bytes: int = MAX_LITERAL_BYTES) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._literal_bytes: int | None = None
        self._max_literal_bytes = max_literal_bytes

    def feed(self, data: bytes) -> list[Response]:
        """Return the responses that are whole now. Raises BadServer on a broken bound."""
        self._buffer += data
        found: list[Response] = []
        position = 0
        while True:
            if self._literal_bytes is not None:
                if len(self._buffer) - position < self._literal_bytes:
                    break
                self._parts.append(bytes(self._buffer[position : position + self._literal_bytes]))
                position += self._literal_bytes
                self._literal_bytes, self._searched = None, position
            end = self._buffer.find(b"\n", max(self._searched, position))
            if end < 0:
                self._searched = len(self._buffer)
                if len(self._buffer) - position > MAX_LINE_BYTES:
                    raise BadServer("sends a line without end")
                break
            line = bytes(self._buffer[position:end]).removesuffix(b"\r")
            position = self._searched = end + 1
            self._parts.append(line)
            literal = _LITERAL.search(line)
            if literal and not (len(self._parts) == 1 and _PROSE.match(line)):
                self._announced(int(literal[1]), len(line))
                continue
            found.append(Response(tuple(self._parts)))
            self._parts, self._held_bytes = [], 0
        del self._buffer[:position]
        self._searched = max(0, self._searched - position)
        return found

    def _announced(self, literal_bytes: int, line_bytes: int) -> None:
        if literal_bytes > self._max_literal_bytes:
            raise BadServer(f"announces a literal of {literal_bytes} bytes")
        self._held_bytes += literal_bytes + line_bytes
        if self._held_bytes > MAX_RESPONSE_BYTES:
            raise BadServer("sends a response without end")
        self._literal_bytes = literal_bytes


_PIECE = re.compile(rb'\s*(?:([()])|"((?:[^"\\]|\\.)*)"|(\{\d+\+?\})$|((?:[^\s()"\[{]|\[[^\]]*\]|\{)+))')


def tokens(response: Response) -> list[Token]:
    """Return the response's tokens: atoms as bytes, strings and literals as Quoted, NIL as None, lists nested.

    Raises BadServer for what cannot be read.
    """
    stack: list[list[Token]] = [[]]
    texts, literals = response.parts[::2], response.parts[1::2]
    for number, text in enumerate(texts):
        position, end = 0, len(text.rstrip())
        while position < end:
            piece = _PIECE.match(text, position)
            if piece is None:
                raise BadServer(f"says what cannot be read: {text[position : position + 40]!r}")
            position = piece.end()
            bracket, quoted, literal, atom = piece.groups()
            if bracket == b"(":
                stack.append([])
                if len(stack) > MAX_DEPTH:
                    raise BadServer("nests lists too deep")
            elif bracket == b")":
                if len(stack) == 1:
                    raise BadServer("closes a list that is not open")
                done = stack.pop()
                stack[-1].append(done)
            elif quoted is not None:
                stack[-1].append(Quoted(re.sub(rb"\\(.)", rb"\1", quoted)))
            elif literal is not None:
                if number >= len(literals):
                    raise BadServer("announces a literal that does not come")
                stack[-1].append(Quoted(literals[number]))
            else:
                stack[-1].append(None if atom.upper() == b"NIL" else atom)
    if len(stack) != 1:
        raise BadServer("leaves a list open")
    return stack[0]


def quoted(text: str) -> bytes | None:
    """Return `text` as a quoted string, or None where it must go as a literal (not ASCII, or control characters)."""
    if not text.isascii() or any(ord(c) < 32 or ord(c) == 127 for c in text):
        return None
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode("ascii")


def folder_bytes(name: str) -> bytes:
    """Return a folder's name as it goes over the wire: modified UTF-7 (RFC 3501, 5.1.3), quoted."""
    pieces: list[str] = []
    for run in re.findall(r"[\x20-\x7e]+|[^\x20-\x7e]+", name):
        if run.isascii() and run.isprintable():
            pieces.append(run.replace("&", "&-"))
        else:
            coded = base64.b64encode(run.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
            pieces.append(f"&{coded}-")
    wire = quoted("".join(pieces))
    assert wire is not None
    return wire


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def folder_name(wire: bytes) -> str:
    """Return the readable name of a folder; what is no modified UTF-7 comes back as it is."""
    # Bytes that are no text at all stay readable and distinct.
    text = wire.decode("utf-8", "backslashreplace")

    def decode(match: re.Match[str]) -> str:
        coded = match[1].replace(",", "/")
        if not coded:
            return "&"
        try:
            name = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True).decode("utf-16-be")
        except ValueError:
            return match[0]
        return match[0] if _CONTROL.search(name) else name

    return re.sub(r"&([A-Za-z0-9+,]*)-", decode, text)


_BARE_BACKSLASH = re.compile(rb'^(\* LIST \([^)]*\) )"\\"(?= )', re.IGNORECASE)
_LIST_NAME = re.compile(rb'^\* LIST \([^)]*\)? *(?:NIL|"\\?."|\S+) *(.*)$', re.IGNORECASE | re.DOTALL)


def mended(response: Response) -> Response:
    r"""Return a LIST row as it was meant where its delimiter is a bare backslash, `"\"`."""
    line = _BARE_BACKSLASH.sub(rb'\1"\\\\"', response.line)
    return response if line == response.line else Response((line, *response.parts[1:]))


def legible_name(response: Response) -> str:
    """Return what can be read of the folder's name in a LIST row that breaks the grammar; may be empty."""
    whole = b"".join(response.parts)
    match = _LIST_NAME.match(whole)
    text = folder_name(((match and match[1]) or whole[7:]).strip(b' "\t'))
    return " ".join(_CONTROL.sub(" ", text).split())[:100]


def number(digits: bytes) -> int:
    """Return a number of the protocol, 32 bits (RFC 3501, 9). Raises BadServer beyond: it would fit no column."""
    if not digits.isdigit() or len(digits) > 10 or int(digits) > MAX_NUMBER:
        raise BadServer(f"names a number that is none: {digits[:20]!r}")
    return int(digits)


def is_number(digits: bytes) -> bool:
    """Tell whether these are digits, and so few that they make an int of at most 64 bits."""
    return digits.isdigit() and len(digits) <= 18


def gmail_id(token: Token) -> int | None:
    """Read an X-GM-MSGID, an unsigned number of 64 bits; None for what fits no signed one."""
    if not isinstance(token, bytes) or not token.isdigit() or len(token) > 19 or int(token) >= 2**63:
        return None
    return int(token)


def label_names(labels: Token) -> tuple[str, ...]:
    """The labels of an X-GM-LABELS, Gmail's own without their backslash, as a person reads them."""
    words = labels if isinstance(labels, list) else []
    return tuple(folder_name(word).removeprefix("\\") for word in words[:100] if isinstance(word, bytes))


UNDATED = datetime.fromtimestamp(0, UTC)


def moment(at: Token) -> datetime:
    """Read an INTERNALDATE; `UNDATED` where the server tells none."""
    if isinstance(at, Quoted):
        text = at.decode("ascii", "replace").strip()
        try:
            return datetime.strptime(text, "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    return UNDATED


def uid_set(uids: Sequence[int]) -> bytes:
    """Write UIDs as IMAP does: runs as `first:last`."""
    runs: list[list[int]] = []
    for uid in sorted(uids):
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in runs).encode("ascii")


def only(kind: bytes, responses: Sequence[Response]) -> list[Response]:
    """Return the responses that begin so: what else came may be prose, which has no grammar."""
    return [response for response in responses if re.match(kind, response.line, re.IGNORECASE)]


def told(pattern: bytes, text: bytes) -> int:
    """Return the number that the server tells by `pattern`, 0 where it tells none."""
    match = re.search(pattern, text, re.IGNORECASE)
    return number(match[1]) if match else 0


def told_long(pattern: bytes, text: bytes) -> int:
    """The same for a modification sequence, 63 bits (RFC 7162, 7); 0 for what cannot be one."""
    match = re.search(pattern, text, re.IGNORECASE)
    return int(match[1]) if match and is_number(match[1]) else 0


def ranges(wire: bytes) -> list[tuple[int, int]]:
    """Read a set of UIDs as (first, last) pairs, never spelled out: a server may name four thousand millions."""
    found = []
    for run in wire.split(b","):
        first, _, last = run.partition(b":")
        a, b = number(first), number(last or first)
        found.append((min(a, b), max(a, b)))
    return found


def flag_words(flags: Token) -> tuple[str, ...]:
    """The flags of a FETCH row, as the server spells them."""
    words = flags if isinstance(flags, list) else []
    return tuple(word.decode("ascii", "replace") for word in words if isinstance(word, bytes))
