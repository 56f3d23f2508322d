"""Which attached files the HTML shows in its place, and by which name it asks for them.

Decides what belongs to a `src`: a Content-ID, percent-encoded perhaps, a Content-Location, or the bare name of a file
that has neither. Pure, linear. Invariant: a file is `inline` only if the HTML shows it as a picture; whatever its
sender said of it, all else is a file to be listed.

Source: RFC 2392 (cid), 2557 (Content-Location).
"""

from __future__ import annotations

import html as std_html
import re
from collections.abc import Sequence
from dataclasses import replace

from hub.mail.reading.contents import Attachment
from hub.mail.reading.names import percent_decoded

_SOURCE = re.compile(r"""\bsrc\s{0,20}=\s{0,20}(?:"([^"]{1,600})"|'([^']{1,600})'|([^\s"'>]{1,600}))""", re.IGNORECASE)
MAX_SOURCES = 2_000


def place_by_source(files: Sequence[Attachment]) -> dict[str, int]:
    """Return the place of each attached file by the names that HTML may ask for it with; the surest names win."""
    places: dict[str, int] = {}
    for place, file in enumerate(files):
        if file.cid:
            places[f"cid:{file.cid}"] = place
    for place, file in enumerate(files):
        if file.location:
            places.setdefault(file.location, place)
    for place, file in enumerate(files):
        if file.location:
            places.setdefault(file.location.rpartition("/")[2], place)
        if not file.cid:
            places.setdefault(f"cid:{file.name}", place)
    return places


def source_key(source: str) -> str:
    """Return a `src` as `place_by_source` knows it."""
    source = source.strip()
    if source[:4].lower() == "cid:":
        return "cid:" + percent_decoded(source[4:].strip("<> "))[:300]
    return source[:300]


def shown_in(html: str | None, files: Sequence[Attachment]) -> tuple[Attachment, ...]:
    """Return the files, those `inline` that the HTML shows."""
    if not html or not files:
        return tuple(files)
    places = place_by_source(files)
    shown: set[int] = set()
    for number, match in enumerate(_SOURCE.finditer(html)):
        if number >= MAX_SOURCES:
            break
        place = places.get(source_key(std_html.unescape(match[1] or match[2] or match[3])))
        if place is not None:
            shown.add(place)
    return tuple(replace(file, inline=True) if place in shown else file for place, file in enumerate(files))
