"""Mailboxes as records: their list with filters and order, the history of their settings, and two who save at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import sqlalchemy as sa

from hub.clock import utc_now
from hub.mail.models import mail_secrets, mailboxes
from tests.factories import got, post
from tests.testbed import talk
from tests.testbed.site import Site

SERVER = {"host": "127.0.0.1", "port": 993, "tls": "tls", "username": "sales"}


def body(address: str, **more: Any) -> dict[str, Any]:
    return {"address": address, "team": 1, "imap": SERVER, "smtp": SERVER | {"port": 465}, "password": "s3cret"} | more


async def boss(site: Site) -> aiohttp.ClientSession:
    await site.person("boss", role="admin")
    return await site.api("boss")


async def add(api: aiohttp.ClientSession, address: str, **more: Any) -> dict[str, Any]:
    status, made = await post(api, "mailboxes", json=body(address, **more))
    assert status == 201, made
    return made


def addresses(answer: dict[str, Any]) -> list[str]:
    return [one["address"].partition("@")[0] for one in answer["items"]]


async def test_the_list_is_filtered_sorted_paged_and_counted(site: Site) -> None:
    api = await boss(site)
    for name, title in (("b", "Ёлка"), ("a", "Вторая"), ("c", "Арктика")):
        await add(api, f"{name}@hub.test", name=title)
    async with site.db.begin() as conn:
        for name, state in (("a", "up"), ("b", "down"), ("c", "up")):
            mine = sa.update(mailboxes).where(mailboxes.c.address == f"{name}@hub.test")
            await conn.execute(mine.values(state=state))
    assert addresses(await got(api, "mailboxes")) == ["a", "b", "c"]
    assert addresses(await got(api, "mailboxes", sort="name")) == ["c", "a", "b"]
    assert addresses(await got(api, "mailboxes", q="елк")) == ["b"]
    up = json.dumps(
        {"all": [{"field": "state", "op": "is", "value": ["up"]}, {"field": "team", "op": "is", "value": [1]}]}
    )
    assert addresses(await got(api, "mailboxes", where=up)) == ["a", "c"]
    assert (await got(api, "mailboxes/count", where=up))["count"] == 2
    first = await got(api, "mailboxes", limit="2")
    rest = await got(api, "mailboxes", limit="2", cursor=first["next"])
    assert (addresses(first), addresses(rest), rest["next"]) == (["a", "b"], ["c"], None)
    async with (await site.browser("boss")).get("/mailboxes", params={"where": up}) as page:
        text = await page.text()
    assert "a@hub.test" in text and "b@hub.test" not in text
    async with (await site.browser("boss")).get("/mailboxes/export", params={"format": "csv"}) as file:
        taken = await file.text()
    assert "Арктика" in taken and "s3cret" not in taken and "127.0.0.1" not in taken


async def test_an_api_user_lists_their_own_mailboxes_alone(site: Site) -> None:
    api = await boss(site)
    await add(api, "sales@hub.test")
    await talk.message(site.db, site.blobs, team="sales")
    olga = await site.person("olga")
    await talk.message(site.db, site.blobs, owner_id=olga.user_id)
    assert addresses(await got(await site.api("olga"), "mailboxes")) == [f"own{olga.user_id}"]
    assert (await got(await site.api("olga"), "mailboxes/count"))["count"] == 1


async def test_a_filter_of_messages_finds_the_mailboxes_that_one_reads(site: Site) -> None:
    olga = await site.person("olga")
    await site.person("pavel")
    first = await talk.message(site.db, site.blobs)
    await talk.message(site.db, site.blobs, owner_id=olga.user_id)
    found = {}
    for who in ("olga", "pavel"):
        async with (await site.browser(who)).get("/mailboxes/names", params={"q": "@hub"}) as answer:
            found[who] = {one["name"]: one["id"] for one in (await answer.json())["items"]}
    assert set(found["olga"]) == {"sales@hub.test", f"own{olga.user_id}@hub.test"}
    assert set(found["pavel"]) == {"sales@hub.test"}
    shared = json.dumps({"field": "mailbox", "op": "is", "value": [found["pavel"]["sales@hub.test"]]})
    for asked in ({"where": shared}, {"mailbox": "sales@hub.test"}):
        items = (await got(await site.api("olga"), "messages", **asked))["items"]
        assert [one["id"] for one in items] == [first]


async def test_the_history_says_who_changed_which_setting_and_holds_no_secret(site: Site) -> None:
    api = await boss(site)
    box = await add(api, "sales@hub.test", name="Отдел")
    path = f"mailboxes/{box['id']}"
    changed = {"name": "Продажи", "imap": SERVER | {"port": 143, "tls": "starttls"}, "password": "n3w-s3cret"}
    status, told = await post(api, path, json=changed | {"version": box["version"]})
    assert (status, told["version"]) == (200, box["version"] + 1), told
    await post(api, path, json={"enabled": False})
    await post(api, path, json={"name": "Продажи"})  # the same again is no change
    edits = (await got(api, f"{path}/history"))["items"]
    assert [one["changes"] for one in edits] == [
        {"enabled": [True, False]},
        {
            "name": ["Отдел", "Продажи"],
            "imap": ["127.0.0.1:993, tls, sales, auto", "127.0.0.1:143, starttls, sales, auto"],
            "password": ["•••", "•••"],
        },
        {},
    ]
    assert {one["by"]["name"] for one in edits} == {"Boss"}
    assert "s3cret" not in str(edits)
    async with (await site.browser("boss")).get(f"/{path}/history") as page:
        text = await page.text()
        assert page.status == 200
    assert "127.0.0.1:143, starttls" in text and "Продажи" in text and "s3cret" not in text
    await site.person("olga")
    await got(await site.api("olga"), f"{path}/history", 404)


async def test_an_older_version_is_refused_and_names_who_was_first(site: Site) -> None:
    api = await boss(site)
    box = await add(api, "sales@hub.test", name="Отдел")
    path, old = f"mailboxes/{box['id']}", {"version": box["version"]}
    assert (await post(api, path, json=old | {"name": "Продажи"}))[0] == 200
    status, told = await post(api, path, json=old | {"name": "Сбыт"})
    assert (status, told["error"]["code"]) == (409, "record_changed")
    details = told["error"]["details"]
    assert details["changed_by"]["name"] == "Boss"
    assert details["fields"] == {"name": {"mine": "Сбыт", "theirs": "Продажи", "original": "Отдел"}}
    assert (await post(api, path, json=old | {"enabled": False}))[0] == 409
    assert (await got(api, path))["enabled"] is True


async def test_of_two_who_save_one_version_in_the_same_instant_one_is_refused(site: Site) -> None:
    api = await boss(site)
    box = await add(api, "sales@hub.test")
    path, old = f"mailboxes/{box['id']}", {"version": box["version"]}
    names = [f"Имя {place}" for place in range(6)]
    answers = await asyncio.gather(*(post(api, path, json=old | {"name": name}) for name in names))
    assert sorted(status for status, _told in answers) == [200] + [409] * 5
    (saved,) = (told["name"] for status, told in answers if status == 200)
    assert (await got(api, path))["name"] == saved
    assert len((await got(api, f"{path}/history"))["items"]) == 2


async def test_two_who_change_different_settings_without_a_version_lose_neither(site: Site) -> None:
    api = await boss(site)
    box = await add(api, "sales@hub.test", name="Отдел")
    path = f"mailboxes/{box['id']}"
    await asyncio.gather(
        post(api, path, json={"name": "Продажи"}),
        post(api, path, json={"history_days": 30}),
        post(api, path, json={"enabled": False}),
    )
    told = await got(api, path)
    assert (told["name"], told["settings"]["history_days"], told["enabled"]) == ("Продажи", 30, False)


async def test_a_list_of_mailboxes_asks_for_their_secrets_once(site: Site) -> None:
    api = await boss(site)
    for name in "abc":
        await add(api, f"{name}@hub.test")
    async with site.db.begin() as conn:
        row = (await conn.execute(sa.select(mail_secrets))).mappings().first()
        assert row is not None
        kept = {name: row[name] for name in ("mailbox_id", "key_id", "sealed")}
        await conn.execute(mail_secrets.insert().values(kind="smtp", renewed_at=utc_now(), **kept))
    held = {one["id"]: one["secrets"] for one in (await got(api, "mailboxes"))["items"]}
    assert held.pop(row["mailbox_id"]) == ["imap", "smtp"]
    assert list(held.values()) == [["imap"], ["imap"]]
