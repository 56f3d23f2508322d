"""The composer's form as a browser without scripts sends it, and as a script does: nothing typed is ever lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from hub.clock import utc_now
from hub.mail.register import MessageFilters, listed
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import got, made, post
from tests.testbed import talk
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database

FORM = {"mailbox": "sales@hub.test", "to": "ivan@romashka.example", "subject": "Счёт", "text": "Да"}


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        yield running


async def test_one_form_is_one_message_however_often_it_is_sent(site: Site) -> None:
    browser = await site.browser("olga")
    await talk.message(site.db, site.blobs)
    form = FORM | {"request_id": "a" * 32}
    for _ in range(2):
        async with browser.post("/compose", data=form, headers={"HX-Request": "true"}) as answer:
            assert answer.status == 200
            assert "data-undo" in await answer.text()
    async with site.db.read() as conn:
        assert len(await listed(conn, site.actors["olga"], MessageFilters(direction="out"))) == 1


async def test_a_refused_address_loses_no_word_and_tells_the_page_where_it_is_kept(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    await talk.message(site.db, site.blobs)
    for to, code in (("иван@ромашка", 400), ("nobody", 400), ('"a b"@c.example', 400), ("", 400)):
        form = FORM | {"request_id": f"{abs(hash(to)):032d}"[:32], "to": to}
        async with browser.post("/compose", data=form, headers={"HX-Request": "true"}) as answer:
            assert answer.status == code, to
            draft_id, version = answer.headers["Hub-Draft"].split(":")
        draft = await got(api, f"drafts/{draft_id}")
        assert (draft["to"], draft["text"], str(draft["version"])) == (to, "Да", version)
        async with browser.post(f"/drafts/{draft_id}", data=form | {"version": version}) as answer:
            assert answer.status == 200


async def test_a_form_with_files_is_sent_without_a_script_and_stands_under_what_goes(site: Site) -> None:
    browser = await site.browser("olga")
    await talk.message(site.db, site.blobs)
    form = aiohttp.FormData(FORM | {"request_id": "b" * 32})
    form.add_field("files", b"%PDF", filename="a.pdf", content_type="application/pdf")
    async with browser.post("/compose", data=form, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/drafts")
    async with browser.get("/drafts") as answer:
        assert "take-back" in await answer.text()


async def test_the_api_sends_later_takes_back_and_has_the_draft_again(site: Site) -> None:
    api = await site.api("olga")
    client = await made(api)
    incoming = await talk.message(site.db, site.blobs, client_id=client["id"])
    at = (utc_now() + timedelta(days=1)).isoformat()
    body = FORM | {"in_reply_to": incoming, "bcc": "b@b.example", "send_at": at, "html": "<p>Да</p>"}
    status, message = await post(api, "messages", json=body)
    assert (status, message["state"]) == (202, "queued")
    assert (await got(api, "drafts"))["items"] == []
    status, back = await post(api, f"messages/{message['id']}/cancel", json={})
    assert status == 200
    draft = await got(api, f"drafts/{back['draft']}")
    assert (draft["kind"], draft["answers"], draft["bcc"], draft["html"]) == (
        "reply",
        incoming,
        "b@b.example",
        "<p>Да</p>",
    )
    await got(api, f"messages/{message['id']}", 404)
    status, again = await post(api, f"messages/{message['id']}/cancel", json={})
    assert (status, again["error"]["code"]) == (404, "message_missing")
    status, sent = await post(api, f"drafts/{draft['id']}/send", json={})
    assert (status, sent["thread"]) == (202, message["thread"])
    assert (await post(api, f"drafts/{draft['id']}/send", json={}))[0] == 409


@pytest.mark.parametrize(
    ("change", "code"),
    [({"send_at": "2899-01-01T00:00:00Z"}, "too_far_ahead"), ({"send_at": "2026-12-01T00:00:00"}, "bad_time")],
)
async def test_a_moment_that_cannot_be_meant_is_refused(site: Site, change: dict[str, str], code: str) -> None:
    api = await site.api("olga")
    await talk.message(site.db, site.blobs)
    status, answer = await post(api, "messages", json=FORM | change)
    assert (status, answer["error"]["code"]) == (400, code)


async def test_first_letters_find_clients_contacts_and_colleagues(site: Site) -> None:
    browser, api = await site.browser("olga"), await site.api("olga")
    body = {"name": "ООО «Ромашка»", "emails": ["info@romashka.example"]}
    assert (await post(api, "clients", json=body))[0] == 201
    for text, wanted in (
        ("inf", "info@romashka.example"),
        ("ромаш", "info@romashka.example"),
        ("olga", "olga@hub.test"),
    ):
        async with browser.get("/compose/people", params={"q": text}) as answer:
            assert [one["address"] for one in (await answer.json())["people"]] == [wanted], text
    async with browser.get("/compose/people", params={"q": "%"}) as answer:
        assert (await answer.json())["people"] == []
