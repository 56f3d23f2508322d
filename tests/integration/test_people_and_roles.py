"""People, teams and roles on pages and over the API; nobody gives more than they have."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients
from hub.crm.access import load_actor
from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.base.operation_runs import OperationRuns
from hub.crm.clients import CLIENTS, ClientInput
from hub.crm.models import audit
from hub.crm.operation_kinds import WORKS
from hub.crm.people import deactivation
from hub.crm.people.belongings import FATES
from hub.crm.roles.presets import RIGHTS
from hub.store.schema import metadata
from tests.factories import got, post
from tests.testbed.site import Site


async def admin_api(site: Site) -> aiohttp.ClientSession:
    await site.person("irina", role="admin", team=None)
    return await site.api("irina")


async def sent(api: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    async with api.request(method, path, json=body) as answer:
        return answer.status, await answer.json()


async def role_id(api: aiohttp.ClientSession, name: str) -> int:
    found = (await got(api, "roles"))["items"]
    return int(next(one["id"] for one in found if name in (one["name"], one["key"])))


async def form(browser: aiohttp.ClientSession, path: str, data: Any) -> tuple[int, str]:
    async with browser.post(path, data=data, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", "") or await answer.text()


async def acts(site: Site, kind: str) -> list[str]:
    async with site.db.read() as conn:
        query = sa.select(audit.c.action).where(audit.c.object_kind == kind).order_by(audit.c.id)
        return list((await conn.execute(query)).scalars())


async def test_a_person_is_made_changed_and_found_over_the_api(site: Site) -> None:
    api = await admin_api(site)
    await site.person("olga")
    manager, team = await role_id(api, "manager"), (await got(api, "teams"))["items"][0]
    body = {"name": "Пётр Новый", "email": "petr@hub.test", "role": manager, "teams": [team["id"]], "extension": "107"}
    status, made = await sent(api, "POST", "users", body)
    assert status == 201, made
    assert (made["role"], made["teams"]) == ({"id": manager, "name": "Manager"}, [{"id": team["id"], "name": "sales"}])
    assert (made["archived_at"], made["extension"]) == (None, "107")
    changed = {"extension": "108", "version": made["version"]}
    assert (await sent(api, "PATCH", f"users/{made['id']}", changed))[1]["extension"] == "108"
    assert (await sent(api, "PATCH", f"users/{made['id']}", changed))[1]["error"]["code"] == "record_changed"
    status, refused = await sent(api, "POST", "users", body | {"email": "olga@hub.test", "extension": "x"})
    assert (status, set(refused["error"]["details"]["fields"])) == (422, {"extension"})
    status, refused = await sent(api, "POST", "users", body | {"email": "olga@hub.test", "extension": "109"})
    assert (status, set(refused["error"]["details"]["fields"])) == (422, {"email"})
    found = (await got(api, "users", q="пётр"))["items"]
    assert [one["id"] for one in found] == [made["id"]]
    assert await acts(site, "user") == ["user.created", "user.created", "user.created"]


async def test_a_person_signs_in_by_the_link_that_an_administrator_makes(site: Site) -> None:
    api = await admin_api(site)
    manager = await role_id(api, "manager")
    _, made = await sent(api, "POST", "users", {"name": "Новый", "email": "new@hub.test", "role": manager})
    status, link = await sent(api, "POST", f"users/{made['id']}/reset-link")
    assert status == 200
    stranger = await site.browser(None)
    async with stranger.get(link["link"]) as answer:
        assert "new@hub.test" in await answer.text()
    page = await site.browser("irina")
    status, text = await form(page, f"/users/{made['id']}/reset-link", {})
    assert status == 200
    assert re.search(r"/reset/[\w-]{40,}", text)
    async with stranger.get(link["link"]) as answer:
        assert answer.status == 410, "the newer link voids the older"
    assert (await sent(await site.api("olga"), "POST", f"users/{made['id']}/reset-link"))[0] == 404


async def test_what_a_person_may_do_is_told_with_the_reason(site: Site) -> None:
    api = await admin_api(site)
    olga = (await site.person("olga")).user_id
    assert (await post(api, f"users/{olga}/privileges", json={"grant": ["supervise"]}))[0] == 200
    told = await got(api, f"users/{olga}/rights")
    on_client = next(one for one in told["kinds"] if one["kind"] == "client")
    assert (on_client["see"], on_client["delete"], on_client["export"], on_client["named"]) == (
        "all",
        "own",
        "none",
        True,
    )
    assert told["role"]["name"] == "Manager"
    assert {(one["right"], one["by"]) for one in told["rights"]} == {
        ("telephony", "role"),
        ("read_mail", "role"),
        ("send_mail", "role"),
        ("supervise", "person"),
    }
    of_admin = await got(api, f"users/{site.actors['irina'].user_id}/rights")
    assert of_admin["administrator"] is True
    assert {one["right"] for one in of_admin["rights"]} == set(RIGHTS)
    async with (await site.browser("irina")).get(f"/users/{olga}") as answer:
        text = await answer.text()
    assert "What this person may do, and why" in text
    assert "given to this person" in text


async def test_deactivating_ends_sessions_and_hands_clients_over(site: Site) -> None:
    api = await admin_api(site)
    olga, pavel = (await site.person("olga")).user_id, (await site.person("pavel")).user_id
    browser = await site.browser("olga")
    async with site.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="person", name="Ромашка", now=utc_now())
        edit = Edit(None, "hub", utc_now())
        await records.update(conn, CLIENTS, client_id, ClientInput(manager=olga), edit=edit)
    wrong = await sent(api, "POST", f"users/{olga}/deactivate", {"hand_over_to": olga})
    assert (wrong[0], set(wrong[1]["error"]["details"]["fields"])) == (422, {"hand_over_to"})
    mine, theirs = await site.api("olga"), await site.api("pavel")
    (team_id,) = site.actors["olga"].team_ids
    with_team = {"shared_with": "team", "team": team_id}
    for one, name, shared in ((mine, "Big ones", with_team), (mine, "Mine alone", {}), (theirs, "Big ones", {})):
        status, made = await sent(one, "POST", "views", {"kind": "client", "name": name, **shared})
        assert status == 201, made
    status, done = await sent(api, "POST", f"users/{olga}/deactivate", {"hand_over_to": pavel})
    assert (status, done["returned"], len(done["operations"])) == (200, 0, 2), "of clients and of leads"
    assert done["views"] == 1, "the private one stays"
    assert sorted(one["name"] for one in (await got(theirs, "views"))["items"]) == ["Big ones", "Big ones (2)"]
    async with browser.get("/desk", allow_redirects=False) as answer:
        assert answer.status == 303
    runs = OperationRuns(site.db, WORKS, load_actor)
    while await runs.step():
        pass
    async with site.db.read() as conn:
        assert (await records.get(conn, None, CLIENTS, client_id)).owner_id == pavel
        assert await load_actor(conn, olga) is None
    assert olga not in [one["id"] for one in (await got(api, "users"))["items"]]
    assert [one["id"] for one in (await got(api, "users", archived="true"))["items"]] == [olga]
    admin = site.actors["irina"].user_id
    for way in (("POST", f"users/{admin}/deactivate"), ("DELETE", f"users/{admin}")):
        status, refused = await sent(api, *way, {} if way[0] == "POST" else None)
        assert (status, refused["error"]["code"]) == (400, "last_admin")
    manager = await role_id(api, "manager")
    status, refused = await sent(api, "PATCH", f"users/{admin}", {"role": manager})
    assert (status, refused["error"]["code"]) == (400, "last_admin")


async def test_a_team_with_people_or_work_is_not_archived(site: Site) -> None:
    api = await admin_api(site)
    await site.person("olga")
    status, made = await sent(api, "POST", "teams", {"name": "north"})
    assert status == 201
    sales = next(one["id"] for one in (await got(api, "teams"))["items"] if one["name"] == "sales")
    status, refused = await sent(api, "DELETE", f"teams/{sales}")
    assert (status, refused["error"]["code"], refused["error"]["details"]["people"]) == (409, "in_use", 1)
    assert (await sent(api, "DELETE", f"teams/{made['id']}"))[0] == 200
    assert [one["name"] for one in (await got(api, "teams"))["items"]] == ["sales"]
    async with (await site.browser("irina")).get(f"/teams/{sales}") as answer:
        assert "olga@hub.test" in await answer.text()
    olga = await site.api("olga")
    assert (await sent(olga, "POST", "teams", {"name": "mine"}))[0] == 403
    assert (await sent(olga, "PATCH", f"teams/{sales}", {"name": "mine"}))[0] == 403


async def test_a_role_is_made_as_a_copy_changed_in_its_grid_and_given(site: Site) -> None:
    api = await admin_api(site)
    page = await site.browser("irina")
    head = await role_id(api, "head")
    async with page.get(f"/roles/new?copy={head}") as answer:
        text = await answer.text()
    chosen = re.findall(r'<option value="([^"]+)" selected>', text)
    assert {"client see all", "* see team", "role see none"} <= set(chosen)
    fields = [("name", "Старший"), ("rights", "telephony"), ("rights", "read_mail"), ("pages", "desk"), ("grants", "")]
    fields += [("grants", one) for one in ("client see team", "client edit own", "* see own")]
    status, location = await form(page, "/roles", fields)
    assert status == 303, location
    made = await got(api, location.lstrip("/"))
    assert made["grants"] == [
        {"kind": "*", "action": "see", "scope": "own"},
        {"kind": "client", "action": "edit", "scope": "own"},
        {"kind": "client", "action": "see", "scope": "team"},
    ]
    assert (made["rights"], made["pages"]) == (["read_mail", "telephony"], ["desk"])
    olga = (await site.person("olga")).user_id
    assert (await sent(api, "PATCH", f"users/{olga}", {"role": made["id"]}))[0] == 200
    status, refused = await sent(api, "DELETE", f"roles/{made['id']}")
    assert (status, refused["error"]["code"], refused["error"]["details"]["uses"]) == (409, "in_use", 1)
    async with page.get(location) as answer:
        assert "olga@hub.test" in await answer.text()
    async with (await site.browser("olga")).get("/desk") as answer:
        menu = await answer.text()
    assert 'href="/desk"' in menu
    assert 'href="/leads"' not in menu, "the role has no such part of the menu"
    assert await acts(site, "role") == ["role.created"]
    status, refused = await sent(api, "PATCH", f"roles/{await role_id(api, 'admin')}", {"rights": []})
    assert (status, refused["error"]["code"]) == (403, "fixed_role")


async def test_nobody_gives_more_than_they_have(site: Site) -> None:
    api = await admin_api(site)
    grants = [
        *(
            {"kind": kind, "action": action, "scope": "all"}
            for kind in ("user", "role", "team")
            for action in ("see", "edit", "create")
        ),
        {"kind": "client", "action": "see", "scope": "team"},
        {"kind": "user", "action": "delete", "scope": "all"},
    ]
    body = {"name": "Personnel", "grants": grants, "rights": ["read_mail"]}
    status, personnel = await sent(api, "POST", "roles", body)
    assert status == 201, personnel
    weak = {"name": "Guest", "grants": [{"kind": "client", "action": "see", "scope": "own"}]}
    await site.person("vera", role="Personnel")
    await site.person("boris", role="manager", team="support")
    vera, boris = await site.api("vera"), site.actors["boris"].user_id
    status, guest = await sent(vera, "POST", "roles", weak)
    assert status == 201, guest
    admin_role, support = await role_id(api, "admin"), min(site.actors["boris"].team_ids)
    sales = min(site.actors["vera"].team_ids)
    person = {"name": "Гость", "email": "guest@hub.test", "role": guest["id"], "teams": [sales]}
    status, made = await sent(vera, "POST", "users", person)
    assert status == 201, made
    beyond: list[tuple[str, str, Any]] = [
        ("POST", "roles", {"name": "All", "grants": [{"kind": "client", "action": "see", "scope": "all"}]}),
        ("POST", "roles", {"name": "Hear", "rights": ["supervise"]}),
        ("PATCH", f"roles/{guest['id']}", {"rights": ["telephony"]}),
        ("PATCH", f"roles/{await role_id(api, 'manager')}", {"rights": []}),
        ("PATCH", f"users/{made['id']}", {"role": admin_role}),
        ("PATCH", f"users/{made['id']}", {"teams": [sales, support]}),
        ("PATCH", f"users/{boris}", {"email": "mine@hub.test"}),
        ("POST", f"users/{boris}/reset-link", {}),
        ("POST", f"users/{boris}/deactivate", {}),
        ("DELETE", f"users/{site.actors['irina'].user_id}", None),
        ("PATCH", f"users/{site.actors['vera'].user_id}", {"role": admin_role}),
        ("POST", "users", person | {"email": "x@hub.test", "role": admin_role}),
        ("POST", f"users/{made['id']}/privileges", {"grant": ["supervise"]}),
    ]
    for method, path, sent_body in beyond:
        status, refused = await sent(vera, method, path, sent_body)
        assert status == 403, (method, path, refused)
    assert (await sent(vera, "POST", f"users/{made['id']}/reset-link", {}))[0] == 200
    assert (await sent(vera, "DELETE", f"users/{made['id']}"))[0] == 200


async def test_the_name_of_a_role_is_a_link_only_for_whoever_may_see_roles(site: Site) -> None:
    olga = await site.person("olga")
    await site.person("boss", role="admin")
    for name, is_link in (("olga", False), ("boss", True)):
        browser = await site.browser(name)
        async with browser.get(f"/users/{olga.user_id}") as answer:
            text = await answer.text()
        found = re.findall(r'href="(/roles/\d+)"', text)
        assert bool(found) == is_link
        assert "Manager" in text
        for path in found:
            async with browser.get(path) as answer:
                assert answer.status == 200


def test_everything_that_refers_to_people_has_its_fate_when_one_leaves() -> None:
    refers = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.c
        if any(key.column.table.name == "users" for key in column.foreign_keys)
    }
    # What other tests make on the same metadata is no table of Hub's.
    refers = {one for one in refers if one[0] != "contracts"}
    assert refers == set(FATES)
    bulk = {(entity.table.name, field.column.name) for entity, field in deactivation.owned_kinds()}
    handed_over = {one for one, fate in FATES.items() if fate == "handed_over"}
    assert {one for one in bulk if one[0] != "contracts"} | {("views", "owner_id")} == handed_over
