"""The buttons of a call in a real browser: a number anywhere is a call, and the panel hands on, holds and parks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from hub.demo.sample import PASSWORD
from tests.testbed.chromium import new_person, running_chromium, sign_in
from tests.testbed.hub import Hub, running_demo

pytestmark = pytest.mark.browser
SOON_MS = 15_000
DRAWN_ANEW = """new Promise((done) => {
  document.addEventListener("htmx:after:swap", () => done(true), { once: true });
  document.querySelector("#current-call").dispatchEvent(new Event("hub:refresh"));
})"""
# Every control that stands in the window is what a click in its middle meets. Returns those that something lies over.
COVERED = """[...document.querySelectorAll("a, button, input, select, textarea, summary")].filter((one) => {
  if (!one.checkVisibility({ visibilityProperty: true }) || one.closest(".sr-only, .skip, dialog")) return false;
  const { left, right, top, bottom, width, height } = one.getBoundingClientRect();
  const [x, y] = [left + width / 2, top + height / 2];
  // What its scrolled box cuts off is not there to be clicked.
  for (let box = one.parentElement; box; box = box.parentElement) {
    const edge = box.getBoundingClientRect();
    if (getComputedStyle(box).overflowY !== "visible" && (y < edge.top || y > edge.bottom)) return false;
    if (getComputedStyle(box).overflowX !== "visible" && (x < edge.left || x > edge.right)) return false;
  }
  if (!width || x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) return false;
  const met = document.elementFromPoint(x, y);
  return !one.contains(met) && !met.contains(one) && met.closest("label")?.control !== one;
}).map((one) => one.outerHTML.slice(0, 120))"""


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running_demo(tmp_path) as hub:
        yield hub


def button(english: str, russian: str) -> str:
    return f"role=button[name=/^({english}|{russian})$/]"


async def test_a_number_in_a_list_is_one_call_and_its_panel_does_what_it_says(demo: Hub) -> None:
    async with running_chromium() as browser:
        page = await sign_in(await new_person(browser), demo, "anna@hub.example", PASSWORD, to="/clients")
        dialled: list[str] = []
        page.on("request", lambda one: dialled.append(one.url) if one.url.endswith("/call") else None)
        # Of the list: the strip above it shows the number of whoever calls at this moment.
        number = page.locator(".records .tel--call").first
        await number.focus()
        await page.keyboard.press("Enter")
        await number.dblclick()
        asked = page.locator("#toasts > [id^=asked-]")
        await expect(asked).to_have_count(1)
        await expect(asked).to_contain_text(re.compile("Your phone rings first|Сначала зазвонит ваш телефон"))
        assert len(dialled) >= 2, "the click was sent more than once, and all of them are one call"
        for width, height in ((1440, 900), (1024, 768), (390, 844)):
            await page.set_viewport_size({"width": width, "height": height})
            await expect(asked).to_be_in_viewport()
            await page.evaluate("document.querySelector('main > .body').scrollTo(0, 1e6)")
            covered = await page.evaluate(COVERED)
            assert covered == [], f"at {width} px the words from Hub lie over a control"
        await page.set_viewport_size({"width": 1440, "height": 900})
        panel = page.locator("#current-call")
        await expect(panel.locator(".call--talking")).to_be_visible(timeout=SOON_MS)
        # H holds and takes off hold, wherever one is.
        await page.keyboard.press("h")
        await expect(panel.locator(".call--held")).to_be_visible(timeout=SOON_MS)
        await page.keyboard.press("h")
        await expect(panel.locator(".call--talking")).to_be_visible(timeout=SOON_MS)
        # X opens whom to hand it to; what one types there outlives the page's own refresh.
        await page.keyboard.press("x")
        search = panel.locator("#handover input")
        await expect(search).to_be_focused()
        await search.fill("Борис")
        await expect(panel.locator(".target")).to_have_count(1)
        await expect(panel.locator(".target")).to_contain_text("Борис Кузнецов")
        await page.evaluate(DRAWN_ANEW)
        await expect(search).to_have_value("Борис")
        await expect(panel.locator(".target")).to_have_count(1)
        await panel.locator(".target button").first.click()
        await expect(panel).to_contain_text("Борис Кузнецов, 102", timeout=SOON_MS)
        await page.locator(button("Back to the client", "Вернуться к клиенту")).click()
        await expect(panel.locator("[data-call-key=transfer]")).to_be_visible(timeout=SOON_MS)
        await page.locator(button("Park", "Парковка")).click()
        take_up = page.locator(button("Pick up", "Забрать"))
        await expect(take_up).to_be_visible(timeout=SOON_MS)
        await take_up.click()
        await expect(panel.locator(".call--talking")).to_be_visible(timeout=SOON_MS)
