"""The values of a choice in one place: each word with its label, icon and colour.

A choice is an enum of words: `OPEN = "open", _("Open"), "circle", "accent"`. Fields, forms, filters, the API's schema,
templates and the database's constraints take it from there. Pure. Invariant: a member is its word, so that it can be
stored, compared and answered as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import msgspec


@dataclass(frozen=True, slots=True)
class Option:
    """One value of a choice, as the API sends it and as people see it."""

    value: str
    label: str
    icon: str = ""
    color: str = ""
    active: bool = True
    """Whether a record may get it; one that holds it already keeps it."""


class Choices(StrEnum):
    """The root of every choice. `label` is marked for translation; `color` is a tone: good, warn, bad, accent or ""."""

    label: str
    icon: str
    color: str

    def __new__(cls, word: str, label: str = "", icon: str = "", color: str = "") -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.label, member.icon, member.color = label, icon, color
        return member

    @classmethod
    def words(cls) -> tuple[str, ...]:
        """Return the words in the order of the declaration."""
        return tuple(member.value for member in cls)

    @classmethod
    def label_of(cls, word: str) -> str:
        """Return the label of a word; a word that is none of these itself."""
        return cls(word).label if word in cls.words() else word

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Return what a field of a kind is declared with."""
        return tuple(Option(member.value, member.label, member.icon, member.color) for member in cls)

    @classmethod
    def schema(cls) -> msgspec.Meta:
        """Return what the API's document says of a text that is one of these words."""
        return msgspec.Meta(extra_json_schema={"enum": list(cls.words())})

    @classmethod
    def check(cls, column: str) -> str:
        """Return the condition by which a table holds no other word."""
        return f"{column} IN ({', '.join(repr(word) for word in cls.words())})"
