"""The list of messages as people use it: filters, one row for one mail, the search's marks, the export."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import queue
from hub.crm.base import records
from hub.crm.models import audit
from hub.mail import measures, register, search
from hub.mail.filters import MessageFilters
from hub.mail.message_kind import MESSAGES
from hub.mail.models import mailboxes, messages
from tests.factories import got, made, post
from tests.integration.test_list_plans import asked_of
from tests.testbed import talk
from tests.testbed.site import Site


async def test_each_filter_narrows_the_register(site: Site) -> None:
    api = await site.api("olga")
    client = (await made(api))["id"]
    plain = await talk.message(site.db, site.blobs)
    rich = await talk.message(site.db, site.blobs, client_id=client, files=(("a.txt", "text/plain", b"a"),))
    async with site.db.begin() as conn:
        values = {"flags": ["flagged", "seen"], "auto": "list", "deleted_at": utc_now(), "parse_state": "failed"}
        await conn.execute(sa.update(messages).where(messages.c.id == rich).values(**values))
        thread, olga = (
            (await conn.execute(sa.select(messages.c.thread_id).where(messages.c.id == plain))).scalar_one(),
            (site.actors["olga"]),
        )
        about = {"kind": "message", "title": "x", "address": "", "client_id": None, "data": {}, "now": utc_now()}
        await queue.enqueue(conn, team_id=min(olga.team_ids), ref_id=thread, **about)  # type: ignore[arg-type]
    for name, of_rich in (
        ("attachments", True),
        ("unread", False),
        ("flagged", True),
        ("linked", True),
        ("open", False),
        ("gone", True),
        ("unreadable", True),
    ):
        for asked in (True, False):
            found = [one["id"] for one in (await got(api, "messages", **{name: str(asked).lower()}))["items"]]
            assert found == [rich if asked is of_rich else plain], (name, asked)
    assert [one["id"] for one in (await got(api, "messages", auto="list"))["items"]] == [rich]
    assert [one["id"] for one in (await got(api, "messages", author="1"))["items"]] == []


async def test_a_message_is_unread_in_sql_and_in_hand_alike(site: Site) -> None:
    every = [(side, flags) for side in ("in", "out") for flags in ([], ["seen"], ["flagged"], ["flagged", "seen"])]
    for side, flags in every:
        one = await talk.message(site.db, site.blobs, direction=side)
        async with site.db.begin() as conn:
            await conn.execute(sa.update(messages).where(messages.c.id == one).values(flags=flags))
    async with site.db.read() as conn:
        rows = (await conn.execute(sa.select(messages, measures.unread().label("says")))).all()
    assert [measures.is_unread(row) for row in rows] == [bool(row.says) for row in rows]
    assert {(row.direction, tuple(row.flags)) for row in rows if row.says} == {("in", ()), ("in", ("flagged",))}


async def test_the_same_mail_in_two_mailboxes_is_one_row_and_one_entry_of_the_card(site: Site) -> None:
    api = await site.api("root")
    await site.person("root", role="admin", team=None)
    olga = await site.person("olga")
    client = (await made(api))["id"]
    about = {"client_id": client, "message_id": "<same@x.example>", "date": utc_now()}
    first = await talk.message(site.db, site.blobs, **about)  # type: ignore[arg-type]
    await talk.message(site.db, site.blobs, owner_id=olga.user_id, **about)  # type: ignore[arg-type]
    between = await talk.message(site.db, site.blobs, direction="out", **about)  # type: ignore[arg-type]
    async with site.db.read() as conn:
        rows = await register.listed(conn, olga, MessageFilters(), grouped=True)
        in_own = await register.listed(conn, olga, MessageFilters(mailbox=f"own{olga.user_id}@hub.test"), grouped=True)
    assert [(one.id, one.also_in) for one in rows] == [
        (between, ()),
        (first, (f"own{olga.user_id}@hub.test",)),
    ], "the other direction is another mail"
    assert [one.also_in for one in in_own] == [("sales@hub.test",)], "a filter shows that mailbox's own copy"
    assert len((await got(api, "messages"))["items"]) == 3, "the API has each"
    entries = (await got(api, f"clients/{client}/timeline"))["items"]
    assert [one["ref"] for one in entries] == [between, first]
    async with (await site.browser("olga")).get(f"/clients/{client}") as answer:
        assert (await answer.text()).count('class="entry entry--accent"') == 2


async def test_mails_that_bear_one_message_id_and_are_not_the_same_are_all_shown(site: Site) -> None:
    """Some programs give every mail the same Message-ID, and a stranger may give theirs that of another."""
    olga = await site.person("olga")
    client = (await made(await site.api("olga")))["id"]
    about = {"client_id": client, "message_id": "<always@shop.example>"}
    ids = [await talk.message(site.db, site.blobs, subject=f"Заказ {n}", **about) for n in range(3)]  # type: ignore[arg-type]
    in_own = await talk.message(site.db, site.blobs, owner_id=olga.user_id, subject="Заказ 7", **about)  # type: ignore[arg-type]
    async with site.db.read() as conn:
        rows = await register.listed(conn, olga, MessageFilters(), grouped=True)
    assert sorted(one.id for one in rows) == [*ids, in_own]
    entries = (await got(await site.api("olga"), f"clients/{client}/timeline"))["items"]
    assert sorted(one["ref"] for one in entries if one["kind"] == "message") == [*ids, in_own]


async def test_a_manager_finds_their_teams_mail_with_the_words_marked_and_escaped(site: Site) -> None:
    await talk.message(site.db, site.blobs, subject="<b>Договоры</b>", text="Ваш договор <script>alert(1)</script>")
    await site.person("stranger", team="support")
    async with (await site.browser("olga")).get("/messages", params={"q": "договора "}) as answer:
        page = await answer.text()
    assert "&lt;b&gt;<mark>Договоры</mark>&lt;/b&gt;" in page
    assert "Ваш <mark>договор</mark> &lt;script&gt;" in page
    for path in ("/messages", "/messages/found", "/messages/export"):
        async with (await site.browser("stranger")).get(path, params={"q": "договор"}) as answer:
            assert answer.status == 200
            assert "оговор<" not in await answer.text()
            assert "<b>Договоры" not in await answer.text()


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t=", "\r=", " =", "＝", "|", "%"])
async def test_no_cell_of_an_export_is_a_formula(site: Site, beginning: str) -> None:
    evil = beginning + 'HYPERLINK("http://x.example";"y")'
    await talk.message(site.db, site.blobs, subject=evil, sender_name=evil, files=((evil, "text/plain", b"a"),))
    async with (await site.browser("olga")).get("/messages/export") as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
        text = (await answer.read()).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 2
    for cell in rows[1]:
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "＝", "|", "%"), cell


async def exported(browser: aiohttp.ClientSession, path: str = "/messages/export", **params: str) -> list[list[str]]:
    async with browser.get(path, params=params) as answer:
        assert answer.status == 200, await answer.text()
        return list(csv.reader(io.StringIO((await answer.read()).decode("utf-8-sig"))))


async def test_an_export_holds_what_the_list_holds_in_its_order_and_leaves_a_trace(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.web.base.export.BATCH", 2)
    for n in range(5):
        await talk.message(site.db, site.blobs, subject=f"Договор {n}", files=((f"акт {n}.pdf", "", b"a"),))
    await talk.message(site.db, site.blobs, subject="Другое")
    columns = "subject,direction,state,mailbox,from_name,from_address,to,files,received_at"
    rows = await exported(await site.browser("olga"), q="договоры ", columns=columns)
    assert rows[0][1:] == [
        *("Subject", "Direction", "State", "Mailbox", "Sender's name", "Sender's address", "To", "Files", "When"),
    ]
    assert [row[1] for row in rows[1:]] == [f"Договор {n}" for n in reversed(range(5))]
    seen = ["Incoming", "Received", "sales@hub.test", "Иван", "ivan@romashka.example", "sales@hub.test", "акт 4.pdf"]
    assert rows[1][2:9] == seen
    async with site.db.read() as conn:
        trace = (await conn.execute(sa.select(audit).where(audit.c.action == "messages.exported"))).one()
    assert (trace.details["q"], trace.details["format"], trace.object_kind) == ("договоры ", "csv", "message")
    assert trace.user_id == site.actors["olga"].user_id


async def test_the_same_mail_is_one_row_on_pages_and_in_files_and_each_over_the_api(site: Site) -> None:
    olga = await site.person("olga")
    about = {"message_id": "<same@x.example>", "date": utc_now()}
    await talk.message(site.db, site.blobs, **about)  # type: ignore[arg-type]
    await talk.message(site.db, site.blobs, owner_id=olga.user_id, **about)  # type: ignore[arg-type]
    browser, api = await site.browser("olga"), await site.api("olga")
    async with site.db.read() as conn:
        boxes = {row.address: row.id for row in await conn.execute(sa.select(mailboxes.c.id, mailboxes.c.address))}
    own = json.dumps({"field": "mailbox", "op": "is", "value": [boxes[f"own{olga.user_id}@hub.test"]]})
    shared = json.dumps({"field": "mailbox", "op": "is", "value": [boxes["sales@hub.test"]]})
    for path, each in (("messages", 2), ("messages/export?format=jsonl", 2)):
        for where, rows in (("", each), (own, 1), (shared, 1)):
            async with api.get(path, params={"where": where} if where else {}) as answer:
                body = await answer.text()
            found = body.splitlines() if "export" in path else json.loads(body)["items"]
            assert len(found) == rows, (path, where)
    for where in ("", own, shared):
        given = {"where": where} if where else {}
        assert len(await exported(browser, **given)) == 2, where
        async with browser.get("/messages", params=given) as answer:
            assert (await answer.text()).count("<tr id=") == 1, where
        async with browser.get("/messages/count", params=given) as answer:
            assert "1" in await answer.text()


async def test_a_list_takes_conditions_an_order_columns_and_a_view(site: Site) -> None:
    api, browser = await site.api("olga"), await site.browser("olga")
    client = (await made(api))["id"]
    first = await talk.message(site.db, site.blobs, subject="Первое", files=(("акт.pdf", "", b"a"),))
    second = await talk.message(site.db, site.blobs, subject="Второе", client_id=client, sender="b@x.example")
    third = await talk.message(site.db, site.blobs, subject="Третье", direction="out")

    async def ids(**params: str) -> list[int]:
        return [one["id"] for one in (await got(api, "messages", **params))["items"]]

    def leaf(field: str, op: str, value: Any) -> str:
        return json.dumps({"field": field, "op": op, "value": value})

    team = min(site.actors["olga"].team_ids)
    for where, found in (
        (leaf("direction", "is", ["out"]), [third]),
        (leaf("client", "is", [client]), [second]),
        (leaf("client.name", "starts_with", "ооо"), [second]),
        (leaf("from_address", "starts_with", "b@"), [second]),
        (leaf("files", "is_empty", None), [third, second]),
        (leaf("team", "is", [team]), [third, second, first]),
        (leaf("team", "is", ["my_teams"]), [third, second, first]),
        (leaf("team", "is", [team + 1]), []),
        (leaf("received_at", "within", "today"), [third, second, first]),
        (leaf("received_at", "less", "2020-01-01"), []),
    ):
        assert await ids(where=where) == found, where
        assert (await got(api, "messages/count", where=where))["count"] == len(found), where
    assert await ids(sort="received_at") == [first, second, third]
    page = await got(api, "messages", limit="2")
    assert [one["id"] for one in page["items"]] == [third, second]
    assert [one["id"] for one in (await got(api, "messages", limit="2", cursor=page["next"]))["items"]] == [first]
    for params in ({"where": leaf("nonsense", "is", [1])}, {"sort": "subject"}, {"cursor": "x"}):
        async with api.get("messages", params=params) as answer:
            assert answer.status in (400, 422), params
    body = {"kind": "message", "name": "Исходящие", "where": json.loads(leaf("direction", "is", ["out"]))}
    status, view = await post(api, "views", json=body | {"columns": ["subject", "to", "size"]})
    assert status == 201, view
    assert await ids(view=str(view["id"])) == [third]
    async with browser.get("/messages", params={"view": str(view["id"])}) as answer:
        text = await answer.text()
    assert "Третье" in text and "Второе" not in text
    assert "Исходящие" in text and ">Size<" in text.replace("\n", "").replace("  ", "")


async def test_sqlite_walks_a_search_newest_first_without_sorting(site: Site) -> None:
    for n in range(3):
        await talk.message(site.db, site.blobs, subject=f"Договор {n}")
    olga = site.actors.get("olga") or await site.person("olga")
    async with site.db.read() as conn:
        if conn.dialect.name != "sqlite":
            pytest.skip("only SQLite's index has a key in the order of the list")
        where = search.found("договоры ", "sqlite")
        with asked_of(conn) as asked:
            page = await records.page(conn, olga, MESSAGES, where=where, limit=2, only=())
            await records.page(conn, olga, MESSAGES, where=where, limit=2, cursor=page.next, only=())
        for text, values in asked:
            plan = [row[3] for row in await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
            assert any("message_search VIRTUAL TABLE" in line for line in plan), plan
            assert not any("TEMP B-TREE FOR ORDER BY" in line for line in plan), plan


async def test_asking_for_the_head_of_an_export_exports_nothing_and_leaves_no_trace(site: Site) -> None:
    async with (await site.browser("olga")).head("/messages/export") as answer:
        assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/csv")
    async with site.db.read() as conn:
        rows = await conn.execute(sa.select(sa.func.count()).where(audit.c.action == "messages.exported"))
        assert rows.scalar_one() == 0


async def test_the_search_of_clients_shows_what_it_finds_among_messages(site: Site) -> None:
    for n in range(7):
        await talk.message(site.db, site.blobs, subject=f"Договор {n}")
    browser = await site.browser("olga")
    async with browser.get("/clients", params={"q": "договор"}) as answer:
        assert "/messages/found?q=%D0%B4" in await answer.text()
    async with browser.get("/messages/found", params={"q": "договор"}) as answer:
        page = await answer.text()
    assert page.count("<mark>Договор</mark>") == 5
    assert "/messages?q=" in page


async def test_an_empty_list_fills_by_itself(site: Site) -> None:
    """An empty list shows a new message without a reload, as any other list does, after three seconds or more."""
    browser = await site.browser("olga")
    for rows in (0, 1):
        async with browser.get("/messages") as answer:
            text = await answer.text()
        assert '<div id="records"' in text and 'data-live="messages" data-gap="3000"' in text
        assert text.count('<tr id="message-') == rows
        await talk.message(site.db, site.blobs)
