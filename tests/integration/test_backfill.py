"""A gap filled from the PBX's own records, on both databases: once, however often it is tried."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.models import blocked_callers, leads
from hub.demo.pbx import ScriptedPbx
from hub.errors import Unavailable
from hub.settings import Pbx, Secret
from hub.store.changes import changes
from hub.store.engine import Database
from hub.telephony.backfill.backfill import Backfill, Filled, Gap
from hub.telephony.backfill.cdr_check import check
from hub.telephony.backfill.cdr_source import BLOCK_BYTES, CsvSource, TableSource, source_of
from hub.telephony.models import calls
from hub.telephony.service import PbxService
from hub.telephony.tracking.calls import CallChanged, CallEnded, CallOffered, Channel, Leg
from hub.telephony.tracking.directions import PbxRules
from tests.factories import got
from tests.integration.test_call_intake import T0, WAITING
from tests.integration.test_callbacks import NUMBER, SALES, Company, phone_leg
from tests.integration.test_pbx_service import Office as PbxOffice
from tests.testbed import talk
from tests.testbed.site import Site
from tests.unit.test_cdr import row

RULES = PbxRules(pbx="office", hub_queues=frozenset(("hub-sales", "hub-support")))
GAP = Gap(T0, T0 + timedelta(minutes=10))


def at(minutes: float) -> str:
    return f"{T0 + timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S}"


def missed(minutes: float = 1, *, uniqueid: str = "1.1", number: str = "84951234567", **more: object) -> str:
    """A caller who gave up in the queue of sales after 30 s."""
    values = {"start": at(minutes), "duration": 30, "billsec": 30, "dstchannel": "", "lastapp": "Queue"}
    about = {"lastdata": "hub-sales,,,,120", "uniqueid": uniqueid, "src": number, "clid": f"<{number}>"}
    return row(**(values | about | more))


def answered(minutes: float = 1, *, uniqueid: str = "1.2", **more: object) -> str:
    """A caller with whom extension 101 spoke for 50 s, after 10 s in the queue of sales."""
    values = {"start": at(minutes), "duration": 60, "billsec": 50, "uniqueid": uniqueid, "clid": "<84951234567>"}
    return row(**(values | more))


class Office(Company):
    """Two teams, and a Master.csv."""

    def __init__(self, db: Database, path: Path) -> None:
        super().__init__(db)
        self.path = path / "Master.csv"

    async def fill(self, text: str = "", *, gap: Gap = GAP) -> Filled:
        self.path.write_text(text)
        source = CsvSource(self.path, UTC)
        return await Backfill(self.db, source, self.intake, RULES, now=lambda: gap.until).fill(gap)

    async def calls(self) -> list[dict[str, Any]]:
        async with self.db.read() as conn:
            return [dict(one) for one in (await conn.execute(sa.select(calls).order_by(calls.c.id))).mappings()]

    async def news(self) -> int:
        async with self.db.read() as conn:
            return int((await conn.execute(sa.select(sa.func.count()).select_from(changes))).scalar_one())


@pytest.fixture
async def office(db: Database, tmp_path: Path) -> Office:
    one = Office(db, tmp_path)
    await one.open()
    return one


async def test_a_call_that_nobody_saw_stands_in_the_register_once_with_its_client_and_its_call_back(
    office: Office,
) -> None:
    await office.client()
    text = missed() + missed(-30, uniqueid="0.9", number="84950000009")
    assert await office.fill(text) == Filled(added=1)
    (call,) = await office.calls()
    assert (call["origin"], call["estimated"], call["state"], call["outcome"]) == ("cdr", True, "ended", "abandoned")
    assert (call["from_number"], call["team_id"]) == (NUMBER, office.teams["sales"])
    assert call["client_id"] is not None
    assert await office.callbacks() == [SALES]
    news = await office.news()
    assert await office.fill(text) == Filled(), "the second look"
    assert await office.fill(text, gap=replace(GAP, until=GAP.until + timedelta(hours=1))) == Filled(), "a longer gap"
    assert len(await office.calls()) == 1
    assert (await office.callbacks(), await office.news()) == ([SALES], news)


async def test_the_same_uniqueid_after_a_restart_days_later_is_another_call(office: Office) -> None:
    await office.fill(missed())
    later = Gap(T0 + timedelta(days=3), T0 + timedelta(days=3, minutes=10))
    assert await office.fill(missed(3 * 24 * 60 + 1), gap=later) == Filled(added=1)
    first, second = await office.calls()
    assert first["linked_id"] == second["linked_id"]
    assert first["boot"] != second["boot"]


async def test_calls_that_were_seen_are_not_told_a_second_time(office: Office) -> None:
    whole = replace(WAITING, linked_id="1.1", started_at=T0 + timedelta(minutes=1))
    leg = Leg(Channel("PJSIP/101-7"), "1.3", "101", None, "callee")
    over = T0 + timedelta(minutes=2)
    await office.see(
        CallEnded(replace(whole, state="ended", outcome="abandoned", ended_at=over, legs=(*whole.legs, leg)))
    )
    before = await office.calls()
    own_row_of_its_leg = answered(1.5, uniqueid="1.3", channel="PJSIP/101-7")
    assert await office.fill(missed() + own_row_of_its_leg) == Filled()
    assert await office.calls() == before


async def test_a_live_call_that_the_records_mention_already_is_left_alone(office: Office) -> None:
    await office.see(CallChanged(replace(WAITING, linked_id="1.1", started_at=T0 + timedelta(minutes=1))))
    before = await office.calls()
    assert await office.fill(missed()) == Filled()
    assert await office.calls() == before


async def seen_waiting_then_swept(office: Office) -> None:
    """The caller stood in the queue at T0; then nothing was seen, and the sweep had to conclude."""
    call = replace(WAITING, linked_id="1.2", started_at=T0 - timedelta(seconds=5))
    await office.see(CallOffered(call, again=False))
    await office.intake.end_vanished("office", set(), now=GAP.until - timedelta(seconds=1))
    assert await office.callbacks() == [SALES]


@pytest.mark.parametrize("is_client", [True, False])
async def test_a_call_that_was_answered_behind_the_cut_gets_its_true_end_and_its_call_back_is_closed(
    office: Office, is_client: bool
) -> None:
    if is_client:
        await office.client()
    await seen_waiting_then_swept(office)
    text = answered(-1 / 12)
    assert await office.fill(text) == Filled(mended=1)
    (call,) = await office.calls()
    assert (call["outcome"], call["origin"], call["estimated"]) == ("answered", "live", True)
    assert (call["answered_extension"], call["answered_user_id"]) == ("101", office.people["anna"].user_id)
    assert call["ended_at"] == T0 + timedelta(seconds=55)
    assert (call["talk_s"], call["wait_s"]) == (50.0, 10.0)
    assert await office.callbacks() == []
    news = await office.news()
    assert await office.fill(text) == Filled()
    assert await office.news() == news


async def test_a_truer_end_of_an_unanswered_call_opens_no_second_call_back(office: Office) -> None:
    await seen_waiting_then_swept(office)
    assert await office.fill(missed(-1 / 12, uniqueid="1.2")) == Filled(mended=1)
    (call,) = await office.calls()
    assert (call["outcome"], call["ended_at"]) == ("abandoned", T0 + timedelta(seconds=25))
    assert await office.callbacks() == [SALES]
    (item,) = await office.items("anna")
    assert item.data["times"] == 1


async def test_a_late_word_of_an_answer_leaves_the_call_back_of_a_later_miss_open(office: Office) -> None:
    await seen_waiting_then_swept(office)
    again = replace(WAITING, linked_id="2.1", started_at=GAP.until + timedelta(minutes=1))
    await office.see(
        CallEnded(replace(again, state="ended", outcome="abandoned", ended_at=GAP.until + timedelta(minutes=2)))
    )
    assert await office.fill(answered(-1 / 12)) == Filled(mended=1)
    assert await office.callbacks() == [SALES]


async def test_a_late_word_of_a_miss_opens_no_call_back_for_a_caller_who_came_through_since(office: Office) -> None:
    again = replace(WAITING, linked_id="2.1", started_at=GAP.until + timedelta(minutes=1))
    spoke = replace(
        again, answered_at=again.started_at, answered_extension="101", legs=(phone_leg("101", answered=True),)
    )
    await office.see(CallEnded(replace(spoke, state="ended", outcome="answered", ended_at=again.started_at)))
    assert await office.fill(missed()) == Filled(added=1)
    assert await office.callbacks() == []


async def test_a_miss_and_then_an_answer_in_the_same_gap_leave_nothing_to_do(office: Office) -> None:
    assert await office.fill(missed(1) + answered(3)) == Filled(added=2)
    assert await office.callbacks() == []
    assert await office.fill(missed(1) + answered(3) + missed(5, uniqueid="1.5")) == Filled(added=1)
    assert await office.callbacks() == [SALES]


async def test_a_blocked_caller_is_owed_no_call_back(office: Office) -> None:
    async with office.db.begin() as conn:
        await conn.execute(blocked_callers.insert().values(kind="number", pattern=NUMBER, note="", created_at=T0))
    assert await office.fill(missed()) == Filled(added=1)
    (call,) = await office.calls()
    assert (call["blocked"], await office.callbacks()) == (True, [])


async def test_rows_that_cannot_be_read_or_lie_in_the_future_add_nothing(office: Office) -> None:
    text = "x" * 1_000_000 + "\n" + missed(60 * 24 * 365, uniqueid="9.9") + '"broken\n' + missed()
    filled = await office.fill(text)
    assert (filled.added, filled.malformed) == (1, 2)
    assert (await office.calls())[0]["linked_id"] == "1.1"


async def test_the_file_is_read_back_only_to_the_gap_and_on_into_the_file_before_it(office: Office) -> None:
    old = "".join(missed(-6000 + n, uniqueid=f"0.{n}") for n in range(5000))
    assert len(old) > 3 * BLOCK_BYTES
    office.path.write_text(old + missed())
    read = await CsvSource(office.path, UTC).latest()
    assert len(read.records) < 2000, "no more than its last block"
    office.path.rename(office.path.with_name("Master.csv.1"))
    assert await office.fill(missed(2, uniqueid="1.7", number="84950000007")) == Filled(added=2)


async def test_a_row_that_is_being_written_is_left_for_the_second_look(office: Office) -> None:
    whole = missed()
    assert await office.fill(missed(2, uniqueid="1.7") + whole[:-20]) == Filled(added=1)
    assert await office.fill(missed(2, uniqueid="1.7") + whole) == Filled(added=1)


STANDARD = (
    "calldate clid src dst dcontext channel dstchannel lastapp lastdata duration billsec disposition uniqueid linkedid"
).split()


def table_of(db: Database, kind: Any) -> sa.Table:
    columns = [sa.Column(name, sa.Text()) for name in STANDARD if name not in ("calldate", "duration", "billsec")]
    numbers = [sa.Column(name, sa.Integer()) for name in ("duration", "billsec")]
    return sa.Table("cdr", sa.MetaData(), sa.Column("calldate", kind), *columns, *numbers)


async def a_table(db: Database, kind: Any, show: Callable[[datetime], Any]) -> TableSource:
    table = table_of(db, kind)
    values = {"clid": "<84951234567>", "src": "84951234567", "dst": "sales", "dcontext": "hub-in", "dstchannel": ""}
    values |= {"channel": "PJSIP/trunk-1", "lastapp": "Queue", "lastdata": "hub-sales,,,,120"}
    rows = [
        {**values, "calldate": show(T0 + timedelta(minutes=n)), "uniqueid": f"1.{n}", "linkedid": f"1.{n}",
         "duration": 30, "billsec": 30, "disposition": "ANSWERED"}
        for n in (-60 * 24, 1, 2)
    ]  # fmt: skip
    async with db.begin() as conn:
        await conn.run_sync(table.create)
        await conn.execute(table.insert(), rows)
    return TableSource(db.writer.url.set(drivername=db.dialect).render_as_string(hide_password=False), "cdr", UTC)


@pytest.mark.parametrize("is_aware", [False, True])
async def test_a_cdr_table_fills_the_gap_as_the_file_does(office: Office, is_aware: bool) -> None:
    is_sqlite = office.db.dialect == "sqlite"
    kind = sa.Text() if is_sqlite else sa.DateTime(timezone=is_aware)

    def show(moment: datetime) -> Any:
        return f"{moment:%Y-%m-%d %H:%M:%S}" if is_sqlite else moment if is_aware else moment.replace(tzinfo=None)

    backfill = Backfill(office.db, await a_table(office.db, kind, show), office.intake, RULES, now=utc_now)
    assert await backfill.fill(GAP) == Filled(added=2)
    assert await backfill.fill(GAP) == Filled()
    assert [call["linked_id"] for call in await office.calls()] == ["1.1", "1.2"]
    assert await office.callbacks() == [SALES]


async def test_what_is_wrong_with_the_records_is_named_by_the_doctor_and_stops_nothing(
    office: Office, tmp_path: Path
) -> None:
    def pbx(**more: Any) -> Pbx:
        return Pbx(name="office", username="hub", **more)

    assert source_of(pbx()) is None
    assert await check(pbx()) == []
    (away,) = await check(pbx(cdr_csv=str(tmp_path / "gone.csv")))
    assert (away.is_error, "gone.csv: No such file" in away.problem) == (True, True)
    with pytest.raises(Unavailable, match="No such file"):
        await CsvSource(tmp_path / "gone.csv", UTC).since(T0)
    office.path.write_text(",".join(['"x"'] * 16) + "\n")
    (useless,) = await check(pbx(cdr_csv=str(office.path)))
    assert "uniqueid" in useless.problem
    office.path.write_text(row())
    assert await check(pbx(cdr_csv=str(office.path))) == []
    (off,) = await check(pbx(cdr_csv=str(office.path), cdr_time_zone="Europe/Moscow"))
    assert "-180 min off" in off.problem
    url = office.db.writer.url.set(drivername=office.db.dialect).render_as_string(hide_password=False)
    (no_table,) = await check(pbx(cdr_database=Secret(url)))
    assert "there is no such table" in no_table.problem
    (no_column,) = await check(pbx(cdr_database=Secret(url), cdr_table="clients"))
    assert "there is no column" in no_column.problem
    (no_server,) = await check(pbx(cdr_database=Secret("postgresql://hub:hunter2@127.0.0.1:1/asterisk")))
    assert "127.0.0.1" in no_server.problem
    assert "hunter2" not in no_server.problem
    missing = tmp_path / "none.db"
    assert len(await check(pbx(cdr_database=Secret(f"sqlite:///{missing}")))) == 1
    assert not missing.exists(), "nothing is made there"


class OfficeWithRecords(PbxOffice):
    """Hub's service on a scripted PBX whose records it may read."""

    def __init__(self, db: Database, pbx: ScriptedPbx, records: Path) -> None:
        super().__init__(db, pbx)
        self.records = records

    async def start(self) -> None:
        settings = msgspec.structs.replace(self.pbx.settings(), cdr_csv=str(self.records))
        self._task = asyncio.ensure_future(PbxService(self.db, settings, self.intake).run())
        await self.until_state("up")


