"""Names of clients: a person's from its parts. Pure."""

from __future__ import annotations

PARTS = ("last_name", "first_name", "middle_name")


def composed(last_name: str | None, first_name: str | None, middle_name: str | None) -> str:
    """Return the name of a person in the order in which it is sorted: last name, first name, middle name."""
    return " ".join(part for part in (last_name, first_name, middle_name) if part)
