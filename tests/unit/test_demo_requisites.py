"""The requisites of the sample company: right, each its own, and the same at each start."""

from __future__ import annotations

from hub.crm.clients.table import CLIENTS as CLIENT
from hub.demo.requisites import of_company
from hub.demo.sample import CLIENTS


def test_each_company_has_requisites_of_its_own_that_hub_takes() -> None:
    companies = [(n, one.phone) for n, one in enumerate(CLIENTS, start=1) if one.kind == "organisation"]
    given = [of_company(n, phone) for n, phone in companies]
    assert given == [of_company(n, phone) for n, phone in companies]
    for one in given:
        typed = CLIENT.read(one, is_new=False)
        assert (typed.inn, typed.kpp, typed.ogrn) == (one["inn"], one["kpp"], one["ogrn"])
    for name in ("inn", "ogrn"):
        assert len({one[name] for one in given}) == len(given) > 5


def test_a_company_is_registered_where_its_telephone_is() -> None:
    assert [of_company(1, phone)["inn"][:2] for phone in ("8 (495) 120-11-01", "+7 812 220-11-03", "8 999 1")] == [
        "77",
        "78",
        "77",
    ]
