"""The player of recordings in a real browser: it plays, seeks by pointer and key, and outlives what is drawn anew."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from hub.clock import utc_now
from hub.crm import people, timeline
from hub.crm.models import audit, timeline_entries
from hub.settings import Settings
from hub.store.blobs import BlobStore
from hub.store.engine import open_database
from tests.factories import made
from tests.testbed.audio_files import PATH, recorded, settings_for, wav
from tests.testbed.chromium import new_person, running_chromium, shoot
from tests.testbed.site import Site, running_site
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.browser
LENGTH_S = 40


@pytest.fixture
async def site(sqlite_template: Path, tmp_path: Path, blobs: BlobStore) -> AsyncIterator[Site]:
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    db = open_database(f"sqlite:///{tmp_path}/hub.db")
    (tmp_path / "monitor").mkdir()
    async with running_site(db, blobs, settings=settings_for(tmp_path / "monitor")) as running:
        await running.person("olga", extension="101")
        await running.person("irina", team=None, role="admin")
        yield running
    await db.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path / "monitor")


@asynccontextmanager
async def page_of(site: Site, browser: Browser, name: str, *, width: int = 1440) -> AsyncIterator[Page]:
    """A page of a signed-in person. What the policy of the site forbids, or a script's error, fails the test."""
    person = await new_person(browser, width=width)
    async with site.db.begin() as conn:
        secret = await people.open_session(conn, site.actors[name].user_id, user_agent="test", now=utc_now())
    await person.add_cookies([{"name": "hub_session", "value": secret, "url": site.url}])
    page = await person.new_page()
    wrong: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and "404" not in message.text:
            wrong.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    assert wrong == []
    await person.close()


async def place(page: Page) -> float:
    return float(await page.locator("[data-wave]").first.get_attribute("aria-valuenow") or -1)


async def until_place(page: Page, at_least: float, at_most: float) -> None:
    async def is_there() -> bool:
        return at_least <= await place(page) <= at_most

    await wait_for(is_there, what=f"the player stands between {at_least} and {at_most} s", deadline_s=8)


async def test_a_person_listens_on_the_clients_card(site: Site, settings: Settings) -> None:
    client = await made(await site.api("irina"))
    sound = wav(LENGTH_S, loudness=lambda at: 0.1 + 0.8 * (at % 3 < 2))
    recording, call_id = await recorded(site.db, settings, sound=sound)
    async with running_chromium() as browser, page_of(site, browser, "olga") as page:
        await page.goto(f"{site.url}/clients/{client['id']}")
        player = page.locator(f"#player-{recording}")
        wave = player.locator("[data-wave]")
        await player.get_by_role("button", name="Listen to the recording").click()
        await expect(player).to_have_class("player is-playing")
        await until_place(page, 1, 5)
        box = await wave.bounding_box()
        assert box is not None
        await page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
        await until_place(page, 29, 33)
        await wave.focus()
        await page.keyboard.press("ArrowLeft")
        await until_place(page, 24, 28)
        await page.keyboard.press("Space")
        await expect(player).to_have_class("player")
        at = await place(page)
        await page.keyboard.press("Home")
        await until_place(page, 0, 3)
        assert at > 20, "a paused player that is sent elsewhere goes on from there"
        await expect(player).to_have_class("player is-playing")
        assert "of 0:40" in str(await wave.get_attribute("aria-valuetext"))
        faster = player.locator("[data-speed]")
        for text in ("1.5×", "2×", "1×", "1.5×"):
            await faster.click()
            await expect(faster).to_have_text(text)
        await _goes_on_while_the_card_is_drawn_anew(site, page, call_id, recording)
        await shoot(page, "player-card")
        await page.reload()
        await expect(page.locator("[data-speed]").first).to_have_text("1.5×")
        async with site.db.read() as conn:
            listened = sa.select(sa.func.count()).where(audit.c.action == "recording.listened")
            assert (await conn.execute(listened)).scalar() == 1, "many ranges, one sitting"
        async with page.expect_download() as saving:
            await page.get_by_role("link", name="Save the recording").click()
        saved = await saving.value
        assert Path(str(await saved.path())).read_bytes() == sound
        assert saved.suggested_filename.endswith(f"call {call_id}-{recording}.wav")


async def _goes_on_while_the_card_is_drawn_anew(site: Site, page: Page, call_id: int, recording: int) -> None:
    """Something happens to the call: the entry is drawn again by the server, and the sound does not stop."""
    await page.wait_for_selector("html[data-connection=live]")
    async with site.db.begin() as conn:
        query = sa.select(timeline_entries).where(timeline_entries.c.ref_id == call_id)
        entry = (await conn.execute(query)).mappings().one()
        about = {"client_id": entry["client_id"], "contact_id": None, "at": entry["at"], "now": utc_now()}
        await timeline.put(conn, "call", call_id, data=entry["data"] | {"manager": "Зоя Новая"}, **about)
    await expect(page.get_by_text("Зоя Новая")).to_be_visible()
    before = await place(page)
    await expect(page.locator(f"#player-{recording}")).to_have_class("player is-playing")
    await until_place(page, before + 1, LENGTH_S)


async def test_the_administrator_listens_in_the_register_and_on_a_phone(site: Site, settings: Settings) -> None:
    recording, call_id = await recorded(site.db, settings, sound=wav(LENGTH_S))
    await recorded(site.db, settings, sound=wav(2), path="2026/11/25/2.wav", number="89161234567")
    async with running_chromium() as browser:
        for width in (1440, 390):
            async with page_of(site, browser, "irina", width=width) as page:
                await page.goto(f"{site.url}/calls")
                listen, row = page.locator(f"[data-listen='{call_id}']"), page.locator(f"#listen-{call_id}")
                await expect(row).to_be_hidden()
                await listen.click()
                await expect(row).to_be_visible()
                player = page.locator(f"#player-{recording}")
                await expect(player).to_have_class("player is-playing")
                wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, "nothing stands out of the page"
                other = page.locator("[data-listen]").first
                await other.click()
                await expect(player).to_have_class("player")
                await expect(page.locator(".player.is-playing")).to_have_count(1)
                await listen.click()
                await expect(row).to_be_hidden()


async def test_a_recording_whose_file_is_gone_says_so(site: Site, settings: Settings) -> None:
    client = await made(await site.api("irina"))
    recording, _ = await recorded(site.db, settings)
    (Path(settings.pbx[0].recordings_dir) / PATH).unlink()
    async with running_chromium() as browser, page_of(site, browser, "olga") as page:
        await page.goto(f"{site.url}/clients/{client['id']}")
        await page.locator(f"#player-{recording} [data-play]").click()
        await expect(page.locator(".toast")).to_contain_text("cannot be played")
        await expect(page.locator(f"#player-{recording}")).to_have_class("player")
