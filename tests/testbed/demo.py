"""The people of `hub demo`, as a browser meets them."""

from __future__ import annotations

from playwright.async_api import Browser, Page

from hub.demo.sample import PASSWORD
from tests.testbed.chromium import new_person, sign_in
from tests.testbed.hub import Hub

ANNA, ADMIN = "anna@hub.example", "admin@hub.example"


async def visitor(
    browser: Browser, demo: Hub, who: str, *, language: str = "en", width: int = 1440, height: int = 900
) -> Page:
    """Sign a person of the demo in, in a language of their own: the demo speaks the company's."""
    person = await new_person(browser, language=language, width=width, height=height)
    await person.add_cookies([{"name": "lang", "value": language, "url": demo.url}])
    return await sign_in(person, demo, who, PASSWORD)
