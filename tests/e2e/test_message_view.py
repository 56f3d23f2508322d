"""A message in a real browser: what its frame shows and asks for, files, a conversation, who is answering."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, Page, expect

from hub.clock import utc_now
from hub.crm import people
from hub.mail.models import messages
from hub.store.blobs import BlobStore
from hub.store.engine import open_database
from tests.factories import Box
from tests.testbed import talk
from tests.testbed.chromium import new_person, running_chromium, shoot
from tests.testbed.pictures import png
from tests.testbed.site import Site, running_site
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.browser
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/MediaBox[0 0 300 200]/Parent 2 0 R>>endobj\ntrailer<</Root 1 0 R>>"
)


@pytest.fixture
async def site(sqlite_template: Path, tmp_path: Path, blobs: BlobStore) -> AsyncIterator[Site]:
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    db = open_database(f"sqlite:///{tmp_path}/hub.db")
    async with running_site(db, blobs) as running:
        await running.person("olga")
        await running.person("boris")
        yield running
    await db.close()


@asynccontextmanager
async def page_of(site: Site, browser: Browser, name: str, *, width: int = 1280) -> AsyncIterator[Page]:
    """A page of a signed-in person. An error of a script of ours fails the test."""
    person = await new_person(browser, width=width)
    async with site.db.begin() as conn:
        secret = await people.open_session(conn, site.actors[name].user_id, user_agent="test", now=utc_now())
    await person.add_cookies([{"name": "hub_session", "value": secret, "url": site.url}])
    page = await person.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    assert wrong == []
    await person.close()


class Elsewhere:
    """A web server of a stranger: what was asked of it, whole requests."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        body = png(40, 30)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    stranger = Elsewhere()
    server = await asyncio.start_server(stranger.serve, "127.0.0.1", 0)
    stranger.url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        yield stranger
    finally:
        server.close()


def letter(html: str, *, subject: str = "Счёт", number: int = 1) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Ирина <irina@romashka.test>", "sales@hub.test", subject
    mail["Message-ID"] = f"<{number}@romashka.test>"
    mail.set_content("Счёт")
    mail.add_alternative(html, subtype="html")
    mail.get_payload()[1].add_related(png(120, 60), "image", "png", cid="<logo@romashka.test>")  # type: ignore[union-attr,index]
    return mail.as_bytes()


async def in_frame(page: Page, script: str) -> object:
    """Ask something of the first frame's document, by the page that may look into it."""
    return await page.evaluate(f"(() => {{ const d = document.querySelector('iframe').contentDocument; {script} }})()")


async def drawn(page: Page, picture: str, *, width: int) -> None:
    """Wait until a picture of the frame is there in its own width."""

    async def is_drawn() -> bool:
        return await in_frame(page, f"return d?.querySelector('{picture}')?.naturalWidth") == width

    await wait_for(is_drawn, what=f"{picture} is drawn")


async def test_attached_pictures_show_and_those_from_elsewhere_only_when_asked_for(site: Site) -> None:
    box = Box(site.db, site.blobs)
    await box.open()
    async with elsewhere() as stranger, running_chromium() as browser, page_of(site, browser, "olga") as page:
        html = (
            '<p>Добрый день</p><img alt=logo src="cid:logo@romashka.test">'
            f'<img alt=far src="{stranger.url}/a.png">' + "<p>строка</p>" * 60
        )
        await box.arrive(letter(html))
        (first,) = await box.messages()
        await page.goto(f"{site.url}/messages/{first.id}")
        await drawn(page, "img[alt=logo]", width=120)
        assert await in_frame(page, "return d.querySelector('img[alt=far]').getAttribute('src')") is None

        async def is_whole() -> bool:
            return await in_frame(page, "const r = d.documentElement; return r.scrollHeight <= r.clientHeight") is True

        await wait_for(is_whole, what="the frame is as tall as what it shows")
        assert stranger.asked == []
        await shoot(page, "letter")
        await page.get_by_role("link", name="Show pictures").click()
        await expect(page.locator("iframe")).to_have_attribute("src", re.compile("pictures=1"))
        await drawn(page, "img[alt=far]", width=40)
        (asked,) = stranger.asked
        assert b"referer" not in asked.lower()
        assert b"cookie" not in asked.lower()

        # "Always" counts for the next mail of the same sender, and for this person only.
        await page.goto(f"{site.url}/messages/{first.id}")
        await page.get_by_role("button", name="Always from this sender").click()
        await expect(page.get_by_text("are always shown")).to_be_visible()
        await box.arrive(letter(html, subject="Ещё счёт", number=2))
        second = max(one.id for one in await box.messages())
        await page.goto(f"{site.url}/messages/{second}")
        await drawn(page, "img[alt=far]", width=40)
        async with page_of(site, browser, "boris") as other:
            before = len(stranger.asked)
            await other.goto(f"{site.url}/messages/{second}")
            await drawn(other, "img[alt=logo]", width=120)
            assert len(stranger.asked) == before


