"""Lists of any kind over page and API: conditions in the address, pages forward and back."""

from __future__ import annotations

import json
from typing import Any

from tests.factories import got, made
from tests.testbed.site import Site

BAD_CONDITIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"field": "nonsense", "op": "is", "value": ["x"]}, "unknown_field", "nonsense"),
    ({"field": "name", "op": "less", "value": 5}, "unknown_operator", "name"),
    ({"field": "manager", "op": "is", "value": ["Ольга"]}, "not_an_id", "manager"),
    ({"field": "created_at", "op": "within", "value": "never"}, "bad_period", "created_at"),
]


def where(*leaves: dict[str, Any]) -> str:
    """Write a condition as the address of a list has it."""
    return json.dumps({"all": list(leaves)}, ensure_ascii=False, separators=(",", ":"))


def contains(text: str) -> dict[str, Any]:
    return {"field": "name", "op": "contains", "value": text}


async def test_a_condition_narrows_list_and_count_alike(site: Site) -> None:
    api = await site.api("olga")
    mine = await made(api, {"name": "Ёлка «100%»", "manager": site.actors["olga"].user_id})
    await made(api, {"name": "Сосна", "kind": "person"})
    for condition in (
        where(contains("елка")),
        where(contains("100%")),
        where({"field": "manager", "op": "is", "value": ["me"]}),
        where({"field": "created_at", "op": "within", "value": "today"}, contains("Ёл")),
        where({"not": {"field": "kind", "op": "is", "value": ["person"]}}),
        where({"field": "manager.name", "op": "contains", "value": "olg"}),
    ):
        assert [one["id"] for one in (await got(api, "clients", where=condition))["items"]] == [mine["id"]], condition
        assert await got(api, "clients/count", where=condition) == {"count": 1, "capped": False}


async def test_a_wrong_condition_is_refused_with_its_place(site: Site) -> None:
    api = await site.api("olga")
    for leaf, code, field in BAD_CONDITIONS:
        for path in ("clients", "clients/count"):
            error = (await got(api, path, 422, where=where(leaf)))["error"]
            assert error["code"] == "invalid"
            assert error["details"]["fields"]["where"]["code"] == code
            assert error["details"]["field"] == field
            assert error["details"]["place"].startswith("where.all[0]")
    for text in ("{", "[]", '{"all": 5}', "x" * 70_000):
        assert (await site_status(api, text)) in (400, 422), text[:20]


async def site_status(api: Any, text: str) -> int:
    async with api.get("clients", params={"where": text}) as answer:
        status: int = answer.status
        return status
