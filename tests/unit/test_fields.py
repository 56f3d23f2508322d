"""Fields: what they take, what they refuse by name, and that what they write they read again."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from hub.crm.base.entity import DeclarationError, Entity
from hub.crm.base.fields import Amount, Reading, Text, fold
from hub.crm.base.labels import FieldError, Invalid
from tests.testbed.contract_kind import CONTRACTS, Contract, ContractInput, contracts

FORM = Reading(is_form=True, region="RU", zone=ZoneInfo("Europe/Moscow"))
FIELDS = CONTRACTS.by_name


@pytest.mark.parametrize(
    ("name", "sent", "typed"),
    [
        ("number", "  A \n 1 ", "A 1"),
        ("note", "one\r\ntwo ", "one\ntwo"),
        ("note", None, ""),
        ("amount", {"value": "1234.5", "currency": "RUB"}, Amount(Decimal("1234.50"), "RUB")),
        ("weight", "0.125", Decimal("0.125")),
        ("weight", 3, Decimal("3.000")),
        ("pages", 12, 12),
        ("until", "2026-02-28", date(2026, 2, 28)),
        ("signed_at", "2026-11-24T09:00:00+03:00", datetime(2026, 11, 24, 6, tzinfo=UTC)),
        ("is_signed", True, True),
        ("stage", "signed", "signed"),
        ("email", "Anna@Пример.рф", "anna@xn--e1afmkfd.xn--p1ai"),
        ("phone", "8 (495) 123-45-67", "+74951234567"),
        ("client", 7, 7),
        ("client", None, None),
        ("tags", ["red", "blue", "red"], ("blue", "red")),
        ("tags", None, ()),
    ],
)
def test_json_becomes_a_typed_value(name: str, sent: object, typed: object) -> None:
    assert FIELDS[name].parse(sent) == typed


@pytest.mark.parametrize(
    ("name", "sent", "typed"),
    [
        ("amount", "1 234,50 rub", Amount(Decimal("1234.50"), "RUB")),
        ("weight", "1 000,125", Decimal("1000.125")),
        ("pages", " 12 ", 12),
        ("signed_at", "2026-11-24T09:00", datetime(2026, 11, 24, 6, tzinfo=UTC)),
        ("is_signed", "on", True),
        ("is_signed", "", False),
        ("client", "7", 7),
        ("client", "", None),
        ("tags", "red\n\nblue\n", ("blue", "red")),
    ],
)
def test_a_form_sends_texts(name: str, sent: str, typed: object) -> None:
    assert FIELDS[name].parse(sent, FORM) == typed


@pytest.mark.parametrize(
    ("name", "sent", "code"),
    [
        ("number", 5, "not_text"),
        ("number", "x" * 21, "too_long"),
        ("number", "a\x00b", "control_character"),
        ("note", "\ud800", "control_character"),
        ("amount", "1234.50 RUB", "not_money"),
        ("amount", {"value": "1", "currency": "rub"}, "bad_currency"),
        ("amount", {"value": "1.005", "currency": "RUB"}, "too_precise"),
        ("amount", {"value": "1e20", "currency": "RUB"}, "out_of_range"),
        ("amount", {"value": "NaN", "currency": "RUB"}, "not_a_number"),
        ("weight", True, "not_a_number"),
        ("pages", "12", "not_a_number"),
        ("pages", 1001, "out_of_range"),
        ("until", "2026-02-29", "not_a_date"),
        ("until", "24.11.2026", "not_a_date"),
        ("signed_at", "2026-11-24T09:00:00", "not_a_moment"),
        ("is_signed", "on", "not_yes_or_no"),
        ("stage", "lost", "not_a_choice"),
        ("email", "anna", "bad_email"),
        ("phone", "12", "bad_phone"),
        ("client", "7", "not_an_id"),
        ("client", 2**63, "not_an_id"),
        ("client", True, "not_an_id"),
        ("tags", "red", "not_a_list"),
        ("tags", ["black"], "not_a_choice"),
        ("tags", ["red", None], "empty_value"),
    ],
)
def test_what_does_not_fit_is_refused_by_a_code(name: str, sent: object, code: str) -> None:
    with pytest.raises(FieldError) as caught:
        FIELDS[name].parse(sent)
    assert caught.value.problem.code == code
    assert "%(" not in caught.value.problem.message


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.text(min_size=1, max_size=20),
    "note": st.text(max_size=100),
    "amount": st.builds(
        Amount,
        st.decimals(-(10**12), 10**12, places=2, allow_nan=False, allow_infinity=False),
        st.sampled_from(["RUB", "USD"]),
    ),
    "weight": st.decimals(-(10**9), 10**9, places=3, allow_nan=False, allow_infinity=False),
    "pages": st.integers(0, 1000),
    "until": st.dates(),
    "signed_at": st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
    ),
    "is_signed": st.booleans(),
    "stage": st.sampled_from(["draft", "signed"]),
    "client": st.integers(1, 2**63 - 1),
    "tags": st.lists(st.sampled_from(["red", "blue", "green"]), unique=True).map(tuple),
}


@given(st.data())
def test_what_is_written_is_read_again(data: st.DataObject) -> None:
    for name, values in VALUES.items():
        field = FIELDS[name]
        try:
            value = field.check(data.draw(values, label=name))
        except FieldError:
            continue
        assert field.parse(msgspec.json.decode(msgspec.json.encode(field.dump(value)))) == value
        if field.columns:
            assert field.load(field.store(value)) == value


def test_a_text_writes_its_folded_twin() -> None:
    assert FIELDS["number"].store("«Ёлка»  50%") == {"number": "«Ёлка»  50%", "number_folded": "«елка» 50%"}
    assert fold("Ё\u00a0 A") == "е a"


def test_every_problem_is_told_by_its_field() -> None:
    sent = {"number": "", "pages": "x", "stage": "lost", "id": 5, "created_at": "x", "colour": "red"}
    with pytest.raises(Invalid) as caught:
        CONTRACTS.read(sent, is_new=False)
    fields = caught.value.details["fields"]
    assert {name: one["code"] for name, one in fields.items()} == {
        "number": "required",
        "pages": "not_a_number",
        "stage": "not_a_choice",
        "id": "read_only",
        "created_at": "read_only",
        "colour": "unknown_field",
    }
    assert caught.value.status == 422
    assert pickle.loads(pickle.dumps(caught.value)).details == caught.value.details


def test_what_is_not_sent_is_not_given() -> None:
    assert CONTRACTS.read({"pages": 3}, is_new=False) == ContractInput(pages=3)
    with pytest.raises(Invalid) as caught:
        CONTRACTS.read({"pages": 3}, is_new=True)
    assert list(caught.value.problems) == ["number"]


def declared(**changes: Any) -> Entity[Any, Any]:
    whole = {name: getattr(CONTRACTS, name) for name in CONTRACTS.__dataclass_fields__}
    return Entity(**(whole | changes))


class Forgetful(msgspec.Struct):
    number: str = ""


class Lacking(msgspec.Struct):
    number: str | msgspec.UnsetType = msgspec.UNSET


BARE = sa.Table("bare", sa.MetaData(), sa.Column("id", sa.Integer()), sa.Column("title", sa.String(9)))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "Contract 1"}, "small letters"),
        ({"table": BARE}, "lacks version, created_at, changed_at"),
        ({"order": "note"}, "order: note"),
        ({"fields": (Text(contracts.c.note, "Note"),)}, "needs an index on \\(note, id\\); else sortable=False"),
        ({"fields": (*CONTRACTS.fields, CONTRACTS.fields[0])}, "two fields are called number"),
        ({"fields": (Text(contracts.c.number, ""),)}, "number has no label"),
        ({"fields": (Text(contracts.c.number, "N", name="version"),)}, "version belongs to every record"),
        ({"fields": (Text(BARE.c.title, "Title"),)}, "not a column of test_contracts"),
        ({"owner": BARE.c.id}, "owner: bare.id is not a column"),
        ({"input": Forgetful}, "number needs the default msgspec.UNSET"),
        ({"input": Lacking}, "the input Lacking lacks amount"),
        ({"row": Lacking}, "the row Lacking has neither"),
    ],
)
def test_a_wrong_declaration_cannot_start(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError, match=text):
        declared(**changes)


def test_the_row_gives_each_field_its_value() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rest = {"created_at": now, "changed_at": now + timedelta(1), "archived_at": None, "amount": None, "weight": None}
    rest |= {"pages": 1, "until": None, "signed_at": None, "is_signed": False, "stage": "draft", "note": ""}
    row = Contract(
        id=1, version=1, number="A", client_id=5, email=None, phone=None, owner_id=7, team_id=None, tags=(), people=(),
        **rest,  # type: ignore[arg-type]
    )  # fmt: skip
    assert (CONTRACTS.value(row, FIELDS["client"]), CONTRACTS.value(row, FIELDS["manager"])) == (5, 7)
