"""Searching the user guide: words by their stems and by their beginnings, in the language of the guide. Pure.

Every word of the question has to be on the page. The same folding and stems as the search of mail, so `звонки` finds
`звонок`, `отложенные` finds `отложенное`, `ё` is `е`. Some sixty pages are read at each question: no index is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.mail.reading.terms import stems, words
from hub.web.guide.page import GuidePage, Section

MAX_WORDS = 12
BEFORE, AFTER = 60, 160
"""Characters of an excerpt before and after the first word found."""
TITLE, HEADING, TEXT = 20, 8, 1


@dataclass(frozen=True, slots=True)
class Hit:
    """A page found. `section` is its part that fits best; `excerpt` is text of it."""

    page: GuidePage
    section: Section
    excerpt: str


def search(pages: Iterable[GuidePage], question: str) -> list[Hit]:
    """Return the pages that hold every word of the question, the best first; none for a question without words."""
    asked = words(question, at_most=MAX_WORDS)
    if not asked:
        return []
    wanted = list(zip(asked, stems(asked), strict=True))
    scored = [(score, hit) for page in pages for score, hit in [_look(page, wanted)] if hit is not None]
    scored.sort(key=lambda one: (-one[0], one[1].page.title))
    return [hit for _, hit in scored]


def _look(page: GuidePage, wanted: Sequence[tuple[str, str]]) -> tuple[int, Hit | None]:
    missing = set(wanted)
    total, best_score, best = 0, -1, page.sections[0]
    for section in page.sections:
        in_title, in_text = _found(section.title, wanted), _found(section.text, wanted)
        missing -= in_title | in_text
        score = len(in_title) * (TITLE if section.level == 1 else HEADING) + len(in_text) * TEXT
        total += score
        # The part that holds the most of what was asked; of equal ones the earlier.
        rank = len(in_title | in_text) * 100 + score
        if rank > best_score:
            best_score, best = rank, section
    if missing:
        return 0, None
    return total, Hit(page, best, _excerpt(best.text, wanted))


def _found(text: str, wanted: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    there = words(text)
    known = set(stems(there))
    return {(word, stem) for word, stem in wanted if stem in known or any(one.startswith(word) for one in there)}


def _excerpt(text: str, wanted: Sequence[tuple[str, str]]) -> str:
    """Cut the text around the first place that was asked for, at blanks."""
    at = 0
    place = 0
    for piece in text.split(" "):
        if _found(piece, wanted):
            at = place
            break
        place += len(piece) + 1
    start, end = max(0, at - BEFORE), at + AFTER
    if start:
        start = text.find(" ", start) + 1
    end = max(text.rfind(" ", 0, end), at) if end < len(text) else len(text)
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
