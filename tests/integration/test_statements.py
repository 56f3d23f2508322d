"""How many statements a list asks for: a few, however many rows it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from hub.clock import utc_now
from hub.crm import clients
from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.clients import CLIENTS, ClientInput
from hub.crm.linking import Linker
from hub.demo import sample
from hub.store.engine import Database
from hub.telephony.intake.intake import CallIntake
from hub.web.crm.routes import KINDS
from tests.testbed.site import Site

MOST = 12
"""Of a page, beside those that tell who asks, and those of the feed's own reader."""
NOT_OURS = (
    "changes.data|BEGIN|PRAGMA|sessions|FROM tokens|users.password|user_privileges|FROM (team_members|role_|phones)"
)


@contextmanager
def counted(db: Database) -> Iterator[list[str]]:
    """Gather the statements that are asked meanwhile."""
    asked: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    engines = {db.reader.sync_engine, db.writer.sync_engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", ["/{plural}", "/api/v1/{plural}"])
async def test_a_list_asks_for_few_statements_whatever_its_kind(site: Site, path: str) -> None:
    await sample.seed(site.db, CallIntake(site.db, Linker("RU"), {}), now=utc_now())
    await site.person("boss", role="admin")
    asker = await (site.api("boss") if path.startswith("/api") else site.browser("boss"))
    found: dict[str, int] = {}
    for web in KINDS:
        address = path.format(plural=web.entity.plural)
        looks: list[list[str]] = []
        for _ in range(4):
            with counted(site.db) as asked:
                async with asker.get(address) as answer:
                    assert answer.status == 200, address
            looks.append([one for one in asked if not re.search(NOT_OURS, one)])
        # The first look may fill what the process keeps, and a loop of Hub's own may ask beside any of them.
        ours = min(looks, key=len)
        found[address] = len(ours)
        if len(ours) > MOST:
            print("\n".join(ours))
    assert all(count <= MOST for count in found.values()), found


async def test_an_edit_without_addresses_reads_the_client_and_its_addresses_once(db: Database) -> None:
    async with db.begin() as conn:
        client_id = await clients.create(conn, None, kind="person", name="Ромашка", now=utc_now())
        await clients.add_address(conn, None, client_id, kind="phone", raw="89031112233", now=utc_now())
    update = records.writers(CLIENTS).update
    assert update is not None
    with counted(db) as asked:
        async with db.begin() as conn:
            after = await update(conn, client_id, ClientInput(note="x"), edit=Edit(None, "hub", utc_now()))
    assert [one.value for one in after.phones] == ["+79031112233"]
    of_addresses = [one for one in asked if "FROM addresses" in one]
    assert len(of_addresses) == 1, "one statement for every kind of address"
    assert len([one for one in asked if "FROM clients" in one]) == 1
