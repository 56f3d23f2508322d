"""The piece of a found text that says why it was found, its words marked. Pure.

Decides where the piece begins and which words are marked; escaping is the template's, which is given plain pieces.
Invariant: the pieces together are a part of the text, and nothing of a text's length costs more than one pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hub.mail.query import Query
from hub.mail.reading import terms

Piece = tuple[str, bool]
"""A stretch of text, and whether it was looked for."""

MAX_LOOKED_AT = 20_000
BEFORE_CHARS, EXCERPT_CHARS = 40, 200
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Marker:
    """What to mark for one question."""

    _candidate: re.Pattern[str] | None
    _stems: frozenset[str]
    _beginnings: tuple[str, ...]

    @classmethod
    def of(cls, query: Query) -> Marker:
        stems = frozenset(stem for stem in query.stems if not stem.isdigit() or len(stem) > 1)
        # A stem begins its word but for its last letter (English `companies`: `compani`).
        begins = {stem[:-1] if len(stem) > 2 else stem for stem in stems} | set(query.beginnings)
        if not begins:
            return cls(None, frozenset(), ())
        any_of = "|".join(re.escape(one) for one in sorted(begins, key=len, reverse=True))
        return cls(re.compile(rf"(?<![^\W_])(?:{any_of})[^\W_]*"), stems, tuple(query.beginnings))

    def marked(self, text: str) -> list[Piece]:
        """Return the whole text in pieces."""
        return list(_cut(text, self._places(text)))

    def excerpt(self, text: str) -> list[Piece] | None:
        """Return the piece around the first word that was looked for; None where there is none."""
        text = _BLANKS.sub(" ", text[:MAX_LOOKED_AT]).strip()
        first = next(self._places(text), None)
        if first is None:
            return None
        start = 0 if first[0] <= BEFORE_CHARS else text.rfind(" ", 0, first[0] - BEFORE_CHARS // 2) + 1
        start = max(start, first[0] - BEFORE_CHARS)
        end = start + EXCERPT_CHARS
        pieces = list(_cut(text[start:end], self._places(text[start:end])))
        return [*([("… ", False)] if start else []), *pieces, *([("…", False)] if end < len(text) else [])]

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        if self._candidate is None:
            return
        for match in self._candidate.finditer(_same_length(text)):
            word = match[0][: terms.MAX_WORD_CHARS]
            if word.startswith(self._beginnings) or terms.stems([word])[0] in self._stems:
                yield match.span()


def _same_length(text: str) -> str:
    """Fold as the search does, each letter in its place."""
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(low if len(low := c.lower()) == 1 else c for c in text)
    return lowered.replace("ё", "е")


def composed(text: str) -> str:
    """Return the text as it is looked through: `й` as one letter, also where a Mac wrote two."""
    return unicodedata.normalize("NFC", text)


def _cut(text: str, places: Iterable[tuple[int, int]]) -> Iterator[Piece]:
    at = 0
    for start, end in places:
        if start > at:
            yield text[at:start], False
        yield text[start:end], True
        at = end
    if at < len(text):
        yield text[at:], False
