"""The client's card: its figures, what waits for an answer, and the timeline of one kind; as far as the reader sees."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import timeline
from hub.crm.models import timeline_entries
from hub.store.engine import Database
from tests.factories import made
from tests.testbed import talk
from tests.testbed.site import Site

PHONE = "84951234567"


async def text_of(browser: Any, path: str, status: int = 200) -> str:
    async with browser.get(path) as answer:
        assert answer.status == status, path
        return str(await answer.text())


def figures(text: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>([^<]+)</dt><dd class=\"num\">([^<]+)</dd>", text))


async def romashka(site: Site) -> str:
    """Make the client that calls from PHONE; return the address of its card."""
    client = await made(await site.api("olga"), {"name": "Ромашка", "phones": [PHONE]})
    return f"/clients/{client['id']}"


async def test_the_head_says_when_they_last_spoke_and_how_often(site: Site) -> None:
    await site.person("olga", extension="101")
    path = await romashka(site)
    browser = await site.browser("olga")
    assert figures(await text_of(browser, path)) == {"calls in 30 days": "0"}
    for days in (40, 1):
        _call, _item, waiting = await talk.waiting_call(site.db, started_at=utc_now() - timedelta(days=days))
        await talk.answered(site.db, waiting, extension="101")
    assert figures(await text_of(browser, path)) == {"last call": "yesterday", "calls in 30 days": "1"}


async def test_what_waits_stands_on_the_card_until_it_is_done(site: Site) -> None:
    await site.person("olga", extension="101")
    path = await romashka(site)
    browser = await site.browser("olga")
    assert "waits-" not in await text_of(browser, f"{path}/waiting")
    _call, item, _waiting = await talk.waiting_call(site.db)
    text = await text_of(browser, path)
    assert f'id="waits-{item}"' in text
    assert "Is calling now" in text
    assert f'action="/queue/{item}/take"' in text
    await site.person("pavel", team="support")
    other = await site.browser("pavel")
    assert "waits-" not in await text_of(other, path), "another team's queue"


async def test_the_timeline_shows_one_kind_and_its_pages_too(site: Site, db: Database) -> None:
    path = await romashka(site)
    client_id = int(path.rpartition("/")[2])
    now = utc_now()
    data = {
        "call": {"direction": "inbound", "state": "ended", "outcome": "missed", "number": PHONE, "talk_s": None,
                 "manager": None, "estimated": False, "legs": []},
        "message": {"direction": "in", "state": "received", "from_name": "Мария", "from_address": "m@r.test", "to": [],
                    "subject": "Счёт", "snippet": "Добрый день"},
    }  # fmt: skip
    async with db.begin() as conn:
        for n in range(70):
            kind: timeline.EntryKind = "call" if n % 2 else "message"
            at = now - timedelta(minutes=n)
            await timeline.put(
                conn, kind, 10_000 + n, client_id=client_id, contact_id=None, at=at, data=data[kind], now=now
            )
    await site.person("boss", role="admin")
    browser = await site.browser("boss")
    everything = await text_of(browser, path)
    assert "entry--accent" in everything and "entry--bad" in everything
    only = await text_of(browser, f"{path}?only=call")
    assert only.count('class="entry ') == 30 and "entry--accent" not in only
    older = re.search(rf'hx-get="({path}/timeline\?only=call&(?:amp;)?cursor=[^"]+)"', only)
    assert older is not None
    rest = await text_of(browser, older[1].replace("&amp;", "&"))
    assert rest.count('class="entry ') == 5 and "entry--accent" not in rest
    assert 'id="timeline"' not in await text_of(browser, f"{path}?tab=changes")
    await text_of(browser, f"{path}?only=sms", 400)


async def test_the_figures_of_a_client_with_a_long_history_read_an_index(site: Site, db: Database) -> None:
    if db.dialect != "sqlite":
        return
    actor = await site.person("olga")
    stated: list[str] = []

    def keep(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        stated.append(statement)

    sa.event.listen(db.reader.sync_engine, "before_cursor_execute", keep)
    async with db.read() as conn:
        await timeline.figures(conn, actor, 1, now=utc_now())
        plan = (await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {stated[-1]}", (0,) * stated[-1].count("?"))).all()
    reads = [row[3] for row in plan if timeline_entries.name in row[3]]
    assert reads and all("ix_timeline_entries_kind (client_id=? AND kind=?" in one for one in reads)
