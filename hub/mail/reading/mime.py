"""From the raw bytes of a message to what Hub shows of it.

Decides which part is the text, which the HTML and which an attachment, and whether a machine wrote the message.
Does not make HTML safe (`sanitize` does), does not dig into attached messages, does not know the database. Pure.
Invariants: `parse` never raises, its time is linear in the size of `raw`, every string it returns fits its column,
and whatever it could not read is named in `defects` while the rest is still there.

Source: RFC 2045–2049, 2183, 2231, 3462, 3676, 3834; measured on mails that real programs write.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hub.mail.reading.charsets import decode
from hub.mail.reading.headers import (
    Address,
    Head,
    addresses,
    base64_lenient,
    date,
    decode_words,
    message_ids,
    one_line,
    parameters,
    read_head,
)

MAX_DEPTH = 20
MAX_PARTS = 500
MAX_TEXT_BYTES = 4_000_000

Auto = Literal["none", "auto_reply", "bounce", "list", "spam"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a message. `name` is safe as a file name; `type` is what the sender says: never serve it inline."""

    name: str
    type: str
    size: int
    inline: bool
    cid: str | None
    content: bytes


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


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A part that holds content, and where it hangs: `parents` are the multipart subtypes around it."""

    head: Head
    type: str
    params: dict[str, str]
    content: bytes
    parents: tuple[str, ...]
    branch: tuple[int, ...]


def parse(raw: bytes) -> ParsedMessage:
    """Read a message. Never raises; see `defects` for what was odd about it."""
    defects: list[str] = []
    leaves = list(_leaves(raw, defects))
    head = _read_part(raw, 0, len(raw))[0]
    defects.extend(head.defects)
    bodies, files = _sorted_out(leaves, defects)
    senders, _ = addresses(head.all("from"))
    if len(head.all("from")) > 1:
        defects.append("several_from")
    if not senders:
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
    return ParsedMessage(
        message_id=own_id[0] if own_id else "",
        in_reply_to=next(iter(message_ids(head.raw("in-reply-to"))), ""),
        references=message_ids(head.raw("references")),
        subject=head.text("subject", max_chars=1000),
        from_=senders[0] if senders else None,
        to=lists["to"],
        cc=lists["cc"],
        bcc=lists["bcc"],
        reply_to=lists["reply-to"],
        date=at,
        text=_joined_text(bodies),
        html=_joined_html(bodies),
        attachments=tuple(files),
        auto=_auto(head),
        defects=tuple(dict.fromkeys(defects)),
    )


def _read_part(raw: bytes, start: int, end: int) -> tuple[Head, int]:
    """Read a part's head; return it and where its body begins."""
    if raw.startswith((b"\n", b"\r\n"), start, end):
        return Head([]), start + (1 if raw[start] == 10 else 2)
    places = [p for p in (raw.find(b"\n\n", start, end), raw.find(b"\n\r\n", start, end)) if p >= 0]
    stop = min(places) if places else end
    body = min(end, stop + (3 if raw.startswith(b"\n\r", stop) else 2))
    head = read_head(raw[start:stop])
    if not places and "bad_header_line" in head.defects:
        # No blank line and lines that are no field: this part has no head at all.
        return Head([], ("no_headers",)), start
    return head, body


def _leaves(raw: bytes, defects: list[str]) -> Iterator[_Leaf]:
    """Yield the parts that hold content, in their order, without recursion and without copying what is above them."""
    stack: list[tuple[int, int, tuple[str, ...], tuple[int, ...]]] = [(0, len(raw), (), ())]
    seen = 0
    while stack:
        start, end, parents, branch = stack.pop()
        seen += 1
        if seen > MAX_PARTS:
            defects.append("too_many_parts")
            return
        head, body = _read_part(raw, start, end)
        value = head.raw("content-type")
        text = "" if value is None else decode(value, None)[0]
        kind = text.partition(";")[0].strip().lower()
        params = parameters(text)
        if not re.fullmatch(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,99}/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}", kind):
            defects += ["bad_content_type"] if kind else []
            kind = "message/rfc822" if parents[-1:] == ("digest",) else "text/plain"
        if kind.startswith("multipart/"):
            boundary = params.get("boundary", "").rstrip()[:200]
            if boundary and len(parents) < MAX_DEPTH:
                inner = (*parents, kind.partition("/")[2])
                children = list(_split(raw, body, end, boundary, at_most=MAX_PARTS, defects=defects))
                if children:
                    stack.extend((a, b, inner, (*branch, n)) for n, (a, b) in reversed(list(enumerate(children))))
                    continue
                defects.append("no_parts")
            else:
                defects.append("nesting" if boundary else "no_boundary")
            kind = "application/octet-stream" if boundary and len(parents) >= MAX_DEPTH else "text/plain"
        content = _transfer_decoded(raw[body:end], head, defects)
        yield _Leaf(head, kind, params, content, parents, branch)


