"""The calls that every kind of record has over the API: change, archive, restore, history, count, errors by field."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from hub.app import RELINKS
from hub.crm.linking import Linker
from hub.crm.relinking import RelinkRuns
from tests.factories import ROMASHKA, got, made
from tests.testbed import talk
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database

HOSTILE = '<script>alert(1)</script> \' OR 1=1 -- {{7*7}} =HYPERLINK("x")'


async def sent(
    api: aiohttp.ClientSession, method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    async with api.request(method, path, json=body) as answer:
        found: dict[str, Any] = await answer.json()
        return answer.status, found


async def test_a_change_is_answered_and_stands_in_the_history(site: Site) -> None:
    api = await site.api("olga")
    client = await made(api)
    status, after = await sent(
        api, "PATCH", f"clients/{client['id']}", {"version": 1, "note": "Важный", "phones": ["+74951234568"]}
    )
    assert (status, after["version"], after["note"]) == (200, 2, "Важный")
    assert after["phones"] == [{"value": "+74951234568", "raw": "+74951234568", "extension": None}]
    assert after["name"] == client["name"], "what was not sent stays"
    edits = (await got(api, f"clients/{client['id']}/history"))["items"]
    assert [(one["version"], one["way"]) for one in edits] == [(2, "api"), (1, "api")]
    assert edits[0]["changes"] == {"note": ["", "Важный"], "phones": [["+74951234567"], ["+74951234568"]]}
    assert edits[0]["by"]["name"] == "Olga"
    assert edits[1]["changes"] == {}


async def test_an_older_version_changes_nothing_and_learns_what_it_met(site: Site) -> None:
    olga, pavel = await site.api("olga"), await site.api("pavel")
    client = await made(olga)
    path = f"clients/{client['id']}"
    assert (await sent(pavel, "PATCH", path, {"version": 1, "note": "Его"}))[0] == 200
    status, answer = await sent(olga, "PATCH", path, {"version": 1, "note": "Её", "name": client["name"]})
    assert (status, answer["error"]["code"]) == (409, "record_changed")
    details = answer["error"]["details"]
    assert details["fields"] == {"note": {"mine": "Её", "theirs": "Его", "original": ""}}
    assert (details["changed_by"]["name"], details["current"]["note"]) == ("Pavel", "Его")
    assert (await got(olga, path))["note"] == "Его"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"nam": "x"}, "nam", "unknown_field"),
        ({"name": 5}, "name", "not_text"),
        ({"name": "x" * 301}, "name", "too_long"),
        ({"name": ""}, "name", "required"),
        ({"name": "x", "kind": "robot"}, "kind", "not_a_choice"),
        ({"name": "x", "manager": 999_999}, "manager", "not_found"),
        ({"name": "x", "phones": ["abc"]}, "phones", "bad_phone"),
        ({"name": "x", "phones": "+74951234567"}, "phones", "not_a_list"),
        ({"name": "x", "id": 7}, "id", "read_only"),
        ({"name": "x\x07y"}, "name", "control_character"),
        ({"name": "x", "contacts": [{"name": ""}]}, "contacts[0].name", "required"),
    ],
)
async def test_bad_input_is_refused_at_its_field_and_nothing_is_saved(
    site: Site, body: dict[str, Any], field: str, code: str
) -> None:
    api = await site.api("olga")
    status, answer = await sent(api, "POST", "clients", body)
    assert status == 422, answer
    assert answer["error"]["details"]["fields"][field]["code"] == code
    assert (await got(api, "clients/count")) == {"count": 0, "capped": False}


async def test_hostile_text_is_text(site: Site) -> None:
    api = await site.api("olga")
    client = await made(api, {"name": HOSTILE, "note": HOSTILE})
    assert (client["name"], client["note"]) == (HOSTILE, HOSTILE)
    browser = await site.browser("olga")
    for path in ("/clients", f"/clients/{client['id']}", f"/clients/{client['id']}/edit", "/clients?q=<script>"):
        async with browser.get(path) as answer:
            page = await answer.text()
            assert answer.status == 200
            assert "<script>alert" not in page
            assert "{{7*7}}" in page or path.startswith("/clients?")


async def test_an_archived_client_leaves_the_list_and_comes_back(site: Site) -> None:
    await site.person("boss", role="admin")
    olga, boss = await site.api("olga"), await site.api("boss")
    client = await made(olga)
    path = f"clients/{client['id']}"
    assert (await sent(olga, "DELETE", path))[0] == 403, "a manager archives nothing"
    status, archived = await sent(boss, "DELETE", path)
    assert status == 200
    assert archived["archived_at"] is not None
    assert (await got(olga, "clients"))["items"] == []
    assert [one["id"] for one in (await got(olga, "clients", archived="true"))["items"]] == [client["id"]]
    assert (await got(olga, "contacts"))["items"] == [], "nor are its contacts listed"
    assert (await sent(olga, "PATCH", path, {"note": "x"}))[0] == 409
    status, back = await sent(boss, "POST", f"{path}/restore", {})
    assert (status, back["archived_at"]) == (200, None)
    assert len((await got(olga, "clients"))["items"]) == 1


async def test_an_address_that_an_edit_adds_brings_its_calls_onto_the_card(site: Site) -> None:
    api = await site.api("olga")
    client = await made(api, {"name": "Ромашка"})
    call_id, _, _ = await talk.waiting_call(site.db, number="89031112233")
    status, _ = await sent(api, "PATCH", f"clients/{client['id']}", {"phones": ["8 903 111-22-33"]})
    assert status == 200
    assert await RelinkRuns(site.db, Linker("RU"), RELINKS).step()
    entries = (await got(api, f"clients/{client['id']}/timeline"))["items"]
    assert [(one["kind"], one["ref"]) for one in entries] == [("call", call_id)]


async def test_a_list_is_sorted_counted_and_ends_without_an_empty_page(site: Site) -> None:
    api = await site.api("olga")
    for name in ("Б", "А", "Ёлка", "Г"):
        await made(api, {"name": name})
    assert [one["name"] for one in (await got(api, "clients", sort="-name"))["items"]] == ["Ёлка", "Г", "Б", "А"]
    assert [one["name"] for one in (await got(api, "clients", sort="created_at"))["items"]] == ["Б", "А", "Ёлка", "Г"]
    page = await got(api, "clients", limit="4")
    assert (len(page["items"]), page["next"]) == (4, None)
    assert (await got(api, "clients/count", q="ёлка")) == {"count": 1, "capped": False}
    cursor = (await got(api, "clients", limit="2"))["next"]
    assert (await got(api, "clients", 400, sort="-name", cursor=cursor))["error"]["code"] == "bad_cursor"


async def test_a_contact_moves_to_another_client(site: Site) -> None:
    api = await site.api("olga")
    client, other = await made(api), await made(api, {"name": "Василёк"})
    contact = client["contacts"][0]
    status, after = await sent(api, "PATCH", f"contacts/{contact['id']}", {"client": other["id"], "position": ""})
    assert (status, after["client"]) == (200, {"id": other["id"], "name": "Василёк"})
    assert (await got(api, f"clients/{client['id']}"))["contacts"] == []
    listed = (await got(api, "contacts", client=str(other["id"])))["items"]
    assert [one["addresses"][0]["value"] for one in listed] == ["+79161234567"]
    assert ROMASHKA["contacts"]
