"""Addresses as a person types them: one line, `Name <address>` or bare, commas or semicolons between.

Stricter than the reading of mail, which guesses: a guess here sends a letter to a stranger. Invariant: what is not
wholly understood is refused, with the piece that was not.
"""

from __future__ import annotations

import re

from hub import sanitize
from hub.errors import Refused
from hub.mail.reading.headers import Address

MAX_BYTES = 8000
_BETWEEN = re.compile(r"[\s,;]*")
_ADDRESS = r"""[^\s<>"(),;@]+@[^\s<>"(),;@]+"""
_ENDS = r"(?=\s*(?:[,;]|$))"
_ONE = re.compile(
    rf"""(?P<bare>{_ADDRESS}){_ENDS}
      | (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<name>[^"<>,;]*))\s*<\s*(?P<named>{_ADDRESS})\s*>{_ENDS}
    """,
    re.VERBOSE,
)


def read_addresses(text: str, *, field: str) -> tuple[Address, ...]:
    """Read a typed list; whether each is an address that mail can go to is `compose`'s to decide. Raises Refused."""
    line = sanitize.one_line(text.strip(), field=field, max_bytes=MAX_BYTES)
    found = []
    at = _end_of(_BETWEEN, line, 0)
    while at < len(line):
        one = _ONE.match(line, at)
        if one is None:
            piece = re.split(r"[,;]", line[at:], maxsplit=1)[0]
            raise Refused("bad_address", f"{sanitize.shown(piece)!r} is not an e-mail address", field=field)
        quoted = re.sub(r"\\(.)", r"\1", one["quoted"] or "")
        found.append(Address((quoted or one["name"] or "").strip(), one["bare"] or one["named"]))
        at = _end_of(_BETWEEN, line, one.end())
    return tuple(found)


def _end_of(pattern: re.Pattern[str], line: str, at: int) -> int:
    match = pattern.match(line, at)
    return match.end() if match else at
