"""Several PBXs at once: each has its own extensions, teams and region, and one that is away hurts no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people, phones, queue
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.demo.pbx import ScriptedPbx
from hub.errors import Conflict, Refused
from hub.settings import Pbx, PbxTeam, Secret
from hub.store.engine import Database
from hub.telephony import health, register
from hub.telephony.intake import CallIntake
from hub.telephony.models import calls, pbx_states
from hub.telephony.service import PbxService
from tests.testbed.waiting import wait_for


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
                mine = {c.id for c in await register.listed(conn, anna, register.CallFilters(direction="internal"))}
                theirs = {c.id for c in await register.listed(conn, bernd, register.CallFilters(direction="internal"))}
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
        assert await phones.extension_of(conn, anna.user_id, "berlin") == "201"
        assert await phones.extension_of(conn, anna.user_id, "moscow") == "101"
        assert (anna.extension_on("berlin"), anna.extension_on("moscow")) == ("201", "101")
        with pytest.raises(Conflict, match="already taken"):
            await phones.give(conn, boris.user_id, "berlin", "201")
        with pytest.raises(Refused):
            await phones.give(conn, boris.user_id, "moscow", "1&2")