async def test_what_hub_missed_while_it_was_away_comes_with_its_start_and_a_first_start_takes_nothing(
    db: Database, tmp_path: Path
) -> None:
    records = tmp_path / "Master.csv"

    def now(uniqueid: str, number: str) -> str:
        began = utc_now() - timedelta(seconds=1)
        return missed(uniqueid=uniqueid, number=number, start=f"{began:%Y-%m-%d %H:%M:%S}", duration=0, billsec=0)

    records.write_text(now("1.1", "84950000001"))
    async with ScriptedPbx(speed=10) as pbx:
        office = OfficeWithRecords(db, pbx, records)
        await office.open()
        scripted = pbx.call_in("84951234567")
        await office.waiting()
        scripted.hang_up()
        await office.call(state="ended", origin="live")
        await office.stop()
        told = sa.select(sa.func.count()).select_from(calls).where(calls.c.origin == "cdr")
        assert await office.scalar(told) == 0, "Hub has no past here yet"
        records.write_text(now("1.2", "84950000002"))
        await office.start()
        call = await office.call(origin="cdr", state="ended")
        assert (call["linked_id"], call["outcome"]) == ("1.2", "abandoned")
        to_call = sa.select(leads.c.id).where(leads.c.address == "+74950000002", leads.c.reason == "callback")
        assert await office.scalar(to_call) is not None
        await office.stop()


async def test_the_register_and_the_api_say_where_a_call_is_known_from(site: Site, tmp_path: Path) -> None:
    await site.person("olga", extension="101")
    await talk.waiting_call(site.db, number="84957654321")
    (tmp_path / "Master.csv").write_text(missed())
    source = CsvSource(tmp_path / "Master.csv", UTC)
    await Backfill(site.db, source, await talk.intake(site.db, "sales"), RULES).fill(GAP)
    items = (await got(await site.api("olga"), "calls"))["items"]
    assert [(one["from"]["number"], one["origin"]) for one in items] == [("+74957654321", "live"), (NUMBER, "cdr")]
    await site.person("boss", role="admin")
    browser = await site.browser("boss")
    async with browser.get("/calls") as answer:
        page = html.unescape(await answer.text())
    marks = [page.count(mark) for mark in ("из журнала АТС", "from the PBX's records")]
    assert sum(marks) == 1
