"""Operations: rights, progress, cancelling, resuming, and an undo that names what it kept."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import access
from hub.crm.access import Actor, load_actor
from hub.crm.base import bulk_edit, operations, records
from hub.crm.base.bulk_selection import Selection
from hub.crm.base.conditions import tree
from hub.crm.base.history import Edit, history
from hub.crm.base.labels import Invalid
from hub.crm.base.operation_runs import OperationRuns
from hub.crm.base.operations import Operation
from hub.crm.base.permissions import Grants
from hub.crm.clients.table import CLIENTS, ClientInput
from hub.crm.models import clients, users
from hub.crm.operation_kinds import WORKS
from hub.errors import Conflict, Forbidden, NotFound
from hub.store.changes import Position, read_after
from hub.store.engine import Database
from hub.web.api.events import encode
from hub.web.live import LiveChange
from hub.web.pages.live import topics_of
from tests.faults.test_operation_faults import add_clients
from tests.integration.test_queue import actor


def edit_by(who: Actor) -> Edit:
    return Edit(who, "api", utc_now())


async def bulk(db: Database, who: Actor, values: dict[str, Any], **named: Any) -> int:
    async with db.begin() as conn:
        return await bulk_edit.begin(conn, CLIENTS, values, Selection(**named), edit=edit_by(who))


async def look(db: Database, number: int) -> Operation:
    async with db.read() as conn:
        return await operations.get(conn, None, number)


async def finish(db: Database, **named: Any) -> int:
    runs, steps = OperationRuns(db, WORKS, load_actor, batch_s=60, **named), 0
    while await runs.step():
        steps += 1
    return steps


async def test_a_batch_ends_after_its_time_and_tells_one_change(db: Database) -> None:
    await add_clients(db, 30)
    boss = await actor(db, "boss", role="admin")
    number = await bulk(db, boss, {"note": "весна"}, where=tree.EVERYTHING)
    runs = OperationRuns(db, WORKS, load_actor, batch_s=0.0)
    assert await runs.step()
    running = await look(db, number)
    assert (running.state, running.done, running.total) == ("running", 1, 30)
    async with db.read() as conn:
        told = [change for change in await read_after(conn, Position(0, 0)) if change.data.get("ids")]
        assert [(one.kind, one.ids) for one in told] == [("client", [1])]
    await finish(db)
    assert (await look(db, number)).state == "done"


async def test_a_batch_ends_when_a_record_takes_it_past_150_ms(db: Database) -> None:
    await add_clients(db, 8)
    boss = await actor(db, "boss", role="admin")
    number = await bulk(db, boss, {"note": "весна"}, where=tree.EVERYTHING)
    ticks = itertools.count()
    runs = OperationRuns(db, WORKS, load_actor, monotonic=lambda: next(ticks) * 0.06)
    sizes = []
    while await runs.step():
        sizes.append((await look(db, number)).done - sum(sizes))
    assert sizes == [3, 3, 2], "0.06 s a record: the third is the one that passes 0.15 s"


async def test_a_batch_is_one_change_for_everyone_who_may_see_one_of_its_records(db: Database) -> None:
    """The manager whose records they were and the one who has them now, and nobody else."""
    await add_clients(db, 3)
    boss = await actor(db, "boss", role="admin")
    see_own: Grants = {("client", "see"): "own"}
    old, new, other = [replace(await actor(db, name), granted=see_own) for name in ("old", "new", "other")]
    async with db.begin() as conn:
        await conn.execute(sa.update(clients).values(owner_id=old.user_id))
    number = await bulk(db, boss, {"manager": new.user_id}, ids=[1, 2])
    await finish(db)
    async with db.read() as conn:
        told = [change for change in await read_after(conn, Position(0, 0)) if change.kind == "client"]
    assert [change.ids for change in told] == [[1, 2]]
    assert [access.can_receive(one, told[0]) for one in (old, new, other, boss)] == [True, True, False, True]
    assert set(topics_of(told[0], told[0].ids)) == {"clients", "client:1", "client:2"}
    async with db.begin() as conn:
        operation = await operations.get(conn, boss, number)
        await operations.undo(conn, operation, WORKS["bulk_edit"], edit=edit_by(boss))
    await finish(db)
    async with db.read() as conn:
        told = [change for change in await read_after(conn, Position(0, 0)) if change.kind == "client"]
    assert [change.ids for change in told] == [[1, 2], [1, 2]], "the undo publishes its batch too"


async def test_of_a_batch_each_reader_is_told_only_of_the_records_that_they_may_see(db: Database) -> None:
    await add_clients(db, 3)
    boss = await actor(db, "boss", role="admin")
    see_own: Grants = {("client", "see"): "own"}
    ann, bob = [replace(await actor(db, name), granted=see_own) for name in ("ann", "bob")]
    async with db.begin() as conn:
        await conn.execute(sa.update(clients).where(clients.c.id < 3).values(owner_id=ann.user_id))
        await conn.execute(sa.update(clients).where(clients.c.id == 3).values(owner_id=bob.user_id))
    await bulk(db, boss, {"note": "весна"}, ids=[1, 2, 3])
    await finish(db)
    async with db.read() as conn:
        (told,) = [change for change in await read_after(conn, Position(0, 0)) if change.kind == "client"]
    for reader, ids in ((ann, [1, 2]), (bob, [3]), (boss, [1, 2, 3])):
        assert access.received_ids(reader, told) == ids
        assert topics_of(told, access.received_ids(reader, told)) == ["clients", *(f"client:{one}" for one in ids)]
        event = encode(LiveChange(told, None), reader).decode()
        data = json.loads(event.partition("data: ")[2].splitlines()[0])
        assert (data["id"], data["data"]) == (ids[0], {"ids": ids})


async def test_each_record_is_written_by_the_rights_of_the_person(db: Database) -> None:
    await add_clients(db, 3)
    boss, ann = await actor(db, "boss", role="admin"), await actor(db, "ann")
    with pytest.raises(Forbidden):
        await bulk(db, ann, {"note": "x"}, ids=[1])
    number = await bulk(db, boss, {"note": "весна"}, ids=[3, 1, 99, 1])
    await finish(db)
    done = await look(db, number)
    assert (done.done, done.failed, done.total) == (3, 1, 3)
    async with db.read() as conn:
        found = {one.record_id: one.outcome for one in (await operations.results(conn, number)).items}
        assert found == {1: "updated", 3: "updated", 99: "refused"}
        row = (await conn.execute(sa.select(history).where(history.c.record_id == 3))).mappings().one()
        assert (row["way"], row["operation_id"], row["user_id"]) == ("bulk", number, boss.user_id)
        with pytest.raises(NotFound):
            await operations.get(conn, ann, number)
        assert (await operations.page(conn, ann)).items == []
        assert [one.id for one in (await operations.page(conn, boss)).items] == [number]


async def test_bad_values_are_refused_before_anything_is_queued(db: Database) -> None:
    boss = await actor(db, "boss", role="admin")
    for values, named in (
        ({"nonsense": 1}, {"ids": [1]}),
        ({"name": ""}, {"ids": [1]}),
        ({}, {"ids": [1]}),
        ({"note": "x"}, {}),
        ({"note": "x"}, {"ids": [1], "where": tree.EVERYTHING}),
        ({"note": "x"}, {"ids": list(range(10_001))}),
        ({"note": "x"}, {"where": tree.parse({"field": "nonsense", "op": "is_empty"})}),
    ):
        with pytest.raises(Invalid):
            await bulk(db, boss, values, **named)
    async with db.read() as conn:
        assert (await operations.page(conn, None)).items == []


async def test_what_is_equal_already_is_skipped_and_leaves_no_history(db: Database) -> None:
    await add_clients(db, 2)
    boss = await actor(db, "boss", role="admin")
    number = await bulk(db, boss, {"note": ""}, ids=[1, 2])
    await finish(db)
    async with db.read() as conn:
        assert await operations.counts(conn, number) == {"skipped": 2}
        assert (await conn.execute(sa.select(sa.func.count()).select_from(history))).scalar() == 0


async def test_cancelled_it_stops_behind_its_batch_and_resumed_it_goes_on(db: Database) -> None:
    await add_clients(db, 6)
    boss = await actor(db, "boss", role="admin")
    number = await bulk(db, boss, {"note": "весна"}, where=tree.EVERYTHING)
    runs = OperationRuns(db, WORKS, load_actor, at_once=2, batch_s=60)
    assert await runs.step()
    async with db.begin() as conn:
        await operations.cancel(conn, await operations.get(conn, boss, number), edit=edit_by(boss))
    assert not await runs.step()
    assert ((await look(db, number)).state, (await look(db, number)).done) == ("cancelled", 2)
    async with db.begin() as conn:
        with pytest.raises(Conflict):
            await operations.cancel(conn, await operations.get(conn, boss, number), edit=edit_by(boss))
        await operations.resume(conn, await operations.get(conn, boss, number), edit=edit_by(boss))
    await finish(db, at_once=2)
    assert ((await look(db, number)).state, (await look(db, number)).done) == ("done", 6)


async def test_a_person_who_may_not_sign_in_any_more_stops_their_operation(db: Database) -> None:
    await add_clients(db, 2)
    boss = await actor(db, "boss", role="admin")
    number = await bulk(db, boss, {"note": "весна"}, where=tree.EVERYTHING)
    async with db.begin() as conn:
        await conn.execute(sa.update(users).values(disabled_at=utc_now()))
    await finish(db)
    stopped = await look(db, number)
    assert stopped.state == "failed"
    assert "may no longer sign in" in stopped.error
    async with db.read() as conn:
        assert set((await conn.execute(sa.select(clients.c.note))).scalars()) == {""}


async def test_an_undo_keeps_and_names_the_fields_that_somebody_changed_since(db: Database) -> None:
    await add_clients(db, 3)
    boss = await actor(db, "boss", role="admin")
    number = await bulk(db, boss, {"note": "весна", "manager": boss.user_id}, where=tree.EVERYTHING)
    await finish(db)
    async with db.begin() as conn:
        with pytest.raises(Conflict, match="over"):
            await operations.cancel(conn, await operations.get(conn, boss, number), edit=edit_by(boss))
        await records.update(conn, CLIENTS, 1, ClientInput(note="своё"), edit=edit_by(boss))
        await records.archive(conn, CLIENTS, 3, edit=edit_by(boss))
        await operations.undo(conn, await operations.get(conn, boss, number), WORKS["bulk_edit"], edit=edit_by(boss))
    await finish(db)
    undone = await look(db, number)
    assert (undone.state, undone.done, undone.failed) == ("undone", 3, 1)
    async with db.read() as conn:
        found = {one.record_id: one for one in (await operations.results(conn, number)).items}
        assert found[1].outcome == "kept"
        assert "note" in found[1].reason
        assert found[2].outcome == "reversed"
        assert found[3].outcome == "failed"
        assert "archived" in found[3].reason
        rows = (await conn.execute(sa.select(clients.c.note, clients.c.owner_id).order_by(clients.c.id))).all()
        assert [tuple(row) for row in rows] == [("своё", None), ("", None), ("весна", boss.user_id)]
    async with db.begin() as conn:
        with pytest.raises(Conflict, match="once"):
            await operations.undo(
                conn, await operations.get(conn, boss, number), WORKS["bulk_edit"], edit=edit_by(boss)
            )


async def test_results_are_paged_by_record_and_outcome(db: Database) -> None:
    await add_clients(db, 5)
    boss = await actor(db, "boss", role="admin")
    number = await bulk(db, boss, {"note": "весна"}, where=tree.EVERYTHING)
    await finish(db)
    async with db.read() as conn:
        first = await operations.results(conn, number, outcome="updated", limit=3)
        assert [one.record_id for one in first.items] == [1, 2, 3]
        assert first.next == "3"
        rest = await operations.results(conn, number, outcome="updated", after=3, limit=3)
        assert ([one.record_id for one in rest.items], rest.next) == ([4, 5], None)
        assert (await operations.results(conn, number, outcome="failed")).items == []
