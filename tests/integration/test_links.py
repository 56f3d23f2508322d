"""Every link that a page shows leads somewhere, for whoever the page is shown to."""

from __future__ import annotations

import re
from collections import Counter, deque
from html import unescape
from urllib.parse import parse_qsl, urldefrag, urlsplit

import aiohttp
import pytest

from hub.web.server import ROUTES
from tests.factories import made, post
from tests.testbed import talk
from tests.testbed.site import Site

SAMPLES = 2
"""Links followed of one route; of a route with the same parameters one."""
HREF = re.compile(r'<a\b[^>]*?\bhref="([^"]+)"')
ATTRIBUTES = re.compile(r'\b(?:hx-get|src)="([^"]+)"')
PATTERNS = [
    (route.path, re.compile(re.sub(r"\{id\}", r"[0-9]+", re.sub(r"\{(?!id\})\w+\}", "[^/]+", route.path))))
    for route in ROUTES
    if route.method == "GET"
]


def links_of(text: str, page: str) -> set[str]:
    """Return the links of Hub's own on a page, and the pieces and pictures that it loads, without fragments."""
    found = (unescape(one) for one in (*HREF.findall(text), *ATTRIBUTES.findall(text)))
    near = (f"{urlsplit(page).path}{one}" if one.startswith("?") else one for one in found)
    return {urldefrag(one).url for one in near if one.startswith("/") and not one.startswith("//")}


def kind_of(link: str) -> str:
    """Return the route of a link with the names of its parameters; what is written is told apart by its kind."""
    parts = urlsplit(link)
    route = next((path for path, pattern in PATTERNS if pattern.fullmatch(parts.path)), parts.path)
    told = [f"{name}={value}" if name == "kind" else name for name, value in parse_qsl(parts.query)]
    return " ".join((route, *sorted(told)))


async def dead_links(browser: aiohttp.ClientSession, *starts: str) -> tuple[list[str], Counter[str]]:
    """Follow the links from these pages on; return those that lead nowhere, and how many of each route were asked."""
    waiting, known = deque((start, "") for start in starts), set(starts)
    asked: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    dead = []
    while waiting:
        link, page = waiting.popleft()
        async with browser.get(link, allow_redirects=False) as answer:
            is_page = answer.content_type == "text/html"
            text = await answer.text() if is_page else ""
            if answer.status >= 400:
                dead.append(f"{answer.status} {link} on {page}")
            if answer.status in (301, 302, 303):
                text = f'<a href="{answer.headers["Location"]}">'
        asked[kind_of(link).split(" ")[0]] += 1
        for one in sorted(links_of(text, link) - known):
            kind = kind_of(one)
            if kinds[kind] < (1 if " " in kind else SAMPLES) and not one.startswith(("/assets/", "/live")):
                kinds[kind] += 1
                known.add(one)
                waiting.append((one, link))
    return dead, asked


async def fill(site: Site) -> None:
    """Make some of everything that pages link to, and mail of a mailbox that only its owner writes from."""
    await site.person("admin", role="admin", extension="106")
    olga = await site.person("olga", extension="101")
    stranger = await site.person("stranger", team="support", extension="102")
    await site.person("viewer", role="observer")
    api, boss = await site.api("olga"), await site.api("admin")
    client = (await made(api))["id"]
    files = (("акт.txt", "text/plain", b"a"), ("фото.png", "image/png", b"\x89PNG"))
    await talk.message(site.db, site.blobs, client_id=client, files=files)
    await talk.message(site.db, site.blobs, direction="out", client_id=client)
    await talk.message(site.db, site.blobs)
    for owner in (olga, stranger):
        await talk.message(site.db, site.blobs, owner_id=owner.user_id, client_id=client, subject="Личное")
    _call, _item, waiting = await talk.waiting_call(site.db, number="89031112233")
    await talk.answered(site.db, waiting, extension="101")
    await talk.waiting_call(site.db, number="89031112244")
    side = {"host": "127.0.0.1", "port": 993}
    for path, body in (
        ("mailboxes", {"address": "info@hub.test", "team": 1, "imap": side, "smtp": side}),
        ("leads", {"address": "lead@x.example"}),
        ("roles", {"name": "Стажёр"}),
        ("templates", {"name": "Цены", "language": "ru", "text": "Цены"}),
        ("drafts", {"mailbox": "sales@hub.test", "to": "a@b.example"}),
    ):
        who = boss if path in ("mailboxes", "roles", "templates") else api
        status, told = await post(who, path, json=body)
        assert status in (200, 201), (path, told)


@pytest.mark.either_database
@pytest.mark.parametrize("who", ["admin", "olga", "viewer"])
async def test_no_link_of_a_page_leads_nowhere(site: Site, who: str) -> None:
    await fill(site)
    dead, asked = await dead_links(await site.browser(who), "/")
    assert dead == [], "\n".join(dead)
    assert sum(asked.values()) > 100
    reached = {"/clients/{id}", "/messages/{id}", "/calls", "/mailboxes/{id}", "/help/{page}", "/leads"}
    if who == "admin":
        reached |= {"/mailboxes/{id}/settings", "/mailboxes/{id}/history", "/users/{id}", "/compose", "/operations"}
    assert reached <= set(asked), reached - set(asked)


def test_links_are_read_off_a_page_as_a_browser_reads_them() -> None:
    text = (
        '<a class="x" href="/a?b=1&amp;c=2#d">·</a><a href="?cursor=x">·</a><a href="//evil.test/">·</a><i hx-get="/e">'
    )
    assert links_of(text, "/list?q=1") == {"/a?b=1&c=2", "/list?cursor=x", "/e"}
    assert kind_of("/messages/17/link?only=a&cursor=b") == "/messages/{id}/link cursor only"
