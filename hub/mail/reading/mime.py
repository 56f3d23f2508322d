"""From the raw bytes of a message to what Hub shows of it.

Decides which part is the text, which the HTML and which an attachment, and whether a machine wrote the message.
Its parts are told apart in `contents`. Does not make HTML safe (`sanitize` does), does not know the database. Pure.
Invariants: `parse` never raises, its time is linear in the size of `raw`, every string it returns fits its column,
and whatever it could not read is named in `defects` while the rest is still there.

Source: RFC 2045–2049, 2183, 2231, 3462, 3676, 3834; measured on mails that real programs write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hub.mail.reading import events
from hub.mail.reading.automatic import Auto, classify, tells_answer
from hub.mail.reading.bodies import joined_html, joined_text
from hub.mail.reading.contents import Attachment, Contents
from hub.mail.reading.dates import date
from hub.mail.reading.headers import Address, message_ids, one_line
from hub.mail.reading.names import file_name
from hub.mail.reading.parts import MAX_PARTS, read_part, with_line_ends
from hub.mail.reading.people import addresses, groups, original_from, sender
from hub.mail.reading.pictures import shown_in
from hub.mail.reading.sanitize import html_to_text

__all__ = ["MAX_PARTS", "Attachment", "ParsedMessage", "file_name", "first_line", "parse"]

MAX_ATTACHED = 10
MAX_ALSO_CHARS = 100_000
MAX_ALSO_DEPTH = 3
MAX_BEGINNING = 20_000
"""How much of a text is looked at to tell whether a machine wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMessage:
    """What a message says. Ids carry their `<>`; `date` is UTC; `html` is as it came: unsafe."""

    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    subject: str
    from_: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    date: datetime | None
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]
    auto: Auto
    defects: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)
    """What it is beside its text, fit for JSON: a calendar's event, signed, encrypted."""
    on_behalf: Address | None = None
    """Whom a group names as the writer (X-Original-From), where it put its own address into From."""
    groups: tuple[str, ...] = ()
    """Addresses of the list or group that it came by."""
    auto_in_group: Auto = "none"
    """What it would be if that is a group of the company's own."""
    also: str = ""
    """The words of messages that are attached, for the search."""


def parse(raw: bytes) -> ParsedMessage:
    """Read a message. Never raises; see `defects` for what was odd about it."""
    return _parse(raw, depth=0)


def _parse(raw: bytes, *, depth: int) -> ParsedMessage:
    raw = with_line_ends(raw)
    found = Contents()
    top = read_part(raw, 0, len(raw))
    head = top[0]
    found.read(raw, top=top)
    defects = found.defects
    defects.extend(head.defects)
    author = sender(head)
    if len(head.all("from")) > 1:
        defects.append("several_from")
    if author is None or not head.has("from"):
        defects.append("no_from")
    lists: dict[str, tuple[Address, ...]] = {}
    for name in ("to", "cc", "bcc", "reply-to"):
        lists[name], cut = addresses(head.all(name))
        if cut:
            defects.append("too_many_addresses")
    own_id = message_ids(head.raw("message-id"))
    if not own_id:
        defects.append("no_message_id")
    at = date(head.raw("date"))
    if at is None:
        defects.append("no_date")
    text, markup = joined_text(found.bodies), joined_html(found.bodies)

    def beginning() -> str:
        return (text if text is not None else html_to_text((markup or "")[:MAX_BEGINNING]))[:MAX_BEGINNING]

    auto = auto_in_group = classify(head, kinds=found.kinds, beginning=beginning)
    # Who writes a letter and attaches an answer of somebody's calendar is a person all the same.
    if auto == "none" and events.is_answer(found.about) and (tells_answer(head) or not beginning().strip()):
        auto = auto_in_group = "auto_reply"
    if auto == "list":
        auto_in_group = classify(head, kinds=found.kinds, beginning=beginning, is_own_group=True)
    return ParsedMessage(
        message_id=own_id[0] if own_id else "",
        in_reply_to=next(iter(message_ids(head.raw("in-reply-to"))), ""),
        references=message_ids(head.raw("references")),
        subject=head.text("subject", max_chars=1000),
        from_=author,
        to=lists["to"],
        cc=lists["cc"],
        bcc=lists["bcc"],
        reply_to=lists["reply-to"],
        date=at,
        text=text,
        html=markup,
        attachments=shown_in(markup, found.files),
        auto=auto,
        defects=tuple(dict.fromkeys(defects)),
        about=found.about,
        on_behalf=original_from(head),
        groups=groups(head) if auto == "list" else (),
        auto_in_group=auto_in_group,
        also=_also(found.attached, depth=depth) if found.attached else "",
    )


def _also(attached: list[bytes], *, depth: int) -> str:
    """Return the words of attached messages: subject, people, text, names of files."""
    if depth >= MAX_ALSO_DEPTH:
        return ""
    words: list[str] = []
    for raw in attached[:MAX_ATTACHED]:
        one = _parse(raw, depth=depth + 1)
        people = [person for person in (one.from_, *one.to, *one.cc) if person]
        words += [one.subject, *(f"{person.name} {person.address}" for person in people)]
        words.append((one.text if one.text is not None else html_to_text(one.html or ""))[:MAX_ALSO_CHARS])
        words += [*(file.name for file in one.attachments), one.also]
    return "\n".join(filter(None, words))[:MAX_ALSO_CHARS]


def first_line(text: str, *, max_chars: int = 200) -> str:
    """Return the beginning of a text in one line: what a list shows under the subject."""
    return one_line(text[: max_chars * 20], max_chars=max_chars)
