"""What people see: two managers and an administrator in real browsers, a real Asterisk, sipp phones, a real Dovecot."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.e2e import desk, test_mail
from tests.e2e.desk import ADMIN, ANNA, BORIS, make_client, the_call
from tests.testbed import sipp
from tests.testbed.chromium import new_person, running_chromium, shoot, sign_in, sign_in_by_form
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.browser


async def until_live(page: Page) -> None:
    """The stream is open: from here on the page needs no reload."""
    await page.wait_for_selector("html[data-connection=live]", timeout=10_000)


@pytest.mark.asterisk
async def test_a_call_waits_is_taken_by_one_of_two_and_stands_on_card_and_register(tmp_path: Path) -> None:
    async with desk.office(tmp_path) as (asterisk, hub), running_chromium() as browser:
        client_id = await make_client(hub, "ООО «Ромашка»", "+7 (495) 123-45-67")
        pages = [await sign_in_by_form(await new_person(browser), hub, who) for who in (ANNA, BORIS)]
        for page in pages:
            await until_live(page)
        async with (
            sipp.phone(asterisk, "101", talk_ms=4000),
            sipp.phone(asterisk, "102", talk_ms=4000),
            sipp.caller(asterisk, "84951234567", name="ROMASHKA"),
        ):
            began = time.monotonic()
            for page in pages:
                await expect(page.locator("[id^=queue-item-]").get_by_text("ООО «Ромашка»").first).to_be_visible()
            assert time.monotonic() - began < 3, "from dialling to standing on both desks"
            await shoot(pages[0], "desk-waiting")
            press = "() => document.querySelector('#queue-waiting [data-take]').click()"
            await asyncio.gather(*(page.evaluate(press) for page in pages))
            # One talks, and the other reads who took it.
            await wait_for(lambda: _one_reads(pages), what="the loser reads who won")
            call = await the_call(hub, state="talking")
            winner = pages[0] if call["answered_by"]["extension"] == "101" else pages[1]
            await expect(winner.get_by_text(re.compile("Talking|On the line")).first).to_be_visible(timeout=10_000)
            await shoot(winner, "desk-talking")
            await the_call(hub, state="ended", outcome="answered")
        card = winner
        await card.goto(f"{hub.url}/clients/{client_id}")
        await expect(card.get_by_text("Incoming call").first).to_be_visible()
        await shoot(card, "card-call")
        admin = await sign_in(await new_person(browser), hub, ADMIN, to="/calls")
        await expect(admin.get_by_text("ООО «Ромашка»").first).to_be_visible()
        await shoot(admin, "register")


async def _one_reads(pages: list[Page]) -> bool:
    """One of the two pages says, in the row's place, that the other person was first."""
    names = ("Анна Иванова", "Борис Кузнецов")
    lost = [
        await page.get_by_text(re.compile(f"(Already taken|Taken): {names[1 - n]}")).count()
        for n, page in enumerate(pages)
    ]
    return sum(lost) == 1


@pytest.mark.asterisk
async def test_click_to_call_from_the_card_rings_and_shows_live(tmp_path: Path) -> None:
    async with desk.office(tmp_path) as (asterisk, hub), running_chromium() as browser:
        client_id = await make_client(hub, "ООО «Ромашка»", "8 495 123-45-67")
        page = await sign_in(await new_person(browser), hub, ANNA, to=f"/clients/{client_id}")
        await until_live(page)
        async with sipp.phone(asterisk, "101") as manager, sipp.phone(asterisk, "trunk", talk_ms=1500):
            await page.get_by_role("button", name=re.compile("123")).first.dblclick()
            await expect(page.get_by_text("Outgoing call").first).to_be_visible(timeout=20_000)
            assert sum(line.startswith("INVITE") for line in manager.first_lines("received")) == 1
            await the_call(hub, state="ended", direction="outbound")


@pytest.mark.dovecot
async def test_a_mail_comes_to_the_open_card_and_is_answered_from_it(tmp_path: Path) -> None:
    async with test_mail.office(tmp_path) as (dovecot, postfix, hub), running_chromium() as browser:
        body = {"kind": "organisation", "name": "ООО «Ромашка»", "emails": [test_mail.IRINA]}
        status, client = await hub.api(ADMIN, "POST", "/clients", json=body)
        assert status == 201
        assert isinstance(client, dict)
        page = await sign_in_by_form(await new_person(browser), hub, ANNA)
        await page.goto(f"{hub.url}/clients/{client['id']}")
        await until_live(page)
        began = time.monotonic()
        dovecot.deliver(test_mail.BOX, test_mail.letter(file="смета.pdf"))
        await expect(page.locator("#timeline").get_by_text("Счёт на ноябрь").first).to_be_visible(timeout=5_000)
        assert time.monotonic() - began < 2, "on the open card within two seconds"
        await shoot(page, "card-mail")
        await page.locator("#timeline").get_by_text("Счёт на ноябрь").first.click()
        await page.get_by_role("textbox", name="Message").last.fill("Счёт во вложении.")
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("[data-undo-button]")).to_be_visible()
        arrived = lambda: test_mail._delivered(postfix, test_mail.IRINA)  # noqa: E731
        (delivered,) = await wait_for(arrived, what="the answer arrived, its ten seconds over", deadline_s=30)
        assert b"In-Reply-To:" in delivered
