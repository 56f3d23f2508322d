"""Whom a forward names as the writer, in the shapes of the programs that people forward with."""

from __future__ import annotations

import time

import pytest

from hub.mail.reading.forwarded import original_sender
from hub.mail.reading.headers import Address

ANNA = Address("Анна Зуева", "anna@client.example")
FORWARDS = {
    "gmail": (
        "Fwd: Цена",
        "Посмотри, пожалуйста\n\n---------- Forwarded message ---------\nОт: Анна Зуева <anna@client.example>\n"
        "Date: чт, 5 мар. 2026 г. в 10:12\nSubject: Цена\nTo: <ivan@hub.example>\n\nСколько стоит кран?",
    ),
    "yandex": (
        "Fwd: Цена",
        '\n-------- Пересылаемое сообщение --------\n05.03.2026, 10:12, "Анна Зуева" <anna@client.example>:\n\n'
        "Сколько стоит кран?\n-------- Конец пересылаемого сообщения --------",
    ),
    "mail.ru": (
        "Fwd: Цена",
        "-------- Пересылаемое сообщение --------\nОт: Анна Зуева <anna@client.example>\nКому: ivan@hub.example\n"
        "Дата: Четверг, 5 марта 2026, 10:12 +03:00\nТема: Цена\n\nСколько?",
    ),
    "thunderbird": (
        "Fwd: Цена",
        "\n\n-------- Перенаправленное сообщение --------\nТема: \tЦена\nДата: \tThu, 5 Mar 2026 10:12:00 +0300\n"
        "От: \tАнна Зуева <anna@client.example>\nКому: \tivan@hub.example\n\nСколько?",
    ),
    "apple": (
        "Fwd: Цена",
        "Смотри\n\nНачало переадресованного сообщения:\n\n> От: Анна Зуева <anna@client.example>\n> Тема: Цена\n"
        "> Дата: 5 марта 2026 г. в 10:12:00 GMT+3\n> Кому: ivan@hub.example\n> \n> Сколько?",
    ),
    "outlook": (
        "FW: Цена",
        "Это тебе\n\nОт: Анна Зуева <anna@client.example>\nОтправлено: четверг, 5 марта 2026 г. 10:12\n"
        "Кому: ivan@hub.example\nТема: Цена\n\nСколько?",
    ),
    "outlook with mailto": (
        "FW: Цена",
        "From: Анна Зуева [mailto:anna@client.example]\nSent: Thursday, March 5, 2026\nTo: Ivan\nSubject: Цена\n\nx",
    ),
    "two hops, the nearer counts": (
        "Fwd: Fwd: Цена",
        "---------- Forwarded message ---------\nFrom: Анна Зуева <anna@client.example>\nSubject: Fwd: Цена\n\n"
        "---------- Forwarded message ---------\nFrom: Oleg <oleg@other.example>\nSubject: Цена\n\nx",
    ),
}


@pytest.mark.parametrize("program", FORWARDS)
def test_a_forward_names_who_wrote_it(program: str) -> None:
    assert original_sender(*FORWARDS[program]) == ANNA


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Re: Цена", "Да\n\nОт: Анна <anna@client.example>\nОтправлено: 5 марта\nКому: Ivan\nТема: Цена\n\nСколько?"),
        ("Re: Цена", "Да\n\nчт, 5 мар. 2026 г. в 10:12, Анна <anna@client.example>:\n> Сколько?"),
        ("Fwd: Цена", "---------- Forwarded message ---------\nОт: Анна\nSubject: Цена\n\nx"),
        ("Fwd: Цена", "Смотри файл, вопросы к anna@client.example"),
        ("", ""),
    ],
)
def test_an_answer_or_a_forward_without_an_address_names_nobody(subject: str, text: str) -> None:
    assert original_sender(subject, text) is None


def test_a_text_made_to_hurt_is_looked_through_in_bounded_time() -> None:
    for text in (
        "-" * 200_000 + "@",
        "---- \n" * 50_000 + "@",
        "From: x\n" * 50_000,
        "> " * 100_000,
        "1,<" * 60_000 + "@",
        " " * 50_000 + "x",
        "-- forwarded by " + " " * 50_000 + "x",
        "-- forwarded message" + " " * 50_000 + "x",
        "a" + " " * 50_000 + "x",
    ):
        began = time.process_time()
        original_sender("Fwd: x", text)
        assert time.process_time() - began < 1
