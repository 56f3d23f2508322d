"""What the outbox does beside sending: pace, rest, undo, what is held, what is looked for, whose copy it is."""

from __future__ import annotations

import asyncio
import email
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.models import team_rules
from hub.errors import Conflict, NotFound, Unavailable
from hub.mail.models import folders, locations, mailboxes, messages, outbox_recipients
from hub.mail.models import outbox as outbox_table
from hub.mail.reading.headers import Address
from hub.mail.sending import claims, outbox, smtp, submit
from hub.mail.sending.sender import Sender
from hub.mail.sending.submit import NewMessage, Reader
from hub.settings import Secret
from tests.integration.test_outbox import IVAN, SALES, T0, Office, office  # noqa: F401 - a fixture
from tests.testbed.smtp import CUT, running_peer

pytestmark = pytest.mark.either_database


async def health(office: Office) -> tuple[str, str]:  # noqa: F811
    async with office.db.read() as conn:
        return tuple((await conn.execute(sa.select(mailboxes.c.send_state, mailboxes.c.send_error))).one())  # type: ignore[return-value]


async def row_of(office: Office, message_id: int) -> sa.Row[tuple[object, ...]]:  # noqa: F811
    async with office.db.read() as conn:
        query = sa.select(outbox_table).where(outbox_table.c.message_id == message_id)
        return (await conn.execute(query)).one()


def changed(office: Office, **changes: object) -> Sender:  # noqa: F811
    return office.new_sender(msgspec.structs.replace(office.settings, **changes))


async def test_many_messages_go_over_few_lines_each_once(office: Office) -> None:  # noqa: F811
    async with running_peer() as peer:
        ids = [await office.send(subject=f"{n}") for n in range(20)]
        await changed(office, smtp=peer.server()).work()
        assert len(peer.data) == 20 and len(set(peer.data)) == 20
        assert peer.connections <= 3
        assert [await office.state(one) for one in ids] == [("sent", ["sent"])] * 20


async def test_a_line_that_ends_after_a_message_is_replaced_and_nothing_is_lost(office: Office) -> None:  # noqa: F811
    async with running_peer(RSET=CUT) as peer:
        ids = [await office.send() for _ in range(6)]
        await changed(office, smtp=peer.server()).work()
        assert len(peer.data) == 6 and peer.connections == 6
        assert {(await office.state(one))[0] for one in ids} == {"sent"}


async def test_a_minute_sees_no_more_messages_than_the_mailbox_allows(office: Office) -> None:  # noqa: F811
    ids = [await office.send(subject=f"{n}") for n in range(5)]
    sender = changed(office, sends_per_min=2)
    for expected in (2, 2, 4, 4, 5):
        await sender.work()
        assert len(office.mail.journal) == expected
        office.clock.later(seconds=30)
    assert [await office.state(one) for one in ids] == [("sent", ["sent"])] * 5
    async with office.db.begin() as conn:
        await conn.execute(sa.update(mailboxes).values(sends_per_min=1))
    again = [await office.send() for _ in range(2)]
    office.clock.later(minutes=5)
    await sender.work()
    states = [(await office.state(one))[0] for one in again]
    assert states == ["sent", "queued"], "the page's word goes first"


async def test_a_refused_password_is_tried_once_tells_and_leaves_the_rest_waiting(office: Office) -> None:  # noqa: F811
    ehlo = "250-peer\r\n250 AUTH PLAIN"
    async with running_peer(EHLO=ehlo, AUTH="535 5.7.8 no") as peer:
        wrong = peer.server(username="sales", password=Secret("wr0ng"))
        sender = changed(office, smtp=wrong)
        ids = [await office.send() for _ in range(8)]
        await sender.work()
        await sender.work()
        assert sum(line.startswith("AUTH") for line in peer.heard) == 1
        states = sorted([(await office.state(one))[0] for one in ids])
        assert states == ["deferred"] + ["queued"] * 7
        state, error = await health(office)
        assert state == "auth_refused" and "5.7.8" in error and "wr0ng" not in error
        office.clock.later(minutes=6)
        await sender.work()
        assert sum(line.startswith("AUTH") for line in peer.heard) == 2
        office.clock.later(minutes=6)
        await sender.work()
        assert sum(line.startswith("AUTH") for line in peer.heard) == 2, "the rests grow"
        peer.answers["AUTH"] = "235 ok"
        office.clock.later(minutes=16)
        await sender.work()
        assert len(peer.data) == 8 and (await health(office))[0] == "ok"


async def test_a_server_that_is_busy_at_sign_in_is_no_wrong_password(office: Office) -> None:  # noqa: F811
    async with running_peer(EHLO="250-peer\r\n250 AUTH PLAIN", AUTH="454 4.7.0 later") as peer:
        await office.send()
        await changed(office, smtp=peer.server(username="sales", password=Secret("x"))).work()
        assert (await health(office))[0] == "down"


