"""Where the quoted mail begins in safe HTML, and that part folded.

Reads the HTML as lines, as a person sees them, and asks `attribution` where among them the quote begins; what mail
programs write around a quote (blockquote, the names that `sanitize` keeps) counts as `>` does in plain text. Pure,
linear. Invariants: no word is lost or moved; the output is balanced where the input was; in doubt nothing is folded.

Source: Gmail, Outlook, Apple Mail, Thunderbird, Yandex, Mail.ru, Yahoo, Proton as they write replies.
"""

from __future__ import annotations

import html as std_html
import re
from dataclasses import dataclass
from typing import NamedTuple

from hub.mail.reading.attribution import first_quoted_line

TAG = re.compile(r"""<(/?)([a-z][a-z0-9]*)((?:[^>"]|"[^"]*")*)>""")
SUMMARY = '<summary data-label="quoted">'
"""The mark that opens the folded part; the page fills in its words."""

_VOID = frozenset({"br", "hr", "img", "col", "wbr"})
_BREAKS = frozenset(
    "address article aside blockquote br caption center dd div dl dt figure footer h1 h2 h3 h4 h5 h6 header hr li main "
    "ol p pre section table tr ul".split()
)
_WHOLE = re.compile(r' class="[^"]*\b(?:yahoo_quoted|moz-forward-container|protonmail_quote|zmail_extra)\b')
_LED_BY = re.compile(r' class="[^"]*\b(?:gmail_attr|moz-cite-prefix)\b')
_TO_THE_END = re.compile(r' (?:id="(?:divRplyFwdMsg|appendonsend|reply-intro)"|class="[^"]*\bOutlookMessageHeader\b)')


class _Open(NamedTuple):
    """An element that is open: where it began, how much was said before it, and what it is within."""

    name: str
    tag: str
    start: int
    said_before: int
    kind: str
    outer: _Open | None


@dataclass(slots=True)
class _Line:
    """A line as a person sees it, where its first word stands, and within what."""

    text: list[str]
    place: int
    said_before: int
    inside: _Open | None
    is_quote: bool
    is_led: bool


def fold_html(safe_html: str, *, label: str = "") -> str:
    """Return the HTML with its quoted part in `<details class="quote">`; as it is where nothing is quoted.

    `label` is the text of the summary; without it the page fills in `summary[data-label=quoted]`.
    """
    if "<details" in safe_html:
        return safe_html
    lines = _lines(safe_html)
    start = first_quoted_line(_as_text(lines))
    if start is None:
        return safe_html
    while start < len(lines) and not lines[start].text:
        start += 1
    if start >= len(lines) or not lines[start].said_before:
        return safe_html
    place, inside = _outermost(lines[start])
    around: list[_Open] = []
    while inside is not None:
        around.append(inside)
        inside = inside.outer
    closing = "".join(f"</{one.name}>" for one in around)
    opening = "".join(one.tag for one in reversed(around))
    summary = f"{SUMMARY}{std_html.escape(label)}</summary>"
    # What is around both is closed before the fold and opened again within: its closing tags are in the rest.
    head, rest = safe_html[:place], safe_html[place:]
    return f'{head}{closing}<details class="quote">{summary}{opening}{rest}</details>'


def _lines(html: str) -> list[_Line]:
    lines: list[_Line] = []
    line: _Line | None = None
    inside: _Open | None = None
    said, place = 0, 0
    to_the_end = False

    def add(text: str, at: int) -> None:
        nonlocal line, said
        if line is None:
            kinds = inside.kind if inside else ""
            line = _Line([], at, said, inside, to_the_end or "q" in kinds, "l" in kinds)
            lines.append(line)
        line.text.append(text)
        said += 1

    for match in TAG.finditer(html):
        words = std_html.unescape(html[place : match.start()])
        if words.strip():
            add(words, place)
        place = match.end()
        closes, name, attributes = match.groups()
        if name in _BREAKS:
            line = None
            if name == "br" and (not lines or lines[-1].text):
                lines.append(_Line([], match.start(), said, inside, False, False))
        if name == "img":
            add("\ufffc", match.start())
        elif closes:
            inside = inside.outer if inside else None
        elif name not in _VOID:
            to_the_end = to_the_end or (name == "div" and _TO_THE_END.search(attributes) is not None)
            inside = _Open(name, match[0], match.start(), said, _kind(name, attributes, inside), inside)
    words = std_html.unescape(html[place:])
    if words.strip():
        add(words, place)
    return lines


def _kind(name: str, attributes: str, outer: _Open | None) -> str:
    """Return `q` where an element is a quote, `l` where it leads to one, added to what is around it."""
    kind = outer.kind if outer else ""
    if "q" not in kind and (name == "blockquote" or (name == "div" and _WHOLE.search(attributes))):
        kind += "q"
    if "l" not in kind and name == "div" and _LED_BY.search(attributes):
        kind += "l"
    return kind


def _as_text(lines: list[_Line]) -> list[str]:
    """Return the lines as plain text has them; the words before a quote that a program marked belong to it."""
    texts: list[str] = []
    is_quote_next = False
    for line in reversed(lines):
        text = " ".join("".join(line.text).split())
        is_quote = line.is_quote or (line.is_led and is_quote_next)
        texts.append(f"> {text}" if text and is_quote else text)
        if text:
            is_quote_next = is_quote
    return texts[::-1]


def _outermost(line: _Line) -> tuple[int, _Open | None]:
    """Widen the place of a line to all elements that hold nothing before it."""
    place, inside = line.place, line.inside
    while inside is not None and inside.said_before == line.said_before:
        place, inside = inside.start, inside.outer
    return place, inside
