"""HTTP as every client may use it: HEAD, Allow, and values so wild that no database takes them."""

from __future__ import annotations

import itertools
import re
from urllib.parse import quote

import pytest

from hub.web.server import ROUTES
from tests.testbed import talk
from tests.testbed.site import Site
from tests.testbed.wire import ask

pytestmark = pytest.mark.either_database

WILD_TIMES = (
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31",
    "99999-01-01",
    "2026-02-30",
    "2026-11-24T24:61:00Z",
    "2026-11-24T00:00:00+99:99",
    "2026-11-24T00:00:00+23:59:59.999999",
    "-2026-11-24",
    "٢٠٢٦-11-24",
)
WILD_IDS = (
    "0",
    "-1",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1" * 40,
    "1.0",
    "1e3",
    "٣",
    "%00",
    "",
)
WILD_CURSORS = (
    "x",
    "zz",
    "5b5d",
    "ff" * 40,
    "5b2261222c2262225d",
    "00",
    "🙂",
    "5b22393939392d31322d3331222c2231225d",
    "9" * 30,
)
LISTS = ("calls", "messages", "clients", "queue", "drafts", "outbox", "mailboxes", "templates")


WILD_HEADERS = (
    b"Authorization: Bearer \xff\xfe",
    b"Authorization: Bearer \xed\xa0\x80",
    b"Cookie: hub_session=\xff; lang=\xfe",
    b"X-CSRF-Token: \xff",
    b"Idempotency-Key: \xff",
    b"Last-Event-ID: \xff",
    b"User-Agent: \xc3\x28",
    b"Range: bytes=\xff-",
    b"If-None-Match: \xff",
    b"Accept-Language: \xff",
    b"Content-Type: text/\xff",
    b"Host: \xff",
    b"Origin: http://\xff",
    b"X-Forwarded-For: \xff",
    b"HX-Request: \xff",
    b"HX-Current-URL: \xff",
    b"Idempotency-Key: " + "ключ".encode(),
    b"Content-Length: 99999999999999999999",
    b"Last-Event-ID: 99999999999999999999999999.1",
    b"Range: bytes=99999999999999999999999999-",
)
PLACES = (
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/api/v1/calls"),
    ("POST", "/api/v1/clients"),
    ("GET", "/nothing"),
)


@pytest.fixture
async def filled(site: Site) -> Site:
    await talk.waiting_call(site.db)
    await talk.message(site.db, site.blobs)
    await site.person("boss", role="admin", team=None)
    return site


def _plain(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", path)


async def test_head_answers_as_get_does_without_a_body(filled: Site) -> None:
    browser, api = await filled.browser("boss"), await filled.api("boss")
    streams = {"/live", "/api/v1/events"}
    for route in ROUTES:
        if route.method != "GET" or route.path.startswith("/mailboxes/oauth"):
            continue
        path = _plain(route.path)
        client = api if route.by == "token" else browser
        async with client.head(filled.url + path, allow_redirects=False) as head:
            assert await head.read() == b""
            assert head.status < 500, path
        if path in streams:
            assert head.status == 200
            assert head.headers["Content-Type"] == "text/event-stream"
            continue
        async with client.get(filled.url + path, allow_redirects=False) as got:
            assert (got.status, got.headers.get("Content-Type")) == (head.status, head.headers.get("Content-Type")), (
                path
            )


def _is_a_place_of_another(path: str, method: str) -> bool:
    """Tell whether another route of this method takes the last step of `path` for an id."""
    *above, last = path.split("/")
    if last.isdecimal() or path.startswith("/api/"):
        return False
    return any(
        route.method == method and re.fullmatch(re.escape("/".join(above)) + r"/\{\w+\}", route.path)
        for route in ROUTES
    )


# On one database: the router answers, and no handler is reached.
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_another_method_is_told_which_ones_there_are(filled: Site) -> None:
    browser, api = await filled.browser("boss"), await filled.api("boss")
    allowed: dict[str, set[str]] = {}
    for route in ROUTES:
        allowed.setdefault(_plain(route.path), set()).update(
            {"GET", "HEAD"} if route.method == "GET" else {route.method}
        )
    for path, methods in allowed.items():
        client = api if path.startswith("/api/") else browser
        for method in ("DELETE", "PUT", "PATCH", "OPTIONS", "GET", "POST"):
            if method in methods:
                continue
            async with client.request(method, filled.url + path) as answer:
                if answer.status == 404 and _is_a_place_of_another(path, method):
                    continue  # `/mailboxes/find` is a place of `/mailboxes/{id}` too
                assert answer.status == 405, (method, path)
                told = set(answer.headers["Allow"].split(", "))
                assert methods <= told, path
                assert method not in told, path
                assert told == methods or not path.startswith("/api/"), path


@pytest.mark.parametrize("kind", LISTS)
async def test_wild_values_in_a_query_are_refused_and_never_a_fault_of_ours(filled: Site, kind: str) -> None:
    api = await filled.api("boss")
    asked = [f"cursor={quote(one)}" for one in WILD_CURSORS]
    asked += [f"limit={quote(one)}" for one in ("0", "-1", "201", "9" * 30, "1.5", "x", "٣")]
    for name in ("from", "to"):
        asked += [f"{name}={quote(one, safe='')}" for one in WILD_TIMES]
    for name in ("client", "user", "team", "thread", "mailbox", "id"):
        asked += [f"{name}={one if one == '%00' else quote(one)}" for one in WILD_IDS]
    asked += [
        "q=%00",
        "q=%ed%a0%80",
        "q=%ff%fe",
        "from=%00",
        "from=%ed%a0%80",
        "cursor=%00",
        "%00=1",
        "q=" + "a" * 5000,
    ]
    for query in asked:
        async with api.get(f"{filled.url}/api/v1/{kind}?{query}") as answer:
            assert answer.status in (200, 400, 404, 422), (query, await answer.text())
    for query in ("from=9999-12-31", "cursor=x", "limit=0"):
        async with api.get(f"{filled.url}/api/v1/calls?{query}") as answer:
            assert answer.status == 400, query


async def test_wild_ids_in_a_path_are_nothing_there(filled: Site) -> None:
    api, browser = await filled.api("boss"), await filled.browser("boss")
    for route in ROUTES:
        if "{" not in route.path or route.method != "GET":
            continue
        client = api if route.by == "token" else browser
        for one in (
            "0",
            "2147483648",
            "9223372036854775807",
            "9223372036854775808",
            "1" * 40,
            "%00",
            "%ed%a0%80",
            "..",
            "٣",
        ):
            path = re.sub(r"\{[^}]*\}", one if "%" in one else quote(one), route.path)
            async with client.get(_encoded(filled.url + path), allow_redirects=False) as answer:
                assert answer.status in (400, 404, 200, 303), (path, answer.status)
                assert answer.status != 200 or one in ("0", ".."), path


def _encoded(url: str) -> object:
    from yarl import URL

    return URL(url, encoded=True)


async def test_header_bytes_that_are_no_text_are_refused_and_never_a_fault_of_ours(filled: Site) -> None:
    port = int(filled.url.rpartition(":")[2])
    token = (await filled.api("boss")).headers["Authorization"]
    for (method, path), header in itertools.product(PLACES, WILD_HEADERS):
        head = f"{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n".encode()
        if not header.startswith(b"Authorization"):
            head += f"Authorization: {token}\r\n".encode()
        answer = await ask(port, head + header + b"\r\n\r\n")
        assert answer.status < 500, (path, header, answer.body)
