"""Past calls follow their number: by page, API, bulk edit and undo alike, since all of them write through one door."""

from __future__ import annotations

import sqlalchemy as sa

from hub.app import RELINKS
from hub.clock import utc_now
from hub.crm.access import load_actor
from hub.crm.base import bulk_edit, operations, records
from hub.crm.base.bulk_selection import Selection
from hub.crm.base.history import Edit
from hub.crm.base.operation_runs import OperationRuns
from hub.crm.clients import CLIENTS, create
from hub.crm.contacts import CONTACTS, ContactInput
from hub.crm.linking import Linker
from hub.crm.models import relink_jobs, timeline_entries
from hub.crm.operation_kinds import WORKS
from hub.crm.relinking import RelinkRuns
from hub.store.engine import Database
from hub.telephony.models import calls
from hub.telephony.reading import relink
from tests.factories import made
from tests.integration.test_queue import actor
from tests.testbed import talk
from tests.testbed.site import Site

NUMBER = "84951234567"


async def work(db: Database) -> int:
    runs, steps = RelinkRuns(db, Linker("RU"), RELINKS), 0
    while await runs.step():
        steps += 1
    return steps


async def owner(db: Database, call_id: int) -> int | None:
    """Return the client of a call, which is the card that it stands on."""
    async with db.read() as conn:
        held = (await conn.execute(sa.select(calls.c.client_id).where(calls.c.id == call_id))).scalar_one()
        entry = sa.select(timeline_entries.c.client_id).where(timeline_entries.c.kind == "call")
        assert (await conn.execute(entry.where(timeline_entries.c.ref_id == call_id))).scalar() == held
    return held


async def test_a_phone_added_on_a_page_or_by_the_api_brings_the_past_calls(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    first, _, _ = await talk.waiting_call(site.db, number=NUMBER)
    second, _, _ = await talk.waiting_call(site.db, number="84951234568")
    page, sent = await made(api, {"name": "Ромашка"}), await made(api, {"name": "Лютик"})
    async with browser.post(f"/clients/{page['id']}", data={"version": "1", "phones": NUMBER}) as answer:
        assert answer.status == 200
    body = {"version": 1, "phones": ["+7 495 123-45-68"]}
    async with api.patch(f"clients/{sent['id']}", json=body) as answer:
        assert answer.status == 200
    assert await work(site.db) == 2
    assert [await owner(site.db, one) for one in (first, second)] == [page["id"], sent["id"]]
    async with api.get("queue") as answer:
        assert {one["title"] for one in (await answer.json())["items"]} == {"Ромашка", "Лютик"}


async def test_a_bulk_edit_of_a_phone_brings_the_past_calls_and_its_undo_takes_them_away(db: Database) -> None:
    boss, now = await actor(db, "boss", role="admin"), utc_now()
    call_id, _, _ = await talk.waiting_call(db, number=NUMBER)
    edit = Edit(boss, "api", now)
    async with db.begin() as conn:
        client_id = await create(conn, None, kind="person", name="Иван", now=now)
        number = await bulk_edit.begin(conn, CLIENTS, {"phones": [NUMBER]}, Selection(ids=[client_id]), edit=edit)
    runs = OperationRuns(db, WORKS, load_actor)
    while await runs.step():
        pass
    await work(db)
    assert await owner(db, call_id) == client_id
    async with db.begin() as conn:
        await operations.undo(conn, await operations.get(conn, boss, number), WORKS["bulk_edit"], edit=edit)
    while await runs.step():
        pass
    await work(db)
    assert await owner(db, call_id) is None
    async with db.read() as conn:
        assert (await records.get(conn, boss, CLIENTS, client_id)).phones == ()


async def test_a_deleted_phone_leaves_its_past_unless_somebody_else_has_it(site: Site) -> None:
    api = await site.api("olga")
    call_id, _, _ = await talk.waiting_call(site.db, number=NUMBER)
    first = await made(api, {"name": "Ромашка", "phones": [NUMBER]})
    await work(site.db)
    second = await made(api, {"name": "Лютик", "phones": [NUMBER]})
    await work(site.db)
    assert await owner(site.db, call_id) == first["id"], "two have the number: the call stays where it is"
    async with api.patch(f"clients/{first['id']}", json={"phones": []}) as answer:
        assert answer.status == 200
    await work(site.db)
    assert await owner(site.db, call_id) == second["id"]
    async with api.patch(f"clients/{second['id']}", json={"phones": []}) as answer:
        assert answer.status == 200
    await work(site.db)
    assert await owner(site.db, call_id) == second["id"], "an old number that is deleted does not empty the card"


async def test_a_contact_that_moves_takes_the_calls_to_the_other_card(db: Database) -> None:
    now = utc_now()
    call_id, _, _ = await talk.waiting_call(db, number=NUMBER)
    async with db.begin() as conn:
        old, new = [await create(conn, None, kind="organisation", name=name, now=now) for name in ("А", "Б")]
        given = CONTACTS.read({"name": "Анна", "client": old, "phones": [NUMBER]}, is_new=True)
        write, edit = records.writers(CONTACTS), Edit(None, "import", now)
        assert write.create is not None
        assert write.update is not None
        person = await write.create(conn, given, edit=edit)
    await work(db)
    assert await owner(db, call_id) == old
    async with db.begin() as conn:
        await write.update(conn, person.id, ContactInput(client=new), edit=edit)
    await work(db)
    assert await owner(db, call_id) == new


async def test_many_calls_are_asked_in_batches_and_a_batch_done_again_changes_nothing(db: Database) -> None:
    old = relink.BATCH
    relink.BATCH = 2
    try:
        ids = [(await talk.waiting_call(db, number=NUMBER))[0] for _ in range(5)]
        async with db.begin() as conn:
            client_id = await create(conn, None, kind="person", name="Иван", now=utc_now())
            given = CLIENTS.read({"phones": [NUMBER]}, is_new=False)
            write = records.writers(CLIENTS).update
            assert write is not None
            await write(conn, client_id, given, edit=Edit(None, "hub", utc_now()))
        assert await work(db) == 3
        assert {await owner(db, one) for one in ids} == {client_id}
        async with db.begin() as conn:
            assert await relink.batch(conn, Linker("RU"), "+74951234567", None, unlinks=True, now=utc_now()) == ids[3]
            assert (await conn.execute(sa.select(relink_jobs))).all() == []
        assert {await owner(db, one) for one in ids} == {client_id}
    finally:
        relink.BATCH = old
