"""What a telephone's display shows of a caller: the client's name, where it is known.

Reads only. Invariant: what comes out is one line of at most `MAX_CHARS`, without quotes, brackets or control
characters, and on the wire (`answer_line`) nothing but letters, digits, `%` and `:`.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import blocking
from hub.crm.linking import Linker
from hub.crm.models import clients
from hub.telephony.models import calls
from hub.telephony.routing.route_facts import Place

MAX_CHARS = 40
_LIVE = ("ringing", "waiting", "connecting", "talking", "held")
_QUOTING = str.maketrans(dict.fromkeys('"\\<>', " "))
"""What ends or begins something in a SIP header."""


async def caller_name(
    conn: AsyncConnection, linker: Linker, place: Place, *, number: str, presentation: str, linked_id: str
) -> str:
    """Return the name of the client whose call this is, by the call's link, else by its number; empty for nobody's."""
    linked = (
        sa.select(clients.c.name)
        .join(calls, calls.c.client_id == clients.c.id)
        .where(calls.c.pbx == place.pbx, calls.c.state.in_(_LIVE), calls.c.linked_id == linked_id)
        .order_by(calls.c.id.desc())
    )
    name = (await conn.execute(linked.limit(1))).scalar()
    if name is None:
        region = place.region or linker.region
        caller = blocking.caller(number, region, presentation=presentation)
        # Who hides their number is not made known by it either; a link that a person made stands.
        best = None if caller.is_hidden else (await linker.by_phone(conn, caller.raw, region=region)).best
        name = best.client_name if best is not None and best.client_id is not None else ""
    return display_name(name)


def display_name(name: str) -> str:
    """Make any text fit for a display."""
    return sanitize.shown(name.translate(_QUOTING), max_chars=MAX_CHARS)


def answer_line(name: str) -> str:
    """Write a name as the dialplan reads it: in UTF-8, percent-encoded, between `hub:` and `:end`."""
    encoded = "".join(c if c.isascii() and c.isalnum() else _percent(c) for c in name)
    return f"hub:{encoded}:end"


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8"))
