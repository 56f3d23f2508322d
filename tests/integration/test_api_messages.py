"""Messages over the API: the register, the raw bytes, attachments that cannot do harm."""

from __future__ import annotations

import base64

import pytest

from tests.factories import got, made, post
from tests.testbed import talk
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


async def test_a_message_has_the_contracts_shape(site: Site) -> None:
    api = await site.api("olga")
    client = await made(api)
    files = (("счёт.pdf", "application/pdf", b"%PDF"),)
    message_id = await talk.message(site.db, site.blobs, client_id=client["id"], html="<p>Добрый</p>", files=files)
    message = await got(api, f"messages/{message_id}")
    assert message["mailbox"] == "sales@hub.test"
    assert message["from"] == {"name": "Иван", "address": "ivan@romashka.example"}
    assert message["to"] == [{"name": "", "address": "sales@hub.test"}]
    assert (message["direction"], message["state"], message["auto"]) == ("in", "received", "none")
    assert (message["text"], message["html"]) == ("Добрый день", "<p>Добрый</p>")
    assert message["client"] == {"id": client["id"], "name": client["name"]}
    assert [(one["name"], one["size"], one["inline"], one["cid"]) for one in message["attachments"]] == [
        ("счёт.pdf", 4, False, None)
    ]
    fields = (
        "id mailbox folder direction state message_id thread subject from to cc reply_to date received_at text html"
    )
    fields += " quoted_from auto attachments client contact link flags defects"
    assert set(fields.split()) <= set(message)
    entries = (await got(api, f"clients/{client['id']}/timeline"))["items"]
    assert [(one["kind"], one["ref"]) for one in entries] == [("message", message_id)]


async def test_the_register_is_narrowed_by_each_filter(site: Site) -> None:
    api = await site.api("olga")
    client = await made(api)
    first = await talk.message(site.db, site.blobs, client_id=client["id"], subject="100% скидка")
    second = await talk.message(site.db, site.blobs, sender="boss@other.example", direction="out", subject="Ответ")

    async def ids(**params: str) -> list[int]:
        return [one["id"] for one in (await got(api, "messages", **params))["items"]]

    assert await ids() == [second, first]
    assert await ids(client=str(client["id"])) == [first]
    assert await ids(direction="out", state="sent") == [second]
    assert await ids(**{"from": "Boss@OTHER.example"}) == [second]
    assert await ids(to="sales@hub.test") == [second, first]
    assert await ids(to="ales@hub.test") == []
    assert await ids(mailbox="Sales@hub.test") == [second, first]
    assert await ids(q="скидки") == [first], "in any of its forms"
    assert await ids(q="ответ boss@other.example") == [second]
    assert await ids(q="100% ск") == [first], "the last word may be a beginning"
    assert await ids(q="%") == [], "no word at all finds nothing"
    assert await ids(**{"from": "2026-01-01T00:00:00+03:00"}) == [second, first]
    page = await got(api, "messages", limit="1")
    assert [one["id"] for one in (await got(api, "messages", limit="1", cursor=page["next"]))["items"]] == [first]


async def test_bytes_a_stranger_sent_are_a_download_under_a_tame_name(site: Site) -> None:
    api = await site.api("olga")
    nasty = '../../etc/pass"wd\r\nSet-Cookie: a=b\u202egnp.html'
    message_id = await talk.message(site.db, site.blobs, files=((nasty, "text/html", b"<script>alert(1)</script>"),))
    attachment = (await got(api, f"messages/{message_id}"))["attachments"][0]
    async with api.get(f"attachments/{attachment['id']}") as answer:
        assert await answer.read() == b"<script>alert(1)</script>"
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "Set-Cookie" not in answer.headers
        disposition = answer.headers["Content-Disposition"]
        assert disposition.startswith("attachment; filename=\"pass_wd Set-Cookie_ a_bgnp.html\"; filename*=UTF-8''pass")
    async with api.get(f"messages/{message_id}/raw") as answer:
        assert (await answer.read()).endswith("Добрый день".encode())
        assert answer.headers["Content-Disposition"].startswith("attachment")