async def test_a_message_too_large_for_the_server_is_refused_before_it_is_sent(office: Office) -> None:  # noqa: F811
    async with running_peer(EHLO="250-peer\r\n250 SIZE 500") as peer:
        message_id = await office.send(text="x" * 3000)
        small = await office.send(text="x")
        await changed(office, smtp=peer.server()).work()
        row = await row_of(office, message_id)
        assert row.state == "refused" and "at most" in row.reason
        assert len(peer.data) == 1 and sum(line.startswith("MAIL") for line in peer.heard) == 1
        assert (await office.state(small))[0] == "sent"


async def test_the_size_is_told_where_the_server_wants_to_know(office: Office) -> None:  # noqa: F811
    async with running_peer(EHLO="250-peer\r\n250 SIZE 30000000") as peer:
        message_id = await office.send()
        await changed(office, smtp=peer.server()).work()
        size = (await office.message(message_id)).size
        assert f"MAIL FROM:<sales@hub.test> SIZE={size}" in peer.heard


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ({"END": "550 5.7.1 spam"}, "refused"),
        ({"END": "452 4.2.2 mailbox full"}, "deferred"),
        ({"END": "550 5.4.5 Daily sending limit exceeded"}, "deferred"),
        ({"END": "250-first\r\n250-second\r\n250 third"}, "sent"),
        ({"DATA": "354-go\r\n354 on"}, "sent"),
        ({"RCPT": "450 4.7.1 greylisted"}, "deferred"),
        ({"RCPT": "552 too many recipients"}, "deferred"),
        ({"MAIL": "421 4.3.2 closing"}, "deferred"),
        ({"DATA": "554 no"}, "refused"),
        ({"DATA": CUT}, "deferred"),
        ({"END": CUT}, "unknown"),
        ({"END": "\x00\xff"}, "unknown"),
    ],
)
async def test_what_a_server_answers_decides_the_state(
    office: Office,  # noqa: F811
    answers: dict[str, str],
    state: str,
) -> None:
    async with running_peer(**answers) as peer:
        message_id = await office.send()
        sender = changed(office, smtp=peer.server())
        await sender.work()
        assert (await office.state(message_id))[0] == state
        office.clock.later(seconds=20)
        await sender.work()
        assert len(peer.data) <= 1


async def test_an_answer_in_another_encoding_is_read(office: Office) -> None:  # noqa: F811
    async with running_peer() as peer:
        peer.raw_answers["RCPT"] = "550 5.1.1 Пользователь не найден в системе почты".encode("koi8-r")
        message_id = await office.send()
        await changed(office, smtp=peer.server()).work()
        (recipient,) = (await office.message(message_id)).recipients
        assert "Пользователь не найден" in recipient.reply and recipient.code == 550


async def test_a_message_may_be_taken_back_until_it_is_taken(office: Office) -> None:  # noqa: F811
    message_id, other = await office.send(), await office.send()
    async with office.db.begin() as conn:
        undo = {"undo_until": T0 + timedelta(seconds=10)}
        await conn.execute(sa.update(outbox_table).values(**undo))
    await office.sender.work()
    assert office.mail.journal == [], "not before its undo is over"
    async with office.db.begin() as conn:
        await outbox.cancel(conn, office.actor, message_id, now=T0)
    office.clock.later(seconds=10)
    await office.sender.work()
    assert await office.state(message_id) == ("cancelled", ["cancelled"])
    assert await office.state(other) == ("sent", ["sent"])
    assert len(office.mail.journal) == 1
    stranger = await office.person("eve", "support")
    async with office.db.begin() as conn:
        for actor, which, error in ((office.actor, other, Conflict), (office.actor, message_id, Conflict)):
            with pytest.raises(error):
                await outbox.cancel(conn, actor, which, now=T0)
        with pytest.raises(NotFound):
            await outbox.send_again(conn, stranger, 999_999, now=T0)
        await outbox.send_again(conn, office.actor, message_id, now=office.clock())
    await office.sender.work()
    assert await office.state(message_id) == ("sent", ["sent"])


async def test_of_taking_and_taking_back_at_once_one_wins(office: Office) -> None:  # noqa: F811
    for _ in range(6):
        message_id = await office.send()

        async def take_back(which: int = message_id) -> bool:
            try:
                async with office.db.begin() as conn:
                    await outbox.cancel(conn, office.actor, which, now=office.clock())
            except Conflict:
                return False
            return True

        before = len(office.mail.journal)
        was_cancelled, _ = await asyncio.gather(take_back(), office.sender.work())
        state, _ = await office.state(message_id)
        assert (state, len(office.mail.journal) - before) == (("cancelled", 0) if was_cancelled else ("sent", 1))


