"""The texts of a message: which words its parts say, as plain text and as HTML.

Decides how a text part becomes text (charset, flowed lines, enriched and rich text), and which of several bodies are
shown. Pure, linear. Invariants: of a plain and an HTML twin each is shown once; no text is longer than
`MAX_TEXT_BYTES`.

Source: RFC 1896 (enriched), 2046 §5.1.4, 3676 (flowed).
"""

from __future__ import annotations

import html
import re

from hub.mail.reading import rtf
from hub.mail.reading.charsets import decode
from hub.mail.reading.parts import Leaf
from hub.mail.reading.sanitize import html_to_text

MAX_TEXT_BYTES = 4_000_000

PLAIN = frozenset({"text/plain", "text/enriched", "text/richtext", "text/rtf", "application/rtf"})
"""Types whose words are plain text once they are read."""

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)


def text_of(leaf: Leaf, defects: list[str]) -> str:
    content = leaf.content
    if len(content) > MAX_TEXT_BYTES:
        content = content[:MAX_TEXT_BYTES]
        defects.append("text_cut")
    if leaf.type in ("text/rtf", "application/rtf"):
        return rtf.to_text(content)
    label = leaf.params.get("charset")
    if leaf.type == "text/html" and not label and (meta := _META_CHARSET.search(content[:2000])):
        label = meta[1].decode("ascii")
    text, was_lie = decode(content, label)
    if was_lie:
        defects.append("charset")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if leaf.type in ("text/enriched", "text/richtext"):
        return _unenriched(text)
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


_ENRICHED = re.compile(r"<<|</?([a-zA-Z][a-zA-Z0-9-]{0,59})>")


def _unenriched(text: str) -> str:
    """Return the words of enriched text: a single line break is a blank, of several one is taken."""
    out: list[str] = []
    place, in_param = 0, 0
    is_richtext = "<nl>" in text[:20_000].lower()
    for match in _ENRICHED.finditer(text):
        if not in_param:
            out.append(text[place : match.start()])
        place = match.end()
        name = (match[1] or "").lower()
        if match[0] == "<<":
            out.append("<" if not in_param else "")
        elif name == "param":
            in_param = max(0, in_param + (-1 if match[0][1] == "/" else 1))
        elif name in ("nl", "paragraph") and is_richtext:
            out.append("\n")
    if not in_param:
        out.append(text[place:])
    words = "".join(out)
    if is_richtext:
        return words
    return re.sub(r"\n+", lambda run: "\n" * (len(run[0]) - 1) if len(run[0]) > 1 else " ", words)


def joined_text(bodies: list[tuple[Leaf, str]]) -> str | None:
    """Return all words in their order: plain bodies, and HTML ones that have no plain twin. None: there is only HTML.

    Of several plain bodies in one alternative the first counts.
    """
    if not any(leaf.type in PLAIN for leaf, _ in bodies):
        return None
    told = {one for leaf, text in bodies if leaf.type in PLAIN and text.strip() for one in _alternatives(leaf)}
    lonely = [leaf.type not in PLAIN and told.isdisjoint(_alternatives(leaf)) for leaf, _ in bodies]
    has_html = any(leaf.type not in PLAIN for leaf, _ in bodies)
    if has_html and not any(text.strip() for leaf, text in bodies if leaf.type in PLAIN):
        return None
    texts: list[str] = []
    alternatives: set[tuple[int, ...]] = set()
    for (leaf, text), is_lonely in zip(bodies, lonely, strict=True):
        if is_lonely:
            texts.append(html_to_text(text))
        elif leaf.type in PLAIN:
            if leaf.parents[-1:] == ("alternative",):
                if leaf.branch[:-1] in alternatives:
                    continue
                alternatives.add(leaf.branch[:-1])
            texts.append(text)
    return "\n\n".join(t.rstrip() for t in texts)


def _alternatives(leaf: Leaf) -> set[tuple[int, ...]]:
    """Return the alternatives that a part stands in, by their places in the tree."""
    return {leaf.branch[:depth] for depth, kind in enumerate(leaf.parents) if kind == "alternative"}


def joined_html(bodies: list[tuple[Leaf, str]]) -> str | None:
    """Return all HTML bodies with the plain ones that have no HTML twin between them; None if there is no HTML."""
    if not any(leaf.type == "text/html" for leaf, _ in bodies):
        return None
    told = {one for leaf, text in bodies if leaf.type == "text/html" and text.strip() for one in _alternatives(leaf)}
    pieces = []
    for leaf, text in bodies:
        if leaf.type == "text/html":
            pieces.append(text)
        elif told.isdisjoint(_alternatives(leaf)) and text.strip():
            pieces.append("<div>" + html.escape(text.strip()).replace("\n", "<br>\n") + "</div>")
    return "\n".join(pieces)