async def test_a_foreign_teams_message_is_not_found_however_it_is_asked_for(site: Site) -> None:
    await site.person("stranger", team="support")
    api, foreign = await site.api("olga"), await site.api("stranger")
    message_id = await talk.message(site.db, site.blobs, files=(("a.txt", "text/plain", b"a"),))
    attachment = (await got(api, f"messages/{message_id}"))["attachments"][0]
    assert (await got(foreign, "messages"))["items"] == []
    for path in (f"messages/{message_id}", f"messages/{message_id}/raw", f"attachments/{attachment['id']}"):
        assert (await got(foreign, path, 404))["error"]["code"].endswith("_missing")


async def test_a_message_is_queued_once_for_its_key_and_stands_on_the_card(site: Site) -> None:
    api = await site.api("olga")
    client = await made(api)
    incoming = await talk.message(site.db, site.blobs, client_id=client["id"])
    body = {
        "mailbox": "sales@hub.test",
        "to": ["Иван <ivan@romashka.example>", {"address": "petr@romashka.example", "name": "Пётр"}],
        "cc": "a@b.example; b@b.example",
        "bcc": "secret@b.example",
        "subject": "Re: Счёт",
        "text": "Здравствуйте!",
        "in_reply_to": incoming,
        "attachments": [{"name": "счёт.pdf", "type": "application/pdf", "content": base64.b64encode(b"%PDF").decode()}],
    }
    for _ in range(2):
        status, message = await post(api, "messages", json=body, headers={"Idempotency-Key": "k"})
        assert status == 202, message
    assert (message["state"], message["direction"]) == ("queued", "out")
    assert [one["address"] for one in message["to"]] == ["ivan@romashka.example", "petr@romashka.example"]
    assert [one["address"] for one in message["cc"]] == ["a@b.example", "b@b.example"]
    assert len(message["recipients"]) == 5
    assert message["attachments"][0]["name"] == "счёт.pdf"
    parent = await got(api, f"messages/{incoming}")
    assert (message["thread"], message["in_reply_to"]) == (parent["thread"], parent["message_id"])
    assert message["client"]["id"] == client["id"]
    assert len((await got(api, "messages", direction="out"))["items"]) == 1
    async with api.get(f"messages/{message['id']}/raw") as answer:
        raw = await answer.read()
    assert b"secret@b.example" not in raw, "Bcc never leaves"
    entries = (await got(api, f"clients/{client['id']}/timeline"))["items"]
    assert [one["ref"] for one in entries if one["kind"] == "message"] == [message["id"], incoming]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mailbox": "support@hub.test"}, "mailbox_missing"),
        ({"to": ""}, "no_recipient"),
        ({"to": "no address"}, "bad_address"),
        ({"to": "a@b.example\r\nBcc: c@d.example"}, "control_character"),
        ({"to": [{"address": "a@b.example", "name": "x\r\nBcc: c@d.example"}]}, "control_character"),
        ({"to": [{"address": "a@b.example>\nRCPT TO:<x@y.example"}]}, "control_character"),
        ({"client": 999}, "client_missing"),
        ({"in_reply_to": 999}, "message_missing"),
        ({"text": None}, "empty_message"),
        ({"attachments": [{"name": "a", "content": "not base64!"}]}, "bad_request"),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_nothing_is_queued(
    site: Site, change: dict[str, object], code: str
) -> None:
    api = await site.api("olga")
    await talk.message(site.db, site.blobs)
    body = {"mailbox": "sales@hub.test", "to": "a@b.example", "subject": "x", "text": "y", **change}
    status, answer = await post(api, "messages", json=body)
    assert (status in (400, 404), answer["error"]["code"]) == (True, code)
    assert (await got(api, "messages", direction="out"))["items"] == []
