"""A message's tree of parts, walked without recursion and without copying what is above the leaves.

Decides where parts begin and end, however they are nested, cut or mislabelled; knows nothing of what they mean. Pure.
Invariants: every byte of the body is in at most one leaf, at most `MAX_PARTS` leaves come out, none from deeper than
`MAX_DEPTH`.

Source: RFC 2045, 2046; measured on mails that real programs write.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from hub.mail.reading import transfer
from hub.mail.reading.charset_names import codec_of
from hub.mail.reading.charsets import decode
from hub.mail.reading.headers import Head, parameters, read_head

MAX_DEPTH = 20
MAX_PARTS = 500


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part that holds content, and where it hangs: `parents` are the multipart subtypes around it."""

    head: Head
    type: str
    params: dict[str, str]
    content: bytes
    parents: tuple[str, ...]
    branch: tuple[int, ...]


_KIND = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,99}/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}")
_FIRST_FIELD = re.compile(
    rb"(?:received|return-path|delivered-to|from|to|cc|date|subject|message-id|mime-version|content-type|x-[a-z-]{1,60})"
    rb"[ \t]*:",
    re.IGNORECASE,
)


def with_line_ends(raw: bytes) -> bytes:
    """Return a message whose lines end in `\n` or `\r\n`, its head first: as it is, unless its writer was odd.

    Mended are a mark of UTF-8 or UTF-16 before the head, blank lines before it, and lines that end in CR alone or in
    CR CR LF.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raw = raw.decode("utf-16", "replace").encode("utf-8", "replace")
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if raw[:1] in (b"\r", b"\n", b" "):
        stripped = raw.lstrip(b"\r\n ")
        raw = stripped if _FIRST_FIELD.match(stripped) else raw
    start = raw[:4096]
    if b"\r\r\n" in start:
        return raw.replace(b"\r\r\n", b"\n")
    if b"\r" in start and b"\n" not in start:
        return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return raw


def read_part(raw: bytes, start: int, end: int) -> tuple[Head, int]:
    """Read a part's head; return it and where its body begins."""
    if raw.startswith((b"\n", b"\r\n"), start, end):
        return Head([]), start + (1 if raw[start] == 10 else 2)
    places = [p for p in (raw.find(b"\n\n", start, end), raw.find(b"\n\r\n", start, end)) if p >= 0]
    stop = min(places) if places else end
    body = min(end, stop + (3 if raw.startswith(b"\n\r", stop) else 2))
    head = read_head(raw[start:stop], raw)
    if not places and "bad_header_line" in head.defects:
        # No blank line and lines that are no field: this part has no head at all.
        return Head([], ("no_headers",)), start
    return head, body


def leaves(raw: bytes, defects: list[str], top: tuple[Head, int] | None = None) -> Iterator[Leaf]:
    """Yield the parts that hold content, in their order, without recursion and without copying what is above them.

    `top` is what `read_part` has made of the whole, for who has asked it already.
    """
    stack: list[tuple[int, int, tuple[str, ...], tuple[int, ...]]] = [(0, len(raw), (), ())]
    seen = 0
    while stack:
        start, end, parents, branch = stack.pop()
        seen += 1
        if seen > MAX_PARTS:
            defects.append("too_many_parts")
            return
        head, body = top if top and seen == 1 else read_part(raw, start, end)
        value = head.raw("content-type")
        text = "" if value is None else decode(value, None)[0]
        kind = text.partition(";")[0].strip().lower()
        params = parameters(text)
        if not _KIND.fullmatch(kind):
            defects += ["bad_content_type"] if kind else []
            kind = _unlabelled(raw, body, end, parents) if not kind else "text/plain"
        if kind.startswith("multipart/"):
            boundary = params.get("boundary", "").rstrip()[:200]
            if not boundary:
                boundary = _lost_boundary(raw, body, end)
                defects += ["no_boundary"] if boundary else []
            if boundary and len(parents) < MAX_DEPTH:
                inner = (*parents, kind.partition("/")[2])
                children = list(_split(raw, body, end, boundary, at_most=MAX_PARTS, defects=defects))
                if not children and (other := _lost_boundary(raw, body, end)):
                    defects.append("no_boundary")
                    children = list(_split(raw, body, end, other, at_most=MAX_PARTS, defects=defects))
                if children:
                    stack.extend((a, b, inner, (*branch, n)) for n, (a, b) in reversed(list(enumerate(children))))
                    continue
                defects.append("no_parts")
            else:
                defects.append("nesting" if boundary else "no_boundary")
            kind = "application/octet-stream" if boundary and len(parents) >= MAX_DEPTH else "text/plain"
        encoding = head.text("content-transfer-encoding", max_chars=80)
        charset = (codec_of(params.get("charset", "")) or "utf-8") if kind.startswith("text/") else None
        content = transfer.decoded(raw[body:end], encoding, defects, charset=charset)
        yield Leaf(head, kind, params, content, parents, branch)


_MARK_LINE = re.compile(
    rb"--([!-,.-~][ -~]{0,69}|-{1,40}[!-,.-~][ -~]{0,69})\r?\n(?:content-[a-z-]{2,40}[ \t]*:|\r?\n)", re.IGNORECASE
)
MAX_PREAMBLE = 64_000


def _lost_boundary(raw: bytes, body: int, end: int) -> str:
    """Find the boundary that a head does not name, or names wrongly: the first delimiter line with a head behind it."""
    place = body - 1 if raw.startswith(b"--", body) else raw.find(b"\n--", body, min(end, body + MAX_PREAMBLE))
    tries = 0
    while place >= 0 and tries < 50:
        if found := _MARK_LINE.match(raw, place + 1, end):
            return found[1].rstrip().decode("ascii")
        place = raw.find(b"\n--", place + 3, min(end, body + MAX_PREAMBLE))
        tries += 1
    return ""


_HTML = re.compile(rb"\s*(?:<\?xml[^>]{0,100}>\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


def _unlabelled(raw: bytes, body: int, end: int, parents: tuple[str, ...]) -> str:
    """Tell what a part without a type is (RFC 2046 §5.1.5; programs that send bare HTML)."""
    if parents[-1:] == ("digest",):
        return "message/rfc822"
    return "text/html" if _HTML.match(raw, body, min(end, body + 1000)) else "text/plain"


_BEHIND_MARK = re.compile(rb"(--)?[ \t]*\r?(?=\n|\Z)")


def _delimiters(raw: bytes, start: int, end: int, mark: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield where delimiter lines begin and end and whether one is the last. Compiles nothing: each mail has its own
    boundary, and a pattern of it would cost more than the search."""
    place = raw.find(mark, start, end)
    while place >= 0:
        behind = _BEHIND_MARK.match(raw, place + len(mark), end)
        if behind and (place == start or raw[place - 1] == 10):
            yield place, behind.end(), bool(behind[1])
        place = raw.find(mark, behind.end() if behind else place + 1, end)


def _split(
    raw: bytes, start: int, end: int, boundary: str, *, at_most: int, defects: list[str]
) -> Iterator[tuple[int, int]]:
    """Yield the extents between the delimiter lines of a multipart (RFC 2046 §5.1)."""
    begin: int | None = None
    count = 0
    for place, behind, is_last in _delimiters(raw, start, end, b"--" + boundary.encode("utf-8", "replace")):
        if begin is not None:
            stop = place - (2 if raw[place - 2 : place] == b"\r\n" else 1)
            yield begin, max(begin, stop)
            count += 1
        if is_last or count >= at_most:
            return
        begin = min(end, behind + 1)
    if begin is not None and begin < end:
        defects.append("no_end_boundary")
        yield begin, end
