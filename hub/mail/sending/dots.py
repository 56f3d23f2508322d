"""The bytes of a message on their way into SMTP's DATA: dots doubled at line starts, chunk by chunk.

Decides what may be written between `354` and the final dot. Pure. Invariants: however a message is cut into chunks,
what comes out is the same; a message that `faults` lets through holds no line break but CRLF, so that no server can
read an end of data where another reads none (smuggling).

Source: RFC 5321 §2.3.8, §4.5.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_BARE_BREAK = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_LINE_DOT = re.compile(rb"(?<=\n)\.")


class Stuffing:
    """Doubles the dots at line starts of a message that is fed in chunks."""

    def __init__(self) -> None:
        self._at_line_start = True

    def feed(self, chunk: bytes) -> bytes:
        """Return what goes onto the wire for the next chunk."""
        if not chunk:
            return b""
        stuffed = _LINE_DOT.sub(b"..", chunk) if b"\n." in chunk else chunk
        if self._at_line_start and chunk.startswith(b"."):
            stuffed = b"." + stuffed
        self._at_line_start = chunk.endswith(b"\n")
        return stuffed


def faults(chunks: Iterable[bytes]) -> str:
    """Say why a message must not go into DATA, or nothing: a bare line break, or no CRLF at its end."""
    last = b"\n"
    for chunk in chunks:
        if not chunk:
            continue
        if last == b"\r" and not chunk.startswith(b"\n"):
            return "bare line break in the message"
        # A CR at a chunk's end is judged with the chunk that follows.
        body = last + chunk if last == b"\r" else chunk
        if _BARE_BREAK.search(body[:-1] if body.endswith(b"\r") else body):
            return "bare line break in the message"
        last = chunk[-1:]
    return "" if last == b"\n" else "the message does not end in a line break"
