"""A stranger's HTML made safe to show, and texts taken out of it.

Decides which elements, attributes, styles and addresses of a mail reach a page; the page still shows them apart
from its own (a frame or `contain: content`). Pure. Invariants: nothing in the output runs, loads from elsewhere
unless `allow_remote`, leaves its own box, or looks like an attribute that Hub's own scripts read; the server itself
never fetches anything a mail names.
"""

from __future__ import annotations

import functools
import html as std_html
import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache

import nh3
from inscriptis import get_text  # type: ignore[import-untyped]
from inscriptis.css_profiles import CSS_PROFILES  # type: ignore[import-untyped]
from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped]

from hub.mail.reading import links
from hub.mail.reading.markup import bounded

REMOTE_ATTRIBUTE = "data-remote-src"
"""Where the address of a picture goes that was not loaded; the page may put it back when a person asks."""

_TAGS = set(
    "a abbr address article aside b bdi big blockquote br caption center cite code col colgroup dd del dfn div dl dt "
    "em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q s samp "
    "section small span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr".split()
)
_EVERYWHERE = {"align", "dir", "lang", "style", "title", "bgcolor", "valign"}
_CELL = {"colspan", "rowspan", "width", "height", "nowrap"}
_ATTRIBUTES = {
    "*": _EVERYWHERE,
    "a": {"href"},
    "col": {"span", "width"},
    "blockquote": {"class"},
    "div": {"class", "id"},
    "colgroup": {"span", "width"},
    "font": {"color", "size", "face"},
    "hr": {"size", "width"},
    "img": {"src", "alt", "width", "height"},
    "li": {"value"},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing", "width", "height"},
    "td": _CELL,
    "th": _CELL,
}
QUOTE_CLASSES = set(
    "gmail_quote gmail_attr gmail_extra yahoo_quoted moz-cite-prefix moz-forward-container protonmail_quote "
    "OutlookMessageHeader zmail_extra gmail_signature moz-signature".split()
)
QUOTE_IDS = {"divRplyFwdMsg", "appendonsend", "reply-intro", "mailruQuote", "isForwardContent", "isReplyContent"}
_FIXED = {
    "a": {"target": "_blank"},
    "img": {"loading": "lazy", "referrerpolicy": "no-referrer", "decoding": "async"},
}
_LINK = re.compile(r"(?:https?://[^\s/?#]|mailto:|tel:)[^\x00-\x1f\x7f]*", re.IGNORECASE)
_REMOTE = re.compile(r"https?://[^\s/?#\\][^\s]*", re.IGNORECASE)
_DATA_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]{1,400000}", re.IGNORECASE)
_BLOCKED = "hub-blocked:"
_IMAGE = re.compile(r'<img(?: [a-z-]+="[^"]*")*>')

_STYLES = re.compile(
    r"(?:background-color|color|font(?:-(?:family|size|style|weight|variant))?|line-height|letter-spacing|"
    r"text-(?:align|decoration|indent|transform)|vertical-align|white-space|word-(?:break|spacing|wrap)|overflow-wrap|"
    r"(?:min-|max-)?(?:width|height)|(?:margin|padding)(?:-(?:top|right|bottom|left))?|"
    r"border(?:-(?:top|right|bottom|left))?(?:-(?:color|style|width))?|border-(?:radius|collapse|spacing)|"
    r"list-style-type|table-layout|float|clear|display|direction)"
)
_STYLE_VALUE = re.compile(
    r"""(?!.*(?:^|[\s,(])-\s*[\d.])   # nothing negative: no overlay by margins
        (?!.*/[/*])                     # no comment that hides the rest
        (?:[\w\s.,%\#!'"/-]|rgba?\([\d\s.,%/]{1,40}\)|hsla?\([\d\s.,%/deg]{1,40}\)){1,200}""",
    re.VERBOSE,
)
_DISPLAY = {"block", "inline", "inline-block", "none", "table", "table-cell", "table-row", "list-item"}


CidUrl = Callable[[str], str | None]
_asked: ContextVar[tuple[CidUrl, bool, CidUrl | None]] = ContextVar("_asked")
"""What this very call of `safe_html` allows: the cleaner is made once, since making one costs as much as a mail."""


def safe_html(html: str, *, cid_url: CidUrl, allow_remote: bool, location_url: CidUrl | None = None) -> str:
    """Return `html` as it may stand in a page.

    `cid_url` gives the address of an attached picture by its Content-ID, or None; `location_url` by any other `src`
    (Content-Location). Pictures from elsewhere lose their
    `src` to `REMOTE_ATTRIBUTE` unless `allow_remote`. Links open outside and tell nothing of where they were. What
    mail programs write around a quote keeps its name (`QUOTE_CLASSES`, `QUOTE_IDS`), so that the page can fold it.
    """
    token = _asked.set((cid_url, allow_remote, location_url))
    try:
        clean = _cleaner.clean(bounded(html))
    finally:
        _asked.reset(token)
    if _BLOCKED in clean:
        clean = _IMAGE.sub(lambda tag: tag[0].replace(f' src="{_BLOCKED}', f' {REMOTE_ATTRIBUTE}="'), clean)
    return links.with_warnings(clean)


