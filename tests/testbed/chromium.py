"""A real Chromium (Debian's), driven by Playwright: the eyes and hands of the end-to-end tests.

Debian's build without windows comes first: the same engine, half the processor time of a start.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, BrowserContext, Error, Page, Response, async_playwright

from tests.testbed.hub import PASSWORD, Hub
from tests.testbed.packages import ensure_packages
from tests.testbed.waiting import wait_for

# As root without a sandbox, and without the services that Chromium would call home for.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HEADLESS, WHOLE = "chromium-headless-shell", "chromium"
SHOTS = Path(__file__).parents[2] / "build" / "shots"


def ensure_browser(package: str) -> str | None:
    """Have a browser installed; return the reason where it cannot be."""
    return None if shutil.which(package) else ensure_packages([package])


@asynccontextmanager
async def running_chromium(*, whole: bool = False) -> AsyncIterator[Browser]:
    """Start the browser, the `whole` one with its viewer of PDF; skip the test where none can be installed."""
    package = WHOLE
    if not whole and ensure_browser(HEADLESS) is None:
        package = HEADLESS
    reason = ensure_browser(package)
    path = shutil.which(package)
    if path is None:
        pytest.skip(reason or f"no {package}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


async def new_person(
    browser: Browser,
    *,
    language: str = "en",
    scheme: Literal["light", "dark"] = "light",
    width: int = 1440,
    height: int = 900,
) -> BrowserContext:
    """A browser profile of its own: a person at another desk."""
    return await browser.new_context(
        locale="ru-RU" if language == "ru" else "en-GB",
        timezone_id="Europe/Moscow",
        color_scheme=scheme,
        viewport={"width": width, "height": height},
    )


async def sign_in(person: BrowserContext, hub: Hub, email: str, password: str = PASSWORD, *, to: str = "/") -> Page:
    """Sign a person in without the form, which costs two pages; return the page of the address `to`."""
    form = {"email": email, "password": password}
    answer = await person.request.post(f"{hub.url}/login", form=form, max_redirects=0)
    assert answer.status == 303, (answer.status, await answer.text())
    page = await person.new_page()
    await page.goto(hub.url + to)
    return page


async def sign_in_by_form(person: BrowserContext, hub: Hub, email: str, password: str = PASSWORD) -> Page:
    """Sign a person in as they do it; return the page they land on."""
    page = await person.new_page()
    await page.goto(f"{hub.url}/login")
    await page.fill("input[name=email]", email)
    await page.fill("input[name=password]", password)
    await page.click("button[type=submit]")
    await page.wait_for_url(lambda url: "/login" not in url)
    return page


async def shoot(page: Page, name: str) -> None:
    """Take a screenshot into build/shots, in light and in dark, where `HUB_SHOTS` asks for it."""
    if "HUB_SHOTS" not in os.environ:
        return
    SHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.screenshot(path=SHOTS / f"{name}-{scheme}.png")
    await page.emulate_media(color_scheme="light")


async def opened(page: Page, hub: Hub, address: str) -> Response | None:
    """Open an address and wait for the pieces that the page asks for; None for a file."""
    try:
        answer = await page.goto(hub.url + address)
    except Error as error:
        if "Download" in error.message or "ERR_ABORTED" in error.message:
            return None
        raise
    # The page of components shows one that waits for ever.
    is_whole = "document.querySelector('.htmx-request:not(.samples *)') === null"
    await wait_for(lambda: page.evaluate(is_whole), what=f"the pieces of {address}")
    return answer