HOSTILE = (
    "<script>parent.hacked = 1</script><img src=x onerror='parent.hacked = 2'><body onload='parent.hacked = 3'>"
    "<svg onload='parent.hacked = 4'></svg><a id=l href='javascript:parent.hacked = 5'>x</a>"
    "<form action='/logout' method=post><button id=b>x</button></form>"
    "<iframe src='javascript:parent.hacked = 6'></iframe>"
    "<meta http-equiv=refresh content='0;url=javascript:parent.hacked=7'><base href='https://evil.example/'>"
    "<object data='data:text/html,<script>parent.hacked=8</script>'></object><link rel=stylesheet href='{far}/s.css'>"
    "<p style='background:url({far}/b.png)'>x</p><video src='{far}/v.mp4' autoplay></video>"
    "<div style='height:100vh'>tall</div>"
)


async def test_a_frame_runs_and_asks_nothing_even_if_the_sanitizer_let_everything_through(site: Site) -> None:
    async with elsewhere() as stranger, running_chromium() as browser, page_of(site, browser, "olga") as page:
        message = await talk.message(site.db, site.blobs, html="x")
        async with site.db.begin() as conn:
            raw = HOSTILE.replace("{far}", stranger.url)
            await conn.execute(sa.update(messages).where(messages.c.id == message).values(html=raw))
        await page.goto(f"{site.url}/messages/{message}")
        await wait_for(lambda: _has(page, "tall"), what="the frame shows its text")
        for id_ in ("l", "b"):
            await page.frame_locator("iframe").first.locator(f"#{id_}").click(no_wait_after=True)
        assert await page.evaluate("window.hacked") is None
        assert page.url.endswith(f"/messages/{message}")
        assert stranger.asked == []
        height = int(await page.locator("iframe.letter__frame").get_attribute("height") or 0)
        assert 0 < height <= 30_000
        # The same document by its own address, in a tab.
        await page.goto(f"{site.url}/messages/{message}/body")
        assert "hacked" not in await page.evaluate("Object.keys(window).join()")
        assert stranger.asked == []


async def _has(page: Page, words: str) -> bool:
    text = await in_frame(page, "return d?.body?.textContent ?? ''")
    return words in str(text)


async def test_files_are_shown_as_what_they_are(site: Site) -> None:
    message = await talk.message(
        site.db,
        site.blobs,
        files=(
            ("фото.exe", "application/x-msdownload", png(64, 48)),
            ("договор.pdf", "text/html", PDF),
            ("смета.txt", "text/plain", "Итого: <b>5</b>".encode("koi8-r")),
        ),
    )
    async with running_chromium(whole=True) as browser, page_of(site, browser, "olga", width=390) as page:
        await page.goto(f"{site.url}/messages/{message}")
        picture = page.locator(".file__picture img")
        await expect(picture).to_have_js_property("naturalWidth", 64)
        await page.get_by_role("link", name="смета.txt").first.evaluate("a => a.removeAttribute('target')")
        await page.get_by_role("link", name="смета.txt").first.click()
        await expect(page.locator("pre")).to_have_text("Итого: <b>5</b>")
        await page.go_back()
        pdf = await page.get_by_role("link", name="договор.pdf").first.get_attribute("href")
        async with page.context.expect_page() as opened:
            await page.get_by_role("link", name="договор.pdf").first.click()
        tab = await opened.value
        await wait_for(lambda: _is_viewer(tab), what="the browser's own viewer shows it")
        assert pdf in tab.url
        assert await page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]


