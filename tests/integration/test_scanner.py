"""Attachments before a virus scanner on a real socket: what it says, what it does not say, and what follows."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import msgspec
import pytest
import sqlalchemy as sa

from hub.crm.models import audit
from hub.errors import Unavailable
from hub.mail.files.scanner import Clamd, Unfit
from hub.mail.files.scanning import TRIES, AttachmentScanner
from hub.mail.models import attachments
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import got, post
from tests.testbed import talk
from tests.testbed.clamd import MARK, running_clamd
from tests.testbed.site import SETTINGS, Site, running_site

pytestmark = pytest.mark.either_database


@pytest.fixture
def sick(tmp_path: Path) -> Path:
    path = tmp_path / "sick"
    path.write_bytes(b"x" * 200_000 + MARK)
    return path


async def test_a_file_goes_in_pieces_and_the_verdict_names_what_was_found(sick: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    clean.write_bytes(b"")
    for socket in (None, tmp_path / "clamd.sock"):
        async with running_clamd(socket) as clamd:
            assert (await Clamd(clamd.address).scan(sick)).name == "Hub.Test.Mark"
            assert clamd.heard == [sick.read_bytes()]
            assert (await Clamd(clamd.address).scan(clean)).is_clean


async def test_what_is_no_verdict_is_no_clean_file(sick: Path, tmp_path: Path) -> None:
    async with running_clamd() as clamd:
        for answer in (
            b"",
            b"stream: OK and more\0",
            b"UNKNOWN COMMAND\0",
            b"x" * 100_000,
            b"stream: Can't open ERROR\0",
        ):
            clamd.answer = answer
            with pytest.raises(Unavailable):
                await Clamd(clamd.address).scan(sick)
        clamd.answer, clamd.silent = None, True
        with pytest.raises(Unavailable, match="did not answer"):
            await Clamd(clamd.address, within_s=0.3).scan(sick)
        clamd.silent, clamd.limit = False, 1000
        with pytest.raises(Unfit):
            await Clamd(clamd.address).scan(sick)
    with pytest.raises(Unavailable) as away:
        await Clamd(f"unix:{tmp_path}/none").scan(sick)
    assert away.value.code == "scanner_away"


async def test_a_scanner_that_is_there_answers_a_ping(tmp_path: Path) -> None:
    async with running_clamd() as clamd:
        await Clamd(clamd.address).ping()
        clamd.answer = b"HTTP/1.1 400 Bad Request\r\n"
        with pytest.raises(Unavailable, match="PING"):
            await Clamd(clamd.address).ping()
    with pytest.raises(Unavailable):
        await Clamd(f"unix:{tmp_path}/none").ping()


async def _states(db: Database) -> list[tuple[str, str, str]]:
    async with db.read() as conn:
        rows = await conn.execute(sa.select(attachments).order_by(attachments.c.id))
        return [(row.name, row.scan, row.scan_note) for row in rows]


async def test_every_attachment_is_looked_at_once_by_content_the_newest_first(db: Database, blobs: BlobStore) -> None:
    first = (("a.txt", "text/plain", b"same"), ("b.exe", "text/plain", b"bad " + MARK))
    await talk.message(db, blobs, files=first)
    await talk.message(db, blobs, files=(("c.txt", "text/plain", b"same"), ("d.txt", "text/plain", b"new")))
    async with running_clamd() as clamd:
        scanner = AttachmentScanner(db, blobs, Clamd(clamd.address))
        assert await scanner.scan_due() == 4
        assert await scanner.scan_due() == 0
        assert clamd.heard == [b"new", b"same", b"bad " + MARK]
    clean = [(name, "clean", "") for name in ("a.txt", "c.txt", "d.txt")]
    assert await _states(db) == [clean[0], ("b.exe", "infected", "Hub.Test.Mark"), *clean[1:]]
    async with db.read() as conn:
        (row,) = (await conn.execute(sa.select(audit))).all()
    assert (row.action, row.details["found"]) == ("attachment.found_infected", "Hub.Test.Mark")


async def test_a_scanner_that_is_away_loses_nothing_and_one_bad_file_stops_nobody(
    db: Database, blobs: BlobStore
) -> None:
    await talk.message(db, blobs, files=(("old.txt", "text/plain", b"old"), ("new.txt", "text/plain", b"new")))
    away = AttachmentScanner(db, blobs, Clamd("127.0.0.1:1"))
    for _ in range(TRIES + 1):
        with pytest.raises(Unavailable):
            await away.scan_due()
    assert {state for _, state, _ in await _states(db)} == {"none"}
    async with running_clamd() as clamd:
        clamd.answer = b"stream: out of memory ERROR\0"
        scanner = AttachmentScanner(db, blobs, Clamd(clamd.address))
        for _ in range(TRIES - 1):
            with pytest.raises(Unavailable):
                await scanner.scan_due()
        clamd.answer = None
        clamd.limit = 2
        assert await scanner.scan_due() == 2
    assert [(state, "larger" in note) for _, state, note in await _states(db)] == [("failed", True)] * 2


def settings(**about: object) -> object:
    return msgspec.structs.replace(SETTINGS, hub=msgspec.structs.replace(SETTINGS.hub, **about))


async def _marked(db: Database, scan: str, note: str = "") -> None:
    async with db.begin() as conn:
        await conn.execute(sa.update(attachments).values(scan=scan, scan_note=note))


async def test_an_infected_file_goes_out_by_no_door_but_the_administrators_and_that_is_written_down(
    site: Site,
) -> None:
    await site.person("root", role="admin", team=None)
    message = await talk.message(site.db, site.blobs, files=(("a.png", "image/png", b"\x89PNG\r\n\x1a\n"),))
    await _marked(site.db, "infected", "Eicar")
    olga, api, root = await site.browser("olga"), await site.api("olga"), await site.browser("root")
    file = (await got(api, f"messages/{message}"))["attachments"][0]
    assert (file["scan"], file["scan_note"]) == ("infected", "Eicar")
    place = f"/attachments/{file['id']}"
    for door in (place, f"{place}/preview"):
        async with olga.get(door) as answer:
            page = await answer.text()
            assert (answer.status, b"PNG" in page.encode()) == (403, False), door
    assert (await got(api, f"attachments/{file['id']}", 403))["error"]["code"] == "infected"
    async with olga.get(f"/messages/{message}/files") as answer:
        assert answer.status == 404
    async with olga.post(f"{place}/anyway") as answer:
        assert answer.status == 403
    async with root.get(place) as answer:
        assert "Eicar" in await answer.text()
    async with root.post(f"{place}/anyway") as answer:
        assert (answer.status, await answer.read()) == (200, b"\x89PNG\r\n\x1a\n")
        assert answer.headers["Content-Disposition"].startswith("attachment")
    async with site.db.read() as conn:
        rows = (await conn.execute(sa.select(audit).where(audit.c.action.like("attachment.%")))).all()
    assert [(row.action, row.user_id, row.object_id) for row in rows] == [
        ("attachment.downloaded_anyway", site.actors["root"].user_id, file["id"])
    ]


async def test_an_infected_file_goes_out_by_no_forward_either(site: Site) -> None:
    message = await talk.message(site.db, site.blobs, files=(("a.exe", "application/x-dosexec", b"MZ"),))
    api, olga = await site.api("olga"), await site.browser("olga")
    new = {"mailbox": "sales@hub.test", "kind": "forward", "answers": message, "to": "a@b.example", "subject": "x"}
    draft = (await post(api, "drafts", json=new))[1]
    await _marked(site.db, "infected", "Eicar")
    (file,) = draft["attachments"]
    async with olga.get(f"/drafts/{draft['id']}/files/{file['id']}") as answer:
        assert answer.status >= 400 and await answer.read() != b"MZ"
    status, said = await post(api, f"drafts/{draft['id']}/send", json={})
    assert (status, said["error"]["code"]) == (400, "infected")
    assert "a.exe" in said["error"]["message"] and "Eicar" in said["error"]["message"]
    async with olga.post(f"/drafts/{draft['id']}/files/{file['id']}/remove", allow_redirects=False) as answer:
        assert answer.status == 303
    assert (await post(api, f"drafts/{draft['id']}/send", json={}))[0] == 202, "the rest of it may go"


async def _ask(browser: aiohttp.ClientSession, path: str) -> int:
    async with browser.get(path) as answer:
        return answer.status


@pytest.mark.parametrize(("hold", "status"), [(False, 200), (True, 403)])
async def test_what_was_not_scanned_goes_out_with_a_word_unless_it_is_to_be_held(
    db: Database, blobs: BlobStore, hold: bool, status: int
) -> None:
    given = settings(clamd="127.0.0.1:3310", clamd_hold=hold)
    async with running_site(db, blobs, settings=given) as site:  # type: ignore[arg-type]
        message = await talk.message(db, blobs, files=(("a.bin", "x/y", b"\0"),))
        olga, api = await site.browser("olga"), await site.api("olga")
        place = f"/attachments/{(await got(api, f'messages/{message}'))['attachments'][0]['id']}"
        for scan, word in (("none", "not scanned yet"), ("failed", "could not be scanned")):
            await _marked(db, scan)
            assert await _ask(olga, place) == status
            async with olga.get(f"/messages/{message}") as answer:
                assert word in await answer.text()
        await _marked(db, "clean")
        assert await _ask(olga, place) == 200


async def test_an_infected_message_goes_out_whole_to_an_administrator_alone(site: Site) -> None:
    message = await talk.message(site.db, site.blobs, files=(("a.txt", "text/plain", b"a"),))
    async with site.db.begin() as conn:
        await conn.execute(sa.update(attachments).values(scan="infected", scan_note="Eicar"))
    await site.person("olga")
    await site.person("chief", role="admin", team=None)
    for who, status in (("olga", 403), ("chief", 200)):
        api, browser = await site.api(who), await site.browser(who)
        for client in (api.get(f"messages/{message}/raw"), browser.get(f"/messages/{message}/raw")):
            async with client as answer:
                assert answer.status == status
    async with site.db.read() as conn:
        taken = sa.select(audit.c.object_id).where(audit.c.action == "message.taken_infected")
        assert list((await conn.execute(taken)).scalars()) == [message, message]
