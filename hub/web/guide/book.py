"""The user guide as one book for each language: its pages, and the order in which its index names them.

Reads `docs/guide` once, at the first use. Decides neither what is searched (`search`) nor which page belongs to a
screen (`screens`). Invariant: a page that the index does not name has no place in the menu of the guide; a test
finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hub import resources
from hub.web.guide.page import GuidePage, read_page
from hub.web.i18n import LANGUAGES

INDEX = "index"


@dataclass(frozen=True, slots=True)
class Chapter:
    """A heading of the index with the pages that it names, in its order."""

    title: str
    pages: tuple[GuidePage, ...]


@dataclass(frozen=True, slots=True)
class Book:
    """The guide in one language."""

    pages: Mapping[str, GuidePage]
    chapters: tuple[Chapter, ...]

    @property
    def index(self) -> GuidePage:
        return self.pages[INDEX]


def find_folder() -> Path:
    """Return the folder of the guide: its pages by language, and `images`."""
    return resources.folder("docs/guide")


@cache
def read_book(language: str) -> Book:
    """Return the guide in one of `LANGUAGES`."""
    if language not in LANGUAGES:
        raise KeyError(language)
    pages = {
        path.stem: read_page(path.stem, path.read_text(encoding="utf-8"))
        for path in sorted((find_folder() / language).glob("*.md"))
    }
    return Book(pages, chapters_of(pages))


@cache
def image_files() -> Mapping[str, Path]:
    """Return the pictures that pages may ask for, by name: nothing else of the disk is reachable."""
    return {path.name: path for path in sorted((find_folder() / "images").glob("*.webp"))}


def chapters_of(pages: Mapping[str, GuidePage]) -> tuple[Chapter, ...]:
    """Return the chapters that the index names: each heading of level 2 with the pages linked below it."""
    return tuple(
        Chapter(title, tuple(pages[name] for name in names if name in pages))
        for title, names in pages[INDEX].linked_below
    )
