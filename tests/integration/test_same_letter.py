"""One letter in several places: two own mailboxes, All Mail beside Sent, the folders of a Gmail mailbox."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from hub.crm import people, queue
from hub.crm.linking import Linker
from hub.crm.models import leads
from hub.mail.imap.connection import connected
from hub.mail.intake.intake import Arrived, FolderPlace, MailIntake
from hub.mail.models import folders, locations, mailboxes, messages
from tests.factories import T0, Box, mail
from tests.fakes.imap_server import FakeImapServer, fake_imap

pytestmark = pytest.mark.either_database

OWN = frozenset({"sales@hub.test", "info@hub.test"})


async def second_box(box: Box, team: str, *, owner_id: int | None = None) -> tuple[MailIntake, FolderPlace]:
    """Open the mailbox info@ for a team, whose member the manager becomes."""
    async with box.db.begin() as conn:
        team_id = await people.ensure_team(conn, team, now=T0)
        row = {"address": "info@hub.test", "team_id": team_id, "created_at": T0, "owner_id": owner_id}
        made = await conn.execute(mailboxes.insert().values(**row).returning(mailboxes.c.id))
        mailbox_id = made.scalar_one()
        row = {"mailbox_id": mailbox_id, "name": "INBOX", "role": "inbox", "gaps": []}
        folder_id = (await conn.execute(folders.insert().values(**row).returning(folders.c.id))).scalar_one()
    linker = Linker("RU", frozenset(), OWN)
    intake = MailIntake(box.db, box.blobs, linker, mailbox_id, team_id, ThreadPoolExecutor(1), owner_id=owner_id)
    return intake, FolderPlace(folder_id, "inbox", 1)


async def all_items(box: Box) -> list[queue.Item]:
    async with box.db.read() as conn:
        threads = set((await conn.execute(sa.select(messages.c.thread_id))).scalars())
        return sorted((await queue.of_things(conn, "message", threads)).values(), key=lambda item: item.id)


async def all_leads(box: Box) -> list[tuple[str, int, int]]:
    async with box.db.read() as conn:
        return [(row.address, row.team_id, row.times) for row in await conn.execute(sa.select(leads))]


async def test_a_letter_to_two_mailboxes_of_one_team_is_one_item_and_one_lead(box: Box) -> None:
    info, place = await second_box(box, "sales")
    raw = mail(to="sales@hub.test, info@hub.test", more="Date: Tue, 24 Nov 2026 11:59:58 +0300\r\n")
    await box.arrive(raw)
    changed = b"X-Delivered: info\r\n" + raw
    await info.store(place, [Arrived(1, changed, (), T0)], cursor={}, is_new=True, now=T0)
    (item,) = await all_items(box)
    assert item.data["also_in"] == ["info@hub.test"] and item.state == "waiting"
    assert await all_leads(box) == [("irina@romashka.test", box.team_id, 1)]
    assert len(await box.messages()) == 2, "each mailbox keeps its own"
    async with box.db.begin() as conn:
        await queue.close(conn, "message", item.ref_id, now=T0)
    late = b"X-Late: 1\r\n" + raw
    await info.store(place, [Arrived(2, late, (), T0)], cursor={}, is_new=True, now=T0)
    assert [one.state for one in await all_items(box)] == ["done"], "what a colleague has done is not work again"
    await info.store(place, [Arrived(3, mail(message_id="<2@x>"), (), T0)], cursor={}, is_new=True, now=T0)
    assert len(await all_items(box)) == 2, "another letter is another item"


async def test_another_letter_under_the_same_message_id_is_work_of_its_own(box: Box) -> None:
    info, place = await second_box(box, "sales")
    await box.arrive(mail())
    other = mail(body="Another letter, by a program that uses its Message-ID again")
    await info.store(place, [Arrived(1, other, (), T0)], cursor={}, is_new=True, now=T0)
    assert [(item.state, item.data.get("also_in")) for item in await all_items(box)] == [("waiting", None)] * 2


async def test_an_answer_to_both_mailboxes_goes_to_the_colleague_who_is_at_the_conversation(box: Box) -> None:
    info, place = await second_box(box, "sales")
    await box.arrive(mail())
    (item,) = await box.waiting()
    async with box.db.begin() as conn:
        await queue.claim(conn, box.actor, item.id, now=T0)
    more = "In-Reply-To: <1@romashka.test>\r\n"
    answer = mail(message_id="<2@romashka.test>", more=more, to="sales@hub.test, info@hub.test", body="And when?")
    await info.store(place, [Arrived(1, answer, (), T0)], cursor={}, is_new=True, now=T0)
    assert len(await box.waiting()) == 1, "nobody knows yet that it is hers"
    await box.arrive(answer)
    assert await box.waiting() == []
    mine, _ = await all_items(box)
    assert (mine.state, mine.owner_id) == ("claimed", box.actor.user_id)
    assert mine.data["snippet"] == "And when?" and mine.data["also_in"] == ["info@hub.test"]


async def test_a_letter_to_two_teams_is_an_item_for_each_that_says_so_and_one_lead(box: Box) -> None:
    info, place = await second_box(box, "support")
    raw = mail(to="sales@hub.test, info@hub.test", more="Date: Tue, 24 Nov 2026 11:59:58 +0300\r\n")
    await box.arrive(raw)
    await info.store(place, [Arrived(1, raw, (), T0)], cursor={}, is_new=True, now=T0)
    first, second = await all_items(box)
    assert first.team_id == box.team_id != second.team_id
    assert (first.data["also_in"], second.data["also_in"]) == (["info@hub.test"], ["sales@hub.test"])
    assert first.data["lead_id"] and second.data["lead_id"] is None
    assert await all_leads(box) == [("irina@romashka.test", box.team_id, 1)]


async def test_a_persons_own_mailbox_takes_nothing_from_the_team_and_tells_it_nothing(box: Box) -> None:
    info, place = await second_box(box, "sales", owner_id=box.actor.user_id)
    raw = mail(to="sales@hub.test, info@hub.test", more="Date: Tue, 24 Nov 2026 11:59:58 +0300\r\n")
    await info.store(place, [Arrived(1, raw, (), T0)], cursor={}, is_new=True, now=T0)
    await box.arrive(raw)
    (item,) = await all_items(box)
    assert item.team_id == box.team_id and "also_in" not in item.data


@pytest.mark.parametrize("forged", [False, True])
async def test_a_sent_letter_that_all_mail_shows_again_is_the_sent_one(box: Box, forged: bool) -> None:
    raw = mail("Sales <sales@hub.test>", to="irina@romashka.test", message_id="<s1@hub.test>")
    await box.arrive(raw, role="sent")
    async with box.db.begin() as conn:
        row = {"mailbox_id": box.mailbox_id, "name": "All Mail", "role": "all", "gaps": []}
        folder_id = (await conn.execute(folders.insert().values(**row).returning(folders.c.id))).scalar_one()
    box.places["all"] = FolderPlace(folder_id, "other", 1)
    shown = b"X-Gm-Message-State: abc\r\n" + raw
    if forged:
        shown = shown.replace(b"sales@hub.test", b"thief@evil.example")
    assert await box.arrive(shown, role="all") == (1 if forged else 0)
    directions = sorted(one.direction for one in await box.messages())
    assert directions == (["in", "out"] if forged else ["out"])
    async with box.db.read() as conn:
        places = (await conn.execute(sa.select(sa.func.count()).select_from(locations))).scalar_one()
    assert places == 2
    assert len(await box.waiting()) == (1 if forged else 0)


async def test_gmails_id_makes_one_message_of_its_copies_in_several_folders(box: Box) -> None:
    box.places["label"] = await _folder(box, "Clients")
    raw = mail()
    about = {"gm_msgid": 1278455344230334865, "labels": ("Inbox", "Клиенты")}
    for number, role in enumerate(("inbox", "label"), 1):
        arrived = Arrived(number, raw + b"x" * number, (), T0, **about)  # type: ignore[arg-type]
        await box.intake.store(box.places[role], [arrived], cursor={}, is_new=True, now=T0)
    (message,) = await box.messages()
    assert message.about["labels"] == ["Inbox", "Клиенты"]
    async with box.db.read() as conn:
        of_places = (await conn.execute(sa.select(locations.c.message_id))).scalars().all()
    assert of_places == [message.id] * 2


async def _folder(box: Box, name: str) -> FolderPlace:
    async with box.db.begin() as conn:
        row = {"mailbox_id": box.mailbox_id, "name": name, "role": "other", "gaps": []}
        made = await conn.execute(folders.insert().values(**row).returning(folders.c.id))
    return FolderPlace(made.scalar_one(), "other", 1)


@pytest.mark.parametrize("is_gmail", [True, False])
async def test_gmails_id_and_labels_are_asked_for_where_the_server_offers_them(is_gmail: bool) -> None:
    fake = FakeImapServer()
    fake.capabilities += b" X-GM-EXT-1" if is_gmail else b""
    fake.deliver(1, mail())
    fake.deliver(2, mail())
    labels = rb'("\\Inbox" Work "&BBoEOwQ4BDUEPQRCBEs-" "a \"b\"")'
    fake.folders["INBOX"].of_gmail = {
        1: b"X-GM-MSGID 1278455344230334865 X-GM-LABELS " + labels,
        2: b"X-GM-MSGID 99999999999999999999 X-GM-LABELS ()",
    }
    async with fake_imap(fake), connected(fake.settings) as imap:
        await imap.select("INBOX")
        found = await imap.fetch([1, 2])
    assert [one.gm_msgid for one in found] == ([1278455344230334865, None] if is_gmail else [None, None])
    assert found[0].labels == (("Inbox", "Work", "Клиенты", 'a "b"') if is_gmail else ())
    assert all(one.raw == mail() for one in found)
    assert any(b"X-GM-" in line for line in fake.heard) == is_gmail