_DELIMITER_END = re.compile(rb"(--)?[ \t]*\r?(?=\n|\Z)")


def _split(
    raw: bytes, start: int, end: int, boundary: str, *, at_most: int, defects: list[str]
) -> Iterator[tuple[int, int]]:
    """Yield the extents between the delimiter lines of a multipart (RFC 2046 §5.1)."""
    # Not one pattern for each boundary: making it takes longer than going through an ordinary message.
    mark = b"--" + boundary.encode("utf-8", "replace")
    begin: int | None = None
    count, position = 0, start
    while (place := raw.find(mark, position, end)) >= 0:
        position = place + 1
        match = _DELIMITER_END.match(raw, place + len(mark), end)
        if match is None or (place > start and raw[place - 1] != 10):
            continue
        position = match.end()
        if begin is not None:
            stop = place - (2 if raw[place - 2 : place] == b"\r\n" else 1)
            yield begin, max(begin, stop)
            count += 1
        if match[1] or count >= at_most:
            return
        begin = min(end, match.end() + 1)
    if begin is not None and begin < end:
        defects.append("no_end_boundary")
        yield begin, end


def _transfer_decoded(content: bytes, head: Head, defects: list[str]) -> bytes:
    encoding = head.text("content-transfer-encoding", max_chars=40).lower().strip("\"' ;")
    if encoding == "base64":
        return base64_lenient(content)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(content)
    if encoding not in ("", "7bit", "8bit", "binary", "7-bit", "8-bit"):
        defects.append("unknown_encoding")
    return content


def _sorted_out(leaves: list[_Leaf], defects: list[str]) -> tuple[list[tuple[_Leaf, str]], list[Attachment]]:
    """Tell bodies from files. A body is a text part that neither calls itself an attachment nor carries a name."""
    bodies: list[tuple[_Leaf, str]] = []
    files: list[Attachment] = []
    for leaf in leaves:
        disposition = leaf.head.text("content-disposition", max_chars=2000)
        where = disposition.partition(";")[0].strip().lower()
        name = parameters(_raw_text(leaf.head, "content-disposition")).get("filename") or leaf.params.get("name", "")
        is_text = leaf.type in ("text/plain", "text/html")
        if is_text and where != "attachment" and (not name or (where == "inline" and not bodies)):
            bodies.append((leaf, _body_text(leaf, defects)))
            continue
        cid = _content_id(leaf.head)
        inline = where == "inline" or (cid is not None and where != "attachment" and "related" in leaf.parents)
        files.append(
            Attachment(
                file_name(name, number=len(files) + 1, kind=leaf.type, subject=_attached_subject(leaf)),
                leaf.type,
                len(leaf.content),
                inline,
                cid,
                leaf.content,
            )
        )
    return bodies, files


def _raw_text(head: Head, name: str) -> str:
    value = head.raw(name)
    return "" if value is None else decode(value, None)[0]


def _content_id(head: Head) -> str | None:
    cid = head.text("content-id", max_chars=300).strip("<> ")
    return cid or None


def _attached_subject(leaf: _Leaf) -> str:
    if leaf.type != "message/rfc822":
        return ""
    return _read_part(leaf.content, 0, min(len(leaf.content), 100_000))[0].text("subject", max_chars=80)


_BAD_IN_NAME = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff<>:"|?*]')
_ENDINGS = {
    "message/rfc822": ".eml",
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "application/pdf": ".pdf",
}


def file_name(name: str, *, number: int, kind: str, subject: str = "") -> str:
    """Return a stranger's file name without path, control, direction or wildcard characters, at most 200 long."""
    name = decode_words(name) if "=?" in name else name
    last = re.split(r"[/\\]", name.replace("\x00", ""))[-1]
    last = " ".join(_BAD_IN_NAME.sub(" ", last).split()).strip(". ")
    if not last:
        stem = " ".join(_BAD_IN_NAME.sub(" ", re.sub(r"[/\\]", " ", subject)).split()).strip(". ")
        return (stem[:100] or f"attachment-{number}") + _ENDINGS.get(kind, "")
    if len(last) > 200:
        stem, dot, ending = last.rpartition(".")
        last = f"{stem[: 198 - len(ending)]}…{dot}{ending}" if dot and len(ending) < 20 else last[:199] + "…"
    return last


