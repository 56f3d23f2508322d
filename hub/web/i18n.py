"""How people are spoken to: English in the source, Russian from a catalogue, numbers and times as each writes them.

`translator(language)` gives words and formats of one language; the catalogue is read once, at the first use.
`N_` marks a message that is translated later. Invariant: a message without a translation is shown in English,
never as an error; and a test fails while there is one.
"""

from __future__ import annotations

import gettext as gnu
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from importlib import resources
from typing import Any, Literal

import phonenumbers
from babel import Locale, dates, numbers, units
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from hub.clock import utc_now

LANGUAGES = {"ru": "Русский", "en": "English"}


def N_(message: str) -> str:
    """Mark a message for translation."""
    return message


READER_ZONE: ContextVar[tzinfo] = ContextVar("reader_zone")
"""The zone of who reads what this request draws: templates are made once a language, for readers of every zone."""


@dataclass(frozen=True, slots=True)
class Translator:
    """Words and formats of one language. `zone` is where the clock stands of who is not known; None: this machine's."""

    language: str
    messages: dict[str, str] = field(repr=False)
    plurals: dict[str, tuple[str, ...]] = field(repr=False)
    plural_of: Callable[[int], int] = field(repr=False)
    locale: Locale = field(repr=False)
    zone: tzinfo | None = None

    def gettext(self, message: str) -> str:
        """Return the message in this language, itself where there is none."""
        return self.messages.get(message, message)

    def ngettext(self, one: str, many: str, n: int) -> str:
        """Return the form for a number."""
        forms = self.plurals.get(one)
        return forms[self.plural_of(n)] if forms else (one if n == 1 else many)

    def _local(self, at: datetime | str) -> datetime:
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(READER_ZONE.get(self.zone))

    def clock(self, at: datetime | str) -> str:
        """14:05."""
        return self._local(at).strftime("%H:%M")

    def day(self, at: datetime | str, *, now: datetime | None = None) -> str:
        """Today, Yesterday, "Monday, 23 November", with the year where it is another one."""
        day, today = self._local(at).date(), self._local(now or utc_now()).date()
        if day == today:
            return self.gettext(N_("Today"))
        if day == today - timedelta(days=1):
            return self.gettext(N_("Yesterday"))
        text = self._date(day, "EEEE, d MMMM", "d MMMM y", today)
        return text[:1].upper() + text[1:]

    def near_day(self, at: datetime | str, *, now: datetime | None = None) -> str:
        """A day in few letters, within a sentence: today, yesterday, 28 Nov, 28 Nov 2025."""
        day, today = self._local(at).date(), self._local(now or utc_now()).date()
        if day == today:
            return self.gettext(N_("today"))
        if day == today - timedelta(days=1):
            return self.gettext(N_("yesterday"))
        return self._date(day, "d MMM", "d MMM y", today)

    def month(self, at: datetime | str) -> str:
        """A month within a sentence: March 2024, «марта 2024»."""
        return dates.format_date(self._local(at).date(), "MMMM y", locale=self.locale)

    def moment(self, at: datetime | str, *, now: datetime | None = None) -> str:
        """The shortest text for a moment: the time today, the day and time before, the date of another year."""
        local, today = self._local(at), self._local(now or utc_now()).date()
        if local.date() == today:
            return self.clock(at)
        if local.date() == today - timedelta(days=1):
            return f"{self.gettext(N_('Yesterday'))}, {self.clock(at)}"
        short = self._date(local.date(), "d MMM", "d MMM y", today)
        return f"{short}, {self.clock(at)}" if local.year == today.year else short

    def coming(self, at: datetime | str, *, now: datetime | None = None) -> str:
        """A moment ahead as one says when something goes: today, 18:00; tomorrow, 09:00; Mon, 30 Nov, 09:00."""
        local, today = self._local(at), self._local(now or utc_now()).date()
        days = (local.date() - today).days
        if days in (0, 1):
            return f"{self.gettext(N_('tomorrow') if days else N_('today'))}, {self.clock(at)}"
        return f"{self._date(local.date(), 'EEE, d MMM', 'd MMM y', today)}, {self.clock(at)}"

    def local_minute(self, at: datetime | str) -> str:
        """A moment as a field of date and time takes it."""
        return self._local(at).strftime("%Y-%m-%dT%H:%M")

    def full_moment(self, at: datetime | str) -> str:
        """Date and time to the second, for a hover."""
        return dates.format_datetime(self._local(at), "d MMMM y, HH:mm:ss", locale=self.locale)

    def calendar_day(self, day: date) -> str:
        """A day of the calendar: 24 Nov 2026."""
        return dates.format_date(day, "d MMM y", locale=self.locale)

    def money(self, amount: Any) -> str:
        """An amount with its currency's sign."""
        return str(numbers.format_currency(amount.value, amount.currency, locale=self.locale))

    def problem(self, problem: Any) -> str:
        """The problem with one value (`hub.crm.base.labels.Problem`)."""
        return self.gettext(problem.text) % problem.params if problem.params else self.gettext(problem.text)

    def label(self, field: Any) -> str:
        """The label of a field of a record; a characteristic has one of its own in each language."""
        defined = getattr(field, "definition", None)
        if defined is not None:
            return str(defined.label.get(self.language) or field.label)
        return self.gettext(field.label)

    def _date(self, day: date, form: str, form_with_year: str, today: date) -> str:
        return dates.format_date(day, form if day.year == today.year else form_with_year, locale=self.locale)

    def length(self, seconds: float) -> str:
        """A length in its two largest units: 45s, 3m 5s, 1h 2m."""
        whole = max(0, int(seconds))
        parts = [
            (whole // 86400, "duration-day"),
            (whole // 3600 % 24, "duration-hour"),
            (whole // 60 % 60, "duration-minute"),
            (whole % 60, "duration-second"),
        ]
        first = next((index for index, (count, _) in enumerate(parts) if count), 3)
        shown = [part for part in parts[first : first + 2] if part[0]] or [parts[3]]
        # CLDR's narrow form has holes in Russian, where the short one is as short: 3 мин 5 с.
        form: Literal["narrow", "short"] = "narrow" if self.locale.language == "en" else "short"
        return " ".join(units.format_unit(count, unit, length=form, locale=self.locale) for count, unit in shown)

    def roughly(self, seconds: float) -> str:
        """A length in its largest unit, as one says how long somebody waits: now, 12 min, 3 hrs. As clock.js does."""
        if seconds < 60:
            return self.gettext(N_("now"))
        steps = (("duration-day", 86400), ("duration-hour", 3600), ("duration-minute", 60))
        unit, length_s = next(step for step in steps if seconds >= step[1])
        return units.format_unit(int(seconds // length_s), unit, length="short", locale=self.locale)

    def local_day(self, at: datetime | str) -> str:
        """The reader's date, 2026-11-24: what entries of one day have in common."""
        return self._local(at).date().isoformat()

    def number(self, value: float) -> str:
        """A number with its groups."""
        return str(numbers.format_decimal(value, locale=self.locale))

    def filesize(self, size: int) -> str:
        """A size in the largest unit that leaves a number over one."""
        for unit, factor in (("digital-gigabyte", 2**30), ("digital-megabyte", 2**20), ("digital-kilobyte", 2**10)):
            if size >= factor:
                return units.format_unit(round(size / factor, 1), unit, length="short", locale=self.locale)
        return units.format_unit(size, "digital-byte", length="short", locale=self.locale)

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters of templates: `{{ call.started_at | moment }}`."""
        return {
            "say": self.gettext,
            "label": self.label,
            "problem": self.problem,
            "date": self.calendar_day,
            "money": self.money,
            "clock": self.clock,
            "day": self.day,
            "moment": self.moment,
            "full_moment": self.full_moment,
            "duration": self.length,
            "near_day": self.near_day,
            "month": self.month,
            "roughly": self.roughly,
            "local_day": self.local_day,
            "local_minute": self.local_minute,
            "coming": self.coming,
            "timer": timer,
            "number": self.number,
            "filesize": self.filesize,
            "phone": phone,
            "is_callable": is_callable,
            "is_extension": is_extension,
            "initials": initials,
            "hue": hue,
            "iso": iso,
        }


def timer(seconds: float) -> str:
    """A clock that runs: 0:42, 12:05, 1:02:03."""
    whole = max(0, int(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def phone(value: str | None) -> str:
    """An E.164 number as people read it; anything else as it is."""
    if not value or not value.startswith("+"):
        return value or ""
    try:
        parsed = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        return value
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


_LEGAL_FORMS = frozenset("ооо ао оао зао пао ип llc inc ltd gmbh".split())


def is_callable(value: str | None) -> bool:
    """Whether a number can be called by a click: whole, with its country."""
    return bool(value) and re.fullmatch(r"\+[0-9]{7,15}", value or "") is not None


def is_extension(value: str | None) -> bool:
    """Whether this is written as the extensions of a house are."""
    return re.fullmatch(r"[0-9]{2,6}", value or "") is not None


def initials(name: str | None) -> str:
    """Up to two letters to know somebody by; legal forms and signs do not count."""
    words = ["".join(c for c in word if c.isalnum()) for word in (name or "").split()]
    telling = [word for word in words if word and word.casefold() not in _LEGAL_FORMS and not word[0].isdigit()]
    return "".join(word[0] for word in telling[:2]).upper()


def hue(key: object) -> int:
    """One of eight colours, the same for the same id or name always."""
    return sum((index + 1) * ord(c) for index, c in enumerate(str(key))) % 8


def iso(at: datetime | str | None) -> str:
    """A moment as scripts read it."""
    if at is None:
        return ""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="milliseconds")


def catalogues(language: str) -> list[Catalog]:
    """Read every catalogue of a language: one file a room, `hub.po` what all rooms share."""
    folder = resources.files("hub.web").joinpath("locale", language)
    if not folder.is_dir():
        return []
    found = []
    for source in sorted(folder.iterdir(), key=lambda one: one.name):
        if source.name.endswith(".po"):
            with source.open("rb") as file:
                found.append(read_po(file, locale=language))
    return found


@cache
def translator(language: str, zone: tzinfo | None = None) -> Translator:
    """Return the translator of a language; English for one that there is no catalogue of."""
    found = catalogues(language)
    if not found:
        return Translator("en", {}, {}, lambda n: int(n != 1), Locale("en", "GB"), zone)
    messages: dict[str, str] = {}
    plurals: dict[str, tuple[str, ...]] = {}
    for message in (message for catalog in found for message in catalog):
        if isinstance(message.id, str):
            if message.id and message.string:
                messages[message.id] = str(message.string)
        elif isinstance(message.string, (tuple, list)) and all(message.string):
            plurals[message.id[0]] = tuple(message.string)
    plural_of: Callable[[int], int] = gnu.c2py(found[0].plural_expr)
    return Translator(language, messages, plurals, plural_of, Locale(language), zone)
