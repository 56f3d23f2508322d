"""Letters that come from an address of our own, or through a group of ours: whose they are, and that they wait."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from hub.crm import clients, timeline
from hub.crm.linking import Linker
from hub.crm.models import audit
from hub.errors import Refused
from hub.mail import originals, relink
from hub.mail.models import mailboxes
from hub.mail.register import MessageRow
from tests.factories import T0, Box, known_client, mail

pytestmark = pytest.mark.either_database

SALES = "sales@hub.test"
GROUP = (
    f"List-ID: <sales.hub.test>\r\nPrecedence: list\r\nMailing-list: list {SALES}; contact sales+owners@hub.test\r\n"
)
GOOGLE = "List-Post: <https://groups.google.com/a/hub.test/group/sales/post>\r\n"
MESSAGES: dict[str, tuple[bytes, str]] = {
    "a site's form under our own address": (
        mail(f"Site <{SALES}>", more="Reply-To: Anna <anna@form.test>\r\n"),
        "anna@form.test",
    ),
    "a site's form under an address of our domain": (
        mail("WordPress <wordpress@hub.test>", more="Reply-To: anna@form.test\r\n"),
        "anna@form.test",
    ),
    "a form of a service that takes no answers": (
        mail("Forms <noreply@forms.test>", more="Reply-To: anna@form.test\r\n"),
        "anna@form.test",
    ),
    "a form that names the person in its text only": (
        mail(f"Site <{SALES}>", body="Имя: Анна\nE-mail: anna@form.test\nВопрос: цена?"),
        "anna@form.test",
    ),
    "a form that is marked as made by a machine": (
        mail(f"Site <{SALES}>", more="Reply-To: anna@form.test\r\nAuto-Submitted: auto-generated\r\n"),
        "anna@form.test",
    ),
    "a form that asks for no automatic answers": (
        mail("Site <site@hub.test>", more="Reply-To: anna@form.test\r\nX-Auto-Response-Suppress: All\r\n"),
        "anna@form.test",
    ),
    "a form that is marked so and names the person in its text only": (
        mail(f"Site <{SALES}>", body="E-mail: anna@form.test", more="Auto-Submitted: auto-generated\r\n"),
        "anna@form.test",
    ),
    "a group's via": (
        mail(
            f"'Pavel' via Sales <{SALES}>",
            more=f"Reply-To: pavel@via.test\r\nX-Original-From: Pavel <pavel@via.test>\r\n{GROUP}"
            "List-Unsubscribe: <mailto:x@hub.test>\r\n",
        ),
        "pavel@via.test",
    ),
    "a group's via that wants answers to the group": (
        mail(f"Pavel via Sales <{SALES}>", more=f"Reply-To: {SALES}\r\nX-Original-From: pavel@via.test\r\n{GROUP}"),
        "pavel@via.test",
    ),
    "a person who wrote to our group": (mail("Olga <olga@list.test>", more=GROUP + GOOGLE), "olga@list.test"),
    "an unquoted comma": (mail("Petrov, Ivan <ivan@comma.test>"), "ivan@comma.test"),
    "an encoded whole From": (
        mail("=?utf-8?B?0JjQstCw0L0gPGl2YW5Ad2hvbGUuZXhhbXBsZT4=?="),
        "ivan@whole.example",
    ),
    "two From lines": (mail("Ivan\r\nFrom: Ivan <ivan@second.test>"), "ivan@second.test"),
    "a name and a Reply-To": (mail("Ivan", more="Reply-To: ivan@reply.test\r\n"), "ivan@reply.test"),
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_a_person_behind_our_own_address_is_a_lead_and_waits(box: Box, name: str) -> None:
    raw, who = MESSAGES[name]
    await box.arrive(raw)
    (message,) = await box.messages()
    assert (message.auto, message.from_address) == ("none", who)
    (lead,) = await box.leads()
    (item,) = await box.waiting()
    assert (lead.address, item.address) == (who, who)
    assert item.data["lead_id"] == lead.id


async def test_the_person_behind_our_own_address_is_linked_as_likely_and_the_address_is_told(box: Box) -> None:
    client_id = await known_client(box)
    await box.arrive(mail(f"'Ирина' via Sales <{SALES}>", more="Reply-To: Irina@Romashka.test\r\n"))
    (message,) = await box.messages()
    assert (message.client_id, message.link_confidence) == (client_id, "likely")
    assert message.about["via"] == {"name": "'Ирина' via Sales", "address": SALES, "by": "reply_to"}
    assert message.from_name == "Ирина"
    assert [one.client_id for one in await box.waiting()] == [client_id]
    assert await box.leads() == []


async def test_a_person_behind_our_own_address_who_becomes_a_client_takes_the_letter_along(box: Box) -> None:
    await box.arrive(mail(f"Site <{SALES}>", more="Reply-To: anna@form.test\r\n"))
    async with box.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="person", name="Anna", now=T0)
        await clients.add_address(conn, None, client_id, kind="email", raw="anna@form.test", now=T0)
        await relink.batch(conn, Linker("RU"), "anna@form.test", None, unlinks=False, now=T0)
    (message,) = await box.messages()
    assert (message.client_id, message.link_confidence) == (client_id, "likely")


NO_WORK = {
    "a letter of a mailbox of ours to itself": mail(f"Sales <{SALES}>"),
    "a newsletter that came through our group": mail(
        "Shop <news@shop.test>", more=f"{GROUP}List-Unsubscribe: <https://shop.test/u>\r\n"
    ),
    "a list that is not ours": mail("Olga <olga@list.test>", more="List-ID: <talk.lists.test>\r\nPrecedence: list\r\n"),
    "an automatic answer through our group": mail("Olga <olga@list.test>", more=GROUP, subject="Out of office"),
    "a letter of ours to a client": mail(f"Sales <{SALES}>", to="anna@form.test"),
    "an answering machine of ours": mail(
        f"Sales <{SALES}>", subject="Автоответ", more="Reply-To: x@form.test\r\nAuto-Submitted: auto-replied\r\n"
    ),
    "an answering machine": mail("Ира <ira@oof.test>", subject="Автоответ: в отпуске"),
    "a notice": mail("mailer-daemon@mx.test", subject="Hello"),
}


@pytest.mark.parametrize("name", NO_WORK)
async def test_what_no_person_wrote_to_us_is_no_work(box: Box, name: str) -> None:
    await box.arrive(NO_WORK[name])
    assert len(await box.messages()) == 1
    assert (await box.waiting(), await box.leads()) == ([], [])


async def test_an_automatic_letter_of_a_client_is_on_the_card_and_no_work(box: Box) -> None:
    client_id = await known_client(box)
    await box.arrive(mail(subject="Я в отпуске до 12 марта", body="Отвечу позже."))
    (message,) = await box.messages()
    assert (message.client_id, message.auto) == (client_id, "auto_reply")
    assert await box.waiting() == []


async def test_what_stands_in_the_sent_folder_is_ours_whomever_it_names(box: Box) -> None:
    await box.arrive(mail(f"Sales <{SALES}>", to="anna@form.test", more="Reply-To: x@elsewhere.test\r\n"), role="sent")
    (message,) = await box.messages()
    assert (message.direction, message.from_address) == ("out", SALES)


async def test_a_mailbox_of_a_public_provider_makes_no_domain_ours(box: Box) -> None:
    linker = replace(box.intake.linker, own_emails=frozenset({"shop@gmail.com"}))
    box.intake = replace(box.intake, linker=linker)
    await box.arrive(mail("Ivan <ivan@gmail.com>", more="Reply-To: boss@elsewhere.test\r\n"))
    (message,) = await box.messages()
    assert message.from_address == "ivan@gmail.com"
    await box.arrive(mail("Form <shop@gmail.com>", message_id="<2@x>", more="Reply-To: anna@gmail.com\r\n"))
    assert {one.address for one in await box.leads()} == {"ivan@gmail.com", "anna@gmail.com"}


def forwarded(by: str, original: str = "Ирина <irina@romashka.test>") -> bytes:
    body = f"Посмотри\r\n\r\n---------- Forwarded message ---------\r\nОт: {original}\r\nТема: Цена\r\n\r\nСколько?"
    return mail(by, subject="Fwd: price", body=body)


async def accept(box: Box) -> MessageRow:
    (message,) = await box.messages()
    linker = box.intake.linker
    async with box.db.begin() as conn:
        await originals.accept(conn, box.actor, linker, message.id, now=T0)
        await originals.accept(conn, box.actor, linker, message.id, now=T0)
    (message,) = await box.messages()
    return message


@pytest.mark.parametrize("colleague", [SALES, "oleg@hub.test"])
async def test_a_letter_that_a_colleague_forwarded_belongs_to_its_writer_by_one_click(box: Box, colleague: str) -> None:
    client_id = await known_client(box)
    await box.arrive(forwarded(f"Oleg <{colleague}>"))
    (message,) = await box.messages()
    assert (message.from_address, message.client_id) == (colleague, None)
    async with box.db.read() as conn:
        original = await originals.suggested(conn, None, box.intake.linker, message)
    assert original is not None and original.whose is not None
    assert (original.name, original.address, original.whose.client_id) == ("Ирина", "irina@romashka.test", client_id)
    after = await accept(box)
    assert (after.from_address, after.client_id, after.link_confidence) == ("irina@romashka.test", client_id, "exact")
    assert after.about["via"] == {"name": "Oleg", "address": colleague, "by": "forward"}
    assert [(one.client_id, one.title) for one in await box.waiting()] == [(client_id, "Ромашка")]
    async with box.db.read() as conn:
        trace = (await conn.execute(sa.select(audit).where(audit.c.action == "message.original_accepted"))).one()
        card = await timeline.page(conn, None, client_id)
    assert (trace.object_id, trace.user_id) == (message.id, box.actor.user_id)
    assert [entry.ref_id for entry in card] == [message.id]


async def test_the_unknown_writer_of_a_forwarded_letter_becomes_a_lead_by_one_click(box: Box) -> None:
    await box.arrive(forwarded(f"Oleg <{SALES}>", "Anna <anna@new.test>"))
    assert await box.leads() == []
    after = await accept(box)
    (lead,) = await box.leads()
    (item,) = await box.waiting()
    assert (after.from_name, lead.address, lead.times) == ("Anna", "anna@new.test", 1)
    assert item.data["lead_id"] == lead.id


@pytest.mark.parametrize(
    "raw",
    [
        forwarded("Stranger <x@stranger.test>"),
        forwarded(f"Oleg <{SALES}>", "Olga <olga@hub.test>"),
        mail(f"Oleg <{SALES}>", subject="Fwd: price"),
    ],
    ids=["a stranger's", "a colleague's own", "nothing forwarded"],
)
async def test_what_no_colleague_forwarded_is_not_suggested_and_cannot_be_accepted(box: Box, raw: bytes) -> None:
    await box.arrive(raw)
    (message,) = await box.messages()
    async with box.db.begin() as conn:
        assert await originals.suggested(conn, None, box.intake.linker, message) is None
        with pytest.raises(Refused):
            await originals.accept(conn, box.actor, box.intake.linker, message.id, now=T0)


@pytest.mark.parametrize("is_known", [True, False])
async def test_in_a_persons_own_mailbox_only_a_client_is_suggested_since_nobody_becomes_a_lead(
    box: Box, is_known: bool
) -> None:
    if is_known:
        await known_client(box)
    async with box.db.begin() as conn:
        await conn.execute(sa.update(mailboxes).values(owner_id=box.actor.user_id))
    box.intake = replace(box.intake, owner_id=box.actor.user_id)
    await box.arrive(forwarded(f"Oleg <{SALES}>"))
    (message,) = await box.messages()
    async with box.db.read() as conn:
        assert (await originals.suggested(conn, None, box.intake.linker, message) is not None) == is_known
    if is_known:
        assert (await accept(box)).from_address == "irina@romashka.test"
        return
    async with box.db.begin() as conn:
        with pytest.raises(Refused):
            await originals.accept(conn, box.actor, box.intake.linker, message.id, now=T0)
