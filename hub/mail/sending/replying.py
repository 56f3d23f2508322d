"""What an answer or a forward begins with: whom it goes to, its subject, and the original below it.

Decides nothing about rights and reads no database: it is given the message and our own addresses. Pure. Invariants:
an answer never goes to one of our own mailboxes beside a client, nobody stands in it twice, and what is quoted is
escaped or was safe before.
"""

from __future__ import annotations

import html as std_html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hub import sanitize
from hub.mail.intake.threads import base_subject, reply_subject
from hub.mail.reading.headers import Address
from hub.mail.reading.sanitize import REMOTE_ATTRIBUTE, text_to_html
from hub.mail.sending.compose import attribution, quoted_html, quoted_text

Kind = Literal["new", "reply", "reply_all", "forward"]
People = Iterable[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The message that is answered or forwarded; `html` is safe already, `at` in the reader's time zone."""

    is_ours: bool
    author: Address
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    text: str
    html: str | None
    at: datetime


def answer_goes_to(
    original: Original, *, own: frozenset[str], everyone: bool
) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
    """Return To and Cc of an answer. `own` are our addresses in lower case.

    Reply-To is heeded (RFC 5322 §3.6.2); an answer to our own message goes to whom that went to. A mail between two
    of our mailboxes is answered to its author all the same: to nobody would help nobody.
    """
    if original.is_ours:
        first, more = original.to, original.to
    else:
        first, more = original.reply_to or (original.author,), original.to
    more, cc = (more, original.cc) if everyone else ((), ())
    to = _without([*first, *more], own) or _without(first, frozenset())
    taken = own | {one.address.lower() for one in to}
    return to, _without(cc, taken)


def _without(people: Iterable[Address], taken: frozenset[str]) -> tuple[Address, ...]:
    kept: dict[str, Address] = {}
    for one in people:
        key = one.address.lower()
        if key and key not in taken:
            kept.setdefault(key, one)
    return tuple(kept.values())


def subject_of(kind: Kind, original: str) -> str:
    """Return the subject of an answer or forward: one "Re:" or "Fwd:", whatever stood there."""
    if kind == "forward":
        return f"Fwd: {base_subject(original)}".strip()
    return reply_subject(original)


def written(people: Iterable[Address]) -> str:
    """Return addresses as a person types them, on one line."""
    return ", ".join(_one(person) for person in people)


def _one(person: Address) -> str:
    name = sanitize.shown(person.name)
    if not name:
        return person.address
    plain = all(letter.isalnum() or letter in " -_'" for letter in name)
    shown = name if plain else '"' + name.replace("\\", "").replace('"', "'") + '"'
    return f"{shown} <{person.address}>"


_HEAD = {
    "ru": ("---------- Пересылаемое сообщение ----------", "От", "Дата", "Тема", "Кому", "Копия"),
    "en": ("---------- Forwarded message ----------", "From", "Date", "Subject", "To", "Cc"),
}


def _forward_head(original: Original, language: str) -> list[str]:
    title, author, when, subject, to, cc = _HEAD["ru" if language == "ru" else "en"]
    at = original.at.strftime("%d.%m.%Y %H:%M" if language == "ru" else "%Y-%m-%d %H:%M")
    lines = [title, f"{author}: {_one(original.author)}", f"{when}: {at}"]
    lines += [f"{subject}: {sanitize.shown(original.subject, max_chars=900)}", f"{to}: {written(original.to)}"]
    return [*lines, f"{cc}: {written(original.cc)}"] if original.cc else lines


def with_original_text(text: str, original: Original, *, kind: Kind, language: str) -> str:
    """Return a plain text with the original below it."""
    if kind == "forward":
        below = "\n".join([*_forward_head(original, language), "", original.text.rstrip()])
    else:
        above = attribution(author=original.author, at=original.at, language=language)
        below = quoted_text(original.text, above=above)
    return f"{text.rstrip()}\n\n{below}\n"


def with_original_html(html: str, original: Original, *, kind: Kind, language: str) -> str:
    """Return an HTML text with the original below it, its pictures from elsewhere put back."""
    body = (original.html or "").replace(f' {REMOTE_ATTRIBUTE}="', ' src="')
    if original.html is None:
        body = f"<div>{text_to_html(original.text)}</div>"
    if kind == "forward":
        head = "<br>".join(std_html.escape(line) for line in _forward_head(original, language))
        return f"{html}<br><div>{head}</div><br><div>{body}</div>"
    above = attribution(author=original.author, at=original.at, language=language)
    return f"{html}<br>{quoted_html(body, above=above)}"
