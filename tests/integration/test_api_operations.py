"""Bulk edits and operations over the API: begun, looked at, undone; refused by name."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from hub.crm.access import load_actor
from hub.crm.base.operation_runs import OperationRuns
from hub.crm.operation_kinds import WORKS
from tests.testbed.site import Site


async def sent(api: aiohttp.ClientSession, path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
    async with api.post(path, json=body) as answer:
        assert answer.status == status, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def got(api: aiohttp.ClientSession, path: str, status: int = 200, **params: str) -> dict[str, Any]:
    async with api.get(path, params=params) as answer:
        assert answer.status == status, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def finish(site: Site) -> None:
    while await OperationRuns(site.db, WORKS, load_actor, batch_s=60).step():
        pass


async def test_a_bulk_edit_is_begun_followed_and_undone(site: Site) -> None:
    await site.person("boss", role="admin")
    boss, ann = await site.api("boss"), await site.api("ann")
    ids = [(await sent(boss, "clients", {"name": f"Ромашка {n}"}, 201))["id"] for n in range(3)]
    where = {"field": "name", "op": "contains", "value": "ромашка"}
    begun = await sent(boss, "clients/bulk", {"where": where, "set": {"note": "весна"}}, 202)
    path = f"operations/{begun['operation']}"
    queued = await got(boss, path)
    assert (queued["state"], queued["total"], queued["done"]) == ("queued", 3, 0)
    await finish(site)
    assert (await got(boss, path))["state"] == "done"
    first = await got(boss, f"{path}/rows", limit="2", outcome="updated")
    assert [row["record"] for row in first["items"]] == ids[:2]
    rest = await got(boss, f"{path}/rows", limit="2", cursor=first["next"])
    assert rest == {"items": [{"record": ids[2], "outcome": "updated", "reason": ""}], "next": None}
    assert [one["id"] for one in (await got(boss, "operations"))["items"]] == [begun["operation"]]
    assert (await got(ann, "operations"))["items"] == []
    await got(ann, path, 404)
    assert await sent(boss, f"{path}/undo", {}, 202) == begun
    await finish(site)
    assert (await got(boss, path))["state"] == "undone"
    assert (await got(boss, f"clients/{ids[0]}"))["note"] == ""


async def test_all_that_a_list_shows_is_the_same_for_list_count_export_and_bulk_edit(site: Site) -> None:
    """Contacts of an archived client are in no list, so nothing that is done to a list reaches them."""
    await site.person("boss", role="admin")
    boss = await site.api("boss")
    gone, living = [await sent(boss, "clients", {"name": name}, 201) for name in ("Ушли", "Остались")]
    hidden, shown = [
        await sent(boss, "contacts", {"name": f"Контакт {client['name']}", "client": client["id"]}, 201)
        for client in (gone, living)
    ]
    async with boss.delete(f"clients/{gone['id']}") as answer:
        assert answer.status in (200, 204)
    assert [one["id"] for one in (await got(boss, "contacts"))["items"]] == [shown["id"]]
    assert (await got(boss, "contacts/count"))["count"] == 1
    async with boss.get("contacts/export", params={"format": "jsonl"}) as answer:
        assert len((await answer.text()).splitlines()) == 1
    begun = await sent(boss, "contacts/bulk", {"where": {"all": []}, "set": {"position": "директор"}}, 202)
    assert (await got(boss, f"operations/{begun['operation']}"))["total"] == 1
    await finish(site)
    assert (await got(boss, f"contacts/{shown['id']}"))["position"] == "директор"
    assert (await got(boss, f"contacts/{hidden['id']}"))["position"] == ""


async def test_a_queued_operation_is_cancelled_and_goes_on_where_it_stopped(site: Site) -> None:
    await site.person("boss", role="admin")
    boss = await site.api("boss")
    one = (await sent(boss, "clients", {"name": "Ромашка"}, 201))["id"]
    begun = await sent(boss, "clients/bulk", {"ids": [one], "set": {"note": "весна"}}, 202)
    path = f"operations/{begun['operation']}"
    assert (await sent(boss, f"{path}/cancel", {}, 200))["state"] == "cancelled"
    await sent(boss, f"{path}/cancel", {}, 409)
    await finish(site)
    assert (await got(boss, f"clients/{one}"))["note"] == ""
    await sent(boss, f"{path}/resume", {}, 200)
    await finish(site)
    assert (await got(boss, f"clients/{one}"))["note"] == "весна"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"ids": [1], "set": {"nonsense": 1}}, 422, "nonsense"),
        ({"ids": [1], "set": {}}, 422, "set"),
        ({"set": {"note": "x"}}, 422, "ids"),
        ({"where": {"field": "salary", "op": "is_empty"}, "set": {"note": "x"}}, 422, "where"),
        ({"where": {"all": 1}, "set": {"note": "x"}}, 422, "where"),
        ({"ids": ["1"], "set": {"note": "x"}}, 400, None),
    ],
)
async def test_what_cannot_be_done_is_refused_by_its_field(
    site: Site, body: dict[str, Any], status: int, field: str | None
) -> None:
    await site.person("boss", role="admin")
    error = (await sent(await site.api("boss"), "clients/bulk", body, status))["error"]
    if field is not None:
        assert error["code"] == "invalid"
        assert list(error["details"]["fields"]) == [field]
    await sent(await site.api("ann"), "clients/bulk", {"ids": [1], "set": {"note": "x"}}, 403)
