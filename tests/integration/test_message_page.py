"""The page of a message, its conversation and its files, as they are answered: headers, names, what is refused."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.mail.models import folders, locations, messages, picture_senders
from hub.mail.reading.sanitize import safe_html
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import got
from tests.testbed import talk
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 30
REMOTE = safe_html('<p>x<img src="https://t.example/p.png"></p>', cid_url=lambda _: None, allow_remote=False)


async def page(browser: Any, path: str, status: int = 200) -> str:
    async with browser.get(path) as answer:
        assert answer.status == status, path
        return str(await answer.text())


async def conversation(db: Database, blobs: BlobStore, count: int) -> list[int]:
    """Messages of one thread, the oldest first."""
    ids = [await talk.message(db, blobs, subject="Счёт", text=f"Письмо {n}") for n in range(count)]
    async with db.begin() as conn:
        thread = (await conn.execute(sa.select(messages.c.thread_id).where(messages.c.id == ids[0]))).scalar_one()
        for n, one in enumerate(ids):
            at = utc_now() - timedelta(minutes=count - n)
            row = sa.update(messages).where(messages.c.id == one)
            await conn.execute(row.values(thread_id=thread, received_at=at, date=at))
    return ids


async def _change(db: Database, message: int, **values: Any) -> None:
    async with db.begin() as conn:
        await conn.execute(sa.update(messages).where(messages.c.id == message).values(**values))


async def test_a_conversation_stands_on_one_page_its_newest_open_and_each_message_unfolds_in_place(site: Site) -> None:
    ids = await conversation(site.db, site.blobs, 105)
    olga, api = await site.browser("olga"), await site.api("olga")
    thread = (await got(api, f"messages/{ids[0]}"))["thread"]
    shown = await page(olga, f"/threads/{thread}")
    assert f'hx-get="/messages/{ids[-1]}/part"' in shown
    assert shown.count('<details class="mail ') == 99
    assert "Письмо 104" in shown
    older = shown.partition(f"/threads/{thread}?cursor=")[2].partition('"')[0]
    rest = await page(olga, f"/threads/{thread}?cursor={older}")
    assert [f'id="mail-{one}"' in rest or f'id="mail-{one}-body"' in rest for one in ids[:6]] == [True] * 5 + [False]
    middle = await page(olga, f"/messages/{ids[100]}")
    assert "4 newer messages" in middle
    assert f'id="mail-{ids[100]}-body" data-loaded' in middle
    part = await page(olga, f"/messages/{ids[50]}/part")
    assert "Письмо 50" in part
    assert "<html" not in part
    assert [one["id"] for one in (await got(api, f"threads/{thread}"))["messages"]] == ids[::-1][:50]


async def test_what_speaks_against_a_sender_and_where_an_answer_goes_is_plain(site: Site) -> None:
    message = await talk.message(site.db, site.blobs, sender="boss@hub.tеst", sender_name="ceo@hub.test")
    reply = [{"name": "", "address": "thief@evil.example"}]
    await _change(site.db, message, reply_to=reply, defects=["several_from", "charset"])
    shown = await page(await site.browser("olga"), f"/messages/{message}")
    shown = " ".join(shown.split())
    for words in (
        "only looks like hub.test",
        "calls themselves ceo@hub.test",
        "An answer goes to thief@evil.example",
        "names several senders",
        "another encoding than it says",
        'name="to" value="thief@evil.example"',
    ):
        assert words in shown, words


async def test_a_message_that_could_not_be_read_is_shown_raw_and_safe(site: Site) -> None:
    message = await talk.message(site.db, site.blobs, text="<script>alert(1)</script>")
    await _change(site.db, message, parse_state="failed", text="", defects=["unparsed"])
    shown = await page(await site.browser("olga"), f"/messages/{message}")
    assert "could not be read" in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script>alert" not in shown


async def test_pictures_from_elsewhere_come_only_on_a_word_and_always_is_one_persons_own(site: Site) -> None:
    message = await talk.message(site.db, site.blobs, html=REMOTE, sender="a@b.example")
    olga, boris = await site.browser("olga"), await site.browser("boris")
    path = f"/messages/{message}"
    assert "Show pictures" in await page(olga, path)
    async with olga.get(f"{path}/body") as answer:
        assert "img-src 'self' data:;" in answer.headers["Content-Security-Policy"]
        assert ' src="https' not in await answer.text()
    async with olga.get(f"{path}/body?pictures=1") as answer:
        assert "https: http:;" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert ' src="https://t.example/p.png"' in await answer.text()
    async with olga.post(f"{path}/pictures", data={"always": "1"}, headers={"HX-Request": "true"}) as answer:
        assert f"{path}/body?pictures=1" in await answer.text()
    assert f"{path}/body?pictures=1" in await page(olga, path)
    assert "Show pictures" in await page(boris, path)
    # … but not for a mail that something speaks against.
    await _change(site.db, message, defects=["several_from"])
    assert "Show pictures" in await page(olga, path)
    await _change(site.db, message, defects=[])
    async with olga.post(f"{path}/pictures", data={"always": "0"}, headers={"HX-Request": "true"}) as answer:
        assert "Show pictures" in await answer.text()
    async with site.db.read() as conn:
        assert (await conn.execute(sa.select(picture_senders))).all() == []


async def test_pictures_that_an_answer_of_ours_quotes_come_only_on_a_word_too(site: Site) -> None:
    message = await talk.message(site.db, site.blobs, html=REMOTE, direction="out", sender="sales@hub.test")
    assert "Show pictures" in await page(await site.browser("olga"), f"/messages/{message}")


async def test_a_file_is_shown_as_what_it_is_and_else_only_saved(site: Site) -> None:
    rtl = "\u202e"
    files = (
        ("p.svg", "image/svg+xml", PNG),
        ("d.pdf", "text/html", b"%PDF-1.7"),
        ("t.txt", "text/plain", "Привет, <b>мир</b>".encode("cp1251")),
        ("x.svg", "image/png", b"<svg onload=alert(1)>"),
        ("x.html", "text/plain", b"<script>"),
        (f"a{rtl}gnp.exe" + "ы" * 280, "image/png", b"MZ\0\0"),
    )
    message = await talk.message(site.db, site.blobs, files=files)
    olga, api = await site.browser("olga"), await site.api("olga")
    ids = [one["id"] for one in (await got(api, f"messages/{message}"))["attachments"]]
    seen = []
    for one in ids:
        async with olga.get(f"/attachments/{one}/preview") as answer:
            seen.append((answer.status, answer.content_type, answer.headers["X-Content-Type-Options"]))
            policy = answer.headers["Content-Security-Policy"]
            assert "script-src" not in policy or "script-src 'self'" in policy
            if answer.content_type == "image/png":
                assert policy.startswith("sandbox")
            if one == ids[2]:
                assert "Привет, &lt;b&gt;мир" in await answer.text()
        for client, path in ((olga, f"/attachments/{one}"), (api, f"attachments/{one}")):
            async with client.get(path) as answer:
                assert (answer.status, answer.content_type) == (200, "application/octet-stream")
                assert answer.headers["Content-Disposition"].startswith("attachment; ")
                assert len(answer.headers["Content-Disposition"]) < 1000
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert [kind for _, kind, _ in seen[:3]] == ["image/png", "application/pdf", "text/html"]
    assert [status for status, _, _ in seen] == [200, 200, 200, 404, 404, 404]
    assert {sniff for _, _, sniff in seen} == {"nosniff"}


async def test_all_files_come_as_one_archive_with_names_that_climb_nowhere(site: Site) -> None:
    files = tuple((name, "x/y", name.encode()) for name in ("a.txt", "A.txt", "../../b.txt", "договор.pdf"))
    big = ("big.bin", "x/y", bytes(range(256)) * 8000)
    message = await talk.message(site.db, site.blobs, files=(*files, big))
    async with (await site.browser("olga")).get(f"/messages/{message}/files") as answer:
        assert answer.content_type == "application/zip"
        archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
    assert archive.testzip() is None
    assert archive.namelist() == ["a.txt", "A (2).txt", "b.txt", "договор.pdf", "big.bin"]
    assert archive.read("big.bin") == big[2]
    async with (await site.browser("olga")).get(f"/messages/{await talk.message(site.db, site.blobs)}/files") as answer:
        assert answer.status == 404


async def test_a_message_tells_where_it_lies_what_it_reports_on_and_what_is_odd_about_it(site: Site) -> None:
    sent, report = [await talk.message(site.db, site.blobs) for _ in range(2)]
    async with site.db.begin() as conn:
        box = (await conn.execute(sa.select(messages.c.mailbox_id).where(messages.c.id == report))).scalar_one()
        folder = folders.insert().values(mailbox_id=box, name="Отчёты", role="other", gaps=[]).returning(folders.c.id)
        place = {"folder_id": (await conn.execute(folder)).scalar_one(), "uidvalidity": 1, "uid": 1}
        await conn.execute(locations.insert().values(message_id=report, **place))
    about = {"signed": "smime", "event": {"summary": "Встреча", "start": {"at": "2026-11-27", "all_day": True}}}
    await _change(
        site.db, report, bounce_of=sent, auto="bounce", about=about, defects=["no_date"], deleted_at=utc_now()
    )
    told = await got(await site.api("olga"), f"messages/{report}")
    assert (told["folder"], told["bounce_of"], told["about"], told["defects"]) == ("Отчёты", sent, about, ["no_date"])
    assert told["deleted_at"] is not None
    shown = await page(await site.browser("olga"), f"/messages/{report}")
    for words in (
        f'href="/messages/{sent}"',
        "Delivery report",
        "Deleted on the mail server",
        "Signed, not checked",
        "Встреча",
        "no date that can be read",
    ):
        assert words in shown, words


async def test_a_colleagues_forward_offers_its_writer_and_one_click_makes_the_lead(site: Site) -> None:
    message = await talk.message(site.db, site.blobs, sender="sales@hub.test", sender_name="Oleg", subject="Fwd: Цена")
    about = {"forwarded": {"name": "<b>Анна</b>", "address": "anna@client.example"}}
    await _change(site.db, message, about=about)
    olga, api = await site.browser("olga"), await site.api("olga")
    path = f"/messages/{message}"
    shown = await page(olga, path)
    assert f'action="{path}/original"' in shown and "Make it a lead" in shown
    assert "&lt;b&gt;Анна&lt;/b&gt;, anna@client.example" in shown
    async with olga.post(f"{path}/original", allow_redirects=False) as answer:
        assert answer.status == 303
    shown = await page(olga, path)
    assert f'action="{path}/original"' not in shown
    assert "By way of" in shown and "sales@hub.test" in shown
    told = await got(api, f"messages/{message}")
    assert (told["from"]["address"], told["about"]["via"]["by"]) == ("anna@client.example", "forward")
    assert [one["address"] for one in (await got(api, "leads"))["items"]] == ["anna@client.example"]


async def test_a_sender_whom_only_the_letter_names_is_told_as_such(site: Site) -> None:
    message = await talk.message(site.db, site.blobs, sender="anna@form.example", sender_name="Анна")
    via = {"name": "Site", "address": "sales@hub.test", "by": "reply_to"}
    await _change(site.db, message, about={"via": via})
    shown = await page(await site.browser("olga"), f"/messages/{message}")
    assert "This came from sales@hub.test. The sender is only named in it" in shown
