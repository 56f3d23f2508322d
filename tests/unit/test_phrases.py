"""Fields in templates: what they stand for, and that there is no code in them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Refused
from hub.mail.sending.phrases import FIELDS, OF_THE_WRITER, Facts, check, fill, first_name, written_date

FACTS = Facts(
    client="ООО «Ромашка»",
    contact="Иванова Анна Петровна",
    manager="Ольга Соколова",
    email="olga@hub.test",
    mailbox="sales@hub.test",
    today=date(2026, 11, 25),
)


def test_a_field_becomes_its_value_however_it_is_written() -> None:
    text = "{{contact.first_name}}, {{ клиент }}: {{MANAGER.NAME}}, {{сегодня}}"
    assert fill(text, FACTS, is_html=False) == "Анна Петровна, ООО «Ромашка»: Ольга Соколова, 25 ноября 2026 г."


def test_what_is_not_known_is_said_as_the_field_says() -> None:
    assert fill("Здравствуйте, {{имя|коллеги}}!", Facts(), is_html=False) == "Здравствуйте, коллеги!"
    assert fill("Здравствуйте{{имя}}!", Facts(), is_html=False) == "Здравствуйте!"


@pytest.mark.parametrize(
    "text",
    [
        "{{client.__class__}}",
        "{{client.password}}",
        "{{ config }}",
        "{{''.__class__.__mro__}}",
        "{{client.name.format}}",
        "{{}}",
        "{{client.name}} {{manager.password_hash}}",
    ],
)
def test_a_name_that_is_not_on_the_list_is_refused_and_named(text: str) -> None:
    with pytest.raises(Refused) as refused:
        check(text, field="text")
    assert refused.value.code == "no_such_field"
    assert refused.value.details["name"] in text
    assert set(refused.value.details["known"]) == set(FIELDS)


def test_one_that_comes_by_another_way_stays_what_was_typed() -> None:
    for text in ("{{client.__class__}}", "{client.name}", "%(client)s", "${client}", "{% if client %}", "{{{}}}"):
        assert fill(text, FACTS, is_html=True) == text


def test_a_signature_names_only_the_one_who_writes() -> None:
    check("{{manager.name}}, {{компания}}", field="text", allowed=OF_THE_WRITER)
    with pytest.raises(Refused):
        check("{{client.name}}", field="text", allowed=OF_THE_WRITER)


def test_a_value_brings_neither_markup_nor_a_field_nor_a_line() -> None:
    hostile = Facts(client="<img src=x onerror=alert(1)>{{manager.email}}\r\nBcc: a@b.example", email="olga@hub.test")
    html = fill("<p>{{client.name}}</p>", hostile, is_html=True)
    assert "<img" not in html
    assert "olga@hub.test" not in html
    assert "{{" not in html
    subject = fill("{{client.name}}", hostile, is_html=False)
    assert "\r" not in subject
    assert "\n" not in subject
    assert "olga@hub.test" not in subject


@given(st.text(max_size=300), st.text(max_size=60))
def test_no_text_breaks_the_filling(text: str, name: str) -> None:
    fill(text + "{{client.name}}" + text, Facts(client=name), is_html=True)


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("Иванова Анна Петровна", "Анна Петровна"),
        ("Анна Петровна Иванова", "Анна Петровна"),
        ("Анна Петровна", "Анна Петровна"),
        ("Anna Smith", "Anna"),
        ("Анна", "Анна"),
        ("Анна Иванова", "Анна Иванова"),
        ("", ""),
    ],
)
def test_a_person_is_spoken_to_as_their_language_does(name: str, spoken: str) -> None:
    assert first_name(name) == spoken


def test_dates_are_written_as_in_a_letter() -> None:
    assert written_date(date(2026, 5, 1), "ru") == "1 мая 2026 г."
    assert written_date(date(2026, 5, 1), "en") == "1 May 2026"
