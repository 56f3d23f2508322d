"""Whose is this number, however it is written? Whose this address? On both databases."""

from __future__ import annotations

import pytest

from hub.clock import utc_now
from hub.crm import clients
from hub.crm.linking import Linker
from hub.store.engine import Database

LINKER = Linker("RU", frozenset({"+74950000000"}), frozenset({"sales@hub.test"}))


async def client(db: Database, name: str, **addresses: str) -> int:
    async with db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name=name, now=utc_now())
        for kind, raw in addresses.items():
            await clients.add_address(conn, None, client_id, kind=kind, raw=raw, now=utc_now())  # type: ignore[arg-type]
    return client_id


@pytest.mark.parametrize(
    "written",
    [
        "84951234567",
        "+74951234567",
        "74951234567",
        "8 (495) 123-45-67",
        "+7 495 123 45 67 доб. 12",
        "4951234567",
        "8-495-123-45-67/68",
        "007 495 1234567",
        "8(495)1234567 ext 12",
        "810 7 495 1234567",
    ],
)
async def test_a_number_is_known_in_every_way_of_writing_it(db: Database, written: str) -> None:
    client_id = await client(db, "Ромашка", phone="+7 (495) 123-45-67")
    async with db.read() as conn:
        linked = await LINKER.by_phone(conn, written)
    assert linked.best is not None
    assert (linked.best.client_id, linked.best.confidence) == (client_id, "exact")


async def test_a_second_number_of_a_contact_is_known_too(db: Database) -> None:
    client_id = await client(db, "Ромашка", phone="84951234567")
    async with db.begin() as conn:
        contact_id = await clients.add_contact(conn, None, client_id, name="Анна", now=utc_now())
        for raw in ("89161234567", "89161234568"):
            await clients.add_address(
                conn, None, client_id, kind="phone", raw=raw, contact_id=contact_id, now=utc_now()
            )
        linked = await LINKER.by_phone(conn, "+79161234568")
    assert linked.best is not None
    assert (linked.best.client_id, linked.best.contact_id, linked.best.reason) == (client_id, contact_id, "contact")


async def test_two_clients_of_one_number_are_shown_and_neither_is_linked(db: Database) -> None:
    await client(db, "Ромашка", phone="84951234567")
    await client(db, "Лютик", phone="84951234567")
    async with db.read() as conn:
        linked = await LINKER.by_phone(conn, "84951234567")
    assert linked.best is None
    assert [c.client_name for c in linked.candidates] == ["Ромашка", "Лютик"]


@pytest.mark.parametrize("raw", ["anonymous", "", "Unknown", "101", "+7", "8495123", "'; DROP TABLE clients; --"])
async def test_what_is_no_number_links_to_nobody(db: Database, raw: str) -> None:
    await client(db, "Ромашка", phone="84951234567")
    async with db.read() as conn:
        linked = await LINKER.by_phone(conn, raw)
    assert (linked.best, linked.address) == (None, None)


async def test_the_companys_own_number_and_mailbox_are_never_a_client(db: Database) -> None:
    await client(db, "Мы сами", phone="84950000000", email="sales@hub.test")
    async with db.read() as conn:
        assert (await LINKER.by_phone(conn, "84950000000")).is_own
        assert (await LINKER.by_email(conn, "Sales@Hub.test")).is_own


async def test_a_company_domain_is_likely_and_a_public_providers_says_nothing(db: Database) -> None:
    company = await client(db, "Ромашка", domain="romashka.test", email="boss@mail.ru")
    async with db.begin() as conn:
        await clients.add_address(conn, None, company, kind="domain", raw="mail.ru", now=utc_now())
        known = await LINKER.by_email(conn, "New.Person@Romashka.test")
        stranger = await LINKER.by_email(conn, "stranger@mail.ru")
        boss = await LINKER.by_email(conn, "BOSS@mail.ru")
    assert known.best is not None
    assert (known.best.reason, known.best.confidence) == ("domain", "likely")
    assert stranger.best is None
    assert boss.best is not None
    assert boss.best.confidence == "exact"


async def test_search_finds_by_word_of_the_name_by_phone_and_by_mail(db: Database) -> None:
    one = await client(db, "ООО Зелёный Лес", phone="84951234567", email="les@les.test")
    await client(db, "Другой", phone="84957654321")
    async with db.read() as conn:
        for text in ("зеленый", "ЛЕС", "ооо зел", "8 495 123-45-67", "LES@les.test"):
            assert [c.id for c in await clients.search(conn, None, text, region="RU")] == [one], text
        assert len(await clients.search(conn, None, "", region="RU")) == 2
        assert await clients.search(conn, None, "100%", region="RU") == []


async def test_the_list_shows_each_client_its_own_address_and_nobody_elses(db: Database) -> None:
    first = await client(db, "А", email="a@a.test")
    async with db.begin() as conn:
        contact_id = await clients.add_contact(conn, None, first, name="Анна", now=utc_now())
        await clients.add_address(
            conn, None, first, kind="phone", raw="89161234567", contact_id=contact_id, now=utc_now()
        )
    await client(db, "Б", phone="84951234567")
    async with db.read() as conn:
        found = await clients.search(conn, None, "", region="RU")
    assert [(c.name, c.phone, c.email) for c in found] == [
        ("А", "+79161234567", "a@a.test"),
        ("Б", "+74951234567", None),
    ]