_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)


def _body_text(leaf: _Leaf, defects: list[str]) -> str:
    content = leaf.content
    if len(content) > MAX_TEXT_BYTES:
        content = content[:MAX_TEXT_BYTES]
        defects.append("text_cut")
    label = leaf.params.get("charset")
    if leaf.type == "text/html" and not label and (meta := _META_CHARSET.search(content[:2000])):
        label = meta[1].decode("ascii")
    text, was_lie = decode(content, label)
    if was_lie:
        defects.append("charset")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if leaf.type == "text/plain" and leaf.params.get("format", "").lower() == "flowed":
        return _unflowed(text, delsp=leaf.params.get("delsp", "").lower() == "yes")
    return text


def _unflowed(text: str, *, delsp: bool) -> str:
    """Join the soft lines of format=flowed (RFC 3676 §4.2–4.5); quoting depth and signature lines are kept."""
    out: list[str] = []
    open_depth = -1
    for line in text.split("\n"):
        marks = len(line) - len(line.lstrip(">"))
        content = line[marks:].removeprefix(" ")
        if open_depth == marks and content != "-- ":
            out[-1] += content
        else:
            out.append(">" * marks + (" " if marks and content else "") + content)
        is_soft = content.endswith(" ") and content != "-- "
        if is_soft and delsp:
            out[-1] = out[-1][:-1]
        open_depth = marks if is_soft else -1
    return "\n".join(out)


def _joined_text(bodies: list[tuple[_Leaf, str]]) -> str | None:
    """Return all plain text bodies, one after the other; of several in one alternative the first. None: only HTML."""
    has_html = any(leaf.type == "text/html" for leaf, _ in bodies)
    texts: list[str] = []
    alternatives: set[tuple[int, ...]] = set()
    for leaf, text in bodies:
        if leaf.type != "text/plain":
            continue
        if leaf.parents[-1:] == ("alternative",):
            if leaf.branch[:-1] in alternatives:
                continue
            alternatives.add(leaf.branch[:-1])
        texts.append(text)
    if has_html and not any(text.strip() for text in texts):
        return None
    return "\n\n".join(t.rstrip() for t in texts) if texts else None


def _joined_html(bodies: list[tuple[_Leaf, str]]) -> str | None:
    """Return all HTML bodies with the plain ones that have no HTML twin between them; None if there is no HTML."""
    if not any(leaf.type == "text/html" for leaf, _ in bodies):
        return None
    pieces = []
    for leaf, text in bodies:
        if leaf.type == "text/html":
            pieces.append(text)
        elif "alternative" not in leaf.parents and text.strip():
            pieces.append("<div>" + html.escape(text.strip()).replace("\n", "<br>\n") + "</div>")
    return "\n".join(pieces)


def _auto(head: Head) -> Auto:
    """Tell who wrote: a person, or which kind of machine. Source: RFC 3834 and what the large systems really send."""

    def said(name: str) -> str:
        return head.text(name, max_chars=200).lower()

    if said("x-spam-flag").startswith("yes") or said("x-spam-status").startswith("yes") or said("x-spam") == "yes":
        return "spam"
    kind = said("content-type")
    sender = said("from")
    from_daemon = re.search(r"\b(mailer-daemon|postmaster)@", sender) is not None
    if head.has("x-failed-recipients") or (kind.startswith("multipart/report") and "delivery-status" in kind):
        return "bounce"
    if from_daemon and (said("return-path") in ("<>", "") or said("auto-submitted").startswith("auto")):
        return "bounce"
    submitted = said("auto-submitted")
    if submitted and not submitted.startswith("no"):
        return "auto_reply"
    if head.has("x-autoreply") or head.has("x-autorespond") or said("precedence") in ("auto_reply", "auto-reply"):
        return "auto_reply"
    if re.match(r"(автоответ|automatic reply|auto(matic)?[- ]?reply|out of (the )?office)\b", said("subject")):
        return "auto_reply"
    if head.has("list-id") or head.has("list-unsubscribe") or said("precedence") in ("list", "bulk", "junk"):
        return "list"
    return "none"


def first_line(text: str, *, max_chars: int = 200) -> str:
    """Return the beginning of a text in one line: what a list shows under the subject."""
    return one_line(text[: max_chars * 20], max_chars=max_chars)
