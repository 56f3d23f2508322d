"""The number in a dial string, an extension or a caller id, in the forms that drivers and providers write. Pure.

Decides which part of a dial string is the number: `+7495…@trunk`, `trunk/sip:0001%237495…@host` (PJSIP),
`trunk/7495…`, `user:secret@host/7495…@context` (SIP, IAX2), `g1/9w7495…` (DAHDI), `dongle0/7495…`. Invariant: what
holds no number gives none, never a guess; nothing here knows a country.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_RUN = re.compile(r"\+?[0-9]{3,20}")
_WORDS_OF_A_DIAL = re.compile(r"[0-9+*#wWpP().\- ]+")
_STAR_CODE = re.compile(r"^\*[0-9]{2}(?=[0-9]{7})")
_URI = re.compile(r"(?:sips?|tel):", re.IGNORECASE)
_CALLER = re.compile(r"<?(?:sips?:|tel:)?(\+?[0-9][0-9().\- ]{2,24})(?:[;?][^@>]*)?(?:@[^>]*)?>?", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9]{7,20}")


def number_in(dial_string: str) -> str | None:
    """Return the number that a dial string, without its technology, asks an outside line for."""
    if _URI.search(dial_string):
        user = _URI.split(dial_string)[-1].partition("@")[0]
        if number := _number_of(unquote(user)):
            return number
    peer, _, after = dial_string.partition("/")
    for part in (*after.split("/"), peer):
        if number := _number_of(part.partition("@")[0].partition(":")[0]):
            return number
    return None


def _number_of(word: str) -> str | None:
    """Return the number in one part: what stands before `#` or `w` is a technical prefix, what comes behind it DTMF."""
    word = re.split(r"[;,?]", word, maxsplit=1)[0]
    if not _WORDS_OF_A_DIAL.fullmatch(word):
        return None
    runs: list[str] = _RUN.findall(_STAR_CODE.sub("", re.sub(r"[().\- ]", "", word)))
    longest = max(map(len, runs), default=0)
    return next((run for run in reversed(runs) if len(run) == longest), None)


def caller_number(text: str) -> str:
    """Return a caller's number without what a provider wrapped it in: `7495…@host`, `sip:+7495…;user=phone`."""
    if not text or text.isalnum():
        return text
    found = _CALLER.fullmatch(text.replace("%2B", "+"))
    return found[1].strip() if found else text


def is_number(text: str) -> bool:
    """Say whether this is a number as one dials it to outside, and no short one."""
    return bool(_NUMBER.fullmatch(text))


def is_same_number(one: str, other: str) -> bool:
    """Say whether two numbers differ only in how much of country, area and outside line is written."""
    one, other = one.lstrip("+"), other.lstrip("+")
    if not (one.isdigit() and other.isdigit()):
        return False
    shorter = min(len(one), len(other), 10)
    return shorter >= 7 and one[-shorter:] == other[-shorter:]
