"""The search's question and its words: what people write is understood, and nothing they write is an error."""

from __future__ import annotations

import random
import time
from datetime import date

import pytest

from hub.mail.excerpt import Marker
from hub.mail.query import MAX_PHRASE, MAX_TERMS, Phrase, parse
from hub.mail.reading import terms


def wanted(text: str) -> list[list[str]]:
    """Every way of every term, its stems joined, an open one with a star."""
    return [[" ".join(way.stems) + ("*" if way.is_open else "") for way in term.ways] for term in parse(text).wanted]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("счёт оплата ", [["счет"], ["оплат"]]),
        ("счета опла", [["счет"], ["опл", "опла*"]]),
        ('"точная фраза"', [["точн фраз"]]),
        ("«точная фраза» счёт ", [["точн фраз"], ["счет"]]),
        ("ivanov@firma.ru ", [["ivanov firma ru"]]),
        ("ivanov@ x ", [["ivanov"], ["x"]]),
        ("@firma.ru ", [["firma ru"]]),
        ("№ 1234-5 ", [["1234 5"]]),
        ("from:иванов ", [["f:ив"]]),
        ("От: Иванов ", [["f:ив"]]),
        ("кому:sales@hub.test ", [["t:sale t:hub t:test"]]),
        ('тема:"счёт на оплату"', [["s:счет s:на s:оплат"]]),
        ("файл:договор.pdf ", [["a:договор a:pdf"]]),
        ("filename:act* ", [["a:act", "a:act*"]]),
        ("+7 (495) 123-45-67", [["7 495 123 45 67", "n:4951234567"]]),
        ("84951234567 ", [["84951234567", "n:4951234567"]]),
        ("1С ", [["1c"]]),
        ("Re: счёт ", [["re"], ["счет"]]),
        ("NEAR(a b) AND * OR ^x ", [["near a"], ["b"], ["and"], ["or"], ["x"]]),
    ],
)
def test_a_question_is_read_as_people_mean_it(text: str, found: list[list[str]]) -> None:
    assert wanted(text) == found


def test_minus_dates_and_files_narrow() -> None:
    query = parse("счёт -реклама -from:бот есть:вложение after:2025-02-01 до:01.01.2026 ")
    assert [term.ways for term in query.unwanted] == [(Phrase(("рекл",)),), (Phrase(("f:бот",)),)]
    assert (query.has_file, query.since, query.until) == (True, date(2025, 2, 1), date(2026, 1, 1))
    assert parse("-has:attachment").has_file is False
    assert (parse("before:2025-03").until, parse("после:2025").since) == (date(2025, 3, 1), date(2025, 1, 1))


@pytest.mark.parametrize("text", ["%", '"', "«", "-", "from:", "—", "- -", '""', "тема:«»", "\u202e", "до:завтра"])
def test_what_has_no_word_in_it_finds_nothing_and_is_no_error(text: str) -> None:
    assert parse(text).is_nothing


def test_a_date_that_is_none_is_named() -> None:
    assert parse("счёт до:31.02.2025").not_understood == ("до:31.02.2025",)
    assert not parse("").is_nothing


def test_any_text_is_a_question_of_bounded_size() -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    alphabet = "aбЁ1 \t\n\"'«»“”-+():*^&|!<>\\/@.,%_№\u0000\u0301\u202eſİǅ漢😀" + "from:от:до:has:"
    for _ in range(3000):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(600)))
        query = parse(text)
        for term in (*query.wanted, *query.unwanted):
            for way in term.ways:
                assert 0 < len(way.stems) <= MAX_PHRASE, (seed, text)
                assert all(c.isalnum() or c == ":" for stem in way.stems for c in stem), (seed, text)
        assert len(query.wanted) <= MAX_TERMS, (seed, text)


def test_a_composed_and_a_decomposed_letter_are_one() -> None:
    assert terms.words("Счёт Иванова й") == terms.words("Счёт Иванова й")
    assert terms.words("Ёлка") == ["елка"]


