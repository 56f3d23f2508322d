"""Who is on, on both databases: words, phones and calls put together, and who may hear of whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import presence as said_presence
from hub.crm.access import Actor
from hub.crm.models import phones, team_rules, user_privileges
from hub.crm.models import presence as said_table
from hub.errors import NotFound, Refused
from hub.settings import Pbx, Secret
from hub.store import changes
from hub.store.engine import Database
from hub.telephony import health
from hub.telephony.models import calls, device_states, pbx_states
from hub.telephony.presence import presence, wallboard
from hub.telephony.presence.devices import Device, Pending, extension_of
from hub.telephony.presence.devicestore import DeviceStore, store
from hub.telephony.service import PbxService
from hub.telephony.tracking.calls import Call, CallChanged, CallEnded, Channel, Leg
from tests.factories import got
from tests.fakes.ami_server import ami_server, packet
from tests.testbed import talk
from tests.testbed.events import listening
from tests.testbed.site import Site
from tests.testbed.waiting import wait_for

SOON = timedelta(seconds=30)


async def rules(db: Database, team_id: int, **values: Any) -> None:
    async with db.begin() as conn:
        await conn.execute(team_rules.insert().values(team_id=team_id, hours={}, holidays=[], **values))


async def pbx_is(db: Database, state: str, *, seen_at: datetime | None = None, pbx: str = "office") -> None:
    async with db.begin() as conn:
        await conn.execute(sa.delete(pbx_states).where(pbx_states.c.pbx == pbx))
        row = {"pbx": pbx, "state": state, "since": utc_now(), "seen_at": seen_at or utc_now()}
        await conn.execute(pbx_states.insert().values(**row))


async def phone_is(
    db: Database, device: str, state: Any, *, since: datetime | None = None, pbx: str = "office"
) -> None:
    async with db.begin() as conn:
        await store(
            conn,
            pbx,
            Pending((Device(device, state, since or utc_now()),), (), {device: extension_of(device)}),
            now=utc_now(),
        )


async def here(db: Database, actor: Actor, state: str = "available") -> None:
    async with db.begin() as conn:
        await said_presence.say(conn, actor.user_id, state, now=utc_now())


async def seen_by(db: Database, who: Actor) -> dict[str, presence.Colleague]:
    async with db.read() as conn:
        return {one.name: one for one in await presence.of_team(conn, who, utc_now())}


async def state_of(db: Database, who: Actor, *, later: timedelta = timedelta()) -> str:
    async with db.read() as conn:
        me, _ = await presence.of_me(conn, who, utc_now() + later)
    return me.state


async def in_talk(db: Database, call: Call, extension: str) -> Call:
    """Have a waiting call answered by an extension, and go on."""
    at = call.started_at + timedelta(seconds=5)
    leg = Leg(Channel(f"PJSIP/{extension}-1"), f"{call.linked_id}1", extension, None, "callee", at, at)
    talking = replace(
        call, state="talking", answered_at=at, wait_s=5.0, answered_extension=extension, legs=(*call.legs, leg)
    )
    await (await talk.intake(db, "sales")).store([CallChanged(talking)], now=utc_now())
    return talking


# What people say


async def test_a_word_said_twice_is_told_once_and_keeps_its_beginning(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    for _ in range(2):
        await here(site.db, anna, "away")
    async with site.db.read() as conn:
        told = await changes.read_after(conn, changes.Position(0, 0))
        said = (await said_presence.said_of(conn, [anna.user_id]))[anna.user_id]
    assert [c.data["state"] for c in told if c.kind == "presence"] == ["away"]
    assert said.since is not None
    assert await state_of(site.db, anna) == "away"


@pytest.mark.parametrize("word", ["after_call", "in_call", "offline", "", "dnd'--"])
async def test_nobody_says_what_only_is_seen(site: Site, word: str) -> None:
    anna = await site.person("anna")
    with pytest.raises(Refused):
        await here(site.db, anna, word)


async def test_after_call_work_follows_a_call_of_the_queue_and_ends_by_a_button_or_by_itself(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    (team_id,) = anna.team_ids
    await rules(site.db, team_id, after_call_s=30)
    await here(site.db, anna)
    for end in ("button", "time"):
        _, _, call = await talk.waiting_call(site.db)
        await talk.answered(site.db, call, extension="101")
        assert await state_of(site.db, anna) == "after_call", end
        if end == "button":
            await here(site.db, anna)
            assert await state_of(site.db, anna) == "free"
    assert await state_of(site.db, anna, later=SOON) == "free", "whoever looks, whether or not a job has run"
    assert await said_presence.sweep(site.db, now=utc_now()) == 0
    assert await said_presence.sweep(site.db, now=utc_now() + SOON) == 1
    assert await said_presence.sweep(site.db, now=utc_now() + SOON) == 0
    async with site.db.read() as conn:
        told = [c.data["state"] for c in await changes.read_after(conn, changes.Position(0, 0)) if c.kind == "presence"]
    assert told == ["available", "after_call", "available", "after_call", "available"]


@pytest.mark.parametrize("word", ["dnd", "away"])
async def test_after_call_work_does_not_make_available_who_said_otherwise(site: Site, word: str) -> None:
    anna = await site.person("anna", extension="101")
    await rules(site.db, min(anna.team_ids), after_call_s=30)
    await here(site.db, anna, word)
    _, _, call = await talk.waiting_call(site.db)
    await talk.answered(site.db, call, extension="101")
    assert await state_of(site.db, anna) == word


async def test_a_call_told_of_long_after_its_end_leaves_no_work(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    await rules(site.db, min(anna.team_ids), after_call_s=30)
    await here(site.db, anna)
    _, _, call = await talk.waiting_call(site.db, started_at=utc_now() - timedelta(minutes=10))
    await talk.answered(site.db, call, extension="101")
    assert await state_of(site.db, anna) == "free"


async def test_no_rule_or_no_queue_means_no_after_call_work(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    await here(site.db, anna)
    _, _, call = await talk.waiting_call(site.db)
    await talk.answered(site.db, call, extension="101")
    assert await state_of(site.db, anna) == "free", "a team without a row of rules"
    await rules(site.db, min(anna.team_ids), after_call_s=30)
    direct = replace(call, linked_id="1.9", queue=None, state="ended", outcome="answered", answered_extension="101")
    await (await talk.intake(site.db, "sales")).store([CallEnded(direct)], now=utc_now())
    assert await state_of(site.db, anna) == "free", "a call that no team was offered"


async def test_who_closes_the_browser_is_offline_after_a_while_and_the_pages_are_told(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    now = utc_now()
    await said_presence.touch(site.db, anna.user_id, now=now)
    assert await state_of(site.db, anna) == "free"
    await said_presence.touch(site.db, anna.user_id, now=now + timedelta(seconds=5))
    assert await state_of(site.db, anna, later=said_presence.SEEN_FOR) == "offline"
    assert await said_presence.sweep(site.db, now=now + said_presence.SEEN_FOR) == 1
    await said_presence.touch(site.db, anna.user_id, now=now + timedelta(hours=1))
    async with site.db.read() as conn:
        told = [c.data["state"] for c in await changes.read_after(conn, changes.Position(0, 0)) if c.kind == "presence"]
    assert told == ["available", "offline", "available"], "the sign five seconds later was not worth a word"


async def test_signing_in_begins_as_available_and_signing_out_is_seen_at_once(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    await here(site.db, anna, "dnd")
    async with site.db.begin() as conn:
        await said_presence.arrive(conn, anna.user_id, now=utc_now())
    assert await state_of(site.db, anna) == "free"
    browser = await site.browser("anna")
    async with browser.post("/logout", allow_redirects=False) as answer:
        assert answer.status == 303
    assert await state_of(site.db, anna) == "offline"


async def test_signing_out_of_one_browser_leaves_who_has_another_open(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    one, other = await site.browser("anna"), await site.browser("anna")
    async with listening(one, "/live"):
        async with other.post("/logout", allow_redirects=False):
            pass
        assert await state_of(site.db, anna) == "free"


# Phones and calls


async def test_a_call_on_ones_phone_is_seen_from_either_side_and_gone_with_it(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    await here(site.db, anna)
    await pbx_is(site.db, "up")
    await phone_is(site.db, "PJSIP/101", "idle")
    assert (await seen_by(site.db, anna))["Anna"].can_take
    await phone_is(site.db, "PJSIP/101", "ringing")
    assert await state_of(site.db, anna) == "ringing"
    _, _, call = await talk.waiting_call(site.db)
    talking = await in_talk(site.db, call, "101")
    await phone_is(site.db, "PJSIP/101", "in_use")
    assert await state_of(site.db, anna) == "in_call"
    await phone_is(site.db, "PJSIP/101", "idle")
    await talk.answered(site.db, talking, extension="101")
    assert await state_of(site.db, anna) == "free"


async def test_a_phone_that_tells_no_state_is_in_a_call_by_the_call_alone(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    await here(site.db, anna)
    await pbx_is(site.db, "up")
    _, _, call = await talk.waiting_call(site.db)
    talking = await in_talk(site.db, call, "101")
    one = (await seen_by(site.db, anna))["Anna"]
    assert (one.state, one.phone, one.since) == ("in_call", "unknown", talking.answered_at)


async def test_a_hang_up_that_nobody_saw_keeps_nobody_in_a_call(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    await here(site.db, anna)
    await pbx_is(site.db, "up")
    _, _, call = await talk.waiting_call(site.db, started_at=utc_now() - timedelta(minutes=10))
    await in_talk(site.db, call, "101")
    await phone_is(site.db, "PJSIP/101", "idle", since=utc_now() - timedelta(minutes=5))
    assert await state_of(site.db, anna) == "free", "the phone has been idle since it was answered"


@pytest.mark.parametrize("how", ["down", "nobody listens"])
async def test_what_is_known_of_a_pbx_that_is_down_is_unknown_and_not_busy(site: Site, how: str) -> None:
    anna = await site.person("anna", extension="101")
    await here(site.db, anna)
    _, _, call = await talk.waiting_call(site.db)
    await in_talk(site.db, call, "101")
    await phone_is(site.db, "PJSIP/101", "in_use")
    await pbx_is(site.db, "up")
    assert await state_of(site.db, anna) == "in_call"
    long_ago = utc_now() - health.SILENT_AFTER - timedelta(seconds=1)
    await pbx_is(site.db, "down" if how == "down" else "up", seen_at=None if how == "down" else long_ago)
    one = (await seen_by(site.db, anna))["Anna"]
    assert (one.state, one.phone) == ("free", "unknown")
    async with site.db.read() as conn:
        board = await wallboard.board(conn, anna, min(anna.team_ids), now=utc_now())
    assert (board.pbx_unknown, board.talking, board.waiting) == (("office",), (), ())
    api = await site.api("anna")
    assert [d["state"] for d in (await got(api, "devices"))["items"]] == ["unknown"]


async def test_an_extension_is_each_pbxs_own(site: Site) -> None:
    """Two branches that both have a 101: the row in `phones` says whose it is on the second."""
    anna, boris = await site.person("anna", extension="101"), await site.person("boris", extension="102")
    async with site.db.begin() as conn:
        await conn.execute(phones.insert().values(pbx="branch", extension="101", user_id=boris.user_id))
        await conn.execute(phones.insert().values(pbx="branch", extension="200", user_id=anna.user_id))
    for pbx in ("office", "branch"):
        await pbx_is(site.db, "up", pbx=pbx)
    await phone_is(site.db, "PJSIP/101", "in_use", pbx="branch")
    seen = await seen_by(site.db, anna)
    assert (seen["Anna"].state, seen["Boris"].state) == ("offline", "in_call")
    await phone_is(site.db, "PJSIP/101", "in_use", pbx="office")
    assert (await seen_by(site.db, anna))["Anna"].state == "in_call"
    rows = (await got(await site.api("anna"), "devices"))["items"]
    assert [(d["pbx"], d["user"]["name"]) for d in rows] == [("branch", "Boris"), ("office", "Anna")]


# Into the database


async def test_a_burst_is_one_batch_and_what_did_not_change_writes_nothing(site: Site) -> None:
    await site.person("anna", extension="101")
    devices = DeviceStore(site.db, "office", now=utc_now)
    await devices.recall()
    running = asyncio.ensure_future(devices.run())
    try:
        for state in ("RINGING", "INUSE", "RINGING", "INUSE", "ONHOLD", "INUSE"):
            devices.handle(
                {"Event": "DeviceStateChange", "Device": "PJSIP/101", "State": state}, now=utc_now(), position=1
            )
        first = await _until_stored(site.db, "PJSIP/101", "in_use")
        for _ in range(5):
            devices.handle(
                {"Event": "DeviceStateChange", "Device": "PJSIP/101", "State": "INUSE"}, now=utc_now(), position=1
            )
        devices.handle(
            {"Event": "DeviceStateChange", "Device": "PJSIP/102", "State": "RINGING"}, now=utc_now(), position=1
        )
        await _until_stored(site.db, "PJSIP/102", "ringing")
        async with site.db.read() as conn:
            told = [c for c in await changes.read_after(conn, changes.Position(0, 0)) if c.kind == "device"]
            kept = (await conn.execute(sa.select(device_states).where(device_states.c.device == "PJSIP/101"))).one()
        assert [[d["state"] for d in c.data["devices"]] for c in told] == [["in_use"], ["ringing"]]
        assert kept == first
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _until_stored(db: Database, device: str, state: str) -> Any:
    async def found() -> Any:
        async with db.read() as conn:
            query = sa.select(device_states).where(device_states.c.device == device, device_states.c.state == state)
            return (await conn.execute(query)).first()

    return await wait_for(found, what=f"{device} is {state}", deadline_s=30)


def _list(action: dict[str, str], complete: str, *rows: str) -> str:
    action_id = action["ActionID"]
    begun = packet(Response="Success", ActionID=action_id, EventList="start", Message="a list will follow")
    return begun + "".join(rows) + packet(Event=complete, ActionID=action_id, EventList="Complete", ListItems="1")


async def test_an_asterisk_without_a_list_of_states_is_asked_for_its_peers(site: Site) -> None:
    """Asterisk 11 knows no DeviceStateList: what is not known is gone, and what its chan_sip says stands."""
    await phone_is(site.db, "SIP/199", "in_use")

    def peers(action: dict[str, str]) -> str:
        headers = {"ActionID": action["ActionID"], "Channeltype": "SIP", "ObjectName": "101", "Status": "OK (9 ms)"}
        return _list(action, "PeerlistComplete", packet(Event="PeerEntry", **headers))

    def unknown(action: dict[str, str]) -> str:
        return packet(Response="Error", ActionID=action["ActionID"], Message="Invalid/unknown command")

    def no_channels(action: dict[str, str]) -> str:
        return _list(action, "CoreShowChannelsComplete")

    answers: Any = {"DeviceStateList": unknown, "SIPpeers": peers, "CoreShowChannels": no_channels}
    async with ami_server(answers=answers) as server:
        pbx = Pbx(name="office", host="127.0.0.1", port=server.port, username="hub", secret=Secret(server.password))
        service = PbxService(site.db, pbx, await talk.intake(site.db, "sales"))
        running = asyncio.ensure_future(service.run())
        try:
            await _until_stored(site.db, "SIP/101", "unknown")
            hint = {"Exten": "101", "Context": "internal", "Hint": "SIP/101", "Status": "8", "StatusText": "Ringing"}
            server.send(packet(Event="ExtensionStatus", **hint))
            await _until_stored(site.db, "SIP/101", "ringing")
            async with site.db.read() as conn:
                names = (await conn.execute(sa.select(device_states.c.device))).scalars().all()
            assert names == ["SIP/101"]
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_process_that_starts_anew_takes_away_what_the_pbx_no_longer_names(site: Site) -> None:
    await phone_is(site.db, "PJSIP/101", "in_use")
    await phone_is(site.db, "PJSIP/199", "in_use")
    devices = DeviceStore(site.db, "office", now=utc_now)
    await devices.recall()
    devices._board.take_list(
        [{"Event": "DeviceStateChange", "Device": "PJSIP/101", "State": "NOT_INUSE"}], now=utc_now()
    )
    async with site.db.begin() as conn:
        await store(conn, "office", devices._board.pending(), now=utc_now())
        rows = (await conn.execute(sa.select(device_states.c.device, device_states.c.state))).all()
    assert [tuple(row) for row in rows] == [("PJSIP/101", "idle")]


# The board


async def test_the_boards_figures_are_the_teams_own_and_todays(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    (team_id,) = anna.team_ids
    await rules(site.db, team_id, service_level_s=4, time_zone="UTC")
    await pbx_is(site.db, "up")
    now = utc_now()
    day = wallboard.midnight(now, "UTC")
    _, _, late = await talk.waiting_call(site.db, number="84951110001", started_at=day + timedelta(seconds=1))
    await talk.answered(site.db, late, extension="101")
    for number, wait_s, outcome in (
        ("2", 3.0, "answered"),
        ("3", 2.0, "abandoned"),
        ("4", 9.0, "abandoned"),
        ("5", 9.0, "missed"),
    ):
        _, _, call = await talk.waiting_call(
            site.db, number=f"8495111000{number}", started_at=day + timedelta(seconds=1)
        )
        answered_at = call.started_at + timedelta(seconds=wait_s) if outcome == "answered" else None
        ended = replace(call, state="ended", outcome=outcome, wait_s=wait_s, answered_at=answered_at, ended_at=now)  # type: ignore[arg-type]
        await (await talk.intake(site.db, "sales")).store([CallEnded(ended)], now=now)
    _, _, old = await talk.waiting_call(site.db, number="84951110006", started_at=day - timedelta(seconds=1))
    await talk.answered(site.db, old, extension="101")
    await talk.waiting_call(site.db, number="84951110007", team="support", started_at=day + timedelta(seconds=1))
    first, _, _ = await talk.waiting_call(
        site.db, number="84951110008", name="IVAN", started_at=now - timedelta(minutes=2)
    )
    await talk.waiting_call(site.db, number="84951110009", started_at=now - timedelta(minutes=1))
    async with site.db.read() as conn:
        board = await wallboard.board(conn, anna, team_id, now=utc_now())
    today = board.today
    assert (today.answered, today.answered_in_time, today.missed, today.abandoned, today.abandoned_soon) == (
        2,
        1,
        1,
        2,
        1,
    )
    assert today.service_level == pytest.approx(1 / 4)
    assert (board.waiting[0].id, board.waiting[0].who) == (first, "IVAN")
    assert len(board.waiting) == 2
    assert board.longest_since == now - timedelta(minutes=2)


async def test_todays_figures_read_one_teams_day_by_its_index(site: Site) -> None:
    if site.db.dialect != "sqlite":
        pytest.skip("the planner of an empty PostgreSQL table reads it whole; the index is the same")
    query = sa.select(sa.func.count()).where(
        calls.c.team_id == 1, calls.c.started_at >= utc_now(), calls.c.direction == "inbound"
    )
    async with site.db.read() as conn:
        text = str(query.compile(conn.sync_connection, compile_kwargs={"literal_binds": False}))
        plan = (await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (1, "2026", "inbound"))).all()
    assert "ix_calls_team_day (team_id=? AND started_at>?)" in str(plan)


# Who may hear of whom


async def test_a_foreign_teams_people_phones_and_board_are_not_there(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    await site.person("stranger", team="support", extension="201")
    await site.person("olga", team=None, role="admin")
    await pbx_is(site.db, "up")
    for device in ("PJSIP/101", "PJSIP/201", "PJSIP/trunk", "PJSIP/900"):
        await phone_is(site.db, device, "idle")
    foreign, admin = await site.api("stranger"), await site.api("olga")
    (team_id,) = anna.team_ids

    def names(answer: Any, key: str = "user") -> list[str]:
        return [one[key]["name"] for one in answer["items"] if one[key]]

    assert names(await got(foreign, "presence")) == ["Stranger"]
    assert [d["device"] for d in (await got(foreign, "devices"))["items"]] == ["PJSIP/201"]
    assert names(await got(admin, "presence")) == ["Anna", "Olga", "Stranger"]
    assert len((await got(admin, "devices"))["items"]) == 4
    first = await got(admin, "devices", limit="3")
    rest = await got(admin, "devices", limit="3", cursor=first["next"])
    assert len(first["items"]) == 3
    assert [d["device"] for d in rest["items"]] == ["PJSIP/trunk"]
    assert (await got(admin, f"wallboard/{team_id}"))["team"]["name"] == "sales"
    for path in (f"wallboard/{team_id}", "wallboard/999"):
        async with foreign.get(path) as answer:
            assert answer.status == 404, path
    browser = await site.browser("stranger")
    async with browser.get(f"/wallboard/{team_id}") as answer:
        assert answer.status == 404
    async with site.db.read() as conn:
        with pytest.raises(NotFound):
            await presence.of_one_team(conn, site.actors["stranger"], team_id, utc_now())


async def test_a_supervisor_hears_a_call_from_the_board_and_nobody_else_is_shown_how(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    for name, extension in (("lead", "102"), ("mate", "103"), ("deskless", None)):
        await site.person(name, extension=extension)
    async with site.db.begin() as conn:
        for name in ("lead", "deskless"):
            row = {"user_id": site.actors[name].user_id, "privilege": "supervise"}
            await conn.execute(user_privileges.insert().values(**row))
    await pbx_is(site.db, "up")
    call_id, _, call = await talk.waiting_call(site.db)
    await in_talk(site.db, call, "101")
    (team_id,) = anna.team_ids
    for name, path, is_shown in (
        ("lead", f"/wallboard/{team_id}", True),
        ("lead", f"/wallboard/{team_id}?screen=true", False),
        ("mate", f"/wallboard/{team_id}", False),
        ("deskless", f"/wallboard/{team_id}", False),
    ):
        browser = await site.browser(name)
        async with browser.get(path) as answer:
            assert (f"/calls/{call_id}/listen" in await answer.text()) == is_shown, (name, path)


async def test_a_stream_tells_of_ones_own_team_only(site: Site) -> None:
    anna = await site.person("anna", extension="101")
    await site.person("mate", extension="102")
    stranger = await site.person("stranger", team="support", extension="201")
    await site.person("olga", team=None, role="admin")
    clients = {name: await site.api(name) for name in ("mate", "stranger", "olga")}
    async with (
        listening(clients["mate"], "events") as mate,
        listening(clients["stranger"], "events") as foreign,
        listening(clients["olga"], "events") as admin,
    ):
        await here(site.db, anna, "away")
        await phone_is(site.db, "PJSIP/101", "in_use")
        await phone_is(site.db, "PJSIP/trunk", "in_use")
        await here(site.db, stranger, "dnd")
        assert (await mate.next()).data["user"] == anna.user_id
        assert [d["device"] for d in (await mate.next()).data["data"]["devices"]] == ["PJSIP/101"]
        assert (await foreign.next()).data["user"] == stranger.user_id, "the first thing that a stranger hears of"
        heard = [await admin.next() for _ in range(4)]
        assert [one.name for one in heard] == ["presence", "device", "device", "presence"]


async def test_a_person_says_it_over_the_api_and_is_seen_by_their_team(site: Site) -> None:
    await site.person("anna", extension="101")
    anna, mate = await site.api("anna"), await site.api("mate")
    async with anna.post("presence", json={"state": "dnd"}) as answer:
        assert answer.status == 200
        said = await answer.json()
    assert (said["state"], said["shown"], said["until"]) == ("dnd", "dnd", None)
    shown = next(one for one in (await got(mate, "presence"))["items"] if one["user"]["name"] == "Anna")
    assert (shown["state"], shown["extension"], shown["can_take"]) == ("dnd", "101", False)
    async with anna.post("presence", json={"state": "after_call"}) as answer:
        assert answer.status == 400
    async with site.db.read() as conn:
        assert (await conn.execute(sa.select(sa.func.count()).select_from(said_table))).scalar() == 1
