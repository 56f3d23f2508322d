"""Who stands in From, To, Cc and Reply-To: names and addresses as strangers write them.

Decides where one person ends and the next begins, and which of the words is the address: `Surname, Name <a@b>`,
`<<a@b>>`, `<mailto:a@b>`, a comment with the address, a stray bracket, a field encoded as a whole. Pure, never
raises, one pass over the text. Invariants: an address is taken out of an encoded word only where the field has no
other; one that is too long for its column is no address.

Source: RFC 5322 §3.4 and §4.4; measured on mails that real programs write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.mail.reading.headers import Address, Head, decode_words, eight_bit, one_line, unquoted, without_controls

MAX_ADDRESSES = 1_000
MAX_ENCODED_CHARS = 2_000
"""Longer fields are not looked through for an address that somebody encoded."""

_TOKEN = re.compile(
    r"""(?P<word>=\?[^?\s]{1,100}\?[bBqQ]\?[^?\r\n]*\?=)
      | (?P<quoted>"(?:[^"\\]|\\.)*"?)
      | (?P<angle><[^<>]*>?)
      | (?P<open>\() | (?P<close>\)) | (?P<comma>,) | (?P<semicolon>;) | (?P<colon>:)
      | (?P<text>[^\s"<>(),;:=]+ | =)
      | (?P<space>\s+) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_SCHEMES = frozenset({"mailto", "smtp", "email", "e-mail"})
_SCHEME = re.compile(r"(?:mailto|smtp|e-?mail)\s*:\s*", re.IGNORECASE)
_AROUND = "<>[](){}«»'\"`,;:|"
_COMMENT = re.compile(r"\([^()]*\)")
_ONE = re.compile(r"""[^\s<>()\[\],;:"'«»@]{1,100}@(?:[^\s<>()\[\],;:"'«»@]{1,190}|\[[\d.:a-fA-FIPv]{2,60}\])""")


def addresses(values: list[bytes]) -> tuple[tuple[Address, ...], bool]:
    """Read the address lists of a field; returns them and whether there were more than `MAX_ADDRESSES`."""
    found: list[Address] = []
    for value in values:
        for address in _address_list(eight_bit(value)):
            if len(found) >= MAX_ADDRESSES:
                return tuple(found), True
            found.append(address)
    return tuple(found), False


def sender(head: Head) -> Address | None:
    """Return who wrote: of all From lines the first person with an address, else the first name."""
    written, _ = addresses(head.all("from"))
    with_address = next((one for one in written if one.address), None)
    if with_address is not None:
        return with_address
    for field in ("reply-to", "sender", "x-original-from", "return-path"):
        # No From, or a name alone: the letter's other fields know where it came from.
        others, _ = addresses(head.all(field)[:1])
        if others and _ONE.fullmatch(others[0].address):
            return Address(written[0].name if written else others[0].name, others[0].address)
    return written[0] if written else None


def original_from(head: Head) -> Address | None:
    """Return whom a group that writes under its own address names as the writer."""
    for field in ("x-original-from", "x-original-sender", "x-google-original-from"):
        found, _ = addresses(head.all(field)[:1])
        if found and _ONE.fullmatch(found[0].address):
            return found[0]
    return None


def groups(head: Head) -> tuple[str, ...]:
    """Return the addresses of the list that a message came by: of List-Id, List-Post and Mailing-List."""
    found: list[str] = []
    for value in head.all("list-id")[:3]:
        name, dot, host = eight_bit(value).rpartition("<")[2].strip(" <>\t").partition(".")
        found += [f"{name}@{host}"] if dot and " " not in name + host else []
    for field in ("list-post", "mailing-list"):
        for value in head.all(field)[:3]:
            found += _ONE.findall(eight_bit(value)[:500].replace("mailto:", " "))[:3]
    return tuple(dict.fromkeys(one.lower()[:254] for one in found))


def _address_list(text: str) -> Iterator[Address]:
    """Yield the addresses of RFC 5322 text, lenient: groups are flattened, comments serve as names."""
    waiting = ""
    """A name that a comma cut off: `Surname, Name <a@b>`."""
    is_encoded = "=?" in text and "@" not in re.sub(r"=\?[^?\s]{1,100}\?[bBqQ]\?[^?]*\?=", "", text)
    if is_encoded and len(text) <= MAX_ENCODED_CHARS and "@" in (decoded := decode_words(text)):
        text = without_controls(decoded)
    for phrase, comment, angle in _pieces(text):
        for one in _read(phrase, comment, angle):
            if not one.address:
                waiting = f"{waiting}, {one.name}" if waiting else one.name
            elif waiting and angle is not None:
                yield Address(one_line(f"{waiting}, {one.name}" if one.name else waiting, max_chars=300), one.address)
                waiting = ""
            else:
                if waiting:
                    yield Address(waiting, "")
                    waiting = ""
                yield one
    if waiting:
        yield Address(one_line(waiting, max_chars=300), "")


def _pieces(text: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield what stands between commas: its words, its comments, what is in angle brackets."""
    phrase, comment, angle, depth = list[str](), list[str](), None, 0
    # A lone parenthesis ("Ivan :( <a@b>") opens no comment, else it would swallow the address.
    has_comments = text.count("(") == text.count(")")
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match[0]
        if kind == "open" and has_comments:
            depth += 1
            comment += " " if comment else ""
        elif kind == "close" and has_comments:
            depth = max(0, depth - 1)
        elif depth:
            comment.append(token)
        elif kind in ("comma", "semicolon"):
            yield "".join(phrase), "".join(comment), angle
            phrase, comment, angle = [], [], None
        elif kind == "colon":
            # Up to here it was a group's name, or a scheme; inside an address a colon is nobody's.
            is_scheme = bool(phrase) and phrase[-1].lower().strip(_AROUND) in _SCHEMES
            phrase, comment = (phrase[:-1], comment) if is_scheme else ([], [])
        elif kind == "angle":
            angle = angle or token.strip("<> ") or angle
        elif kind == "quoted":
            phrase.append(unquoted(token))
        else:
            phrase.append(token)
    yield "".join(phrase), "".join(comment), angle


def _read(phrase: str, comment: str, angle: str | None) -> Iterator[Address]:
    words = phrase.strip()
    if angle and "@" in angle:
        first, *others = _within(angle)
        yield from _person(words or comment, first)
        for one in others:
            yield from _person("", one)
        return
    if "@" in words and "=?" not in words:
        *before, last = words.split()
        if "@" in last and before and all("@" in one for one in before):
            for one in (*before, last):
                yield from _person("", one)
            return
        if "@" not in last:
            # "a@b Ivan", or an address with blanks in it.
            found = next((one for one in words.split() if _ONE.fullmatch(one.strip(_AROUND))), None)
            last, before = (found, [one for one in words.split() if one != found]) if found else (words, [])
        yield from _person(" ".join(before) or comment, last)
        return
    if "@" in comment and (within := _ONE.search(comment)):
        # "Ivan (a@b)": no address but in the comment.
        yield from _person(words or comment.replace(within[0], ""), within[0])
        return
    yield from _person(words or comment or ("" if angle is None else angle), "")


def _within(angle: str) -> list[str]:
    """Return the addresses between angle brackets: nearly always one."""
    if angle.startswith('"') or not re.search(r"[,;\s(]", angle):
        return [angle]
    angle = _COMMENT.sub("", angle)
    if "@" not in angle:
        return [angle]
    several = [one for one in re.split(r"[,;\s]+", angle) if "@" in one]
    return several if len(several) > 1 and all(_ONE.fullmatch(one.strip(_AROUND)) for one in several) else [angle]


def _person(name: str, address: str) -> Iterator[Address]:
    address = without_controls("".join(address.split()))
    # A source route (RFC 5321 §4.1.2) is not part of the address.
    address = address.rpartition(":")[2] if address.startswith("@") else address
    address = _SCHEME.sub("", address, count=1) if ":" in address else address
    has_quotes = address.startswith('"') and '"@' in address
    if not has_quotes and (address[:1] in _AROUND or address[-1:] in _AROUND + "."):
        is_literal = address.endswith("]") and "@[" in address
        address = address.lstrip(_AROUND).rstrip(_AROUND + ".") + ("]" if is_literal else "")
    name = one_line(decode_words(name.strip("<> ")), max_chars=300)
    if name or address:
        yield Address(name, address if len(address) <= 254 else "")
