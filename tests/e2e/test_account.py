"""One's account in a real browser: a new password by a link, and where one is signed in."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page, expect

from tests.testbed.chromium import new_person, running_chromium, shoot, sign_in, sign_in_by_form
from tests.testbed.hub import run_command, running_hub
from tests.testbed.waiting import wait_for

ANNA = "anna@hub.test"
NEW = "another horse, another battery"


async def has_no_sideways_scroll(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


async def test_a_link_sets_a_password_and_sessions_are_ended_on_the_page(tmp_path: Path) -> None:
    async with running_hub(tmp_path, "") as hub, running_chromium() as browser:
        hub.roles = "web"
        await hub.start()
        await hub.add_user(ANNA, "Анна Иванова", "manager", ["sales"], "101")
        code, out, _ = await run_command("user", "reset-link", ANNA, "--config", str(hub.config))
        assert code == 0
        link = out.strip()
        phone = await (await new_person(browser, language="ru", width=390, height=844)).new_page()
        await phone.context.add_cookies([{"name": "lang", "value": "ru", "url": hub.url}])
        await phone.goto(link)
        await shoot(phone, "reset-390-ru")
        assert await has_no_sideways_scroll(phone)

        desk = await (await new_person(browser)).new_page()
        sent: list[dict[str, str]] = []
        desk.on("request", lambda request: sent.append(request.headers))
        await desk.goto(link)
        await expect(desk.get_by_text("For Анна Иванова, anna@hub.test")).to_be_visible()
        await desk.get_by_label("New password", exact=True).fill(NEW)
        await desk.get_by_label("New password again").fill(NEW + "!")
        await desk.get_by_role("button", name="Save and sign in").click()
        await expect(desk.get_by_role("alert")).to_contain_text("not the same")
        await shoot(desk, "reset-refused")
        await desk.get_by_label("New password", exact=True).fill(NEW)
        await desk.get_by_label("New password again").fill(NEW)
        await desk.get_by_role("button", name="Save and sign in").click()
        await desk.wait_for_url("**/desk")
        token = link.rpartition("/")[2]
        assert sent
        assert not [headers for headers in sent if token in headers.get("referer", "")]

        await phone.goto(link)
        await expect(phone.get_by_role("alert")).to_contain_text("Ссылка уже использована")
        await shoot(phone, "reset-used-390-ru")

        for words in (("--expires", "90d", "--name", "1C: Обмен с сайтом"), ()):
            code, _, err = await run_command("token", "create", ANNA, *words, "--config", str(hub.config))
            assert code == 0, err
        away = await sign_in_by_form(await new_person(browser, language="ru", width=390, height=844), hub, ANNA, NEW)
        await away.context.add_cookies([{"name": "lang", "value": "ru", "url": hub.url}])
        await away.goto(f"{hub.url}/me/sign-ins")
        await expect(away.locator("[id^=session-]").first).to_be_visible()
        await shoot(away, "sign-ins-390-ru")
        assert await has_no_sideways_scroll(away)
        await desk.goto(f"{hub.url}/me/sign-ins")
        await expect(desk.locator("[id^=session-]")).to_have_count(2)
        await expect(desk.get_by_text("this browser")).to_have_count(1)
        await shoot(desk, "sign-ins")
        await away.set_viewport_size({"width": 1440, "height": 900})
        await shoot(away, "sign-ins-ru")
        await desk.get_by_role("button", name="End all other sessions").click()
        await expect(desk.locator("[id^=session-]")).to_have_count(1)
        await away.goto(f"{hub.url}/desk")
        assert "/login" in away.url
        await desk.get_by_role("button", name="Revoke").first.click()
        await expect(desk.locator("[id^=token-]")).to_have_count(1)


async def test_a_disabled_persons_open_page_leads_to_the_sign_in(tmp_path: Path) -> None:
    async with running_hub(tmp_path, "") as hub, running_chromium() as browser:
        hub.roles = "web"
        await hub.start()
        await hub.add_user(ANNA, "Анна Иванова", "manager", ["sales"], "101")
        page = await sign_in(await new_person(browser), hub, ANNA, to="/desk")
        await page.wait_for_selector("html[data-connection=live]")
        code, _, err = await run_command("user", "disable", ANNA, "--config", str(hub.config))
        assert code == 0, err

        async def is_out() -> bool:
            return "/login" in page.url or await page.locator(".lost").is_visible()

        await wait_for(is_out, what="the page says that it hears nothing any more", deadline_s=15)
