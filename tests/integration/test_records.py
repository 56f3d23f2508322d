"""Records of any kind on both databases: pages, versions, history, rights, the feed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients, people
from hub.crm.base import history, records
from hub.crm.base.fields import Amount
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid
from hub.crm.base.permissions import Action, Grants, Scope, permitted
from hub.crm.contacts.table import CONTACTS
from hub.errors import Conflict, Forbidden, NotFound, Refused
from hub.store.changes import Position, read_after
from hub.store.engine import Database
from tests.testbed.contract_kind import CONTRACTS, Contract, ContractInput, contracts, make_tables


@dataclass(frozen=True)
class Asker:
    """Somebody with a scope for every action on contracts, or one for each."""

    user_id: int
    team_ids: frozenset[int] = frozenset()
    scopes: dict[str, Scope] = field(default_factory=dict)
    others: Grants = field(default_factory=lambda: {("client", "see"): "all"})

    @property
    def own_ids(self) -> frozenset[int]:
        return frozenset({self.user_id})

    @property
    def grants(self) -> Grants:
        actions: Sequence[Action] = ("see", "create", "edit", "delete", "assign")
        known = {("contract", action): self.scopes.get(action, self.scopes.get("*", "none")) for action in actions}
        return known | dict(self.others)


@pytest.fixture(autouse=True)
async def tables(db: Database) -> None:
    await make_tables(db)


def by(asker: Asker | None = None) -> Edit:
    return Edit(asker, "api", utc_now())


async def make(db: Database, number: str, *, asker: Asker | None = None, **given: Any) -> Contract:
    async with db.begin() as conn:
        return await records.create(conn, CONTRACTS, ContractInput(number=number, **given), edit=by(asker))


async def change(
    db: Database, record_id: int, *, asker: Asker | None = None, version: int | None = None, **given: Any
) -> Contract:
    async with db.begin() as conn:
        return await records.update(conn, CONTRACTS, record_id, ContractInput(**given), edit=by(asker), version=version)


async def user(db: Database, name: str, *teams: str) -> int:
    async with db.begin() as conn:
        return await people.add_user(
            conn,
            email=f"{name}@hub.test",
            name=name,
            role="manager",
            password_hash="x",
            team_names=teams,
            now=utc_now(),
        )


async def told(db: Database, kind: str = "contract") -> list[dict[str, Any]]:
    async with db.read() as conn:
        found = await read_after(conn, Position(0, 0))
    return [{"id": one.object_id, "client_id": one.client_id} | one.data for one in found if one.kind == kind]


async def test_a_record_keeps_every_type_of_value(db: Database) -> None:
    given = {
        "amount": Amount(Decimal("-12.50"), "RUB"),
        "weight": Decimal("0.125"),
        "pages": 3,
        "until": date(2026, 12, 31),
        "signed_at": datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC),
        "is_signed": True,
        "note": "a\nb",
        "email": "a@b.test",
        "phone": "+74951234567",
        "tags": ("blue", "red"),
    }
    made = await make(db, "A 1", **given)
    async with db.read() as conn:
        read = await records.get(conn, None, CONTRACTS, made.id)
        (answer,) = await records.answers(conn, None, CONTRACTS, [read])
    assert read == made
    assert {name: getattr(read, name) for name in given} == given
    assert (read.version, read.stage) == (1, "draft")
    assert answer["amount"] == {"value": "-12.50", "currency": "RUB"}
    assert answer["signed_at"] == "2026-01-02T03:04:05.006Z"
    assert answer["tags"] == ["blue", "red"]
    assert (answer["client"], answer["archived_at"]) == (None, None)


async def test_only_what_was_sent_changes_and_the_history_says_from_what_to_what(db: Database) -> None:
    anna = Asker(await user(db, "anna"), scopes={"*": "all"})
    made = await make(db, "A 1", pages=3, tags=("red",))
    changed = await change(db, made.id, asker=anna, version=1, pages=4, note="new", tags=("blue", "red"), number="A 1")
    assert (changed.number, changed.pages, changed.version) == ("A 1", 4, 2)
    async with db.read() as conn:
        newest, oldest = await history.page(conn, "contract", made.id)
    assert newest.changes == {"pages": [3, 4], "note": ["", "new"], "tags": [["red"], ["blue", "red"]]}
    assert (newest.user_name, newest.way, newest.version) == ("anna", "api", 2)
    assert (oldest.changes, oldest.user_id, oldest.version) == ({}, None, 1)


async def test_what_changes_nothing_leaves_no_trace(db: Database) -> None:
    made = await make(db, "A 1", pages=3)
    same = await change(db, made.id, pages=3)
    assert same == made
    async with db.read() as conn:
        assert len(await history.page(conn, "contract", made.id)) == 1
    assert len(await told(db)) == 1


async def test_an_older_version_changes_nothing_and_learns_mine_theirs_and_original(db: Database) -> None:
    anna = Asker(await user(db, "anna"), scopes={"*": "all"})
    made = await make(db, "A 1", pages=1, note="first")
    await change(db, made.id, asker=anna, pages=2)
    await change(db, made.id, asker=anna, pages=3, stage="signed")
    with pytest.raises(Conflict) as caught:
        await change(db, made.id, version=1, pages=9, note="mine", stage="signed")
    details = caught.value.details
    assert caught.value.code == "record_changed"
    assert details["fields"] == {
        "pages": {"mine": 9, "theirs": 3, "original": 1},
        "note": {"mine": "mine", "theirs": "first", "original": "first"},
    }
    assert (details["current"]["version"], details["current"]["pages"]) == (3, 3)
    assert details["changed_by"] == {"id": anna.user_id, "name": "anna"}
    async with db.read() as conn:
        assert (await records.get(conn, None, CONTRACTS, made.id)).note == "first"


async def test_of_50_who_write_at_once_each_accepted_change_is_in_the_history(db: Database) -> None:
    made = await make(db, "A 1", pages=0)

    async def write(number: int) -> int | None:
        async with db.read() as conn:
            version = (await records.get(conn, None, CONTRACTS, made.id)).version
        try:
            await change(db, made.id, version=version, pages=number)
        except Conflict:
            return None
        return number

    accepted = [number for number in await asyncio.gather(*map(write, range(1, 51))) if number is not None]
    unversioned = await asyncio.gather(*(change(db, made.id, pages=number) for number in range(51, 101)))
    async with db.read() as conn:
        now = await records.get(conn, None, CONTRACTS, made.id)
        rows = (await history.page(conn, "contract", made.id, limit=200))[::-1]
    steps = [row.changes["pages"] for row in rows[1:]]
    assert len(accepted) >= 1
    assert sorted(to for _, to in steps) == sorted(accepted) + list(range(51, 101))
    assert [before for before, _ in steps] == [0] + [to for _, to in steps[:-1]]
    assert [row.version for row in rows] == list(range(1, len(rows) + 1))
    assert (now.version, now.pages) == (len(rows), steps[-1][1])
    assert {one.version for one in unversioned} == set(range(len(accepted) + 2, len(rows) + 1))


async def test_a_record_is_archived_and_brought_back(db: Database) -> None:
    made = await make(db, "A 1")
    async with db.begin() as conn:
        gone = await records.archive(conn, CONTRACTS, made.id, edit=by())
        again = await records.archive(conn, CONTRACTS, made.id, edit=by())
    assert gone.archived_at is not None
    assert again == gone
    with pytest.raises(Conflict, match="restore it first"):
        await change(db, made.id, pages=1)
    async with db.read() as conn:
        assert (await records.page(conn, None, CONTRACTS)).items == []
        assert [one.id for one in (await records.page(conn, None, CONTRACTS, archived=True)).items] == [made.id]
        assert (await records.get(conn, None, CONTRACTS, made.id)).archived_at is not None
    async with db.begin() as conn:
        back = await records.restore(conn, CONTRACTS, made.id, edit=by())
    assert (back.archived_at, back.version) == (None, 3)
    async with db.read() as conn:
        entries = await history.page(conn, "contract", made.id)
    assert [one.changes for one in entries] == [{"archived": [True, False]}, {"archived": [False, True]}, {}]


async def test_each_problem_is_told_and_nothing_is_half_saved(db: Database) -> None:
    made = await make(db, "A 1", client=None)
    await make(db, "A 2")
    with pytest.raises(Invalid) as caught:
        await change(db, made.id, client=12345, manager=999, tags=("red",))
    assert {name: one.code for name, one in caught.value.problems.items()} == {
        "client": "not_found",
        "manager": "not_found",
    }
    with pytest.raises(Invalid) as caught:
        await change(db, made.id, number="A 2")
    assert caught.value.problems["number"].code == "taken"
    with pytest.raises(Invalid) as caught:
        await change(db, made.id, number="", pages=5000)
    assert set(caught.value.problems) == {"number", "pages"}
    async with db.read() as conn:
        assert await records.get(conn, None, CONTRACTS, made.id) == made


SORTS = ("number", "-number", "until", "-until", "pages", "-pages", "amount", "-signed_at", "note", "-created_at", "")


@pytest.mark.parametrize("limit", [1, 3, 7, 20])
async def test_pages_walk_every_record_once_and_empty_values_come_last(db: Database, limit: int) -> None:
    luck = random.Random(5)
    for number in range(20):
        given: dict[str, Any] = {"pages": luck.choice([None, 1, 2]), "until": luck.choice([None, date(2026, 1, 1)])}
        given |= {"amount": luck.choice([None, Amount(Decimal(number), "RUB")])}
        given |= {"signed_at": luck.choice([None, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number % 3)])}
        await make(db, luck.choice("бЁе«z") + str(number), **given)
    for sort in SORTS:
        if sort == "note":
            continue
        seen: list[Contract] = []
        pages: list[records.Page[Contract]] = []
        cursor: str | None = None
        async with db.read() as conn:
            while True:
                page = await records.page(conn, None, CONTRACTS, sort=sort, cursor=cursor, limit=limit)
                assert page.items
                seen += page.items
                pages.append(page)
                if (cursor := page.next) is None:
                    break
                assert len(page.items) == limit
            for there in reversed(pages[:-1]):
                assert page.previous is not None
                page = await records.page(conn, None, CONTRACTS, sort=sort, cursor=page.previous, limit=limit)
                assert (page.items, page.next) == (there.items, there.next), sort
            assert page.previous is None
        assert len({one.id for one in seen}) == len(seen) == 20
        name = sort.removeprefix("-") or "number"
        values = [getattr(one, name) for one in seen]
        filled = [value for value in values if value is not None]
        assert values == filled + [None] * (len(values) - len(filled)), sort
        if name in ("pages", "until", "signed_at"):
            assert filled == sorted(filled, reverse=sort.startswith("-")), sort


async def test_an_empty_list_has_one_page_and_no_next(db: Database) -> None:
    async with db.read() as conn:
        page = await records.page(conn, None, CONTRACTS, limit=3)
    assert (page.items, page.next) == ([], None)


async def test_a_wrong_sort_or_cursor_is_named(db: Database) -> None:
    for number in range(3):
        await make(db, f"A {number}")
    async with db.read() as conn:
        cursor = (await records.page(conn, None, CONTRACTS, sort="number", limit=1)).next
        with pytest.raises(Invalid, match="sort"):
            await records.page(conn, None, CONTRACTS, sort="note")
        for wrong in (cursor, "x", "", "W10", "%00", "é", "WyJudW1iZXIiLGZhbHNlLDUsMV0"):
            if wrong != "":
                with pytest.raises(Refused, match="not a cursor"):
                    await records.page(conn, None, CONTRACTS, sort="pages", cursor=wrong)
        with pytest.raises(Refused, match="not a cursor"):
            await records.page(conn, None, CONTRACTS, sort="number", cursor="WyJudW1iZXIiLGZhbHNlLDUsMV0")


async def test_a_count_is_of_what_one_may_see(db: Database) -> None:
    boris = await user(db, "boris")
    for number in range(4):
        await make(db, f"A {number}", manager=boris if number else None)
    mine = Asker(boris, scopes={"*": "own"})
    async with db.read() as conn:
        assert await records.count(conn, mine, CONTRACTS) == records.Count(3, False)
        assert await records.count(conn, None, CONTRACTS, where=contracts.c.pages.is_(None)) == records.Count(4, False)


@pytest.mark.parametrize("reach", ["none", "own", "team", "all"])
async def test_a_scope_reaches_the_same_in_list_card_count_and_write(db: Database, reach: Scope) -> None:
    anna, boris = await user(db, "anna", "sales"), await user(db, "boris", "sales")
    clara = await user(db, "clara", "support")
    async with db.begin() as conn:
        sales = await people.ensure_team(conn, "sales", now=utc_now())
    of_anna = await make(db, "anna's", manager=anna)
    of_boris = await make(db, "of the team", manager=boris)
    of_clara = await make(db, "of another team", manager=clara)
    shared = await make(db, "with anna in it", manager=clara, people=(anna,))
    nobodys = await make(db, "nobody's")
    asker = Asker(anna, frozenset({sales}), {"*": reach})
    expected = {
        "none": set(),
        "own": {of_anna.id, shared.id},
        "team": {of_anna.id, shared.id, of_boris.id},
        "all": {one.id for one in (of_anna, of_boris, of_clara, shared, nobodys)},
    }[reach]
    async with db.read() as conn:
        assert {one.id for one in (await records.page(conn, asker, CONTRACTS)).items} == expected
        assert (await records.count(conn, asker, CONTRACTS)).count == len(expected)
    for one in (of_anna, of_boris, of_clara, shared, nobodys):
        if one.id in expected:
            assert (await change(db, one.id, asker=asker, pages=7)).pages == 7
        else:
            with pytest.raises(NotFound):
                await change(db, one.id, asker=asker, pages=7)


async def test_seeing_more_than_one_may_change_is_forbidden_not_hidden(db: Database) -> None:
    anna, boris = await user(db, "anna"), await user(db, "boris")
    theirs = await make(db, "boris's", manager=boris)
    mine = await make(db, "anna's", manager=anna)
    asker = Asker(anna, scopes={"see": "all", "edit": "own", "create": "own"})
    for given in ({"pages": 1}, {}):
        with pytest.raises(Forbidden) as caught:
            await change(db, theirs.id, asker=asker, **given)
        assert caught.value.details == {"kind": "contract", "action": "edit"}
    await change(db, mine.id, asker=asker, pages=1)
    with pytest.raises(Forbidden, match="assign"):
        await change(db, mine.id, asker=asker, manager=boris)
    with pytest.raises(Forbidden, match="delete"):
        async with db.begin() as conn:
            await records.archive(conn, CONTRACTS, mine.id, edit=by(asker))
    async with db.read() as conn:
        assert await records.possible(conn, asker, CONTRACTS, mine.id) == {"see", "edit", "create"}
        assert await records.possible(conn, asker, CONTRACTS, theirs.id) == {"see"}


async def test_whoever_may_make_only_their_own_becomes_its_manager(db: Database) -> None:
    anna, boris = await user(db, "anna", "sales"), await user(db, "boris", "support")
    asker = Asker(anna, scopes={"see": "own", "create": "own"})
    made = await make(db, "A 1", asker=asker)
    assert made.owner_id == anna
    assert made.team_id is not None
    with pytest.raises(Forbidden):
        await make(db, "A 2", asker=asker, manager=boris)
    async with db.read() as conn:
        numbers = (await conn.execute(sa.select(contracts.c.number))).scalars().all()
    assert numbers == ["A 1"]


async def test_a_change_in_the_feed_carries_the_principals_of_before_and_after(db: Database) -> None:
    anna, boris = await user(db, "anna", "sales"), await user(db, "boris", "support")
    async with db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=utc_now())
    made = await make(db, "A 1", manager=anna, client=client_id)
    moved = await change(db, made.id, manager=boris)
    assert [(one["version"], one["owners"], one["client_id"]) for one in await told(db)] == [
        (1, [anna], client_id),
        (2, sorted([anna, boris]), client_id),
    ]
    assert (await told(db))[1]["teams"] == sorted([made.team_id, moved.team_id])


async def test_a_write_that_is_rolled_back_tells_nobody(db: Database) -> None:
    made = await make(db, "A 1")

    async def write_twice() -> None:
        async with db.begin() as conn:
            await records.update(conn, CONTRACTS, made.id, ContractInput(pages=5), edit=by())
            await records.update(conn, CONTRACTS, made.id, ContractInput(pages=-1), edit=by())

    with pytest.raises(Invalid):
        await write_twice()
    async with db.read() as conn:
        assert (await records.get(conn, None, CONTRACTS, made.id)).pages is None
        assert len(await history.page(conn, "contract", made.id)) == 1
    assert len(await told(db)) == 1


async def test_references_come_with_the_names_one_may_know(db: Database) -> None:
    anna = await user(db, "anna")
    async with db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=utc_now())
    made = await make(db, "A 1", manager=anna, client=client_id, people=(anna,))
    async with db.read() as conn:
        (answer,) = await records.answers(conn, Asker(anna, scopes={"see": "all"}), CONTRACTS, [made])
        assert answer["client"] == {"id": client_id, "name": "Ромашка"}
        assert answer["manager"] == {"id": anna, "name": "anna"}
        assert answer["people"] == [{"id": anna, "name": "anna"}]
        of_nobody = Asker(anna, scopes={"see": "all"}, others={})
        (answer,) = await records.answers(conn, of_nobody, CONTRACTS, [made])
    assert answer["client"] == {"id": client_id, "name": None}


async def test_a_contact_is_seen_with_its_client(db: Database) -> None:
    anna, boris = await user(db, "anna"), await user(db, "boris")
    async with db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name="Ромашка", now=utc_now())
        contact_id = await clients.add_contact(conn, None, client_id, name="Ольга", now=utc_now())
        given = clients.ClientInput(manager=anna)
        await records.update(conn, clients.CLIENTS, client_id, given, edit=by())

    reach: Grants = {("contact", "see"): "own", ("client", "see"): "own"}
    async with db.read() as conn:
        for user_id, seen in ((anna, [contact_id]), (boris, [])):
            found = await records.page(conn, Asker(user_id, others=reach), CONTACTS)
            assert [one.id for one in found.items] == seen


async def test_the_condition_is_one_and_no_query(db: Database) -> None:
    """`permitted` is a condition: it can stand in any statement, and asks nothing by itself."""
    asker = Asker(5, frozenset({1, 2}), {"see": "team"})
    text = str(permitted(asker, CONTRACTS, "see").compile(compile_kwargs={"literal_binds": True}))
    assert "owner_id IN (5)" in text
    assert "team_id IN (1, 2)" in text
    assert str(permitted(asker, CONTRACTS, "edit")) == "false"
