"""How often an event comes, said in words of both languages. Pure; a rule is never expanded.

Decides the sentence for the parts of an RRULE; parts that it has no words for are left out, and `rule` keeps all.
Invariant: any dictionary of strings gives a sentence.

Source: RFC 5545 §3.3.10.
"""

from __future__ import annotations

import re
from typing import Any

_UNITS = {
    "SECONDLY": (("second", "seconds"), ("каждую", "секунду", "секунды", "секунд")),
    "MINUTELY": (("minute", "minutes"), ("каждую", "минуту", "минуты", "минут")),
    "HOURLY": (("hour", "hours"), ("каждый", "час", "часа", "часов")),
    "DAILY": (("day", "days"), ("каждый", "день", "дня", "дней")),
    "WEEKLY": (("week", "weeks"), ("каждую", "неделю", "недели", "недель")),
    "MONTHLY": (("month", "months"), ("каждый", "месяц", "месяца", "месяцев")),
    "YEARLY": (("year", "years"), ("каждый", "год", "года", "лет")),
}
_DAYS = {
    "MO": ("Monday", "понедельникам", "понедельник"),
    "TU": ("Tuesday", "вторникам", "вторник"),
    "WE": ("Wednesday", "средам", "среду"),
    "TH": ("Thursday", "четвергам", "четверг"),
    "FR": ("Friday", "пятницам", "пятницу"),
    "SA": ("Saturday", "субботам", "субботу"),
    "SU": ("Sunday", "воскресеньям", "воскресенье"),
}
_MONTHS = (
    "January February March April May June July August September October November December".split(),
    "январе феврале марте апреле мае июне июле августе сентябре октябре ноябре декабре".split(),
)
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")


def said(rule: dict[str, list[str]]) -> dict[str, Any]:
    """Return `{"en": sentence, "ru": sentence, "rule": parts}` for the parts of a rule, e.g. `{"FREQ": ["WEEKLY"]}`."""
    frequency = (rule.get("FREQ") or [""])[0].upper()
    if frequency not in _UNITS:
        return {"en": "repeats", "ru": "повторяется", "rule": rule}
    every = max(1, _number((rule.get("INTERVAL") or ["1"])[0]))
    (one, many), (each, first, few, more) = _UNITS[frequency]
    english = [f"every {one}" if every == 1 else f"every {every} {many}"]
    russian = [f"{each} {first}" if every == 1 else f"раз в {every} {_plural(every, first, few, more)}"]
    for add in (_days, _month_days, _months, _end):
        in_english, in_russian = add(rule)
        english.append(in_english)
        russian.append(in_russian)
    return {"en": " ".join(filter(None, english)), "ru": " ".join(filter(None, russian)), "rule": rule}


def _days(rule: dict[str, list[str]]) -> tuple[str, str]:
    english, russian, is_numbered = [], [], False
    for found in filter(None, (_DAY.fullmatch(day.upper()) for day in rule.get("BYDAY", [])[:14])):
        name, by, one = _DAYS[found[2]]
        place = _number(found[1] or "0")
        if place:
            is_numbered = True
            english.append(
                f"the {'last' if place == -1 else _ordinal(abs(place))}{' last' if place < -1 else ''} {name}"
            )
            gender = {"среду": "ю", "пятницу": "ю", "субботу": "ю", "воскресенье": "е"}.get(one, "й")
            last = {"ю": "последнюю", "е": "последнее", "й": "последний"}[gender]
            russian.append(
                f"{last} {one}" if place == -1 else f"{abs(place)}-{gender} {'с конца ' if place < 0 else ''}{one}"
            )
        else:
            english.append(name)
            russian.append(one if is_numbered else by)
    if not english:
        return "", ""
    return f"on {_and(english, 'and')}", f"{'в' if is_numbered else 'по'} {_and(russian, 'и')}"


def _month_days(rule: dict[str, list[str]]) -> tuple[str, str]:
    days = [day for day in map(_number, rule.get("BYMONTHDAY", [])[:31]) if day]
    if not days:
        return "", ""
    english = ["the last day" if day == -1 else f"day {day}" for day in days]
    russian = ["в последний день" if day == -1 else f"{day}-го числа" for day in days]
    return f"on {_and(english, 'and')}", _and(russian, "и")


def _months(rule: dict[str, list[str]]) -> tuple[str, str]:
    months = [month for month in map(_number, rule.get("BYMONTH", [])[:12]) if 1 <= month <= 12]
    if not months:
        return "", ""
    english, russian = ([names[month - 1] for month in months] for names in _MONTHS)
    return f"in {_and(english, 'and')}", f"в {_and(russian, 'и')}"


def _end(rule: dict[str, list[str]]) -> tuple[str, str]:
    if count := _number((rule.get("COUNT") or ["0"])[0]):
        return f"{count} times" if count > 1 else "once", f"{count} {_plural(count, 'раз', 'раза', 'раз')}"
    until = re.match(r"(\d{4})-?(\d{2})-?(\d{2})", (rule.get("UNTIL") or [""])[0])
    if until is None:
        return "", ""
    return f"until {until[1]}-{until[2]}-{until[3]}", f"до {until[3]}.{until[2]}.{until[1]}"


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,6}", text) else 0


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{endings.get(number % 10, 'th') if number not in (11, 12, 13) else 'th'}"


def _plural(number: int, one: str, few: str, many: str) -> str:
    if number % 10 == 1 and number % 100 != 11:
        return one
    return few if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else many


def _and(words: list[str], word: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {word} {words[-1]}"
