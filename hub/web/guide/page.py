"""One page of the user guide: Markdown to safe HTML, its sections and its links. Pure.

A page names its neighbours as files (`take-a-call.md#who-waits`, `../images/desk.ru.webp`), so it reads the same in a
repository and in Hub. Invariants: raw HTML in the Markdown is shown as text; a link leads to a page of the guide, to
an address of http(s), or nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

PREFIX = "/help"
IMAGES = "../images/"

_PAGE_LINK = re.compile(r"([a-z0-9-]+)\.md(#[\w-]+)?")
_WEB_LINK = re.compile(r"https?://[^\s]+")
_IMAGE = re.compile(re.escape(IMAGES) + r"([a-z0-9.-]+\.webp)")
_NOT_OF_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with the text below it. `level` is 1 to 6; `anchor` is "" of the page's own title."""

    level: int
    title: str
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class GuidePage:
    """A page as shown. `name` is the file's name without its ending, and the last piece of its address."""

    name: str
    title: str
    html: Markup
    sections: tuple[Section, ...]
    links: tuple[str, ...]
    """As they are written."""
    images: tuple[str, ...]
    bold: tuple[str, ...]
    """The texts in bold: by the rule of the guide, texts of Hub's own pages."""
    linked_below: tuple[tuple[str, tuple[str, ...]], ...]
    """Each heading of level 2, with the names of the pages that are linked below it."""


def read_page(name: str, source: str) -> GuidePage:
    """Render one Markdown file."""
    tokens = _MARKDOWN.parse(source)
    sections = tuple(_sections(tokens))
    inline = [child for token in tokens for child in token.children or ()]
    links = tuple(str(one.attrGet("href")) for one in inline if one.type == "link_open")
    images = tuple(str(one.attrGet("src")) for one in inline if one.type == "image")
    bold = tuple(_bold(tokens))
    linked_below = tuple(_linked_below(tokens))
    _address(tokens, inline, sections)
    html = Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S704  # raw HTML is off
    title = sections[0].title if sections else name
    return GuidePage(name, title, html, sections, links, images, bold, linked_below)


def anchor_of(heading: str) -> str:
    """Return the name of a heading's place, as GitHub makes it: `What if it fails?` → `what-if-it-fails`."""
    return _NOT_OF_ANCHOR.sub("", heading.lower()).replace(" ", "-")


def _new_markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable("table")
    # The guide's own links are the only relative ones; what they become is decided below.
    markdown.validateLink = lambda url: bool(  # type: ignore[method-assign]
        _PAGE_LINK.fullmatch(url) or _WEB_LINK.fullmatch(url) or _IMAGE.fullmatch(url) or url.startswith("#")
    )
    return markdown


_MARKDOWN = _new_markdown()


def _sections(tokens: Sequence[Token]) -> Iterator[Section]:
    level, title, texts = 0, "", [""]
    for n, token in enumerate(tokens):
        if token.type == "heading_open":
            if level:
                yield Section(level, title, anchor_of(title) if level > 1 else "", " ".join(texts).strip())
            level, title, texts = int(token.tag[1]), _plain(tokens[n + 1]), []
        elif token.type == "inline" and tokens[n - 1].type != "heading_open":
            texts.append(_plain(token))
        elif token.type in ("fence", "code_block"):
            texts.append(token.content)
    if level:
        yield Section(level, title, anchor_of(title) if level > 1 else "", " ".join(texts).strip())


def _plain(inline: Token) -> str:
    texts = []
    for child in inline.children or ():
        if child.type in ("text", "code_inline"):
            texts.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            texts.append(" ")
    return "".join(texts)


def _bold(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        open_at = None
        children = token.children or []
        for n, child in enumerate(children):
            if child.type == "strong_open":
                open_at = n
            elif child.type == "strong_close" and open_at is not None:
                yield "".join(one.content for one in children[open_at + 1 : n])


def _linked_below(tokens: Sequence[Token]) -> Iterator[tuple[str, tuple[str, ...]]]:
    title, names = "", list[str]()
    for n, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            if title:
                yield title, tuple(names)
            title, names = _plain(tokens[n + 1]), []
        for child in token.children or ():
            page = _PAGE_LINK.fullmatch(str(child.attrGet("href"))) if child.type == "link_open" else None
            if page:
                names.append(page[1])
    if title:
        yield title, tuple(names)


def _address(tokens: Sequence[Token], inline: Sequence[Token], sections: Sequence[Section]) -> None:
    """Give headings their anchors, and links and pictures their addresses in Hub."""
    headings = (token for token in tokens if token.type == "heading_open")
    for token, section in zip(headings, sections, strict=True):
        if section.anchor:
            token.attrSet("id", section.anchor)
    for token in inline:
        if token.type == "link_open":
            href = str(token.attrGet("href"))
            if page := _PAGE_LINK.fullmatch(href):
                token.attrSet("href", f"{PREFIX}/{page[1]}{page[2] or ''}")
            elif not href.startswith("#"):
                token.attrSet("rel", "noopener noreferrer")
        elif token.type == "image" and (image := _IMAGE.fullmatch(str(token.attrGet("src")))):
            token.attrSet("src", f"{PREFIX}/images/{image[1]}")
            token.attrSet("loading", "lazy")
