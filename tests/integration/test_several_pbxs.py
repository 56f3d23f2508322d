"""Several PBXs at once: each has its own extensions, teams and region, and one that is away hurts no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients, people, phones, queue
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.crm.models import users
from hub.demo.pbx import ScriptedPbx
from hub.errors import Conflict, Refused
from hub.settings import Pbx, PbxTeam, Secret
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.telephony import health
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import call_intents, calls, device_states, pbx_states
from hub.telephony.presence import presence
from hub.telephony.reading import colleagues
from hub.telephony.service import PbxService
from tests.factories import calls_of
from tests.testbed.site import SETTINGS, running_site
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database


def settings(name: str, pbx: ScriptedPbx, team: str, region: str) -> Pbx:
    where: dict[str, Any] = {"host": "127.0.0.1", "port": pbx.port, "username": "hub", "secret": Secret(pbx.SECRET)}
    return Pbx(name=name, region=region, team=(PbxTeam(queue="hub-sales", team=team),), **where)


async def person(db: Database, name: str, team: str, *, on: dict[str, str], extension: str | None = None) -> Actor:
    async with db.begin() as conn:
        user_id = await people.add_user(
            conn,
            email=f"{name}@hub.test",
            name=name,
            role="manager",
            password_hash="x",
            team_names=[team],
            extension=extension,
            now=utc_now(),
        )
        for pbx, number in on.items():
            await phones.give(conn, user_id, pbx, number)
        actor = await load_actor(conn, user_id)
    assert actor
    return actor


@asynccontextmanager
async def served(db: Database, *pbxs: Pbx) -> AsyncIterator[None]:
    async with db.begin() as conn:
        for pbx in pbxs:
            await people.ensure_team(conn, pbx.team[0].team, now=utc_now())
        teams = {name: team_id for team_id, name in (await people.team_names(conn)).items()}
    tasks = [
        asyncio.ensure_future(
            PbxService(db, one, CallIntake(db, Linker("RU"), {"hub-sales": teams[one.team[0].team]}, one.region)).run()
        )
        for one in pbxs
    ]
    try:
        for one in pbxs:
            await until(db, one.name, "up")
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(db: Database, pbx: str, state: str, *, deadline_s: float = 15) -> None:
    async def reached() -> bool:
        async with db.read() as conn:
            query = sa.select(pbx_states.c.state).where(pbx_states.c.pbx == pbx)
            return (await conn.execute(query)).scalar() == state

    await wait_for(reached, what=f"{pbx} is {state}", deadline_s=deadline_s)


async def call(db: Database, **wanted: Any) -> Any:
    async def found() -> Any:
        async with db.read() as conn:
            rows = (await conn.execute(sa.select(calls))).mappings().all()
        return next((row for row in rows if wanted.items() <= dict(row).items()), None)

    return await wait_for(found, what=f"a call with {wanted}", deadline_s=15)


async def test_each_pbx_has_its_own_extensions_teams_and_region(db: Database) -> None:
    async with ScriptedPbx(speed=10) as one, ScriptedPbx(speed=10) as two:
        anna = await person(db, "anna", "moscow", on={"moscow": "101"})
        bernd = await person(db, "bernd", "berlin", on={"berlin": "101"})
        async with served(db, settings("moscow", one, "moscow", "RU"), settings("berlin", two, "berlin", "DE")):
            one.phones["102"].hangs_up_after_s = two.phones["102"].hangs_up_after_s = 1
            one.call_in("84951234567")
            two.call_in("030123456")
            in_moscow = await call(db, pbx="moscow", state="waiting")
            in_berlin = await call(db, pbx="berlin", state="waiting")
            assert (in_moscow["from_number"], in_berlin["from_number"]) == ("+74951234567", "+4930123456")
            assert in_moscow["team_id"] != in_berlin["team_id"]
            async with db.read() as conn:
                assert [i.ref_id for i in await queue.listed(conn, anna, state="waiting")] == [in_moscow["id"]]
                assert [i.ref_id for i in await queue.listed(conn, bernd, state="waiting")] == [in_berlin["id"]]
            # Each 101 calls a colleague on their own PBX: the same number, two people.
            one.call_colleague("101", "102")
            two.call_colleague("101", "102")
            of_anna = await call(db, pbx="moscow", direction="internal")
            of_bernd = await call(db, pbx="berlin", direction="internal")
            async with db.read() as conn:
                mine = {c.id for c in await calls_of(conn, anna, direction="internal")}
                theirs = {c.id for c in await calls_of(conn, bernd, direction="internal")}
            assert (mine, theirs) == ({of_anna["id"]}, {of_bernd["id"]})


async def test_a_pbx_that_falls_silent_is_down_within_15_s_and_the_other_goes_on(db: Database) -> None:
    async with (
        ScriptedPbx(speed=10) as one,
        ScriptedPbx(speed=10) as two,
        served(db, settings("moscow", one, "moscow", "RU"), settings("berlin", two, "berlin", "DE")),
    ):
        began = asyncio.get_running_loop().time()
        one.freeze()
        two.call_in("030123456")
        await call(db, pbx="berlin", state="waiting")
        await until(db, "moscow", "down", deadline_s=15)
        assert asyncio.get_running_loop().time() - began < 15
        two.call_in("030654321")
        await call(db, pbx="berlin", from_number="+4930654321", state="waiting")
        async with db.read() as conn:
            states = await health.states(conn, ("moscow", "berlin", "nowhere"))
        assert [(one.pbx, one.state) for one in states] == [
            ("moscow", "down"), ("berlin", "up"), ("nowhere", "connecting")
        ]  # fmt: skip


async def test_a_pbx_whose_process_died_is_told_to_be_down(db: Database) -> None:
    now = utc_now()
    async with db.begin() as conn:
        for pbx in ("dead", "alive"):
            await health.write(conn, pbx, "up", boot="b1", now=now - timedelta(minutes=1))
        await conn.execute(sa.update(pbx_states).where(pbx_states.c.pbx == "alive").values(seen_at=now))
    await health.expire(db, now=now)
    async with db.read() as conn:
        dead, alive = await health.states(conn, ("dead", "alive"))
    assert (dead.state, dead.since, alive.state) == ("down", now, "up")


async def test_an_extension_has_one_owner_on_a_pbx(db: Database) -> None:
    anna = await person(db, "anna", "sales", on={"berlin": "201"}, extension="101")
    boris = await person(db, "boris", "sales", on={"berlin": "101"})
    async with db.begin() as conn:
        assert await phones.owner_of(conn, "moscow", "101") == (anna.user_id, "anna")
        assert await phones.owner_of(conn, "berlin", "101") == (boris.user_id, "boris")
        assert await phones.owner_of(conn, "berlin", "201") == (anna.user_id, "anna")
        assert (await phones.owners(conn, "berlin", ["101", "201", "999"])) == {
            "101": (boris.user_id, "boris"),
            "201": (anna.user_id, "anna"),
        }
        assert (anna.extension_on("berlin"), anna.extension_on("moscow")) == ("201", "101")
        with pytest.raises(Conflict, match="already taken"):
            await phones.give(conn, boris.user_id, "berlin", "201")
        with pytest.raises(Refused):
            await phones.give(conn, boris.user_id, "moscow", "1&2")


async def test_an_extension_that_is_anothers_on_a_pbx_gives_no_hand_in_their_calls(db: Database) -> None:
    boris = await person(db, "boris", "sales", on={"berlin": "101"})
    carla = await person(db, "carla", "sales", on={}, extension="101")
    assert (carla.extension_on("moscow"), carla.extension_on("berlin")) == ("101", None)
    async with db.begin() as conn:
        for pbx in ("moscow", "berlin"):
            await health.write(conn, pbx, "up", boot="b1", now=utc_now())
        row = {"pbx": "berlin", "device": "PJSIP/101", "extension": "101", "state": "in_use", "contact": ""}
        await conn.execute(device_states.insert().values(since=utc_now(), **row))
        with pytest.raises(Refused, match="no colleague with a phone"):
            await colleagues.find_target(conn, carla.user_id, pbx="berlin", now=utc_now())
        found = await colleagues.search(conn, "", pbx="berlin", but=0, now=utc_now())
        seen = {one.id: one.state for one in await presence.of_team(conn, boris, utc_now())}
    assert [one.name for one in found] == ["boris"]
    assert (seen[boris.user_id], seen[carla.user_id]) == ("in_call", "offline")


TWO = msgspec.structs.replace(SETTINGS, pbx=(SETTINGS.pbx[0], msgspec.structs.replace(SETTINGS.pbx[0], name="berlin")))


@pytest.mark.parametrize(
    ("on", "extension", "berlin", "rung"),
    [
        ({"berlin": "201"}, None, "down", ("berlin", "201")),
        ({"berlin": "201"}, "101", "up", ("berlin", "201")),
        ({}, "101", "up", ("berlin", "101")),
        ({}, "101", "down", ("office", "101")),
    ],
)
async def test_a_click_goes_to_a_pbx_that_the_person_has_a_phone_on_and_that_is_up(
    db: Database, blobs: BlobStore, on: dict[str, str], extension: str | None, berlin: str, rung: tuple[str, str]
) -> None:
    await person(db, "anna", "sales", on=on, extension=extension)
    async with db.begin() as conn:
        await health.write(conn, "office", "down", now=utc_now())
        await health.write(conn, "berlin", berlin, boot="b1", now=utc_now())
        client_id = await clients.create(conn, None, kind="person", name="Иван", now=utc_now())
        await clients.add_address(conn, None, client_id, kind="phone", raw="+74951234567", now=utc_now())
        anna = (await conn.execute(sa.select(users.c.id).where(users.c.name == "anna"))).scalar_one()
        actor = await load_actor(conn, anna)
    assert actor
    async with running_site(db, blobs, settings=TWO) as site:
        site.actors["anna"] = actor
        browser, api = await site.browser("anna"), await site.api("anna")
        async with browser.get(f"/clients/{client_id}") as answer:
            assert 'hx-post="/call"' in await answer.text()
        async with browser.post("/call", data={"to": "84951234567", "request_id": "12345678"}) as answer:
            assert answer.status == 200
        async with api.post("calls", json={"to": "84951234567"}) as answer:
            assert answer.status == 202
    async with db.read() as conn:
        asked = (await conn.execute(sa.select(call_intents.c.pbx, call_intents.c.extension))).all()
    assert [tuple(one) for one in asked] == [rung, rung]
