"""Names of clients: a person's from its parts, and the type that a name tells. Pure."""

from __future__ import annotations

import re
from typing import Literal

PARTS = ("last_name", "first_name", "middle_name")
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*\.?")
_QUOTED = re.compile(r"[«»„“”\"]|\d|&")
_LEGAL_FORMS = frozenset(
    "ооо оао зао пао ао нао одо тоо чп ип кфх нко ано но пк спк гк фг гуп муп фгуп гбу мбу фгбу мау гау мбоу гбоу фгбоу"
    " мкоу мбдоу гбуз огбуз снт днт тсж тсн жск гск нпо нпп нии"
    " llc ltd inc corp gmbh ag llp lp plc sa sas sarl bv nv oy ab kg spa srl pte pty co".split()
)
_OF_ORGANISATIONS = frozenset(
    "фонд общество завод фабрика компания корпорация фирма банк клиника больница школа магазин агентство группа холдинг"
    " институт университет колледж лицей гимназия администрация министерство управление департамент центр студия салон"
    " союз ассоциация партнерство предприятие учреждение организация кооператив товарищество комбинат мастерская кафе"
    " ресторан отель гостиница аптека типография театр музей клуб"
    " company corporation bank fund foundation group holding university school clinic studio agency institute".split()
)
_PATRONYMIC = re.compile(r"(?:[ое]вич|[ое]вна|ич|[иы]нична|ична|оглы|кызы)", re.IGNORECASE)
_SURNAME = re.compile(r"(?:[оеё]ва?|[иы]на?|ск(?:ий|ая|ой)|цк(?:ий|ая|ой)|енко|чук|юк|ян|дзе|швили)", re.IGNORECASE)
_INITIALS = re.compile(r"[^\W\d_]\.")


def composed(last_name: str | None, first_name: str | None, middle_name: str | None) -> str:
    """Return the name of a person in the order in which it is sorted: last name, first name, middle name."""
    return " ".join(part for part in (last_name, first_name, middle_name) if part)


def guessed_kind(name: str) -> Literal["organisation", "person"] | None:
    """Return the type that a name tells: by a legal form or a quotation mark, a patronymic or a surname, else None.

    A sole trader is an organisation.
    """
    words = _WORD.findall(name)
    folded = {word.casefold().replace("ё", "е").rstrip(".") for word in words}
    if _QUOTED.search(name) or folded & _LEGAL_FORMS or folded & _OF_ORGANISATIONS:
        return "organisation"
    if not 2 <= len(words) <= 4 or not all(word[0].isupper() or _ends(_PATRONYMIC, word) for word in words):
        return None
    is_person = any(_ends(_PATRONYMIC, word) for word in words[1:])
    is_person |= any(_ends(_SURNAME, word) for word in words) or any(_INITIALS.fullmatch(word) for word in words)
    return "person" if is_person else None


def _ends(ending: re.Pattern[str], word: str) -> bool:
    """Tell whether a word of some length has one of these endings."""
    return len(word) >= 4 and re.search(f"(?:{ending.pattern})$", word, re.IGNORECASE) is not None