async def _is_viewer(tab: Page) -> bool:
    return await tab.evaluate("document.contentType") == "application/pdf" and any(
        frame.url.startswith("chrome-extension://") for frame in tab.frames
    )


def text(number: int, *, answers: str = "", body: str = "Добрый день!") -> bytes:
    head = (
        f"From: Ирина <irina@romashka.test>\r\nTo: sales@hub.test\r\nSubject: Счёт\r\nMessage-ID: <{number}@r.test>\r\n"
    )
    head += f"In-Reply-To: {answers}\r\n" if answers else ""
    return (head + f"Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n").encode()


async def test_a_conversation_unfolds_by_keyboard_and_stays_so_when_the_next_mail_comes(site: Site) -> None:
    box = Box(site.db, site.blobs)
    await box.open()
    await box.arrive(text(1, body="Первое письмо"))
    await box.arrive(text(2, answers="<1@r.test>", body="Второе\n\n> Первое письмо"))
    newest = max(one.id for one in await box.messages())
    async with running_chromium() as browser, page_of(site, browser, "olga") as page:
        await page.goto(f"{site.url}/messages/{newest}")
        await page.wait_for_selector("html[data-connection=live]")
        quote = page.locator(".letter__quote .letter__text")
        await expect(quote).to_be_hidden()
        await page.locator(".letter__quote summary").focus()
        await page.keyboard.press("Enter")
        await expect(quote).to_have_text(re.compile("> Первое письмо"))
        line = page.locator("#thread-earlier summary").first
        await line.focus()
        await page.keyboard.press("Enter")
        earlier = page.locator("#thread-earlier .letter__text")
        await expect(earlier).to_have_text("Первое письмо")
        await page.get_by_role("textbox", name="Message").fill("Пишу ответ")
        await box.arrive(text(3, answers="<2@r.test>", body="Третье"))
        await expect(page.locator("#thread-newer summary")).to_contain_text("Третье")
        await expect(earlier).to_be_visible()
        await expect(page.get_by_role("textbox", name="Message")).to_have_text("Пишу ответ")
        await shoot(page, "conversation")


async def test_a_colleague_sees_who_writes_and_that_they_stopped(site: Site) -> None:
    message = await talk.message(site.db, site.blobs)
    async with (
        running_chromium() as browser,
        page_of(site, browser, "olga") as writer,
        page_of(site, browser, "boris") as reader,
    ):
        for page in (writer, reader):
            await page.goto(f"{site.url}/messages/{message}")
            await page.wait_for_selector("html[data-connection=live]")
        field = writer.get_by_role("textbox", name="Message")
        await field.focus()
        await expect(reader.locator("#answering")).to_be_hidden()
        await field.press_sequentially("Да")
        await expect(reader.locator("#answering")).to_have_text("Olga is answering this")
        await expect(writer.locator("#answering")).to_be_hidden()
        await writer.goto(f"{site.url}/desk")
        await expect(reader.locator("#answering")).to_be_hidden()


async def test_what_was_opened_is_read_and_may_be_marked_unread_and_flagged(site: Site) -> None:
    box = Box(site.db, site.blobs)
    await box.open()
    await box.arrive(text(1))
    await box.arrive(text(2, answers="<1@r.test>"))
    older, newest = sorted(one.id for one in await box.messages())

    async def flags(message: int, wanted: set[str]) -> None:
        async def are_so() -> bool:
            return {one.id: set(one.flags) for one in await box.messages()}[message] == wanted

        await wait_for(are_so, what=f"the flags are {wanted}")

    async with running_chromium() as browser, page_of(site, browser, "olga") as page:
        await page.goto(f"{site.url}/messages/{newest}")
        await flags(newest, {"seen"})
        await expect(page.locator(f"#mail-{older}.mail--unread")).to_be_visible()
        await page.locator(f"#mail-{older} summary").first.click()
        await flags(older, {"seen"})
        await page.get_by_role("button", name="Flag", exact=True).click()
        await expect(page.get_by_role("button", name="Remove the flag")).to_be_visible()
        await flags(newest, {"seen", "flagged"})
        await page.get_by_role("button", name="Mark as unread").click()
        await page.wait_for_url("**/desk")
        await flags(newest, {"flagged"})
