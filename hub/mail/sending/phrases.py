"""Fields in templates and signatures: `{{client.name}}` becomes the client's name, and nothing else becomes anything.

Decides which fields there are and what stands where one has no value. There is no code in a template: a name that is
not on the list is refused when the text is saved, and stays visible as it was typed if it comes by another way. Pure.
Invariant: what a field stands for is text; it can bring no markup, no field and no line break of its own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from hub.errors import Refused

_FIELD = re.compile(r"\{\{([^{}]{0,200})\}\}")
_ALIASES = {
    "клиент": "client.name",
    "контакт": "contact.name",
    "имя": "contact.first_name",
    "должность": "contact.position",
    "менеджер": "manager.name",
    "почта": "manager.email",
    "добавочный": "manager.extension",
    "ящик": "mailbox.address",
    "компания": "mailbox.name",
    "сегодня": "today",
}
FIELDS = tuple(_ALIASES.values())
OF_THE_WRITER = tuple(name for name in FIELDS if name.startswith(("manager.", "mailbox.")))
"""What a signature may name: it is the same in every letter."""
MAX_VALUE_CHARS = 300
_MONTHS = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря".split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the fields stand for in one letter; empty where it is not known."""

    client: str = ""
    contact: str = ""
    position: str = ""
    manager: str = ""
    email: str = ""
    extension: str = ""
    mailbox: str = ""
    company: str = ""
    today: date | None = None
    language: str = "ru"

    def values(self) -> Mapping[str, str]:
        """Return what each field stands for, by its name."""
        return {
            "client.name": self.client,
            "contact.name": self.contact,
            "contact.first_name": first_name(self.contact),
            "contact.position": self.position,
            "manager.name": self.manager,
            "manager.email": self.email,
            "manager.extension": self.extension,
            "mailbox.address": self.mailbox,
            "mailbox.name": self.company,
            "today": written_date(self.today, self.language) if self.today else "",
        }


def check(text: str, *, field: str, allowed: Iterable[str] = FIELDS) -> None:
    """Raise Refused that names the first field which does not exist, and those which do."""
    known = tuple(allowed)
    for match in _FIELD.finditer(text):
        name = _name(match[1])
        if name not in known:
            shown = match[0][:80]
            message = f"{shown} is no field; there are: {', '.join('{{' + one + '}}' for one in known)}"
            raise Refused("no_such_field", message, field=field, name=shown, known=list(known))


def fill(text: str, facts: Facts, *, is_html: bool) -> str:
    """Put values into the fields of `text`; what a field says after `|` stands where it has none.

    `{{contact.first_name|colleagues}}` is "colleagues" for a letter to nobody known.
    """
    values = facts.values()

    def value(match: re.Match[str]) -> str:
        name = _name(match[1])
        if name not in values:
            return match[0]
        _, _, otherwise = match[1].partition("|")
        if found := " ".join(values[name].split())[:MAX_VALUE_CHARS]:
            # A client may be called "{{today}}": its braces are text.
            return html.escape(found).replace("{", "&#123;") if is_html else found
        return otherwise.strip()

    return _FIELD.sub(value, text)


def _name(inside: str) -> str:
    name = html.unescape(inside.partition("|")[0]).strip().lower()
    return _ALIASES.get(name, name)


def first_name(name: str) -> str:
    """Return how a person is spoken to: `Иванова Анна Петровна` is Анна Петровна, `Anna Smith` is Anna.

    A Russian full name is told by its patronymic; in doubt the whole name is returned.
    """
    words = name.split()
    if len(words) == 3 and _PATRONYMIC.search(words[2]):
        return f"{words[1]} {words[2]}"
    if len(words) == 3 and _PATRONYMIC.search(words[1]):
        return f"{words[0]} {words[1]}"
    if len(words) == 2 and _PATRONYMIC.search(words[1]):
        return name
    if len(words) == 2 and name.isascii():
        return words[0]
    return name


_PATRONYMIC = re.compile(r"(вич|вна|ична|инична|ич|оглы|кызы)$", re.IGNORECASE)


def written_date(day: date, language: str) -> str:
    """Return a date as a letter has it: `25 ноября 2026 г.`, `25 November 2026`."""
    if language == "ru":
        return f"{day.day} {_MONTHS[day.month - 1]} {day.year} г."
    english = "January February March April May June July August September October November December".split()
    return f"{day.day} {english[day.month - 1]} {day.year}"
