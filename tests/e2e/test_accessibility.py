"""axe on every page of the product, in the light and the dark theme.

The pages are those of the table of routes, so a new page is covered by itself: each is found by HTTP, by the links of
the others. A page is drawn where no page before it was made of the same elements, one of a manager where it has an
element that no page of an administrator has. Drawn, it is read whole in the light theme, but for the menu, which is
read on a person's first page. Colours, in both themes, are asked of each element that has not stood in the same place
among the same elements before, as the rows of a table do.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from hub.web.crm.routes import KINDS
from hub.web.guide.screens import RECORD_SCREENS, SCREENS
from hub.web.pages.routes import PAGE_ROUTES
from tests.testbed.chromium import new_person, opened, running_chromium
from tests.testbed.demo import ADMIN, ANNA, visitor
from tests.testbed.hub import Hub, running_demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

AXE = Path(__file__).parents[2] / "assets/node_modules/axe-core/axe.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
OF_COLOUR = ("color-contrast", "link-in-text-block")
NOWHERE = "/no-such-page"
MENU = (".sidebar", ".tabbar", "#create")
NEVER = ("/live", "/oauth/callback", "/messages/{id}/body")
"""The endless stream, the way back from a provider of mail, and the frame of a letter, in which no script runs."""
SAMPLES = "/styleguide"
"""Its links are to records that there are not."""
TABS = 2
_ROUTES = tuple(
    (route.path, re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.path))))
    for route in PAGE_ROUTES
    if route.method == "GET" and route.path not in NEVER
)
_LINK = re.compile(r'\s(?:href|hx-get|src)="(/[^"#]*)')
_ELEMENT = re.compile(r"<([a-z][\w-]*)((?:\s[^<>]*)?)>")
_ATTRIBUTE = re.compile(r'\s(class|role|type|aria-[\w-]+)(?:="([^"]*)")?')
STILL = """() => {
  const still = new CSSStyleSheet();
  still.replaceSync("*, ::before, ::after { animation: none !important; transition: none !important; }");
  document.adoptedStyleSheets.push(still);
}"""
STRUCTURE = "([tags, but]) => axe.getRules(tags).map((one) => one.ruleId).filter((one) => !but.includes(one))"
MARK = """(known) => {
  const before = new Set(known), fresh = [];
  const visit = (one, above) => {
    const state = [...one.attributes].filter(({ name }) => /^(aria-|data-state|disabled|open|style|type)/.test(name));
    const looks = state.map(({ name, value }) => `${name}=${value}`);
    const key = `${above}>${one.localName}.${[...one.classList].sort().join(".")}${looks}`;
    const short = [...key].reduce((sum, sign) => (Math.imul(sum, 31) + sign.codePointAt(0)) | 0, 7);
    let isKnown = before.has(short);
    if (!isKnown) fresh.push(short), before.add(short);
    for (const child of one.children) isKnown = visit(child, String(short)) && isKnown;
    one.toggleAttribute("data-read", isKnown);
    return isKnown;
  };
  visit(document.body, "");
  return fresh;
}"""
RUN = """async ([theme, without, only]) => {
  document.documentElement.dataset.theme = theme;
  const { violations } = await axe.run(
    { include: [["html"]], exclude: without.map((one) => [one]) },
    { runOnly: only, resultTypes: ["violations"], iframes: false, preload: false, elementRef: false },
  );
  const first = (nodes) => nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`);
  return violations.map(({ id, nodes }) => [theme, id, ...first(nodes)]);
}"""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of the product: its address for one person, and the shapes of its elements."""

    address: str
    shapes: frozenset[tuple[str, ...]]


async def submit(page: Page, path: str, form: dict[str, str]) -> None:
    """Send a form of the product as its page does."""
    csrf = await page.locator("meta[name=csrf]").get_attribute("content")
    origin = "/".join(page.url.split("/", 3)[:3])
    answer = await page.request.post(
        f"{origin}{path}", form={"csrf": csrf or "", **form}, headers={"Origin": origin}, max_redirects=0
    )
    assert answer.status in (200, 303), (path, answer.status)


async def examples(page: Page) -> None:
    """Make one of each thing that the demo has none of, as an administrator."""
    await submit(page, "/clients/bulk?where=", {"ids": "1", "field": "note", "note": "Prefers mornings"})
    for web in KINDS:
        await submit(page, f"{web.path}/views", {"name": "Recent", "shared": "me", "pinned": "on"})
    await submit(page, "/templates", {"name": "Invoice", "language": "en", "subject": "Invoice", "html": "Hello"})
    letter = {"mailbox": "sales@hub.example", "to": "maria@example.com", "subject": "Terms", "text": "Hello"}
    await submit(page, "/drafts", letter | {"request_id": "accessibility"})


async def pages_of(person: Page, demo: Hub) -> dict[str, Found]:
    """Return every whole page that this person reaches, by its route: each once, by a link of those before it."""
    queue = deque(path for path, _ in _ROUTES if "{" not in path)
    seen, found = set(queue), {}
    while queue:
        address = queue.popleft()
        if (path := _route_of(address)) is None:
            continue
        answer = await person.request.get(demo.url + address)
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        text = await answer.text()
        for link in map(html.unescape, _LINK.findall(text) if path != SAMPLES else ()):
            route = _route_of(link)
            if route is not None and route not in seen:
                seen.add(route)
                queue.append(link)
        if answer.ok and "<html" in text and answer.url == demo.url + address:
            found[path] = Found(address, _shapes(text))
    return found


def _route_of(address: str) -> str | None:
    path = address.partition("?")[0]
    return next((route for route, pattern in _ROUTES if pattern.fullmatch(path)), None)


def _shapes(text: str) -> frozenset[tuple[str, ...]]:
    """Return what stands for each element: its name, its classes, its role and type, and which ARIA it has.

    The colour of an avatar, which is the person's, makes no other page.
    """
    text = re.sub(r" hue-\d+", "", text)
    return frozenset(
        (tag, *sorted(f"{name}={value}" if not name.startswith("aria-") else name for name, value in pairs))
        for tag, rest in _ELEMENT.findall(text)
        for pairs in [_ATTRIBUTE.findall(rest)]
    )


class Reader:
    """Draws pages and keeps what axe finds wrong with each, by address."""

    def __init__(self, demo: Hub) -> None:
        self.demo = demo
        self.found: dict[str, list[Any]] = {}
        self.drawn = 0
        self._made_of: set[frozenset[tuple[str, ...]]] = set()
        self._elements: set[tuple[str, ...]] = set()
        self._known: set[int] = set()

    async def read_all(self, first: Page, pages: Iterable[Found], *, only_new: bool = False) -> None:
        """Read those pages that are made of other elements than each before them; several at a time.

        `only_new`: those alone with an element that no page before had.
        """
        queue: deque[Found] = deque()
        for one in pages:
            if one.shapes not in self._made_of and not (only_new and one.shapes <= self._elements):
                queue.append(one)
            self._made_of.add(one.shapes)
            self._elements |= one.shapes
        if queue:
            await self._read(first, queue.popleft().address, without=())
        tabs = [first, *[await first.context.new_page() for _ in range(TABS - 1)]]

        async def work(tab: Page) -> None:
            while queue:
                await self._read(tab, queue.popleft().address, without=MENU)

        await asyncio.gather(*map(work, tabs))

    async def _read(self, page: Page, address: str, *, without: tuple[str, ...]) -> None:
        """Draw a page and keep theme, rule and the first elements of what axe finds."""
        await opened(page, self.demo, address)
        await page.evaluate(AXE.read_text("utf-8"))
        await page.evaluate(STILL)
        structure = {"type": "rule", "values": await page.evaluate(STRUCTURE, [TAGS, OF_COLOUR])}
        wrong = await page.evaluate(RUN, ["light", without, structure])
        if fresh := await page.evaluate(MARK, list(self._known)):
            self._known.update(fresh)
            for theme in ("light", "dark"):
                colours = {"type": "rule", "values": OF_COLOUR}
                wrong += await page.evaluate(RUN, [theme, [*without, "[data-read]"], colours])
        if wrong:
            self.found[address] = wrong
        self.drawn += 1


def screens() -> set[str]:
    """The routes of whole pages: those that the guide explains, and those of every kind."""
    of_kinds = {web.path + rest for web in KINDS for rest in (*RECORD_SCREENS, "/views/{id}")}
    return (set(SCREENS) | of_kinds) & {route.path for route in PAGE_ROUTES if route.method == "GET"}


async def test_no_page_of_the_product_has_a_violation(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo, running_chromium() as browser:
        admin = await visitor(browser, demo, ADMIN, language="ru")
        await examples(admin)
        of_admin = await pages_of(admin, demo)
        assert screens() - of_admin.keys() == set(), "pages without an example"
        manager = await visitor(browser, demo, ANNA)
        of_manager = await pages_of(manager, demo)
        assert {"/desk", "/clients", "/clients/{id}", "/messages/{id}", "/leads"} <= of_manager.keys()
        nowhere = Found(NOWHERE, frozenset())
        reader = Reader(demo)
        await reader.read_all(admin, [*of_admin.values(), nowhere])
        await reader.read_all(manager, of_manager.values(), only_new=True)
        stranger = await (await new_person(browser)).new_page()
        await reader.read_all(stranger, [Found("/login", frozenset([("login",)]))])
        assert reader.found == {}
        assert reader.drawn > 50, "most pages are made of elements of their own"
