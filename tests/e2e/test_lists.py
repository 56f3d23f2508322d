"""A list from its filter to its file, once by mouse and once by keyboard only, and its ticks on a phone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import pytest
from playwright.async_api import Locator, Page, expect

from tests.testbed.chromium import opened, running_chromium, shoot
from tests.testbed.demo import ADMIN, visitor
from tests.testbed.hub import Hub, running_demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

MOST_TABS = 250


class Hands(Protocol):
    async def press(self, target: Locator) -> None: ...
    async def write(self, target: Locator, text: str) -> None: ...
    async def choose(self, target: Locator, option: str) -> None: ...


class Mouse:
    async def press(self, target: Locator) -> None:
        await target.click()

    async def write(self, target: Locator, text: str) -> None:
        await target.fill(text)

    async def choose(self, target: Locator, option: str) -> None:
        await target.select_option(label=option)


class Keyboard:
    """Reaches everything by Tab, as who has no mouse does."""

    async def press(self, target: Locator) -> None:
        await self._reach(target)
        is_box = await target.evaluate("(one) => one.type === 'checkbox'")
        await target.page.keyboard.press("Space" if is_box else "Enter")

    async def write(self, target: Locator, text: str) -> None:
        await self._reach(target)
        await target.page.keyboard.type(text)

    async def choose(self, target: Locator, option: str) -> None:
        await self._reach(target)
        await target.page.keyboard.type(option)

    async def _reach(self, target: Locator) -> None:
        await expect(target).to_be_visible()
        for _ in range(MOST_TABS):
            if await target.evaluate("(one) => one === document.activeElement"):
                return
            await target.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {target}")


async def filtered_to_a_file(page: Page, demo: Hub, hands: Hands, name: str) -> None:
    """Filter clients by their manager, keep that as a view, change them all, take it back, export them."""
    rows = page.locator("#records tbody tr")
    await opened(page, demo, "/clients")
    everybody = await rows.count()
    await hands.press(page.locator(".filters summary"))
    await hands.press(page.locator(".filters").get_by_role("link", name="Manager", exact=True))
    await hands.press(page.get_by_role("checkbox", name="Анна Иванова"))
    await hands.press(page.get_by_role("button", name="Apply"))
    await expect(page.locator(".chip--on")).to_contain_text("Анна Иванова")
    names = await rows.locator(".table__main").all_inner_texts()
    count = len(names)
    assert 0 < count < everybody

    await hands.press(page.get_by_role("link", name="Save as a view"))
    await hands.write(page.get_by_label("Name of the view"), name)
    await hands.press(page.get_by_role("checkbox", name="Show in the menu"))
    await hands.press(page.get_by_role("button", name="Save", exact=True))
    await expect(page.locator(".views__tab[aria-current]")).to_have_text(name)
    await expect(page.locator(".nav__pinned").get_by_role("link", name=name)).to_be_visible()
    view = page.url
    await shoot(page, f"list-view-{name}")

    await hands.press(page.get_by_label("Choose all on this page"))
    await expect(page.locator("[data-ticked]")).to_have_text(str(count))
    await hands.press(page.get_by_role("button", name="Edit a field"))
    await hands.choose(page.locator("select[name=field]"), "Note")
    await hands.write(page.locator("#bulk [name=note]"), f"Said by {name}")
    await shoot(page, f"list-bulk-{name}")
    await hands.press(page.get_by_role("button", name="Change them"))
    await expect(page.locator("#operation .badge--good")).to_be_visible(timeout=30_000)
    await expect(page.locator("#operation")).to_contain_text(f"{count} / {count}")
    operation = page.url
    await opened(page, demo, view.removeprefix(demo.url))
    changed = await rows.first.locator("a").first.get_attribute("href")
    await opened(page, demo, str(changed))
    await expect(page.locator("#properties")).to_contain_text(f"Said by {name}")
    await opened(page, demo, operation.removeprefix(demo.url))
    await hands.press(page.get_by_role("button", name="Undo"))
    await expect(page.locator("#operation").get_by_text("undone", exact=True)).to_be_visible(timeout=30_000)
    await opened(page, demo, str(changed))
    await expect(page.locator("#properties")).not_to_contain_text(f"Said by {name}")

    await opened(page, demo, view.removeprefix(demo.url))
    await hands.press(page.locator(".head__tools summary"))
    async with page.expect_download() as coming:
        await hands.press(page.get_by_role("link", name="CSV"))
    text = Path(await (await coming.value).path()).read_text("utf-8-sig")
    assert [one for one in names if one not in text] == []
    assert len(text.splitlines()) == 1 + count


async def test_a_list_is_filtered_kept_changed_taken_back_and_exported_by_mouse_and_by_keyboard(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo, running_chromium() as browser:
        page = await visitor(browser, demo, ADMIN)
        await filtered_to_a_file(page, demo, Mouse(), "By mouse")
        await filtered_to_a_file(page, demo, Keyboard(), "By keyboard")

        page = await visitor(browser, demo, ADMIN, width=390, height=844)
        await opened(page, demo, "/clients")
        ticks = page.locator("[data-tick]")
        await expect(ticks.first).to_be_hidden()
        await page.locator(".filters__choose").click()
        await expect(ticks.first).to_be_visible()
        await page.locator("#records tbody tr").nth(1).click(position={"x": 200, "y": 30})
        await expect(ticks.nth(1)).to_be_checked()
        await expect(page).to_have_url(re.compile("/clients$"))
        await expect(page.locator("#bulk")).to_be_visible()
        await shoot(page, "list-phone-choosing")
