"""The document that shows a stranger's HTML: in a frame of our origin that may run nothing and ask for nothing.

Decides which pictures load and what is folded; what is safe was decided when the mail was read (`mail.reading`).
Pure. Invariant: without `pictures` the document names no address outside of Hub that a browser would ask by itself.
See docs/decisions/0011-letter-frame.md.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from hub.mail.reading import quotes
from hub.mail.reading.sanitize import REMOTE_ATTRIBUTE

_POLICY = (
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; default-src 'none'; script-src 'none'; "
    "img-src 'self' data:{pictures}; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; "
    "base-uri 'none'"
)
SANDBOX = "allow-same-origin allow-popups allow-popups-to-escape-sandbox"

_STYLE = """html{{overflow-x:auto;overflow-y:hidden}}
body{{margin:0;padding:4px 0;font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:#1c1e21;
background:#fff;overflow-wrap:anywhere;min-height:0}}
img{{max-width:100%;height:auto}}pre,.plain{{white-space:pre-wrap;font:inherit}}table{{max-width:100%}}
blockquote{{margin:8px 0 8px 2px;padding-left:12px;border-left:3px solid #d5d5dc;color:#4d4d58}}
summary{{cursor:pointer;color:#686873;font-size:13px;width:max-content;padding:4px 0}}
a[data-leads-to]::after{{content:" (→ " attr(data-leads-to) ")";color:#bd2137;font-size:13px}}
@media(prefers-color-scheme:dark){{html:not([data-scheme=light]){{background:#e8e8e4}}
html:not([data-scheme=light]),html:not([data-scheme=light]) img{{filter:invert(1) hue-rotate(180deg)}}
html:not([data-scheme=light]) body{{background:none}}}}
html[data-scheme=dark]{{background:#e8e8e4}}html[data-scheme=dark] body{{background:none}}
html[data-scheme=dark],html[data-scheme=dark] img{{filter:invert(1) hue-rotate(180deg)}}"""
"""In the dark theme all but pictures is turned light for dark, hues kept: a letter's own colours stay readable on what
they stand on. By itself the frame knows the system's scheme only; the page says which it has (`letter.js`)."""
_FRAME = (
    '<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title><style>'
    + _STYLE
    + "</style></head><body>{body}</body></html>"
)
_IMG = re.compile(r"<img\b[^<>]*>")
_SOURCE = re.compile(r'(\s)src="(?:/attachments/(\d{1,19})|cid:([^"]{1,300}))"')
_REMOTE = re.compile(rf'\s{REMOTE_ATTRIBUTE}="([^"]*)"')


def policy(*, pictures: bool) -> str:
    """Return the policy the document is answered under."""
    return _POLICY.format(pictures=" https: http:" if pictures else "")


def has_remote(safe_html: str | None) -> bool:
    """Tell whether a mail names pictures from elsewhere."""
    return safe_html is not None and any(_REMOTE.search(one[0]) for one in _IMG.finditer(safe_html))


def document(
    safe_html: str,
    *,
    title: str,
    quoted: str,
    language: str,
    pictures: bool,
    by_cid: Mapping[str, int],
    own_hosts: Collection[str],
) -> str:
    """Return the whole document; `quoted` is the label of what is folded.

    `by_cid` gives an attached picture's id. Addresses at `own_hosts` are never loaded: such a picture
    would be asked for with the reader's cookie.
    """

    def image(tag: re.Match[str]) -> str:
        shown = _SOURCE.sub(attached, tag[0])
        return _REMOTE.sub(remote, shown) if pictures else shown

    def attached(source: re.Match[str]) -> str:
        number = source[2] or by_cid.get(html.unescape(source[3] or ""))
        return f'{source[1]}src="/attachments/{number}/preview"' if number else ""

    def remote(source: re.Match[str]) -> str:
        host = _name_of(html.unescape(source[1]))
        return "" if not host or host in own else f' src="{source[1]}"'

    own = {_name_of(one if "//" in one else f"//{one}") for one in own_hosts}
    body = _IMG.sub(image, quotes.fold_html(safe_html, label=quoted))
    return _FRAME.format(lang=language, title=html.escape(title), body=body)


def _name_of(url: str) -> str:
    """An address's host without port, as a browser compares it; "" where it has none or cannot be read."""
    if "\\" in url:
        return ""  # to a browser a slash, to urlsplit a letter
    try:
        return (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def plain(text: str) -> str:
    """Return plain text as the document shows it."""
    return f'<div class="plain">{html.escape(text)}</div>'