async def test_cancelling_a_deferred_message_keeps_what_has_arrived(office: Office) -> None:  # noqa: F811
    office.mail.faults.refuse = {"b@x.example": "451 greylisted"}
    message_id = await office.send(to=(IVAN, Address("", "b@x.example")))
    await office.sender.work()
    async with office.db.begin() as conn:
        await outbox.cancel(conn, office.actor, message_id, now=office.clock())
    assert await office.state(message_id) == ("sent", ["sent", "cancelled"])


async def test_what_waited_for_more_than_a_day_is_held_for_a_person_at_the_start(office: Office) -> None:  # noqa: F811
    old = await office.send(subject="old")
    office.clock.later(hours=25)
    fresh = await office.send(subject="fresh")
    restarted = office.new_sender()
    await restarted.settle_left_over()
    await restarted.work()
    assert (await office.state(old))[0] == "unknown" and (await row_of(office, old)).reason == "held_old"
    assert (await office.state(fresh))[0] == "sent" and len(office.mail.journal) == 1


async def test_a_restored_backup_sends_nothing_again_that_lies_in_the_mailbox(office: Office) -> None:  # noqa: F811
    in_sent, seen, lost = [await office.send(subject=word) for word in ("in sent", "seen", "lost")]
    raw = await office.blobs.get((await office.message(in_sent)).raw_sha256)
    await office.mail.deliver(raw, folder="Sent")
    async with office.db.begin() as conn:
        folder = {"mailbox_id": office.mailbox_id, "name": "Sent", "role": "sent", "gaps": []}
        made = await conn.execute(folders.insert().values(**folder).returning(folders.c.id))
        place = {"folder_id": made.scalar_one(), "uidvalidity": 1, "uid": 1, "message_id": seen}
        await conn.execute(locations.insert().values(**place))
    office.clock.later(hours=2)
    restarted = office.new_sender()
    await restarted.settle_left_over()
    office.sent_folder.is_down = True
    await restarted.work()
    assert office.mail.journal == [], "nothing goes before the mailbox could be asked"
    office.sent_folder.is_down = False
    await restarted.work()
    assert [(await office.state(one))[0] for one in (in_sent, seen, lost)] == ["sent"] * 3
    assert [submitted.raw for submitted in office.mail.journal] == [
        await office.blobs.get((await office.message(lost)).raw_sha256)
    ]


async def test_the_copy_of_a_first_attempt_proves_nothing_of_the_second(office: Office) -> None:  # noqa: F811
    office.mail.faults.refuse = {"b@x.example": "451 greylisted"}
    message_id = await office.send(to=(IVAN, Address("", "b@x.example")))
    await office.sender.work()
    assert len(await office.mail.stored("Sent")) == 1
    office.mail.faults.refuse, office.mail.faults.cut = {}, "dot"
    office.clock.later(minutes=2)
    await office.sender.work()
    office.clock.later(minutes=5)
    await office.sender.work()
    assert await office.state(message_id) == ("unknown", ["sent", "unknown"])


async def test_an_unknown_message_that_the_reader_saw_anywhere_in_the_mailbox_went_out(office: Office) -> None:  # noqa: F811
    office.mail.faults.cut = "dot"
    message_id = await office.send()
    office.sent_folder.is_down = True
    await office.sender.work()
    async with office.db.begin() as conn:
        folder = {"mailbox_id": office.mailbox_id, "name": "Archive", "role": "other", "gaps": []}
        made = await conn.execute(folders.insert().values(**folder).returning(folders.c.id))
        place = {"folder_id": made.scalar_one(), "uidvalidity": 1, "uid": 1, "message_id": message_id}
        await conn.execute(locations.insert().values(**place))
    office.clock.later(seconds=30)
    await office.sender.work()
    assert await office.state(message_id) == ("sent", ["sent"])


@pytest.mark.parametrize("choice", ["auto", "always", "never"])
async def test_copies_are_filed_as_the_mailbox_says(office: Office, choice: str) -> None:  # noqa: F811
    await office.send()
    await changed(office, copy_to_sent=choice).work()
    assert len(await office.mail.stored("Sent")) == (0 if choice == "never" else 1)
    looks = office.sent_folder.looks
    await changed(office, copy_to_sent=choice).work()
    assert office.sent_folder.looks == looks, "once done, done"


async def test_hub_learns_that_the_provider_files_copies_and_waits_for_it(office: Office) -> None:  # noqa: F811
    sender = changed(office, copy_to_sent="auto")
    first = await office.send(subject="first")
    office.sent_folder.is_down = True
    await sender.work()
    raw = await office.blobs.get((await office.message(first)).raw_sha256)
    await office.mail.deliver(raw, folder="Sent")
    office.sent_folder.is_down = False
    office.clock.later(minutes=1)
    await sender.work()
    assert await office.mail.stored("Sent") == [raw]
    await office.send(subject="second")
    await sender.work()
    assert len(await office.mail.stored("Sent")) == 1, "the provider is given its time"
    office.clock.later(seconds=31)
    await sender.work()
    assert len(await office.mail.stored("Sent")) == 2, "and where it forgets, Hub files"


