"""Requisites of a client: what a register could have given is kept in one form, all else is refused with the reason."""

from __future__ import annotations

import pytest

from hub.crm.base.labels import FieldError
from hub.crm.clients.table import CLIENTS


def parse(name: str, text: str) -> object:
    return CLIENTS.by_name[name].parse(text)


@pytest.mark.parametrize(
    ("name", "text", "kept"),
    [
        ("inn", "7707083893", "7707083893"),
        ("inn", " 7707 083 893 ", "7707083893"),
        ("inn", "500100732259", "500100732259"),
        ("inn", "", None),
        ("kpp", "773601001", "773601001"),
        ("kpp", "7736AB001", "7736AB001"),
        ("ogrn", "1027700132195", "1027700132195"),
        ("ogrn", "304500116000157", "304500116000157"),
        ("site", "sberbank.ru", "https://sberbank.ru"),
        ("site", "http://пример.рф/о-нас", "http://пример.рф/о-нас"),
        ("site", "example.com:8443/path", "https://example.com:8443/path"),
        ("site", "", ""),
    ],
)
def test_what_a_register_could_have_given_is_kept_in_one_form(name: str, text: str, kept: object) -> None:
    field = CLIENTS.by_name[name]
    assert parse(name, text) == kept
    assert field.parse(field.dump(kept)) == kept


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("inn", "7707083894", "bad_check_digit"),
        ("inn", "500100732258", "bad_check_digit"),
        ("inn", "77070838930", "bad_length"),
        ("inn", "٧٧٠٧٠٨٣٨٩٣", "bad_length"),
        ("inn", "ИНН 7707083893", "bad_length"),
        ("kpp", "7736a1001", "bad_kpp"),
        ("kpp", "77360100", "bad_kpp"),
        ("ogrn", "1027700132196", "bad_check_digit"),
        ("ogrn", "304500116000158", "bad_check_digit"),
        ("ogrn", "102770013219", "bad_length"),
        ("site", "javascript:alert(1)", "bad_site"),
        ("site", "javascript://example.com/%0aalert(1)", "bad_site"),
        ("site", "ftp://example.com", "bad_site"),
        ("site", "https://user:secret@example.com", "bad_site"),
        ("site", "http://[::1", "bad_site"),
        ("site", "example.com:port", "bad_site"),
        ("site", "no site yet", "bad_site"),
        ("site", "localhost", "bad_site"),
        ("inn", "9" * 400, "too_long"),
    ],
)
def test_anything_else_is_refused_with_the_reason(name: str, text: str, code: str) -> None:
    with pytest.raises(FieldError) as refused:
        parse(name, text)
    assert refused.value.problem.code == code
