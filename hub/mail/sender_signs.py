"""Signs that a message is not from whom it seems to be, and where an answer to it goes.

Decides by the head alone: names, addresses and the domains that are known here. Signs warn a person; nothing is
refused because of one. Pure. Invariant: the address an answer goes to is always told, whatever the name beside it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Sign = Literal[
    "looks_like", "mixed_script", "name_is_address", "reply_elsewhere", "several_from", "says_us", "only_named"
]


@dataclass(frozen=True, slots=True)
class Warned:
    """One sign; `what` is what it is about: a domain or an address."""

    sign: Sign
    what: str


_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
# Letters that look like a Latin one, in the fonts that mail is read in. Source: Unicode TR39, confusables.txt.
_LOOKS = str.maketrans(
    "асеԁһіјԛорѕѵԝхуӏαενοικυρτηωⅼɡ0135",
    "acedhijqopsvwxylaevoikupthwlgoles",
)
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("і", "i"))


def domain_of(address: str) -> str:
    """Return an address's domain as a person would write it, lower case; "" where there is none."""
    domain = address.rpartition("@")[2].strip().lower().rstrip(".")
    try:
        return domain.encode("ascii").decode("idna") if "xn--" in domain else domain
    except UnicodeError:
        return domain


def skeleton(domain: str) -> str:
    """Return what a domain looks like: two that look alike have the same."""
    text = "".join(c for c in unicodedata.normalize("NFKD", domain) if not unicodedata.combining(c))
    text = text.translate(_LOOKS)
    for pair, one in _PAIRS:
        text = text.replace(pair, one)
    return text.replace("i", "l").replace("-", "")


def _is_mixed(domain: str) -> bool:
    """Tell whether a label of a domain holds letters of two alphabets."""
    for label in domain.split("."):
        scripts = {unicodedata.name(c, "").partition(" ")[0] for c in label if c.isalpha()}
        if len(scripts) > 1:
            return True
    return False


def answer_to(
    direction: str, from_address: str, reply_to: Sequence[Mapping[str, str]], to: Sequence[Mapping[str, str]]
) -> str:
    """Whom an answer goes to: where the sender wants it, or for our own message the one it went to."""
    if direction == "out":
        return to[0]["address"] if to else ""
    return next((one["address"] for one in reply_to if one["address"]), from_address)


def signs(
    *,
    from_name: str,
    from_address: str,
    reply_to: Sequence[Mapping[str, str]],
    defects: Iterable[str],
    own_addresses: Iterable[str],
    known_domains: Iterable[str],
    via: Mapping[str, str] | None = None,
) -> tuple[Warned, ...]:
    """Return what speaks against a message that came in. `known_domains` are those of the company and its clients.

    `via`: the address that it came from, where the sender is only named in it (`mail.intake.authors`).
    """
    found: list[Warned] = []
    sender = domain_of(from_address)
    known = {domain_of(f"x@{one}") for one in known_domains if one}
    if via and via.get("by") != "forward":
        found.append(Warned("only_named", via.get("address", "")))
    if from_address.lower() in {one.lower() for one in own_addresses}:
        found.append(Warned("says_us", from_address))
    if sender and sender not in known:
        twin = next((one for one in sorted(known) if skeleton(one) == skeleton(sender)), None)
        if twin is not None:
            found.append(Warned("looks_like", twin))
        elif _is_mixed(sender):
            found.append(Warned("mixed_script", sender))
    if (named := _ADDRESS.search(from_name)) and named[0].lower() != from_address.lower():
        found.append(Warned("name_is_address", named[0]))
    elsewhere = (
        []
        if via
        else [one["address"] for one in reply_to if one["address"] and _base(one["address"]) != _base(from_address)]
    )
    if elsewhere:
        found.append(Warned("reply_elsewhere", elsewhere[0]))
    if "several_from" in defects:
        found.append(Warned("several_from", from_address))
    return tuple(found)


def _base(address: str) -> str:
    """The last two labels of a domain: a company's own mail goes between its subdomains."""
    return ".".join(domain_of(address).split(".")[-2:])
