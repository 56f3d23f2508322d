"""Calls as a kind: who sees which in every way out, what narrows the list, its pages, and what is counted as missed."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients
from hub.crm.base import records
from hub.store.engine import Database
from hub.telephony import measures
from hub.telephony.choices import CallDirection, CallOutcome, CallState
from hub.telephony.models import calls
from hub.telephony.reading.call_kind import CALLS
from tests.factories import T0, got
from tests.testbed.site import Site


def row(number: int, **values: Any) -> dict[str, Any]:
    """A call that is over and nobody answered."""
    at = T0 + timedelta(minutes=number)
    usual = {
        "pbx": "office", "boot": "b", "linked_id": f"{number}.1", "direction": "inbound", "state": "ended",
        "outcome": "missed", "estimated": False, "from_raw": "84951234567", "from_number": "+74951234567",
        "from_name": "Зуева", "to_raw": "100", "started_at": at, "ended_at": at, "wait_s": 4.5, "talk_s": 0.0,
        "link_manual": False, "candidates": [], "transfers": [],
    }  # fmt: skip
    return usual | values


async def add(conn: AsyncConnection, *rows: dict[str, Any]) -> None:
    for one in rows:
        await conn.execute(sa.insert(calls).values(**one))


async def ids(api: Any, **params: str) -> list[str]:
    return [one["linked_id"] for one in (await got(api, "calls", **params))["items"]]


@pytest.mark.parametrize(
    ("in_sql", "in_hand"),
    [
        (measures.missed, measures.is_missed),
        (measures.abandoned, measures.is_abandoned),
        (measures.answered, measures.is_answered),
    ],
)
async def test_a_measure_counts_the_same_rows_in_sql_and_in_hand(db: Database, in_sql: Any, in_hand: Any) -> None:
    kinds = itertools.product(CallDirection, CallState, [None, *CallOutcome], [None, T0])
    async with db.begin() as conn:
        await conn.execute(
            sa.insert(calls),
            [
                row(n, direction=direction, state=state, outcome=outcome, answered_at=answered_at)
                for n, (direction, state, outcome, answered_at) in enumerate(kinds)
            ],
        )
        every = (await conn.execute(sa.select(calls))).all()
        counted = set((await conn.execute(sa.select(calls.c.id).where(in_sql()))).scalars())
    assert counted == {one.id for one in every if in_hand(one)}
    assert 0 < len(counted) < len(every)


async def test_a_call_is_seen_by_its_team_by_who_spoke_and_by_who_sees_its_client(site: Site) -> None:
    olga, pavel = await site.person("olga", extension="101"), await site.person("pavel", team="support")
    admin = await site.person("root", role="admin", team=None)
    async with site.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="person", name="Зуева", now=T0)
        (team,) = olga.team_ids
        await add(
            conn,
            row(1, team_id=team),
            row(2, client_id=client_id),
            row(3, answered_user_id=pavel.user_id),
            row(4, direction="outbound", from_extension="101"),
            row(5),
        )
    for name, seen in (("olga", ["4", "2", "1"]), ("pavel", ["3", "2"]), ("root", ["5", "4", "3", "2", "1"])):
        api, wanted = await site.api(name), [f"{one}.1" for one in seen]
        assert await ids(api) == wanted
        assert await got(api, "calls/count") == {"count": len(wanted), "capped": False}
        page = await (await (await site.browser(name)).get("/calls")).text()
        assert page.count('id="call-') == len(wanted)
    async with site.db.read() as conn:
        for actor, count in ((olga, 3), (pavel, 2), (admin, 5)):
            assert len(await records.get_many(conn, actor, CALLS, range(1, 6))) == count
            assert len(await records.names(conn, actor, "call", range(1, 6))) == count
            own = {"export"} if actor is admin else set()
            assert await records.possible(conn, actor, CALLS, 2) == {"see", "edit"} | own


async def test_filters_of_the_contract_and_of_old_addresses_narrow_api_page_and_count_alike(site: Site) -> None:
    olga = await site.person("olga")
    (team,) = olga.team_ids
    async with site.db.begin() as conn:
        await add(
            conn,
            row(1, team_id=team),
            row(2, team_id=team, outcome="answered", answered_at=T0, answered_user_id=olga.user_id, talk_s=61.0),
            row(
                3, team_id=team, direction="outbound", from_number=None, from_extension="101", to_number="+79161234567"
            ),
            row(4, team_id=team, outcome="abandoned", started_at=T0 + timedelta(days=2)),
        )
    api, browser = await site.api("olga"), await site.browser("olga")
    for params, wanted in (
        ({"outcome": "answered"}, ["2.1"]),
        ({"only": "missed"}, ["4.1", "1.1"]),
        ({"only": "answered"}, ["2.1"]),
        ({"user": str(olga.user_id)}, ["2.1"]),
        ({"direction": "outbound"}, ["3.1"]),
        ({"number": "8 916 123-45-67"}, ["3.1"]),
        ({"number": "101"}, ["3.1"]),
        ({"q": "8 (495) 123 45 67"}, ["4.1", "2.1", "1.1"]),
        ({"to": "89161234567"}, ["3.1"]),
        ({"from": "101"}, ["3.1"]),
        ({"since": "2026-11-25"}, ["4.1"]),
        ({"until": "2026-11-25"}, ["3.1", "2.1", "1.1"]),
        ({"from": "2026-11-25T00:00:00Z", "to": "2026-11-27"}, ["4.1"]),
        ({"linked_id": "1.1"}, ["1.1"]),
        ({"sort": "started_at"}, ["1.1", "2.1", "3.1", "4.1"]),
        ({"where": json.dumps({"field": "talk_s", "op": "more", "value": 60})}, ["2.1"]),
    ):
        assert await ids(api, **params) == wanted, params
        if "sort" not in params:
            assert (await got(api, "calls/count", **params))["count"] == len(wanted)
        async with browser.get("/calls", params=params) as answer:
            assert (await answer.text()).count('id="call-') == len(wanted), params
    async with browser.get("/calls", params={"outcome": "answered", "user": str(olga.user_id)}) as answer:
        text = await answer.text()
    assert f'href="/calls?user={olga.user_id}"' in text  # the chip that takes the outcome away
    assert "Olga" in text


async def test_the_last_page_is_never_empty_and_pages_meet_without_a_gap(site: Site) -> None:
    (team,) = (await site.person("olga")).team_ids
    async with site.db.begin() as conn:
        await add(conn, *(row(n, team_id=team, started_at=T0) for n in range(6)))
    api = await site.api("olga")
    found, cursor, pages = [], "", 0
    while cursor is not None:
        page = await got(api, "calls", limit="3", **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) == 3
        found += [one["id"] for one in page["items"]]
        cursor, pages = page["next"], pages + 1
    assert (pages, found) == (2, sorted(found, reverse=True))
    assert len(set(found)) == 6


async def test_clients_are_found_by_their_calls(site: Site) -> None:
    await site.person("olga")
    async with site.db.begin() as conn:
        with_call = await clients.create(conn, None, kind="person", name="Зуева", now=T0)
        await clients.create(conn, None, kind="person", name="Белова", now=T0)
        await add(conn, row(1, client_id=with_call, outcome="abandoned"))
    has = {"has": "call", "where": {"field": "outcome", "op": "is", "value": ["abandoned"]}}
    found = await got(await site.api("olga"), "clients", where=json.dumps(has))
    assert [one["id"] for one in found["items"]] == [with_call]
