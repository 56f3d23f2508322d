"""The plain text that goes beside a written HTML.

Decides what a reader without HTML sees of it: what it says, and where its links lead. Pure; it is given HTML that
was made safe. Invariant: the address of each link stands in the text, once where the link's text is that address.
"""

from __future__ import annotations

import html as std_html
import re
from urllib.parse import unquote

from hub.mail.reading.sanitize import html_to_text

_LINK = re.compile(r"""<a((?: [a-z-]+="[^"]*")*)>(.*?)</a>""", re.DOTALL)
_HREF = re.compile(r' href="([^"]*)"')
_TAGS = re.compile(r"""<(?:[^>"]|"[^"]*")*>""")


def of_html(safe_html: str) -> str:
    """Return what stands in `safe_html`, with "text (https://…)" where a link's text is not its address."""
    return html_to_text(_LINK.sub(_with_address, safe_html) if "<a " in safe_html else safe_html)


def _with_address(match: re.Match[str]) -> str:
    href = _HREF.search(match[1])
    if href is None:
        return match[0]
    address = std_html.unescape(href[1])
    shown = address.partition(":")[2] if address[:7].lower() == "mailto:" or address[:4].lower() == "tel:" else address
    said = std_html.unescape(_TAGS.sub("", match[2]))
    if _essence(said) == _essence(shown):
        return match[0]
    return f"{match[0]} ({std_html.escape(shown)})" if said.strip() else f"{match[0]}{std_html.escape(shown)}"


def _essence(address: str) -> str:
    """What two spellings of one address have in common."""
    text = unquote("".join(address.split())).lower()
    return re.sub(r"^(https?://|mailto:|tel:)(www\.)?|^www\.", "", text).partition("?subject=")[0].rstrip("/")
