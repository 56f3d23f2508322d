"""Addresses as a person types them: one line, `Name <address>` or bare, commas or semicolons between."""

from __future__ import annotations

from hub import guard
from hub.errors import Refused
from hub.mail.reading.headers import Address, addresses

MAX_BYTES = 8000


def read_addresses(text: str, *, field: str) -> tuple[Address, ...]:
    """Read a typed list; whether each is an address that mail can go to is `compose`'s to decide. Raises Refused."""
    line = guard.one_line(text.strip(), field=field, max_bytes=MAX_BYTES)
    if not line:
        return ()
    found, _ = addresses([line.replace(";", ",").encode()])
    for one in found:
        if not one.address:
            raise Refused("bad_address", f"{guard.shown(one.name)!r} is not an e-mail address", field=field)
    return found
