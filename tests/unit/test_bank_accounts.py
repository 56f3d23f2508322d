"""Bank accounts of a client: what the Bank of Russia's rule lets be is kept, all else is refused with the reason."""

from __future__ import annotations

import pytest

from hub.crm.base.field import Reading
from hub.crm.base.labels import FieldError
from hub.crm.clients.bank_accounts import BankAccount
from hub.crm.clients.table import CLIENTS

ACCOUNTS = CLIENTS.by_name["bank_accounts"]
FORM = Reading(is_form=True)
FIRST = BankAccount("044525225", "40702810200000000001", "30101810400000000225", "Сбербанк")
SECOND = BankAccount("044525974", "40702810500000000001")


def test_a_form_and_the_api_read_the_same_accounts() -> None:
    lines = "044525225 40702810200000000001, 30101810400000000225 Сбербанк\n\n044525974;40702810500000000001\n"
    assert ACCOUNTS.parse(lines, FORM) == (FIRST, SECOND)
    assert ACCOUNTS.parse(ACCOUNTS.dump((FIRST, SECOND))) == (FIRST, SECOND)
    assert ACCOUNTS.item.parse(ACCOUNTS.item.form_text(FIRST), FORM) == FIRST  # type: ignore[attr-defined]
    assert ACCOUNTS.parse([{"bic": "044 525 974", "account": "4070 2810 5000 0000 0001"}] * 2) == (SECOND,)


def test_a_settlement_centre_is_checked_by_its_own_digits_and_the_treasury_by_form_alone() -> None:
    centre = {"bic": "044525000", "account": "40101810045250010041"}
    treasury = {"bic": "014030106", "account": "03100643000000017200"}
    assert len(ACCOUNTS.parse([centre, treasury])) == 2


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ({"bic": "044525225", "account": "40702810200000000002"}, "bad_check_digit"),
        ({"bic": "044525226", "account": "40702810200000000001"}, "bad_check_digit"),
        ({"bic": "044525225", "account": "4070281020000000000"}, "bad_length"),
        ({"bic": "04452522", "account": "40702810200000000001"}, "bad_bic"),
        ({"bic": "٠٤٤٥٢٥٢٢٥", "account": "40702810200000000001"}, "bad_bic"),
        (
            {"bic": "044525225", "account": "40702810200000000001", "correspondent_account": "30101810400000000226"},
            None,
        ),
        ({"bic": "044525225", "account": "40702810200000000001", "bank": "б" * 201}, "too_long"),
        ({"bic": "044525225"}, "bad_account"),
        ({"bic": "044525225", "account": 7}, "not_text"),
        ({"bic": "044525225", "account": "40702810200000000001", "iban": "x"}, "bad_account"),
        ("044525225 40702810200000000001", "bad_account"),
    ],
)
def test_an_account_that_cannot_be_is_refused(account: object, code: str | None) -> None:
    with pytest.raises(FieldError) as refused:
        ACCOUNTS.parse([account])
    assert refused.value.problem.code == (code or "bad_check_digit")


@pytest.mark.parametrize("line", ["Сбербанк", "р/с 40702810200000000001", "044525225"])
def test_a_line_of_a_form_without_bic_and_account_is_refused(line: str) -> None:
    with pytest.raises(FieldError):
        ACCOUNTS.parse(line, FORM)
