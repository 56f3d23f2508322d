"""What is read of a message: its fields, its text, its HTML made safe, the words that the search keeps. Pure.

Where it is read is `workers`'s and `intake`'s business. Invariant: what comes back is plain data, the HTML safe
already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hub.mail.reading import mime
from hub.mail.reading.mime import ParsedMessage
from hub.mail.reading.pictures import place_by_source, source_key
from hub.mail.reading.sanitize import html_to_text, safe_html
from hub.mail.reading.terms import terms


@dataclass(frozen=True, slots=True)
class Reading:
    """A message as it will be stored. `html` is safe; its attached pictures go by `mark` until they have ids."""

    parsed: ParsedMessage
    text: str
    html: str | None
    mark: str
    terms: str = ""
    """What the search keeps of it: subject, text, addresses, names of files."""

    def html_with(self, attachment_ids: Mapping[int, int]) -> str | None:
        """Return the HTML with its pictures' addresses; `attachment_ids` goes by the place among the attachments."""
        if self.html is None:
            return None
        if self.mark not in self.html:
            return self.html
        known = re.compile(re.escape(_picture(self.mark, "")) + r"(\d{1,6})")
        return known.sub(lambda found: f"/attachments/{attachment_ids.get(int(found[1]), 0)}", self.html)


def read(raw: bytes, *, mark: str) -> Reading:
    """Parse a message, find its text, make its HTML safe. `mark` is a word that the sender cannot know."""
    parsed = mime.parse(raw)
    text = parsed.text if parsed.text is not None else html_to_text(parsed.html or "")
    kept = _terms(parsed, text)
    if parsed.html is None:
        return Reading(parsed, text, None, mark, kept)
    place_of = place_by_source(parsed.attachments)

    def picture(source: str) -> str | None:
        key = source_key(source)
        return _picture(mark, place_of[key]) if key in place_of else None

    html = safe_html(parsed.html, cid_url=lambda cid: picture(f"cid:{cid}"), allow_remote=False, location_url=picture)
    return Reading(parsed, text, html, mark, kept)


def _terms(parsed: ParsedMessage, text: str) -> str:
    sender = f"{parsed.from_.name} {parsed.from_.address}" if parsed.from_ else ""
    recipients = " ".join(f"{one.name} {one.address}" for one in (*parsed.to, *parsed.cc, *parsed.bcc))
    files = " ".join(file.name for file in parsed.attachments)
    return terms(
        subject=parsed.subject, sender=sender, recipients=recipients, files=files, text=f"{text} {parsed.also}"
    )


def _picture(mark: str, place: int | str) -> str:
    return f"/attachments/{mark}-{place}"
