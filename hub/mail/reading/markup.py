"""A stranger's HTML made harmless to build a tree from: balanced, shallow, few attributes, no raw text elements.

This is about time and memory, not about safety (`sanitize` is): tree builders take quadratic time on deep nesting,
on thousands of attributes and on formatting elements that are never closed. Pure; one pass, linear.
Invariant: the output is properly nested, at most `MAX_DEPTH` deep, and has at most `MAX_TAGS` tags.

Source: WHATWG HTML §13.2.5 (tokenization); tags are cut where a browser would cut them, so that nothing hides.
"""

from __future__ import annotations

import re

MAX_CHARS = 2_000_000
MAX_TAGS = 50_000
MAX_DEPTH = 200
MAX_ATTRIBUTES = 60

_TAG = re.compile(r"</?([a-zA-Z][^ \t\n\f\r/>]*+)")
_ATTRIBUTE = re.compile(
    r"[ \t\n\f\r/]*+([^ \t\n\f\r/>][^ \t\n\f\r/>=]*+)"
    r"""(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+("[^"]*+"|'[^']*+'|[^ \t\n\f\r>"'][^ \t\n\f\r>]*+|(?=>)))?+"""
)
_PLAIN_TAG = re.compile(
    r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,19}+)"
    r"""((?:[ \t\n\f\r]++[a-zA-Z][a-zA-Z:-]*+=(?:"[^"<]*+"|'[^'<]*+'|[^ \t\n\f\r>"'<=/`]++))"""
    rf"{{0,{MAX_ATTRIBUTES}}}+)[ \t\n\f\r]*+>"
)
"""A tag as nearly all are written: what it matches, the steps of `_read_attributes` would read the same."""
_OPEN_QUOTE = re.compile(r"[ \t\n\f\r]*+=[ \t\n\f\r]*+[\"']")
_TAG_END = re.compile(r"[ \t\n\f\r/]*+>")
_COMMENT_END = re.compile(r"--!?>")
_NAME = re.compile(r"[a-z][a-z0-9]{0,19}")

_VOID = frozenset("area base br col embed hr img input keygen link meta param source track wbr".split())
_RAW_TEXT = frozenset("script style textarea title xmp iframe noembed noframes noscript".split())
_DROPPED = frozenset("svg math plaintext template frameset frame select option optgroup head body html".split())
_CELLS = {"td", "th", "p"}
_CLOSED_BY = {
    "p": {"p"},
    "li": {"li", "p"},
    "dt": {"dt", "dd", "p"},
    "dd": {"dt", "dd", "p"},
    "td": _CELLS,
    "th": _CELLS,
    "tr": _CELLS | {"tr"},
    "tbody": _CELLS | {"tr", "tbody", "thead", "tfoot"},
    "tfoot": _CELLS | {"tr", "tbody", "thead", "tfoot"},
}
"""Which open elements a start tag closes where authors leave the end tag out."""


def bounded(html: str) -> str:
    """Return `html` balanced and within the limits; what exceeds them loses its tags, not its text.

    Comments and raw text elements (style, script, title …) are left out with their content.
    """
    html = html[:MAX_CHARS]
    out: list[str] = []
    stack: list[str] = []
    position, tags = 0, 0
    while (start := html.find("<", position)) >= 0:
        out.append(html[position:start])
        if plain := _PLAIN_TAG.match(html, start):
            slash, name, attributes = plain.groups()
            position = plain.end()
        elif match := _TAG.match(html, start):
            slash, name = html[start + 1] == "/", match[1]
            attributes, position = _read_attributes(html, match.end())
        else:
            position = _after_no_tag(html, start, out)
            continue
        tags += 1
        if tags > MAX_TAGS:
            position = len(html)
            break
        name = name.lower()
        if slash:
            # Nearly every end tag ends what was opened last.
            if stack and stack[-1] == name:
                out.append(f"</{stack.pop()}>")
            else:
                _close(name, stack, out)
        elif name in _RAW_TEXT:
            position = _after_raw_text(html, position, name)
        elif name not in _DROPPED and (plain or _NAME.fullmatch(name)):
            _open(name, attributes, stack, out)
    out.append(html[position:])
    out.extend(f"</{name}>" for name in reversed(stack))
    return "".join(out)


def _after_no_tag(html: str, start: int, out: list[str]) -> int:
    """Return the place behind a comment, or behind a `<` that starts nothing and is text."""
    if html.startswith("<!--", start):
        if html.startswith((">", "->"), start + 4):
            return html.index(">", start) + 1
        end = _COMMENT_END.search(html, start + 4)
        return end.end() if end else len(html)
    if html.startswith(("<!", "<?", "</"), start):
        end_at = html.find(">", start)
        return end_at + 1 if end_at >= 0 else len(html)
    out.append("&lt;")
    return start + 1


def _read_attributes(html: str, position: int) -> tuple[str, int]:
    """Return the first attributes of a tag as they stand, and the place behind the tag."""
    begin, kept_to, count = position, position, 0
    while (end := _TAG_END.match(html, position)) is None:
        match = _ATTRIBUTE.match(html, position)
        if match is None or _OPEN_QUOTE.match(html, match.end()):
            return "", len(html)
        position = match.end()
        count += 1
        if count <= MAX_ATTRIBUTES:
            kept_to = position
    # `<x/<p>` is one tag whose attribute is named `<p`: written so that nobody counts it as two.
    return html[begin:kept_to].replace("<", "&lt;"), end.end()


def _after_raw_text(html: str, position: int, name: str) -> int:
    end = re.compile(f"</{name}[ \\t\\n\\f\\r/>]", re.IGNORECASE).search(html, position)
    return _read_attributes(html, end.end() - 1)[1] if end else len(html)


def _open(name: str, attributes: str, stack: list[str], out: list[str]) -> None:
    if closes := _CLOSED_BY.get(name):
        while stack and stack[-1] in closes:
            out.append(f"</{stack.pop()}>")
    if name in _VOID:
        out.append(f"<{name}{attributes}>")
    elif len(stack) < MAX_DEPTH:
        stack.append(name)
        out.append(f"<{name}{attributes}>")


def _close(name: str, stack: list[str], out: list[str]) -> None:
    """Close an element and all that is open within it; an end tag of nothing disappears."""
    if name not in stack:
        # A lone </p> or </br> is a line break to browsers.
        out.append("<br>" if name in ("br", "p") else "")
        return
    while True:
        last = stack.pop()
        out.append(f"</{last}>")
        if last == name:
            return
