"""The process dies at every point of sending: no message is lost, none goes out twice on Hub's own initiative."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from hub.clock import utc_now
from hub.mail.reading.mime import parse
from hub.mail.sending import outbox
from hub.mail.sending.providers import LANES
from hub.settings import MailServer
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.faults.driver import Run, runs
from tests.integration.test_outbox import IVAN, SALES, Office
from tests.integration.test_outbox import office as office
from tests.testbed.postfix import running_postfix
from tests.testbed.waiting import wait_for

BEFORE_ANY_MARK = ("mail.outbox.picked", "mail.outbox.sending", "mail.outbox.marked")
POINTS = {
    f"mail.outbox.{name}"
    for name in ("picked", "sending", "settling", "marked", "committed", "answered", "copying", "copied")
}


def server(one: MailServer) -> dict[str, object]:
    about = {"host": one.host, "port": one.port, "tls": one.tls, "username": one.username}
    return about | {"password": one.password.reveal()}


async def until_each_was_met(arguments: list[str]) -> AsyncIterator[Run]:
    """Kill at the first, second, third … point; the messages go at once, so which one is the n-th may differ."""
    left = set(POINTS)
    for _ in range(3):
        async for run in runs("tests.faults.outbox_scenario", arguments, only="mail.outbox"):
            left.discard(run.killed_at or "")
            yield run
        if not left:
            return


@pytest.mark.timeout(300)
async def test_killed_at_each_point_the_outbox_loses_nothing_and_sends_nothing_twice(
    office: Office, db: Database, db_url: str, blobs: BlobStore, tmp_path: Path
) -> None:
    office.clock.now = utc_now()
    box = office.settings
    settings = json.dumps({"address": SALES, "imap": server(box.imap), "smtp": server(box.smtp)})
    arguments = [db_url, str(tmp_path / "blobs"), str(office.mailbox_id), settings]
    ids = [await office.send(subject=f"{n}") for n in range(2)]
    killed_at: list[str] = []
    async for run in until_each_was_met(arguments):
        killed_at += [run.killed_at] if run.killed_at else []
        office.clock.now = utc_now()
        recovered = office.new_sender()
        await recovered.settle_left_over()
        await recovered.work()
        if run.killed_at in BEFORE_ANY_MARK and run.at <= 4:
            assert [(await office.state(one))[0] for one in ids] == ["sent", "sent"], run.killed_at
        gone = Counter(parse(one.raw).message_id for one in office.mail.journal)
        filed = Counter(parse(raw).message_id for raw in await office.mail.stored("Sent"))
        for message_id in ids:
            message = await office.message(message_id)
            assert gone[message.message_id] <= 1, run.killed_at
            assert message.state in ("sent", "unknown"), run.killed_at
            if message.state == "sent":
                assert (gone[message.message_id], filed[message.message_id]) == (1, 1), run.killed_at
            elif gone[message.message_id] == 0:
                async with db.begin() as conn:
                    await outbox.send_again(conn, office.actor, message_id, now=office.clock())
                await recovered.work()
                assert (await office.state(message_id))[0] == "sent"
        # The copy in Sent comes from Hub alone here, so what was killed before it stays a person's to decide.
        ids = [await office.send(subject=f"{run.at} {n}") for n in range(2)]
    assert set(killed_at) == POINTS
    assert {(await office.state(one))[0] for one in ids} == {"queued"}


async def test_killed_in_the_middle_of_sixty_no_more_is_unknown_than_there_are_lines(
    office: Office, db: Database, db_url: str, tmp_path: Path
) -> None:
    office.clock.now = utc_now()
    domain = IVAN.address.partition("@")[2]
    async with running_postfix(domain) as postfix:
        settings = {"address": SALES, "imap": server(office.settings.imap), "smtp": server(postfix.server())}
        ids = [await office.send(subject=f"{n}") for n in range(60)]
        arguments = [db_url, str(tmp_path / "blobs"), str(office.mailbox_id), json.dumps(settings)]
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.faults.outbox_scenario", *arguments)

        async def some_have_arrived() -> bool:
            assert process.returncode is None, "it was killed too late"
            return len(postfix.delivered(IVAN.address)) >= 12

        await wait_for(some_have_arrived, what="a dozen messages arrived", deadline_s=60)
        process.kill()
        await process.wait()
        recovered = office.new_sender(msgspec.structs.replace(office.settings, smtp=postfix.server()))
        assert await recovered.settle_left_over() <= LANES
        states = [(await office.state(one))[0] for one in ids]
        assert states.count("queued") > 10, "killed in the middle"
        assert states.count("unknown") <= LANES
        office.clock.now = utc_now()
        await recovered.work()
        messages = [await office.message(one) for one in ids]
        assert {one.state for one in messages} <= {"sent", "unknown"}

        async def all_have_arrived() -> bool:
            arrived = Counter(parse(raw).message_id for raw in postfix.delivered(IVAN.address))
            assert set(arrived.values()) == {1}, "nothing twice"
            return all(arrived[one.message_id] for one in messages if one.state == "sent")

        await wait_for(all_have_arrived, what="each message that is sent arrived")
