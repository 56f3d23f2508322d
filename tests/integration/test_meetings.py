"""Answers to invitations: told on the invitation, and no person's letter."""

from __future__ import annotations

import pytest

from hub.mail.register import MessageRow
from tests.factories import Box, mail

pytestmark = pytest.mark.either_database

CLIENT = "irina@romashka.test"


def calendar(method: str, *attendees: str, uid: str = "m1@hub.test", more: str = "") -> str:
    people = "".join(f"ATTENDEE{one}\r\n" for one in attendees)
    return (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:{method}\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nSUMMARY:Встреча\r\n"
        f"DTSTART:20261125T100000Z\r\nORGANIZER:mailto:sales@hub.test\r\n{people}{more}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )


def letter(sender: str, to: str, method: str, *attendees: str, number: int = 1, reply: str = "", **about: str) -> bytes:
    head = f"From: {sender}\r\nTo: {to}\r\nSubject: Meeting\r\nMessage-ID: <{number}@x.example>\r\n"
    head += f"In-Reply-To: {reply}\r\n" if reply else ""
    head += f"MIME-Version: 1.0\r\nContent-Type: text/calendar; charset=utf-8; method={method}\r\n\r\n"
    return (head + calendar(method, *attendees, **about)).encode()


INVITED = (f";PARTSTAT=NEEDS-ACTION;CN=Irina:mailto:{CLIENT}", ";PARTSTAT=NEEDS-ACTION:mailto:oleg@romashka.test")


def answers(row: MessageRow) -> dict[str, str]:
    return {one["address"]: one["status"] for one in row.about["event"]["attendees"]}


async def invitation(box: Box) -> MessageRow:
    return next(one for one in await box.messages() if one.about["event"]["method"] == "REQUEST")


@pytest.mark.parametrize("answer_first", [False, True])
@pytest.mark.parametrize("said", ["ACCEPTED", "DECLINED", "TENTATIVE", "DELEGATED"])
async def test_an_answer_is_told_on_the_invitation_whichever_came_first(
    box: Box, said: str, answer_first: bool
) -> None:
    to = ';DELEGATED-TO="mailto:petr@romashka.test"' if said == "DELEGATED" else ""
    parts = [
        (letter("sales@hub.test", CLIENT, "REQUEST", *INVITED), "sent"),
        (letter(CLIENT, "sales@hub.test", "REPLY", f";PARTSTAT={said}{to}:mailto:{CLIENT}", number=2), "inbox"),
    ]
    for raw, role in reversed(parts) if answer_first else parts:
        assert await box.arrive(raw, role=role) == 1
    row = await invitation(box)
    assert answers(row) == {CLIENT: said, "oleg@romashka.test": "NEEDS-ACTION"}
    person = row.about["event"]["attendees"][0]
    assert person["name"] == "Irina" and person["answered_at"]
    assert person.get("delegated_to") == ("petr@romashka.test" if to else None)
    assert (await box.waiting(), await box.leads()) == ([], []), "no person's letter"
    (answer,) = [one for one in await box.messages() if one.direction == "in"]
    assert answer.auto == "auto_reply" and answer.thread_id == row.thread_id


async def test_what_a_person_writes_beside_an_answer_waits_as_the_conversation_it_came_as(box: Box) -> None:
    await box.arrive(letter("sales@hub.test", CLIENT, "REQUEST", *INVITED), role="sent")
    part = calendar("REPLY", f";PARTSTAT=ACCEPTED:mailto:{CLIENT}")
    raw = f"From: {CLIENT}\r\nSubject: Order\r\nMessage-ID: <2@x.example>\r\n"
    raw += "Content-Type: multipart/mixed; boundary=q\r\n"
    raw += f"\r\n--q\r\n\r\nPlease send an offer.\r\n--q\r\nContent-Type: text/calendar\r\n\r\n{part}\r\n--q--\r\n"
    await box.arrive(raw.encode())
    (item,) = await box.waiting()
    (came,) = [one for one in await box.messages() if one.direction == "in"]
    assert (item.ref_id, came.auto) == (came.thread_id, "none")
    assert answers(await invitation(box))[CLIENT] == "ACCEPTED"


async def test_an_answer_of_somebody_else_or_to_another_meeting_changes_nothing(box: Box) -> None:
    await box.arrive(letter("sales@hub.test", CLIENT, "REQUEST", *INVITED), role="sent")
    said = f";PARTSTAT=DECLINED:mailto:{CLIENT}"
    await box.arrive(letter("thief@evil.example", "sales@hub.test", "REPLY", said, number=2))
    await box.arrive(letter(CLIENT, "sales@hub.test", "REPLY", said, number=3, uid="other@hub.test"))
    one_day = "RECURRENCE-ID:20261202T100000Z\r\n"
    await box.arrive(letter(CLIENT, "sales@hub.test", "REPLY", said, number=4, more=one_day))
    assert set(answers(await invitation(box)).values()) == {"NEEDS-ACTION"}


async def test_who_comes_by_delegation_is_told_too_where_the_conversation_is_known(box: Box) -> None:
    await box.arrive(letter("sales@hub.test", CLIENT, "REQUEST", *INVITED), role="sent")
    said = ";PARTSTAT=ACCEPTED:mailto:petr@romashka.test"
    await box.arrive(letter("p@corp.test", "sales@hub.test", "REPLY", said, number=2, reply="<1@x.example>"))
    assert answers(await invitation(box))["petr@romashka.test"] == "ACCEPTED"


async def test_that_we_come_is_told_on_the_clients_invitation_and_answers_no_letter(box: Box) -> None:
    ours = ";PARTSTAT=NEEDS-ACTION:mailto:sales@hub.test"
    await box.arrive(letter(CLIENT, "sales@hub.test", "REQUEST", ours))
    (item,) = await box.waiting()
    await box.arrive(mail(CLIENT, message_id="<q@x>", more="In-Reply-To: <1@x.example>\r\n", body="And the price?"))
    said = ";PARTSTAT=ACCEPTED:mailto:sales@hub.test"
    await box.arrive(letter("sales@hub.test", CLIENT, "REPLY", said, number=3, reply="<1@x.example>"), role="sent")
    row = next(one for one in await box.messages() if (one.about.get("event") or {}).get("method") == "REQUEST")
    assert answers(row) == {"sales@hub.test": "ACCEPTED"}
    assert [one.id for one in await box.waiting()] == [item.id], "the question still waits"