def sent_html(html: str, *, cid_url: CidUrl) -> str:
    """Return `html` as it may go out: as safe as `safe_html`, without what only a page of Hub's own needs."""
    token = _asked.set((cid_url, True, None))
    try:
        return _sent_cleaner.clean(bounded(html))
    finally:
        _asked.reset(token)


def _attribute(_element: str, name: str, value: str) -> str | None:
    if name == "style":
        return (safe_style(value) if len(value) > _CACHED_CHARS else _cached_style(value)) or None
    if name == "href":
        value = value.strip()
        return value if _LINK.fullmatch(value) else None
    if name == "src":
        cid_url, allow_remote, location_url = _asked.get()
        if location_url is not None and value[:5].lower() != "data:" and (attached := location_url(value)) is not None:
            return attached
        return _image_source(value, cid_url=cid_url, allow_remote=allow_remote)
    if name == "id":
        return value if value in QUOTE_IDS else None
    if name == "class":
        return " ".join(QUOTE_CLASSES.intersection(value[:200].split())) or None
    return value[:1000]


_made_safe = functools.partial(
    nh3.Cleaner,
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    attribute_filter=_attribute,
    clean_content_tags={"script", "style", "title", "svg", "math", "object", "audio", "video"},
    url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
    tag_attribute_values={"blockquote": {"type": {"cite"}}},
)
_cleaner = _made_safe(set_tag_attribute_values=_FIXED, link_rel="noopener noreferrer nofollow")
_sent_cleaner = _made_safe(link_rel=None)


def _image_source(value: str, *, cid_url: CidUrl, allow_remote: bool) -> str | None:
    value = value.strip()
    if value[:4].lower() == "cid:":
        return cid_url(value[4:].strip("<> ")[:300])
    if _DATA_IMAGE.fullmatch(value):
        return value
    if not _REMOTE.fullmatch(value) or len(value) > 2000:
        return None
    return value if allow_remote else _BLOCKED + value


_CACHED_CHARS = 300


def safe_style(style: str) -> str:
    """Return the harmless declarations of a style attribute: nothing loads, nothing is placed over other things."""
    # A mail repeats a few styles on hundreds of elements.
    return _safe_style(style) if len(style) <= 500 else _safe_style.__wrapped__(style)


@functools.lru_cache(maxsize=2048)
def _safe_style(style: str) -> str:
    kept = []
    for declaration in style[:10_000].split(";")[:60]:
        name, _, value = declaration.partition(":")
        name, value = name.strip().lower(), " ".join(value.split())
        if name == "background":
            name = "background-color"
        if not _STYLES.fullmatch(name) or not _STYLE_VALUE.fullmatch(value):
            continue
        if name == "display" and value.lower().removesuffix("!important").strip() not in _DISPLAY:
            continue
        kept.append(f"{name}: {value}")
    return "; ".join(kept)


_cached_style = lru_cache(maxsize=2048)(safe_style)
"""A mail says the same few styles over and over."""

_URL_IN_TEXT = re.compile(
    r"https?://[^\s<>\"'«»]{1,1000}[^\s<>\"'«»).,;:!?\]]|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"
)


def text_to_html(text: str) -> str:
    """Return plain text as HTML: escaped, line breaks kept, web and mail addresses as links."""
    pieces: list[str] = []
    position = 0
    for match in _URL_IN_TEXT.finditer(text):
        found = match[0]
        href = found if found.startswith("http") else f"mailto:{found}"
        pieces.append(std_html.escape(text[position : match.start()]))
        rel = 'target="_blank" rel="noopener noreferrer nofollow"'
        pieces.append(f'<a href="{std_html.escape(href)}" {rel}>{std_html.escape(found)}</a>')
        position = match.end()
    pieces.append(std_html.escape(text[position:]))
    return "".join(pieces).replace("\r\n", "\n").replace("\n", "<br>\n")


_LAYOUT = ParserConfig(css=CSS_PROFILES["strict"].copy())


_PRE = re.compile(r"<pre\b[^>]*>.*?</pre>", re.DOTALL)
_WITHIN_PRE = re.compile(
    r"</?(?:code|span|samp|kbd|tt|var|font|b|i|u|s|em|strong|small|big|mark|ins|del|a|sub|sup|abbr|cite|q)\b[^>]*>"
)


def html_to_text(html: str) -> str:
    """Return what a person would read of an HTML body: lists, tables and paragraphs laid out, code in its lines."""
    balanced = bounded(html)
    if "<pre" in balanced:
        # The layout keeps the lines of `pre` itself, not those of what is marked up within.
        balanced = _PRE.sub(lambda pre: _WITHIN_PRE.sub("", pre[0]), balanced)
    if not balanced.strip():
        return ""
    text: str = get_text(f"<div>{balanced}</div>", _LAYOUT)
    lines = [line.rstrip() for line in text.replace("\xa0", " ").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
