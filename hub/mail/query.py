"""What a person writes into the box of the search, as terms. Pure.

All words must be there, in any of their forms; `"a phrase"` in its order; `-word` must not; `from:` `to:` `subject:`
`file:` (`от:` `кому:` `тема:` `файл:`) look into one field; `has:attachment`, `before:` and `after:` narrow. The last
word may be a beginning, since it is being typed. What is written between words without a blank (`ivan@firma.ru`,
`1234-5`) is a phrase. Invariant: any text is a question; none is an error, and its size is bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from hub.mail.reading import terms
from hub.mail.reading.terms import Field

MAX_CHARS = 500
MAX_TERMS = 16
MAX_PHRASE = 16
MIN_BEGINNING = 2

_FIELDS: dict[str, Field] = {
    **dict.fromkeys(("from", "от"), "from"),
    **dict.fromkeys(("to", "кому"), "to"),
    **dict.fromkeys(("subject", "тема"), "subject"),
    **dict.fromkeys(("file", "filename", "файл"), "file"),
}
_HAS = frozenset(("has", "есть"))
_FILES = frozenset(("attachment", "attachments", "file", "files", "вложение", "вложения", "файл", "файлы"))
_BEFORE, _AFTER = frozenset(("before", "до")), frozenset(("after", "since", "после", "с"))
_KNOWN = _FIELDS.keys() | _HAS | _BEFORE | _AFTER
_OPEN, _CLOSE = '"“„«', '"”“»'
_ITEM = re.compile(rf"(?P<minus>-)?(?:[{_OPEN}](?P<quoted>[^{_OPEN}{_CLOSE}]*)[{_CLOSE}]?|(?P<plain>[^\s{_OPEN}]+))")
_FIELD = re.compile(r"(?P<minus>-)?(?P<name>[A-Za-zА-Яа-яЁё]{1,10}):\s*")
_PHONE = re.compile(r"[+(789][\d\s().–—-]{6,28}(?!\S)")
_DATES = (
    re.compile(r"(?P<y>\d{4})(?:-(?P<m>\d{1,2})(?:-(?P<d>\d{1,2}))?)?"),
    re.compile(r"(?:(?:(?P<d>\d{1,2})\.)?(?P<m>\d{1,2})\.)(?P<y>\d{4})"),
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Stems that stand side by side; with `is_open` the last is the beginning of a word."""

    stems: tuple[str, ...]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is looked for: any of these `ways` of saying it."""

    ways: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A question: all of `wanted`, none of `unwanted`. `since` is in it, `until` is not.

    `stems` and `beginnings` are what a found text shows; `not_understood` is what was written of a known word and
    means nothing (`before:soon`). `is_nothing`: something was written, and there is no word in it.
    """

    wanted: tuple[Term, ...] = ()
    unwanted: tuple[Term, ...] = ()
    has_file: bool | None = None
    since: date | None = None
    until: date | None = None
    stems: frozenset[str] = frozenset()
    beginnings: frozenset[str] = frozenset()
    not_understood: tuple[str, ...] = ()
    is_nothing: bool = False


def parse(text: str) -> Query:
    """Read what a person wrote; at most `MAX_CHARS` of it count."""
    return _Reader(text[:MAX_CHARS]).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.ends_open = bool(text) and not text[-1].isspace()
        self.wanted: list[Term] = []
        self.unwanted: list[Term] = []
        self.facts: dict[str, bool | date] = {}
        self.not_understood: list[str] = []

    def read(self) -> Query:
        at = 0
        while at < len(self.text):
            at = at + 1 if self.text[at].isspace() else self._item(at)
        plain = [way for term in self.wanted for way in term.ways]
        bare = [(way, tuple(_bare(stem) for stem in way.stems)) for way in plain]
        return Query(
            wanted=tuple(self.wanted[:MAX_TERMS]),
            unwanted=tuple(self.unwanted[:MAX_TERMS]),
            stems=frozenset(stem for way, found in bare for stem in found[: -1 if way.is_open else None]),
            beginnings=frozenset(found[-1] for way, found in bare if way.is_open),
            not_understood=tuple(self.not_understood),
            is_nothing=bool(self.text.strip()) and not (self.wanted or self.unwanted or self.facts),
            **self.facts,  # type: ignore[arg-type]
        )

    def _item(self, at: int) -> int:
        """Read one thing that begins here; return where the next may."""
        if (phone := _PHONE.match(self.text, at)) and _is_phone(phone[0]):
            self._add(_ways_of_number(phone[0]), is_unwanted=False)
            return phone.end()
        name, is_unwanted = "", False
        if (field := _FIELD.match(self.text, at)) and field["name"].lower() in _KNOWN:
            name, is_unwanted, at = field["name"].lower(), bool(field["minus"]), field.end()
        if (item := _ITEM.match(self.text, at)) is None:
            return at + 1
        is_unwanted = is_unwanted or bool(item["minus"])
        is_quoted = item["quoted"] is not None
        value = item["quoted"] if is_quoted else item["plain"]
        is_last = item.end() == len(self.text) and self.ends_open and not is_quoted
        if name in _HAS and value.lower() in _FILES:
            self.facts["has_file"] = not is_unwanted
        elif name in _BEFORE | _AFTER:
            self._day("until" if name in _BEFORE else "since", name, value)
        else:
            ways = _ways(value, _FIELDS.get(name), may_begin=is_last or (not is_quoted and value.endswith("*")))
            self._add(ways, is_unwanted=is_unwanted)
        return item.end()

    def _add(self, ways: tuple[Phrase, ...], *, is_unwanted: bool) -> None:
        if ways:
            (self.unwanted if is_unwanted else self.wanted).append(Term(ways))

    def _day(self, key: str, name: str, value: str) -> None:
        if (day := _read_day(value)) is None:
            self.not_understood.append(f"{name}:{value}")
        else:
            self.facts[key] = day


def _is_phone(text: str) -> bool:
    digits = sum(c.isdigit() for c in text)
    return digits in (10, 11, 12) or (7 <= digits <= 15 and not re.search(r"\s", text.strip()))


def _ways_of_number(text: str) -> tuple[Phrase, ...]:
    as_written = tuple(terms.stems(terms.words(text, at_most=MAX_PHRASE)))
    forms = terms.number_forms(text)[:1]
    return (*((Phrase(as_written),) if as_written else ()), *(Phrase((form,)) for form in forms))


def _ways(value: str, field: Field | None, *, may_begin: bool) -> tuple[Phrase, ...]:
    found = terms.words(value, at_most=MAX_PHRASE)
    if not found:
        return ()
    mark = terms.MARKS[field] if field else ""
    stems = [mark + stem for stem in terms.stems(found)]
    ways = [Phrase(tuple(stems))]
    last = terms.in_one_script(found[-1])
    if may_begin and len(last) >= MIN_BEGINNING:
        ways.append(Phrase((*stems[:-1], mark + last), is_open=True))
    if field is None and (forms := terms.number_forms(value)) and not re.search(r"[^\d\s().+–—*-]", value):
        ways.append(Phrase(forms[:1]))
    return tuple(ways)


def _bare(stem: str) -> str:
    return stem[2:] if stem[1:2] == ":" else stem


def _read_day(text: str) -> date | None:
    for pattern in _DATES:
        if match := pattern.fullmatch(text.strip()):
            try:
                return date(int(match["y"]), int(match["m"] or 1), int(match["d"] or 1))
            except ValueError:
                return None
    return None
