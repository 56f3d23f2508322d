"""Every page of the product as one person meets it: the GET routes, each opened once by the links of the others.

A new route is walked without a line here. A route with an id is opened by the first link to it on a page before; what
the demo has none of (a draft, a saved view, …) `examples` makes.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

from playwright.async_api import Error, Page, Response

from hub.web.pages.routes import PAGE_ROUTES
from tests.testbed.hub import Hub
from tests.testbed.waiting import wait_for

NEVER = ("/live", "/oauth/callback")
"""The endless stream, and the way back from a provider of mail."""
SAMPLES = ("/styleguide",)
"""Its links are to records that there are not."""
_ROUTES = tuple(
    (route.path, re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.path))))
    for route in PAGE_ROUTES
    if route.method == "GET" and route.path not in NEVER
)
_LINK = re.compile(r'\s(?:href|hx-get|src)="(/[^"#]*)')


async def submit(page: Page, path: str, form: dict[str, str]) -> str:
    """Send a form of the product as its page does; return the address that the answer leads to."""
    csrf = await page.locator("meta[name=csrf]").get_attribute("content")
    url = page.url.split("/", 3)
    origin = "/".join(url[:3])
    answer = await page.request.post(
        f"{origin}{path}", form={"csrf": csrf or "", **form}, headers={"Origin": origin}, max_redirects=0
    )
    assert answer.status in (200, 303), (path, answer.status)
    return answer.headers.get("location", "")


async def examples(page: Page) -> None:
    """Make one of each thing that the demo has none of, as an administrator."""
    await submit(page, "/clients/bulk?where=", {"ids": "1", "field": "note", "note": "Prefers mornings"})
    for kind in ("clients", "contacts", "leads", "calls", "users", "teams", "roles", "audit"):
        await submit(page, f"/{kind}/views", {"name": "Recent", "shared": "me", "pinned": "on"})
    await submit(page, "/templates", {"name": "Invoice", "language": "en", "subject": "Invoice", "text": "Hello"})
    draft = {
        "mailbox": "sales@hub.example",
        "to": "maria@example.com",
        "subject": "Terms",
        "text": "Hello",
        "request_id": "accessibility",
    }
    await submit(page, "/drafts", draft)


async def walk(page: Page, hub: Hub) -> AsyncIterator[tuple[str, str]]:
    """Open every page that this person reaches; yield its route and address while it stands in the browser."""
    queue = [path for path, _ in _ROUTES if "{" not in path]
    seen = set(queue)
    while queue:
        address = queue.pop(0)
        path = _route_of(address)
        if path is None or not (answer := await opened(page, hub, address)):
            continue
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        text = await answer.text()
        for link in map(html.unescape, _LINK.findall(text) if path not in SAMPLES else ()):
            found = _route_of(link)
            if found is not None and found not in seen:
                seen.add(found)
                queue.append(link)
        if answer.status == 200 and "<html" in text and page.url == hub.url + address:
            yield path, address


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


def _route_of(address: str) -> str | None:
    path = address.partition("?")[0]
    return next((route for route, pattern in _ROUTES if pattern.fullmatch(path)), None)
