"""What the parts of a message are: its texts, its files, an invitation, a seal; also what other formats hide in them.

Decides which leaf is a body and which a file; takes apart winmail.dat, uuencoded text and what is signed in the
open. Pure, never raises. Invariants: what is not a body and says something is a file; containers that hold others
are opened `MAX_WITHIN` deep; nothing is fetched, no rule is run, no seal is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from hub.mail.reading import bodies, events, sealed, tnef, uuencoded
from hub.mail.reading.charsets import decode
from hub.mail.reading.headers import Head, parameters, read_head
from hub.mail.reading.names import file_name, percent_decoded
from hub.mail.reading.parts import Leaf, leaves, read_part, with_line_ends

MAX_WITHIN = 3
MAX_FILES = 500
MAX_EVENTS = 3
MAX_CALENDAR_BYTES = 400_000

_OTHER_LOOKS = frozenset({"text/x-amp-html", "text/watch-html"})
"""The same words once more, for programs that Hub is not."""
_MESSAGES = frozenset({"message/rfc822", "message/global", "message/news"})


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a message. `name` is safe as a file name; `type` is what the sender says: never serve it inline.

    `inline`: the HTML shows it as a picture in its place (`mime` decides that), so that it is no file to be listed.
    """

    name: str
    type: str
    size: int
    inline: bool
    cid: str | None
    content: bytes
    location: str = ""
    """Its Content-Location, by which HTML may show it in place of a Content-ID."""


