"""Words as the search keeps them: stems of Russian and English, lower case, those of each field marked. Pure.

Decides what "the same word" is: `счета` finds `счёт`, `invoices` finds `invoice`, `1С` finds `1C`, a phone is found
however it is written. Does not know how a database keeps them. Invariants: text and question go through the same
door, so both databases find the same; the time is linear; what is kept of a message fits PostgreSQL's tsvector
(1 MB, 16,383 places, 255 of one word) and stands in the same places on SQLite.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import Stemmer

Field = Literal["subject", "from", "to", "file"]
MARKS: dict[Field, str] = {"subject": "s:", "from": "f:", "to": "t:", "file": "a:"}
"""What stands before the words of a field: they are kept twice, so that a phrase may be asked of one field."""
NUMBER_MARK = "n:"
GAP = "."
"""A place without a word: no phrase goes across it."""

MAX_CHARS = 400_000
MAX_WORD_CHARS = 40
MAX_OF_FIELD: dict[Field, int] = {"subject": 300, "from": 60, "to": 1500, "file": 600}
MAX_IN_ORDER = 9_000
"""Words of a text that phrases find; of a longer one each further word is kept once."""
MAX_NUMBERS = 300
MAX_BYTES = 800_000
MAX_OF_ONE = 255
STEMMED_AT_MOST = 4
MAX_REMEMBERED = 20_000
"""Words whose stems are kept at hand (some 5 MB): a language's common words are most of what people write."""

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"(?<![\w+])\+?\(?\d(?:[\s().–—-]{0,3}\d){6,14}(?!\w)")
_MIXED = re.compile(r"[a-z0-9]")
_LATIN = str.maketrans("авекмнорстух", "abekmhopctyx")
_CYRILLIC = str.maketrans("abekmhopctyx", "авекмнорстух")
_russian = Stemmer.Stemmer("russian")
_english = Stemmer.Stemmer("english")


def folded(text: str) -> str:
    """Return the text in lower case, composed (NFC), `ё` as `е`."""
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return text.lower().replace("ё", "е")


def words(text: str, *, at_most: int | None = None) -> list[str]:
    """Return the words of a text in their order, folded, cut at `MAX_WORD_CHARS`."""
    found = _WORD.findall(folded(text[:MAX_CHARS]))
    found = found if at_most is None else found[:at_most]
    if max(map(len, found), default=0) <= MAX_WORD_CHARS:
        return found
    return [word[:MAX_WORD_CHARS] for word in found]


def in_one_script(word: str) -> str:
    """Return a word whose letters of two scripts look alike in one: `1С` (Cyrillic) as `1c`, `Cчёт` as `счет`."""
    if word.isascii() or not _MIXED.search(word):
        return word
    latin = word.translate(_LATIN)
    if latin.isascii():
        return latin
    cyrillic = word.translate(_CYRILLIC)
    return word if re.search("[a-z]", cyrillic) else cyrillic


def stems(found: Sequence[str]) -> list[str]:
    """Return the stems of folded words: English where a word is ASCII, else Russian, stemmed until nothing goes.

    Once is not enough in Russian: it makes `план` of `плана` and `пла` of `план`, `иванов` of `Иванову` and `иван` of
    `Иванов`.
    """
    global _remembered
    known = _remembered
    if new := [word for word in dict.fromkeys(found) if word not in known]:
        fresh = _stemmed(new)
        if len(known) + len(fresh) > MAX_REMEMBERED:
            known, _remembered = known | fresh, {}
        else:
            known.update(fresh)
    return [known[word] for word in found]


_remembered: dict[str, str] = {}
"""Grows only; when it is full another takes its place, so that who reads this one in another thread keeps it."""


def _stemmed(found: list[str]) -> dict[str, str]:
    unique = {word: in_one_script(word) for word in found}
    latin = [word for word in unique.values() if word.isascii()]
    known: dict[str, str] = dict(zip(latin, _english.stemWords(latin), strict=True))
    russian = {word: word for word in unique.values() if not word.isascii()}
    left = list(russian)
    for _ in range(STEMMED_AT_MOST):
        shorter = _russian.stemWords([russian[word] for word in left])
        changed = [(word, stem) for word, stem in zip(left, shorter, strict=True) if stem and stem != russian[word]]
        russian.update(changed)
        left = [word for word, _ in changed]
    known |= russian
    return {word: known[unique[word]] for word in found}


def numbers(text: str) -> Iterator[str]:
    """Yield the marked forms of what may be phones: of 10 digits and more the last ten and the last seven."""
    for match in _NUMBER.finditer(text[:MAX_CHARS]):
        yield from number_forms(match[0])


def number_forms(text: str) -> tuple[str, ...]:
    """Return the forms of one number of 7 to 15 digits, the longest first; none where it has fewer or more."""
    digits = "".join(c for c in text if c in "0123456789")
    if not 7 <= len(digits) <= 15:
        return ()
    return tuple(NUMBER_MARK + digits[-n:] for n in ((10, 7) if len(digits) >= 10 else (len(digits),)))


def terms(*, subject: str = "", sender: str = "", recipients: str = "", files: str = "", text: str = "") -> str:
    """Return what the search keeps of a message, divided by blanks: names and addresses as one text for each field."""
    fields: dict[Field, str] = {"subject": subject, "from": sender, "to": recipients, "file": files}
    kept: list[str] = []
    for field, written in fields.items():
        found = stems(words(written, at_most=MAX_OF_FIELD[field]))
        mark = MARKS[field]
        kept += [*found, GAP, *(mark + stem for stem in found), GAP]
    every = f"{subject} {text}"
    kept += [form for form, _ in zip(dict.fromkeys(numbers(every)), range(MAX_NUMBERS), strict=False)]
    of_text = words(text)
    kept += [GAP, *stems(of_text[:MAX_IN_ORDER])]
    if len(of_text) > MAX_IN_ORDER:
        kept += _once(stems(of_text[MAX_IN_ORDER:]), but=set(kept))
    return " ".join(_bounded(kept))


def _once(found: Iterable[str], *, but: set[str]) -> Iterator[str]:
    """Each word that was not there yet, between gaps: no phrase is made of what did not stand together."""
    for stem in dict.fromkeys(found):
        if stem not in but:
            yield GAP
            yield stem


def _bounded(kept: list[str]) -> list[str]:
    if len(kept) > MAX_OF_ONE:
        often = {stem for stem, times in Counter(kept).most_common(200) if times > MAX_OF_ONE and stem != GAP}
        if often:
            kept = list(_not_too_often(kept, often))
    if sum(map(len, kept)) * 4 + 6 * len(kept) > MAX_BYTES:
        kept = list(_within(kept, MAX_BYTES))
    return kept


def _not_too_often(kept: Iterable[str], often: set[str]) -> Iterator[str]:
    times: Counter[str] = Counter()
    for stem in kept:
        if stem in often:
            times[stem] += 1
        yield GAP if times[stem] > MAX_OF_ONE else stem


def _within(kept: Iterable[str], left: int) -> Iterator[str]:
    seen: set[str] = set()
    for stem in kept:
        left -= 2
        if stem not in seen:
            seen.add(stem)
            left -= len(stem.encode()) + 6
        if left < 0:
            return
        yield stem
