"""A mail in its parts: what its sender wrote, the signature, the quoted mail.

Decides nothing itself: `attribution` finds the quote, `signatures` the signature, `folding` does the same to HTML.
Pure, linear. Invariant: the parts joined are the text, nothing is lost; in doubt nothing is quoted.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.mail.reading.attribution import first_quoted_line
from hub.mail.reading.folding import fold_html
from hub.mail.reading.signatures import signature_from

__all__ = ["Parts", "fold_html", "quoted_from", "signature_from", "split", "split_quote"]


@dataclass(frozen=True, slots=True)
class Parts:
    """A mail's text in its three parts; joined they are the text."""

    own: str
    signature: str
    quoted: str


def split(text: str) -> Parts:
    """Split a mail's text into what its sender wrote, the signature below it, and what is quoted."""
    own, quoted = split_quote(text)
    start = signature_from(own)
    return Parts(own, "", quoted) if start is None else Parts(own[:start], own[start:], quoted)


def split_quote(text: str) -> tuple[str, str]:
    """Split a mail's text into what its sender wrote and what is quoted below it: `own + quoted == text`.

    Quotes between which the sender answers line by line belong to the answer.
    """
    lines = text.split("\n")
    start = first_quoted_line(lines)
    if start is None:
        return text, ""
    own = "\n".join(lines[:start])
    return (own + "\n" if start else ""), "\n".join(lines[start:])


def quoted_from(text: str) -> int | None:
    """Return the place (in characters) where the quoted part begins, None where there is none."""
    own, quoted = split_quote(text)
    return len(own) if quoted else None
