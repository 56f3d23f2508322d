"""Every text a person sees exists in Russian: whatever a template or a module asks the catalogue for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract_from_file

from hub.web.i18n import catalogues, translator

ROOT = Path(__file__).parents[2]
JINJA = {"extensions": "jinja2.ext.do,jinja2.ext.i18n", "newstyle_gettext": "true", "trim_blocks": "true"}


def asked_for() -> dict[str | tuple[str, ...], str]:
    """Every message of templates and code, and where it stands."""
    found: dict[str | tuple[str, ...], str] = {}
    for path in sorted(ROOT.glob("templates/**/*.html")):
        for line, message, *_ in extract_from_file("jinja2.ext.babel_extract", path, options=JINJA):
            found[message] = f"{path.name}:{line}"
    for path in sorted(ROOT.glob("hub/**/*.py")):
        keywords = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
        for line, message, *_ in extract_from_file("python", path, keywords=keywords):
            found[message] = f"{path.name}:{line}"
    return found


def test_every_text_exists_in_russian() -> None:
    found = catalogues("ru")
    missing = []
    for message, place in asked_for().items():
        entries = (catalog.get(message if isinstance(message, str) else message[0]) for catalog in found)
        entry = next(filter(None, entries), None)
        if (
            entry is None
            or entry.fuzzy
            or not entry.string
            or (isinstance(entry.string, tuple) and not all(entry.string))
        ):
            missing.append(f"{place}: {message!r}")
    assert missing == []


def test_a_translation_keeps_the_places_of_its_facts() -> None:
    for catalog in catalogues("ru"):
        for entry in catalog:
            ids = [entry.id] if isinstance(entry.id, str) else list(entry.id)
            texts = [entry.string] if isinstance(entry.string, str) else list(entry.string)
            wanted = set(re.findall(r"%\((\w+)\)", ids[0]))
            for text in texts:
                assert set(re.findall(r"%\((\w+)\)", text)) == wanted, entry.id


def test_a_message_stands_in_one_catalogue_only() -> None:
    ids = [entry.id if isinstance(entry.id, str) else entry.id[0] for found in catalogues("ru") for entry in found]
    assert sorted({one for one in ids if one and ids.count(one) > 1}) == []


def test_no_word_is_written_into_a_template_untranslated() -> None:
    """Text between tags goes through `_()`: what is left over has no letters but the name of the product."""
    for path in sorted(ROOT.glob("templates/**/*.html")):
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<!--.*?-->", "", path.read_text("utf-8"), flags=re.DOTALL)
        text = re.sub(r"<(title|script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
        words = re.findall(r">([^<>]*[A-Za-zА-Яа-я][^<>]*)<", text)
        assert [word.strip() for word in words if word.strip() not in ("Hub", "· Hub")] == [], path.name


@pytest.mark.parametrize(
    ("count", "text"), [(1, "1 участник"), (3, "3 участника"), (5, "5 участников"), (21, "21 участник")]
)
def test_russian_counts_by_its_own_rules(count: int, text: str) -> None:
    words = translator("ru")
    assert words.ngettext("%(num)d leg", "%(num)d legs", count) % {"num": count} == text


def test_moments_are_told_in_the_readers_zone_and_language() -> None:
    now = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)
    moscow = translator("ru", ZoneInfo("Europe/Moscow"))
    assert moscow.moment(now, now=now) == "01:30"
    assert moscow.moment(now - timedelta(days=1), now=now).startswith("Вчера")
    assert translator("en", ZoneInfo("UTC")).moment(now, now=now) == "22:30"
