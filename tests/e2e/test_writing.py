"""Writing a mail in a real browser: answered from its page, kept by itself, taken back, forwarded."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from hub.demo.letters import raw_letter
from hub.demo.mail import PASSWORD, DemoMail, running_mail
from hub.demo.sample import Letter
from hub.mail.reading.mime import ParsedMessage, parse
from tests.e2e.desk import ANNA, listed, staff
from tests.testbed.chromium import new_person, running_chromium, shoot, sign_in
from tests.testbed.hub import Hub, running_hub
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.browser
BOX, IRINA, BOSS = "sales@hub.test", "irina@romashka.test", "boss@romashka.test"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[tuple[DemoMail, Hub, Browser]]:
    """Hub on a scripted mail server, with one mail of a stranger in it, and a browser."""
    async with running_mail([BOX]) as mail, running_chromium() as browser:
        (folder / "pw").write_text(PASSWORD)
        server = f'host = "127.0.0.1", tls = "none", username = "{BOX}", password_file = "pw"'
        toml = f'[[mailbox]]\naddress = "{BOX}"\nteam = "sales"\nimap = {{ port = {mail.imap_port}, {server} }}\n'
        toml += f"smtp = {{ port = {mail.smtp_port}, {server} }}\n"
        async with running_hub(folder, toml) as hub:
            await staff(hub)
            await hub.start()
            words = Letter("Ирина", IRINA, "Счёт на ноябрь", "Добрый день!\n\nПришлите счёт.", "смета.pdf")
            await mail.deliver(raw_letter(words, to=BOX, at=datetime.now(UTC), number=uuid4()))
            await wait_for(lambda: listed(hub, ANNA, "/messages"), what="the mail is there", deadline_s=20)
            yield mail, hub, browser


def editor(page: Page) -> Locator:
    return page.locator("#c-editor")


async def turned_to(page: Page) -> Locator:
    """Click where the text stands, on whatever is there by then; return the editor that comes for it."""
    place = page.locator("#composer textarea[name=text]")
    await place.scroll_into_view_if_needed()
    box = await place.bounding_box()
    assert box is not None
    await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await expect(editor(page)).to_be_focused()
    return editor(page)


async def until_saved(page: Page) -> None:
    await expect(page.locator("[data-state]")).to_have_text("Saved", timeout=10_000)


async def sent(mail: DemoMail, number: int) -> ParsedMessage:
    """The message that the outside got as the `number`-th."""

    async def found() -> bool:
        return len(mail.journal) >= number

    await wait_for(found, what=f"message {number} went out", deadline_s=40)
    return parse(mail.journal[number - 1].raw)


async def test_an_answer_is_written_taken_back_and_sent_with_its_files_and_form(tmp_path: Path) -> None:
    async with office(tmp_path) as (mail, hub, browser):
        page = await sign_in(await new_person(browser), hub, ANNA)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        (message,) = await listed(hub, ANNA, "/messages")
        await page.goto(f"{hub.url}/messages/{message['id']}")
        await turned_to(page)
        await page.keyboard.type("Добрый день, вот счёт")
        for _ in range(2):
            await page.keyboard.press("Control+Shift+ArrowLeft")
        await page.keyboard.press("Control+b")
        await expect(page.locator("[data-tool=bold]")).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("End")
        await page.locator("input[name=files]").set_input_files(
            {"name": "счёт.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1"}
        )
        await expect(page.locator("[data-chip][data-file]")).to_have_count(1)
        await _paste_picture(page)
        await expect(editor(page).locator("img[src^='/drafts/']")).to_have_count(1)
        await until_saved(page)
        await shoot(page, "writing-answer")

        await page.get_by_role("button", name="Send", exact=True).click()
        undo = page.locator("[data-undo-button]")
        await expect(undo).to_be_focused()
        await page.goto(f"{hub.url}/clients")
        await expect(undo).to_be_visible()
        await shoot(page, "writing-undo")
        await undo.click()
        await page.wait_for_url(re.compile(r"/drafts/\d+"))
        await expect(editor(page)).to_contain_text("вот счёт")
        await expect(editor(page).locator("img")).to_have_count(1)
        await expect(page.locator("[data-chip]")).to_contain_text("счёт.pdf")
        assert mail.journal == [], "what was taken back did not go"

        await page.keyboard.press("Escape")
        await editor(page).click()
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_text("On its way to")).to_be_visible()
        answer = await sent(mail, 1)
        assert answer.text.startswith("Добрый день, вот счёт") and "> Пришлите счёт." in answer.text
        assert answer.html is not None and "<b>вот счёт" in answer.html and "<blockquote" in answer.html
        assert sorted((one.name, one.inline) for one in answer.attachments) == [
            ("picture.png", True),
            ("счёт.pdf", False),
        ]
        assert answer.in_reply_to == message["message_id"]

        await page.goto(f"{hub.url}/compose?kind=forward&answers={message['id']}")
        await expect(page.locator("[data-chip]")).to_contain_text("смета.pdf")
        await page.locator("#c-to").fill(BOSS)
        await editor(page).click()
        await page.keyboard.type("Смотрите")
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_text("On its way to")).to_be_visible()
        forward = await sent(mail, 2)
        assert [one.name for one in forward.attachments] == ["смета.pdf"]
        assert forward.subject == "Fwd: Счёт на ноябрь" and "Пришлите счёт." in forward.text
        assert errors == []


async def _paste_picture(page: Page) -> None:
    await page.evaluate(
        """(png) => {
          const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], "picture.png", { type: "image/png" }));
          const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
          document.querySelector("#c-editor").dispatchEvent(paste);
        }""",
        PNG,
    )


async def test_what_is_typed_survives_a_reload_a_crashed_tab_a_dead_hub_and_another_window(tmp_path: Path) -> None:
    async with office(tmp_path) as (_, hub, browser):
        person = await new_person(browser)
        page = await sign_in(person, hub, ANNA, to="/compose")
        await page.locator("#c-to").fill(IRINA)
        await editor(page).click()
        await page.keyboard.type("Первые слова")
        await until_saved(page)
        draft_id = await page.locator("input[name=draft]").input_value()
        address = f"{hub.url}/drafts/{draft_id}"
        await page.goto(address)
        await expect(editor(page)).to_have_text("Первые слова")

        await hub.stop(signal.SIGKILL)
        await editor(page).press("End")
        await page.keyboard.type(" и ещё")
        await expect(page.locator("[data-state]")).to_contain_text("Not saved", timeout=10_000)
        cdp = await person.new_cdp_session(page)
        async with page.expect_event("crash"):
            crashing = asyncio.ensure_future(cdp.send("Page.crash"))
        crashing.cancel()
        await hub.start()
        page = await person.new_page()
        await page.goto(address)
        await expect(editor(page)).to_have_text("Первые слова и ещё")
        await until_saved(page)

        other = await person.new_page()
        await other.goto(address)
        await editor(other).press("End")
        await other.keyboard.type("!")
        await until_saved(other)
        await editor(page).press("End")
        await page.keyboard.type("?")
        await expect(page.locator("[data-state]")).to_contain_text("changed elsewhere", timeout=10_000)
        await expect(editor(page)).to_have_text("Первые слова и ещё?")
        await other.reload()
        await expect(editor(other)).to_have_text("Первые слова и ещё!")


async def test_another_sender_brings_its_signature_and_a_template_goes_above_it(tmp_path: Path) -> None:
    async with office(tmp_path) as (_mail, hub, browser):
        page = await sign_in(await new_person(browser), hub, ANNA, to="/me/writing")
        csrf = await page.locator("input[name=csrf]").first.get_attribute("value")
        (message,) = await listed(hub, ANNA, "/messages")
        for path, form in (
            ("/me/signature", {"language": "en", "text": "Kind regards, {{manager.name}}"}),
            ("/me/senders", {"mailbox": "1", "name": "Anna of Sales"}),
            (
                "/templates",
                {"name": "Price", "language": "en", "subject": "Prices", "html": "Here are our prices", "team": "1"},
            ),
        ):
            sent_form = await page.request.post(f"{hub.url}{path}", form=form | {"csrf": csrf or ""})
            assert sent_form.ok, (path, await sent_form.text())
        await page.goto(f"{hub.url}/messages/{message['id']}")
        await expect((await turned_to(page)).locator(".signature")).to_have_text(re.compile("Kind regards, Анна"))
        await page.goto(f"{hub.url}/compose")
        await expect((await turned_to(page)).locator(".signature")).to_have_count(1)
        await page.locator("#c-from").select_option(label=f"Anna of Sales <{BOX}>")
        await page.locator("[data-templates] summary").click()
        await shoot(page, "writing-template")
        await page.set_viewport_size({"width": 390, "height": 800})
        await shoot(page, "writing-template-390")
        await page.get_by_role("button", name="Price").click()
        await expect(editor(page)).to_have_text(re.compile(r"^\s*Here are our prices\s*Kind regards, Анна"))
        await expect(page.locator("#c-subject")).to_have_value("Prices")
        await expect(editor(page).locator(".signature")).to_have_count(1)
        await until_saved(page)
        draft = await page.locator("input[name=draft]").input_value()
        await page.goto(f"{hub.url}/drafts/{draft}")
        await expect(editor(page).locator(".signature")).to_have_count(1)
        await expect(page.locator("#c-from")).to_have_value(re.compile("#"))


async def test_words_typed_before_the_editor_is_there_stay_above_the_signature_and_are_saved(tmp_path: Path) -> None:
    async with office(tmp_path) as (_mail, hub, browser):
        person = await new_person(browser)
        page = await sign_in(person, hub, ANNA)
        await page.goto(f"{hub.url}/me/writing")
        csrf = await page.locator("input[name=csrf]").first.get_attribute("value")
        signature = {"language": "en", "text": "Kind regards", "csrf": csrf or ""}
        assert (await page.request.post(f"{hub.url}/me/signature", form=signature)).ok
        (message,) = await listed(hub, ANNA, "/messages")
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def slow(route: Route) -> None:
            asked.set()
            await go_on.wait()
            await route.continue_()

        await page.route("**/static/composer-*.js", slow)
        address = f"{hub.url}/messages/{message['id']}"
        await page.goto(address)
        place = page.locator("#composer textarea[name=text]")
        await expect(place).to_have_value("")
        assert not asked.is_set(), "nobody has turned to the composer yet"
        await place.focus()
        await page.keyboard.type("Первая\nвторая")
        await asyncio.wait_for(asked.wait(), 10)
        go_on.set()
        await expect(editor(page)).to_be_focused()
        await page.keyboard.type(" строка")
        await expect(editor(page)).to_have_text(re.compile(r"^Первая\s*вторая строка\s*Kind regards"))
        await until_saved(page)

        # Words that Hub never got are offered at once, without a turn to the place.
        await page.goto(f"{hub.url}/clients")
        kept = {
            "to": IRINA,
            "cc": "",
            "bcc": "",
            "subject": "Счёт",
            "text": "",
            "version": "0",
            "html": "<p>Не дошло</p>",
        }
        await page.goto(address)
        kept["version"] = await page.locator("input[name=version]").input_value()
        kinds = [
            await page.locator(f"#composer input[name={name}]").input_value() for name in ("kind", "answers", "client")
        ]
        await page.evaluate(
            "([name, words]) => localStorage.setItem(name, words)", [f"draft:{':'.join(kinds)}", json.dumps(kept)]
        )
        await page.goto(address)
        await expect(editor(page)).to_have_text("Не дошло")
        await expect(page.locator("#c-subject")).to_have_value("Счёт")


async def test_a_composer_that_cannot_be_loaded_says_so_and_keeps_the_words(tmp_path: Path) -> None:
    async with office(tmp_path) as (mail, hub, browser):
        page = await sign_in(await new_person(browser), hub, ANNA)
        await page.route("**/static/composer-*.js", lambda route: route.abort())
        await page.goto(f"{hub.url}/compose")
        await page.locator("#c-to").fill(IRINA)
        place = page.locator("#composer textarea[name=text]")
        await place.fill("Слова")
        await page.locator("[data-send]").click()
        await expect(page.locator("#toasts")).to_contain_text("Hub does not answer")
        await expect(place).to_have_value("Слова")
        await page.unroute("**/static/composer-*.js")
        await page.locator("[data-send]").click()
        await expect(page.get_by_text("On its way to")).to_be_visible()
        assert "Слова" in (await sent(mail, 1)).text