@dataclass(slots=True)
class Contents:
    """What was found in a message. `about` is fit for JSON; `attached` are the messages within, as raw bytes."""

    bodies: list[tuple[Leaf, str]] = field(default_factory=list)
    files: list[Attachment] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    attached: list[bytes] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    _calendars: int = 0

    def read(self, raw: bytes, *, depth: int = 0, top: tuple[Head, int] | None = None) -> None:
        """Read all parts of a message or of what a seal held; `top` as `parts.leaves` takes it."""
        for leaf in leaves(raw, self.defects, top):
            self.kinds.add(leaf.type)
            self._leaf(leaf, depth=depth)

    def _leaf(self, leaf: Leaf, *, depth: int) -> None:
        disposition = leaf.head.raw("content-disposition")
        said = "" if disposition is None else decode(disposition, None)[0]
        where = said.partition(";")[0].strip().lower()
        name = (parameters(said).get("filename") if said else None) or leaf.params.get("name", "")
        name = percent_decoded(name) if "%" in name or "''" in name else name
        if leaf.type == "text/plain" or leaf.type == "text/html" or leaf.type in bodies.PLAIN:
            if where != "attachment" and (not name or (where == "inline" and not self.bodies)):
                self._body(leaf)
                return
        elif self._is_opened(leaf, name, depth=depth):
            return
        self._file(leaf, name)

    def _body(self, leaf: Leaf) -> None:
        text = bodies.text_of(leaf, self.defects)
        if leaf.type == "text/plain":
            text, files = uuencoded.take_out(text)
            for name, content in files:
                self._add(name, "application/octet-stream", content)
            how, text = sealed.of_text(text)
            if how:
                self.about.setdefault(how, "pgp")
        self.bodies.append((leaf, text))

    def _is_opened(self, leaf: Leaf, name: str, *, depth: int) -> bool:
        """Take a container apart; False where it remains a file."""
        kind = leaf.type
        if kind in _OTHER_LOOKS and "alternative" in leaf.parents:
            return True
        if kind == "application/applefile" and "appledouble" in leaf.parents:
            return True  # What a Mac knows of the file that stands beside it.
        if kind in _MESSAGES:
            self.attached.append(leaf.content)
        elif kind == "message/external-body":
            self.defects.append("external_body")
        elif kind == "message/partial":
            self.defects.append("partial")
        elif kind == "text/calendar" or kind == "application/ics" or name.lower().endswith(".ics"):
            self._calendar(leaf)
        elif tnef.is_tnef(leaf.content):
            return depth < MAX_WITHIN and self._tnef(leaf)
        elif sealed.is_smime(kind, name):
            return self._smime(leaf, depth=depth)
        elif how := sealed.of_part(kind)[0]:
            self.about.setdefault(how, sealed.of_part(kind)[1])
        return False

    def _calendar(self, leaf: Leaf) -> None:
        if "event" in self.about or self._calendars >= MAX_EVENTS:
            return
        self._calendars += 1
        text, _ = decode(leaf.content[:MAX_CALENDAR_BYTES], leaf.params.get("charset"))
        if event := events.read(text):
            method = leaf.params.get("method", "").upper()
            self.about["event"] = (
                event if event["method"] or method not in events.METHODS else {**event, "method": method}
            )

    def _tnef(self, leaf: Leaf) -> bool:
        found = tnef.unpack(leaf.content)
        if found is None:
            self.defects.append("tnef")
            return False
        if not any(text.strip() for _, text in self.bodies):
            for kind, text in (("text/plain", found.text), ("text/html", found.html)):
                if text and text.strip():
                    self.bodies.append((replace(leaf, type=kind), text[: bodies.MAX_TEXT_BYTES]))
        self._tnef_files(found)
        return True

    def _tnef_files(self, found: tnef.Tnef) -> None:
        for file in found.files:
            if file.message is not None:
                text = file.message.text or ""
                self._add(f"{file.name or file.message.subject or 'message'}.txt", "text/plain", text.encode())
                self._tnef_files(file.message)
            else:
                kind = file.type.lower() if "/" in file.type and len(file.type) < 100 else "application/octet-stream"
                self._add(file.name, kind, file.content, cid=file.cid.strip("<> ")[:300] or None)

    def _smime(self, leaf: Leaf, *, depth: int) -> bool:
        """Open what is signed; encrypted data and what cannot be read remain a file."""
        how, inner = sealed.signed_content(leaf.content)
        how = how or sealed.of_part(leaf.type, leaf.params)[0]
        if how:
            self.about.setdefault(how, "smime")
        if inner is None or depth >= MAX_WITHIN:
            return False
        self.read(with_line_ends(inner), depth=depth + 1)
        return True

    def _file(self, leaf: Leaf, name: str) -> None:
        cid = percent_decoded(leaf.head.text("content-id", max_chars=300).strip("<> ")) or None
        location = "".join(leaf.head.text("content-location", max_chars=300).split())
        subject = ""
        if leaf.type in _MESSAGES:
            subject = _head_of(leaf.content).text("subject", max_chars=80)
        elif leaf.type == "message/external-body" and not name:
            within = _head_of(leaf.content).raw("content-type")
            name = parameters(decode(within, None)[0]).get("name", "") if within else ""
        if not name:
            name = _described(leaf.head, location)
        self._add(name, leaf.type, leaf.content, cid=cid, subject=subject, location=location)

    def _add(
        self, name: str, kind: str, content: bytes, *, cid: str | None = None, subject: str = "", location: str = ""
    ) -> None:
        if len(self.files) >= MAX_FILES:
            self.defects.append("too_many_files")
            return
        safe = file_name(name, number=len(self.files) + 1, kind=kind, subject=subject, content=content)
        self.files.append(Attachment(safe, kind, len(content), False, cid, content, location))


_LOOKS_LIKE_A_NAME = re.compile(r"[^\s/\\:?&=][^/\\:?&=\n]{0,150}\.[A-Za-z0-9]{2,5}")


def _described(head: Head, location: str) -> str:
    """Return the name of a file that only its description or its location tells."""
    for said in (head.text("content-description", max_chars=200), percent_decoded(location.rpartition("/")[2])):
        if _LOOKS_LIKE_A_NAME.fullmatch(said.strip()):
            return said.strip()
    return ""


def _head_of(raw: bytes) -> Head:
    """Read the head of an attached message, at most 100 kB of it."""
    start = with_line_ends(raw[:100_000])
    return read_part(start, 0, len(start))[0] if start else read_head(b"")
