"""A page comes at once and stands still: its weight over the wire, its first paint, and how much it moves by itself.

`HUB_LAYOUT_SHIFT_S=300` watches the desk for five minutes instead of a few changes of its queue.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, StorageState

from hub.web.assets import FOLDER, read_assets
from tests.testbed.chromium import new_person, opened, running_chromium
from tests.testbed.demo import ANNA, visitor
from tests.testbed.hub import Hub, running_demo
from tests.testbed.waiting import wait_for

LIVE_S = float(os.environ.get("HUB_LAYOUT_SHIFT_S", "0"))
pytestmark = [pytest.mark.load, pytest.mark.browser, pytest.mark.timeout(300 + LIVE_S)]

PAGES = ("/desk", "/clients", "/clients/1", "/calls", "/messages", "/messages/1", "/leads", "/compose", "/help")
MAX_BYTES = 150 * 1024
MAX_PAINT_MS = 1000
MAX_SHIFT = 0.02
TRIES = 8
"""The lightest and the quickest count: what changes meanwhile is asked for anew, and a machine with other work paints
late."""
CHANGES = 4
"""Times that rows of the queue come or go before the desk has been watched enough."""
WATCH = """
window.moved = [];
window.changed = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) moved.push([one.value, one.startTime,
    ...one.sources.map(({node}) => node?.outerHTML?.slice(0, 100) ?? node?.nodeValue)]);
}).observe({ type: "layout-shift", buffered: true });
addEventListener("DOMContentLoaded", () => {
  const rows = document.querySelector("#queue-waiting");
  if (rows) new MutationObserver(() => (changed += 1)).observe(rows, { childList: true });
});
"""


async def cold(browser: Browser, hub: Hub, address: str, session: StorageState) -> tuple[int, float]:
    """Open an address in a new profile; return the bytes over the wire and the milliseconds to the first paint."""
    person = await browser.new_context(locale="ru-RU", storage_state=session, viewport={"width": 1440, "height": 900})
    page = await person.new_page()
    network = await person.new_cdp_session(page)
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    await network.send("Network.enable")
    answer = await opened(page, hub, address)
    assert answer is not None and answer.status == 200, address
    paints: list[dict[str, Any]] = await page.evaluate(
        "performance.getEntriesByType('paint').map((one) => one.toJSON())"
    )
    await person.close()
    (first,) = (one["startTime"] for one in paints if one["name"] == "first-contentful-paint")
    return int(sum(sizes)), first


async def test_a_main_page_is_light_and_is_drawn_within_a_second(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo, running_chromium() as browser:
        stranger = await (await new_person(browser)).storage_state()
        session = await (await visitor(browser, demo, ANNA, language="ru")).context.storage_state()
        # The worker of the stream asks for itself, out of sight of the page.
        worker = (FOLDER / (read_assets().names["live-worker.js"] + ".br")).stat().st_size
        for address in (*PAGES, "/login"):
            who = stranger if address == "/login" else session
            tries = []
            for _ in range(TRIES):
                tries.append(await cold(browser, demo, address, who))
                if tries[-1][0] + worker <= MAX_BYTES and tries[-1][1] <= MAX_PAINT_MS:
                    break
            weight, paint = min(size for size, _ in tries) + worker, min(ms for _, ms in tries)
            print(f"{address}: {weight / 1024:.0f} KB, first paint {paint:.0f} ms")
            assert weight > 100 * 1024, f"{address} was measured without its styles, scripts and fonts"
            assert weight <= MAX_BYTES, address
            assert paint <= MAX_PAINT_MS, address


async def test_a_live_desk_stands_still_while_calls_come_and_go(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo, running_chromium() as browser:
        desk = await visitor(browser, demo, ANNA, language="ru")
        await desk.context.add_init_script(WATCH)
        await opened(desk, demo, "/desk")
        until = time.monotonic() + LIVE_S

        async def is_watched() -> bool:
            return time.monotonic() > until and await desk.evaluate("changed") >= CHANGES

        await wait_for(is_watched, what="rows of the queue come and go", deadline_s=LIVE_S + 150)
        moved, changed = await desk.evaluate("moved"), await desk.evaluate("changed")
        shift = sum(one[0] for one in moved)
        print(f"the desk moved by {shift:.4f} in {changed} changes of its queue")
        assert shift <= MAX_SHIFT, moved
