"""A page behind a line that is dead and does not say so: it notices by two missed pings, says so, and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from hub.settings import HubSection, Pbx, Settings, WebSection
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web import sse
from tests.e2e.test_message_view import page_of
from tests.testbed import talk
from tests.testbed.chromium import running_chromium
from tests.testbed.proxy import running_gate
from tests.testbed.site import running_site

pytestmark = pytest.mark.browser
SETTINGS = Settings(hub=HubSection(language="en"), web=WebSection(), pbx=(Pbx(name="office", username="hub"),))


@pytest.mark.parametrize("over", ["worker", "page"])
async def test_a_page_that_hears_nothing_for_two_pings_says_so_and_reconnects(
    db: Database, blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: str
) -> None:
    monkeypatch.setattr(sse, "PING_S", 0.4)
    async with running_site(db, blobs, settings=SETTINGS) as site:
        await site.person("olga")
        async with running_gate(int(site.url.rpartition(":")[2])) as gate, running_chromium() as browser:
            site.url = f"http://127.0.0.1:{gate.port}"
            async with page_of(site, browser, "olga") as page:
                if over == "page":
                    await page.add_init_script("delete window.SharedWorker")
                await page.goto(f"{site.url}/desk")
                await page.wait_for_selector("html[data-connection=live]")
                await talk.waiting_call(db, number="84951234501")
                await expect(page.locator("[id^=queue-item-]")).to_have_count(1)
                gate.silence()
                await page.wait_for_selector("html[data-connection=lost]", timeout=8_000)
                await expect(page.get_by_text("Hub does not answer. Reconnecting…")).to_be_visible()
                await talk.waiting_call(db, number="84951234502")
                gate.open()
                await page.wait_for_selector("html[data-connection=live]", timeout=20_000)
                await expect(page.locator("[id^=queue-item-]")).to_have_count(2)
