"""The guide in a real browser: each picture shows what its screen still has, and each screen leads to its page.

`HUB_GUIDE_PICTURES=1` takes the pictures anew into `docs/guide/images`: small WebP files of the demo, one of each
important screen and language.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from hub.web.guide.book import find_folder, image_files
from hub.web.guide.screens import SCREENS
from hub.web.i18n import LANGUAGES
from tests.testbed.chromium import new_person, running_chromium
from tests.testbed.demo import ADMIN, ANNA, visitor
from tests.testbed.hub import Hub, running_demo
from tests.testbed.waiting import wait_for

# One demo and one browser for all of it.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]

WIDTH, HEIGHT = 1280, 800
QUALITY = 50
SIZES = """async (names) => {
  const sizes = {};
  for (const name of names) {
    const image = new Image();
    image.src = `/help/images/${name}`;
    await image.decode();
    sizes[name] = [image.naturalWidth, image.naturalHeight];
  }
  return sizes;
}"""


@dataclass(frozen=True, slots=True)
class Picture:
    """`open` is the path, then the links followed from it; `shows` are elements that the guide's text speaks of, some
    of them once somebody turns to a place."""

    name: str
    who: str
    open: tuple[str, ...]
    shows: tuple[str, ...]
    turn_to: str = ""


PICTURES = (
    Picture("desk", ANNA, ("/desk",), ("#queue-waiting .row [data-take]",)),
    Picture("client-card", ANNA, ("/clients", "#records a[href^='/clients/']"), ("main time", "main h1")),
    Picture("leads", ANNA, ("/leads",), ("#records tbody tr", "form[action$='/convert']", "form[action$='/close']")),
    Picture("mail-list", ANNA, ("/messages",), ("main tbody tr", "main input[name=q]")),
    Picture(
        "read-mail", ANNA, ("/messages", "main tbody a[href^='/messages/']:not([href$='/link'])"), (".thread__subject",)
    ),
    Picture(
        "write-mail", ANNA, ("/compose",), ("main [name=subject]", "main [contenteditable]"), turn_to="main textarea"
    ),
    Picture("wallboard", ANNA, ("/wallboard/1",), ("main h1",)),
    Picture(
        "call-rules", ADMIN, ("/admin/teams/1/rules",), ("main form [name=overflow_s]", "main button[type=submit]")
    ),
    Picture("add-a-mailbox", ADMIN, ("/mailboxes/new",), ("main form [name=address]", "main form [name=password]")),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    async with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_chromium() as browser:
        yield browser


async def opened(page: Page, demo: Hub, picture: Picture) -> None:
    path, *links = picture.open
    await page.goto(demo.url + path)
    for link in links:
        # A live list moves under a click; its link does not.
        await page.goto(demo.url + str(await page.locator(link).first.get_attribute("href")))
    if picture.turn_to:
        await page.locator(picture.turn_to).focus()
    for selector in picture.shows:
        # The demo plays its calls and mail by chance: a lead of a stranger may take minutes to come.
        await expect(page.locator(selector).first).to_be_visible(timeout=150_000)


async def taken(page: Page, path: Path) -> None:
    session = await page.context.new_cdp_session(page)
    shot = await session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    path.write_bytes(base64.b64decode(shot["data"]))


async def person(browser: Browser, demo: Hub, who: str, language: str) -> Page:
    return await visitor(browser, demo, who, language=language, width=WIDTH, height=HEIGHT)


async def test_each_screen_opens_its_page_of_the_guide_and_a_search_finds_it(demo: Hub, browser: Browser) -> None:
    page = await person(browser, demo, ADMIN, "ru")
    for path, name in SCREENS.items():
        if "{" not in path:
            # The HTML as the browser gets it: nothing of it has to be drawn.
            answer = await page.request.get(demo.url + path)
            tools = (await answer.text()).partition('class="head__tools"')[2]
            found = re.search(r'<a [^>]*href="(/help/[^"]*)"', tools)
            # Whoever has a mailbox already, or an administrator, is led on to another screen.
            assert (found and found[1]) == f"/help/{name}" or answer.url != demo.url + path, path
    await page.goto(f"{demo.url}/admin/teams/1/rules")
    await page.locator(".head__tools a[href^='/help/']").click()
    await expect(page.get_by_role("heading", name="Правила звонков команды", level=1)).to_be_visible()
    picture = page.locator("#guide-page img")
    await picture.scroll_into_view_if_needed()
    # Not `wait_for_function`: it evaluates text within the page, which the policy of the site forbids.
    await wait_for(lambda: picture.evaluate("one => one.naturalWidth > 0"), what="the picture is drawn")
    await page.get_by_role("searchbox", name="Поиск по руководству").fill("припарк <b>")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Ничего не найдено")).to_be_visible()
    await page.get_by_role("searchbox", name="Поиск по руководству").fill("ПРИПАРК")
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="Удержать, припарковать, перевести").first.click()
    await expect(page.get_by_role("heading", name="Припарковать", exact=True)).to_be_visible()
    assert (await page.request.get(f"{demo.url}/help/no-such-page")).status == 404
    assert (await page.request.get(f"{demo.url}/help/images/..%2Findex.md")).status == 404
    stranger = await new_person(browser)
    answer = await (await stranger.new_page()).request.get(f"{demo.url}/help", max_redirects=0)
    assert answer.status == 303


async def test_each_picture_of_the_guide_shows_what_its_screen_has(demo: Hub, browser: Browser) -> None:
    take = bool(os.environ.get("HUB_GUIDE_PICTURES"))
    wanted = {f"{picture.name}.{language}.webp" for picture in PICTURES for language in LANGUAGES}
    page = await browser.new_page()
    for language in LANGUAGES:
        for who in (ANNA, ADMIN):
            # An open page is live: it would go on drawing what happens in the demo.
            await page.context.close()
            page = await person(browser, demo, who, language)
            for picture in PICTURES:
                if picture.who == who:
                    await opened(page, demo, picture)
                    if take:
                        await taken(page, find_folder() / "images" / f"{picture.name}.{language}.webp")
    if take:
        image_files.cache_clear()
    assert set(image_files()) == wanted
    sizes = await page.evaluate(SIZES, sorted(wanted))
    assert sizes == {name: [WIDTH, HEIGHT] for name in wanted}