@pytest.mark.parametrize(
    "forms",
    [
        "счёт счета счету счетом счета счетов счетам",
        "план плана плану планом планы",
        "Иванов Иванова Иванову Ивановым Иванове Ивановой",
        "Иван Ивана Ивану",
        "система системы систем системам",
        "договор договора договоров договорами",
        "основа основы основ",
        "оплата оплаты оплату оплатой оплат",
        "invoice invoices",
        "company companies",
    ],
)
def test_the_forms_of_a_word_are_one(forms: str) -> None:
    assert len(set(terms.stems(terms.words(forms)))) == 1, terms.stems(terms.words(forms))


def test_words_that_only_look_alike_stay_apart() -> None:
    apart = "счет час чек договор дорога оплата плата поставка доставка клиент контакт заказ отказ банк бланк".split()
    assert len(set(terms.stems(apart))) == len(apart)


def test_what_is_kept_of_a_bomb_fits_and_takes_linear_time() -> None:
    for text in (
        "".join(f"слово{n} " for n in range(60_000)),
        "я " * 200_000,
        "1 " * 200_000,
        "𠀀" * 400_000,
        "".join(chr(0x20000 + n % 40_000) * 40 + " " for n in range(9_000)),
        "8 (495) 123-45-67 " * 20_000,
    ):
        began = time.process_time()
        kept = terms.terms(subject=text, sender=text, recipients=text, files=text, text=text).split(" ")
        assert time.process_time() - began < 5
        distinct = set(kept)
        assert sum(len(one.encode()) + 4 for one in distinct) + 2 * len(kept) < 1_048_575
        assert max(kept.count(one) for one in list(distinct)[:50] if one != terms.GAP) <= terms.MAX_OF_ONE


def test_the_end_of_a_long_text_is_found_by_word_but_makes_no_phrase() -> None:
    kept = terms.terms(text="a " * terms.MAX_IN_ORDER + "конец страницы").split(" ")
    assert kept[-3:] == ["конец", ".", "страниц"]


@pytest.mark.parametrize(
    ("query", "text", "shown"),
    [
        ("договор ", "Прислали договоры.", "Прислали [договоры]."),
        ("компан", "Ваша КОМПАНИЯ и companies", "Ваша [КОМПАНИЯ] и companies"),
        ("company ", "two companies", "two [companies]"),
        ("счет ", "Счёт готов", "[Счёт] готов"),
        ('"на оплату"', "счёт на оплату", "счёт [на] [оплату]"),
        ("from:иванов ", "Иванову", "[Иванову]"),
        ("оплата ", "İ оплату", "İ [оплату]"),
    ],
)
def test_found_words_are_marked_in_whichever_form_they_stand(query: str, text: str, shown: str) -> None:
    pieces = Marker.of(parse(query)).marked(text)
    assert "".join(f"[{one}]" if is_found else one for one, is_found in pieces) == shown
    assert "".join(one for one, _ in pieces) == text


def test_an_excerpt_begins_near_the_first_word_that_was_found() -> None:
    marker = Marker.of(parse("договор "))
    pieces = marker.excerpt("слова " * 100 + "\n\n наш договор <b>подписан</b> " + "дальше " * 100)
    assert pieces is not None
    text = "".join(one for one, _ in pieces)
    assert text.startswith("… слова")
    assert text.endswith("…")
    assert "наш договор <b>подписан</b>" in text
    assert len(text) < 220
    assert marker.excerpt("ничего") is None


def test_stems_are_the_same_whatever_was_stemmed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found = terms.words("Счета и договоры: invoices, счёт, invoice, план, плана, 1С, счета")
    monkeypatch.setattr(terms, "_remembered", {})
    fresh = terms.stems(found)
    assert terms.stems(found) == fresh

    monkeypatch.setattr(terms, "_remembered", {})
    monkeypatch.setattr(terms, "MAX_REMEMBERED", 3)
    for size in (1, 2, 3, len(found)):
        for first in range(len(found)):
            assert terms.stems(found[first : first + size]) == fresh[first : first + size]
            assert len(terms._remembered) <= 3
