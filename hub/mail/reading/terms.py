"""Words as the search keeps them: stems of Russian and English, lower case. Pure.

Decides what "the same word" is: `счета` finds `счёт`, `invoices` finds `invoice`. Invariants: text and question go
through the same door, so both databases find the same; the time is linear and what is kept is bounded.
"""

from __future__ import annotations

import re

import Stemmer

MAX_WORDS = 20_000
MAX_WORD_CHARS = 40

_WORD = re.compile(r"[^\W_]+")
_russian = Stemmer.Stemmer("russian")
_english = Stemmer.Stemmer("english")


def words(text: str) -> list[str]:
    """Return the words of a text in their order, lower case, `ё` as `е`, at most `MAX_WORDS`."""
    lowered = text.lower().replace("ё", "е")
    return [match[0][:MAX_WORD_CHARS] for match, _ in zip(_WORD.finditer(lowered), range(MAX_WORDS), strict=False)]


def stems(found: list[str]) -> list[str]:
    """Return the stems of words: English where a word is ASCII, else Russian."""
    return [str((_english if word.isascii() else _russian).stemWord(word)) for word in found]


def terms(*texts: str) -> str:
    """Return what the search keeps of these texts, divided by blanks."""
    return " ".join(stems(words(" ".join(texts))))
