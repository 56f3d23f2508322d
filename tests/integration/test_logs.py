"""The log: one line an event, one id from the wire to the page, and nothing that a stranger sent as a secret."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import Any

import aiohttp
import pytest

from hub import logs
from tests.testbed import talk
from tests.testbed.events import listening
from tests.testbed.hub import running_hub
from tests.testbed.site import Site
from tests.testbed.wire import ask

pytestmark = pytest.mark.either_database


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lines of the JSON log so far, as it would stand on standard error."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_record_is_one_line_of_json_whatever_somebody_is_called() -> None:
    # Formatted here and not logged: pytest's workers cannot report a log that holds half of a surrogate pair.
    odd = 'x\r\n\u2028{"level": "fake"}\x1b[31m\ud800'
    record = logging.LogRecord("hub.test", logging.WARNING, __file__, 1, "a caller called %s", (odd,), None)
    with logs.tracing("office/1.1"):
        line = logs.JsonLines().format(record)
    assert len(line.splitlines()) == 1
    line.encode("utf-8")
    told = json.loads(line)
    assert (told["level"], told["logger"], told["trace"]) == ("warning", "hub.test", "office/1.1")
    assert told["at"].endswith("Z")
    assert "trace" not in json.loads(logs.JsonLines().format(record))


def test_an_exception_is_told_by_class_and_place_and_never_by_its_message(lines: Any) -> None:
    try:
        raise ValueError("Bearer tok-secret")
    except ValueError:
        logging.getLogger("hub.test").exception("a bug")
    (line,) = lines()
    assert line["error"].startswith("ValueError < test_an_exception_")
    assert "tok-secret" not in json.dumps(line)


def test_the_text_log_has_the_id_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logs.TextLines())
    record = logging.LogRecord("hub.x", logging.INFO, "f", 1, "call 5: ended", (), None)
    record.trace = "office/1.1"
    handler.emit(record)
    assert "INFO    hub.x: [office/1.1] call 5: ended" in capsys.readouterr().err


async def test_a_request_has_one_id_in_its_header_its_error_and_the_log(
    site: Site, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "tok-4f9c2b7d1e"

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"met a header: {token}")

    api = await site.api("olga")
    async with api.get("calls") as answer:
        fine = answer.headers["X-Request-ID"]
    monkeypatch.setattr("hub.crm.base.records.page", broken)
    async with api.get("calls") as answer:
        assert answer.status == 500
        told = (await answer.json())["error"]
        assert answer.headers["X-Request-ID"] == told["request_id"] != fine
    (bug,) = [line for line in lines() if line["message"].startswith("bug ")]
    assert bug["trace"] == told["request_id"]
    assert "RuntimeError < broken" in bug["message"]
    assert token not in json.dumps(lines())
    async with aiohttp.ClientSession(site.url) as nobody, nobody.get("/login") as page:
        assert len(page.headers["X-Request-ID"]) == 16
    port = int(site.url.rpartition(":")[2])
    unread = await ask(port, f"GET / HTTP/1.1\r\nAuthorization Bearer {token}\r\n\r\n".encode())
    said = unread.json()["error"]["request_id"]
    assert unread.headers["x-request-id"] == said
    assert [line["trace"] for line in lines() if "cannot be read" in line["message"]] == [said]


async def test_a_call_and_a_letter_bear_the_id_of_the_wire_up_to_the_page(site: Site, lines: Any) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    async with listening(browser, "/live") as page, listening(api, "events") as feed:
        _, _, call = await talk.waiting_call(site.db)
        wanted = f"office/{call.linked_id}"
        while (event := await feed.next()).name != "call":
            pass
        assert event.data["data"]["trace"] == wanted
        while "trace" not in (shown := (await page.next()).data):
            pass
        assert shown["trace"] == wanted
    assert [line["message"].partition(": ")[2] for line in lines() if line.get("trace") == wanted][:1] == ["waiting"]


async def test_a_served_hub_writes_json_where_the_operator_wants_it(tmp_path: Any) -> None:
    token = "tok-4f9c2b7d1e"
    async with running_hub(tmp_path, "") as hub:
        hub.config.write_text(hub.config.read_text().replace("[hub]\n", '[hub]\nlog = "json"\n'))
        await hub.start()
        for text in (f"GET / HTTP/1.1\r\nX {token}\r\n\r\n", f"{token} {token}\r\n\r\n", f"\x16\x03\x01{token}"):
            with contextlib.suppress(ConnectionError, EOFError, TimeoutError):
                await ask(hub.port, text.encode("latin-1"), deadline_s=3)
        await hub.stop()
        written = hub.log.read_text()
    found = [json.loads(line) for line in written.splitlines()]
    assert any(line["message"].startswith("listening on") for line in found)
    assert any("cannot be read" in line["message"] for line in found)
    assert token not in written
