"""The type of a client is guessed from its name where the name tells it, and left open where it does not."""

from __future__ import annotations

import pytest

from hub.crm.clients.names import guessed_kind


@pytest.mark.parametrize(
    "name",
    [
        "ООО Ромашка",
        "ромашка, ооо",
        "АО «Технополис»",
        "ПАО Сбербанк",
        "ИП Иванов Иван Иванович",
        "Фонд Иванова",
        "Мебельная фабрика Уют",
        "Клиника Здоровье",
        "Romashka LLC",
        "Müller GmbH",
        "Acme Inc.",
        "«Вкусный дом»",
        "Партнёрство Северный Ветер",
        "Школа 17",
    ],
)
def test_a_legal_form_or_a_quotation_mark_tells_an_organisation(name: str) -> None:
    assert guessed_kind(name) == "organisation"


@pytest.mark.parametrize(
    "name",
    [
        "Иванов Иван Иванович",
        "Белова Татьяна Петровна",
        "Ильин Илья Ильич",
        "Алиев Вагиф Ахмед оглы",
        "Кирилл Воронов",
        "Петров-Водкин Кузьма",
        "Иванов И. И.",
        "Крылова Е.",
        "Дмитрий Островский",
    ],
)
def test_a_patronymic_a_surname_or_initials_tell_a_person(name: str) -> None:
    assert guessed_kind(name) == "person"


@pytest.mark.parametrize(
    "name", ["", "   ", "Ромашка", "Вкусный дом", "ALEXEY", "Северный ветер", "😀", "info@romashka.example"]
)
def test_a_name_that_tells_nothing_leaves_the_type_open(name: str) -> None:
    assert guessed_kind(name) is None