async def test_a_copy_that_the_server_refuses_is_given_up_and_shown(office: Office) -> None:  # noqa: F811
    class Full:
        tries = 0

        async def has(self, message_id: str) -> bool:
            return False

        async def append(self, raw: bytes, *, at: object) -> None:
            self.tries += 1
            raise Unavailable("sent_unavailable", "[OVERQUOTA] Quota exceeded")

    full = Full()
    sender = Sender(office.db, office.blobs, office.settings, office.mailbox_id, full, now=office.clock)
    message_id = await office.send()
    for _ in range(20):
        await sender.work()
        office.clock.later(hours=1)
    row = await row_of(office, message_id)
    assert (row.copy_state, row.copy_error) == ("failed", "[OVERQUOTA] Quota exceeded")
    assert full.tries == len(claims.COPY_WAITS) + 1 and row.state == "sent"
    async with office.db.begin() as conn:
        await outbox.copy_again(conn, office.actor, message_id, now=office.clock())
    await office.sender.work()
    assert len(await office.mail.stored("Sent")) == 1 and len(office.mail.journal) == 1


async def begun(conn: AsyncConnection, office: Office) -> claims.Due:  # noqa: F811
    (due,) = await claims.next_due(conn, office.mailbox_id, now=office.clock())
    due = replace(due, since=office.clock())
    assert await claims.mark(conn, [due], now=office.clock()) == {due.id}
    return due


async def test_a_late_outcome_takes_back_nothing_newer(office: Office) -> None:  # noqa: F811
    message_id = await office.send()
    async with office.db.begin() as conn:
        due = await begun(conn, office)
    office.clock.later(seconds=1)
    async with office.db.begin() as conn:
        await claims.settle_left_over(conn, office.mailbox_id, now=office.clock())
        await outbox.send_again(conn, office.actor, message_id, now=office.clock())
        newer = await begun(conn, office)
        deferred = smtp.Deferred("later", (smtp.Reply(IVAN.address, "deferred", 451, "later"),))
        await claims.settle(conn, due, deferred, now=office.clock())
    assert (await office.state(message_id))[0] == "sending"
    async with office.db.begin() as conn:
        sent = smtp.Sent((smtp.Reply(IVAN.address, "sent", 250, "ok"),))
        await claims.settle(conn, newer, sent, now=office.clock())
    assert await office.state(message_id) == ("sent", ["sent"])


async def test_what_came_back_may_go_out_again_to_whom_it_came_back_from(office: Office) -> None:  # noqa: F811
    message_id = await office.send(to=(IVAN, Address("", "b@x.example")))
    await office.sender.work()
    async with office.db.begin() as conn:
        row_id = (await conn.execute(sa.select(outbox_table.c.id))).scalar_one()
        back = sa.update(outbox_recipients).where(outbox_recipients.c.address == "b@x.example")
        await conn.execute(back.where(outbox_recipients.c.outbox_id == row_id).values(state="refused"))
        await conn.execute(sa.update(messages).values(state="bounced"))
        await outbox.send_again(conn, office.actor, message_id, now=office.clock())
    await office.sender.work()
    assert [one.recipients for one in office.mail.journal] == [(IVAN.address, "b@x.example"), ("b@x.example",)]


@pytest.mark.parametrize(
    ("team", "reader", "hours"),
    [("Asia/Vladivostok", None, 10), ("Asia/Vladivostok", "Europe/Kaliningrad", 2), ("", "Asia/Kolkata", 5.5)],
)
async def test_the_date_of_a_message_stands_in_its_writers_zone_else_in_the_teams(
    office: Office,  # noqa: F811
    team: str,
    reader: str | None,
    hours: float,
) -> None:
    async with office.db.begin() as conn:
        team_id = (await conn.execute(sa.select(mailboxes.c.team_id))).scalar_one()
        await conn.execute(team_rules.insert().values(team_id=team_id, time_zone=team, hours={}, holidays=[]))
    new = NewMessage(mailbox=SALES, to=(IVAN,), subject="Счёт", text="Добрый день")
    at = Reader(zone=ZoneInfo(reader)) if reader else None
    frozen = await submit.freeze(office.db, office.blobs, office.actor, new, now=T0, reader=at)
    head = email.message_from_bytes(await office.blobs.get(frozen.raw_sha256))
    date = parsedate_to_datetime(head["Date"])
    assert (date, date.utcoffset()) == (T0, timedelta(hours=hours))
