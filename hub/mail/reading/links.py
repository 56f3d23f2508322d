"""Links that lead elsewhere than they say.

Decides whether the text of a link names another host than its target, or the target's name is written to be taken
for another (letters of two scripts, punycode); such a link tells its true host. Pure, linear. Invariant: only links
get attributes, all else stays as it was.

Source: what phishing does; Unicode TS 39 (mixed scripts).
"""

from __future__ import annotations

import html as std_html
import re
from urllib.parse import urlsplit

WARNING = "data-leads-to"
"""The attribute with the true host of a link whose text says another."""

_LINK = re.compile(r"""<a((?: [a-z-]+="[^"]*")*)>(.{0,2000}?)</a>""", re.DOTALL)
_HREF = re.compile(r' href="([^"]*)"')
_TITLE = re.compile(r' title="[^"]*"')
_TAGS = re.compile(r"""<(?:[^>"]|"[^"]*")*>""")
_HOST_IN_TEXT = re.compile(
    r"(?:https?://)?(?:[^\s/@]{1,100}@)?((?:[^\W_][\w-]{0,62}\.){1,6}[^\W\d_][\w-]{1,62})(?::\d{1,5})?(?:[/?#]\S*)?",
    re.IGNORECASE,
)
_FILE = re.compile(
    r"\.(?:pdf|docx?|xlsx?|zip|rar|png|jpe?g|txt|html?|php|csv|xml|rtf|odt|ods|pptx?|md|py|sh)$", re.IGNORECASE
)


def with_warnings(safe_html: str) -> str:
    """Return safe HTML whose deceiving links say where they lead: in `title` and in `WARNING`."""
    return _LINK.sub(_checked, safe_html) if "<a " in safe_html else safe_html


def _checked(match: re.Match[str]) -> str:
    href = _HREF.search(match[1])
    if href is None:
        return match[0]
    target = host_of(std_html.unescape(href[1]))
    text = " ".join(std_html.unescape(_TAGS.sub("", match[2])).split())
    if not target or not (_says_another(text, target) or is_disguised(target)):
        return match[0]
    shown = std_html.escape(target)
    rest = _TITLE.sub("", match[1])
    return f'<a{rest} title="⚠ {shown}" {WARNING}="{shown}">{match[2]}</a>'


def host_of(url: str) -> str:
    """Return the host of a web address in lower case, `""` where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")[:253] if url[:4].lower() == "http" else ""
    except ValueError:
        return ""


def _says_another(text: str, target: str) -> bool:
    match = _HOST_IN_TEXT.fullmatch(text) if len(text) < 500 else None
    if match is None or (_FILE.search(match[1]) and "/" not in text):
        return False
    said, target = _bare(match[1]), _bare(target)
    return not (said == target or said.endswith("." + target) or target.endswith("." + said))


def _bare(host: str) -> str:
    """A host as it is compared: IDNA, without `www.`."""
    host = host.lower().removeprefix("www.")
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


_SCRIPTS = {
    "latin": re.compile("[a-z]"),
    "cyrillic": re.compile("[\u0400-\u04ff]"),
    "greek": re.compile("[\u0370-\u03ff]"),
}


def is_disguised(host: str) -> bool:
    """Tell a host one label of which mixes scripts, or is wholly of letters that look Latin but are not."""
    for label in host.split("."):
        if label.startswith("xn--"):
            try:
                label = label.encode("ascii").decode("idna")
            except UnicodeError:
                return True
        if label.isascii():
            continue
        if sum(1 for script in _SCRIPTS.values() if script.search(label)) > 1:
            return True
        if re.fullmatch("[асеорхуіјѕԁԛԝһӏ0-9-]+", label):
            return True
    return False
