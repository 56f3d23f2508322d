"""Leads edited by hand: made, changed and archived over page and API, with the queue, the history and the versions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import leads, queue
from hub.crm.models import clients, queue_items
from hub.crm.models import leads as table
from tests.factories import T0, got, post
from tests.integration.test_bulk_pages import finish
from tests.testbed.site import Site


async def item_of(site: Site, lead_id: int) -> Any:
    async with site.db.read() as conn:
        which = sa.and_(queue_items.c.kind == "lead", queue_items.c.ref_id == lead_id)
        return (await conn.execute(sa.select(queue_items).where(which))).one()


async def edits(site: Site, lead_id: int) -> list[dict[str, Any]]:
    api = await site.api("irina")
    return [one["changes"] for one in (await got(api, f"leads/{lead_id}/history"))["items"]]


async def patched(site: Site, name: str, lead_id: int, **sent: Any) -> tuple[int, dict[str, Any]]:
    api = await site.api(name)
    async with api.patch(f"leads/{lead_id}", json=sent) as answer:
        return answer.status, await answer.json()


async def test_a_lead_made_by_hand_is_in_the_work_of_its_maker_and_in_their_team(site: Site) -> None:
    olga = await site.person("olga")
    await site.person("irina", role="admin", team=None)
    api, (sales,) = await site.api("olga"), olga.team_ids
    status, made = await post(api, "leads", json={"address": "8 916 200-30-40", "note": "С выставки"})
    assert status == 201
    assert (made["name"], made["address"], made["address_kind"]) == ("+79162003040", "+79162003040", "phone")
    assert (made["team"]["id"], made["manager"]["name"], made["owner"]["name"]) == (sales, "Olga", "Olga")
    assert (made["state"], made["reason"], made["times"], made["version"]) == ("open", "new", 1, 1)
    item = await item_of(site, made["id"])
    assert (item.state, item.owner_id, item.team_id) == ("claimed", olga.user_id, sales)
    status, refused = await post(api, "leads", json={"address": "+79162003040"})
    assert (status, refused["error"]["details"]["fields"]["address"]["code"]) == (422, "lead_there")
    status, refused = await post(api, "leads", json={"address": "nobody", "name": "x" * 301})
    assert (status, set(refused["error"]["details"]["fields"])) == (422, {"address", "name"})
    status, _ = await post(await site.api("irina"), "leads", json={"address": "a@b.test", "team": sales})
    assert status == 201
    status, refused = await post(await site.api("irina"), "leads", json={"address": "c@b.test"})
    assert (status, set(refused["error"]["details"]["fields"])) == (422, {"team"}), "an administrator has no team"


async def test_the_item_of_the_queue_goes_with_the_manager_and_the_team_of_a_lead(site: Site) -> None:
    irina = await site.person("irina", role="admin", team=None)
    olga, pavel = await site.person("olga"), await site.person("pavel", team="support")
    (sales,), (support,) = olga.team_ids, pavel.team_ids
    api = await site.api("irina")
    _, made = await post(api, "leads", json={"address": "a@b.test", "team": sales})
    assert (await item_of(site, made["id"])).state == "waiting"
    assert (await patched(site, "irina", made["id"], manager=pavel.user_id))[0] == 200
    item = await item_of(site, made["id"])
    assert (item.state, item.owner_id, item.team_id) == ("claimed", pavel.user_id, support)
    assert (await patched(site, "irina", made["id"], manager=None, team=sales))[0] == 200
    item = await item_of(site, made["id"])
    assert (item.state, item.owner_id, item.team_id) == ("waiting", None, sales)
    async with site.db.begin() as conn:
        await queue.claim(conn, olga, item.id, now=utc_now())
    assert (await got(api, f"leads/{made['id']}"))["manager"] == {"id": olga.user_id, "name": "Olga"}
    assert await edits(site, made["id"]) == [
        {"manager": [None, olga.user_id]},
        {"manager": [pavel.user_id, None], "team": [support, sales]},
        {"manager": [None, pavel.user_id], "team": [sales, support]},
        {},
    ]
    assert irina.is_admin


async def test_an_older_version_of_a_lead_learns_what_it_met_also_where_the_queue_changed_it(site: Site) -> None:
    await site.person("irina", role="admin", team=None)
    olga = await site.person("olga")
    _, made = await post(await site.api("irina"), "leads", json={"address": "a@b.test", "team": min(olga.team_ids)})
    async with site.db.begin() as conn:
        await queue.claim(conn, olga, (await item_of(site, made["id"])).id, now=utc_now())
    status, told = await patched(site, "irina", made["id"], version=1, manager=None, note="x")
    assert (status, told["error"]["code"]) == (409, "record_changed")
    details = told["error"]["details"]
    assert (details["changed_by"]["name"], details["current"]["manager"]["name"]) == ("Olga", "Olga")
    assert (await patched(site, "irina", made["id"], version=2, note="x"))[0] == 200


async def test_a_lead_goes_on_to_its_client_with_source_and_note_and_tells_it_in_its_history(site: Site) -> None:
    await site.person("irina", role="admin", team=None)
    olga = await site.person("olga")
    api = await site.api("irina")
    await post(api, "dictionaries/client_source", json={"key": "expo", "label": {"ru": "Выставка", "en": "Fair"}})
    sent = {
        "address": "a@b.test",
        "team": min(olga.team_ids),
        "source": "expo",
        "note": "Ждёт цену",
        "name": "ИП Зуева",
    }
    _, made = await post(api, "leads", json=sent)
    _, client = await post(api, f"leads/{made['id']}/convert", json={})
    assert (client["name"], client["source"], client["note"]) == ("ИП Зуева", "expo", "Ждёт цену")
    assert client["kind"] == "organisation", "the name tells it"
    assert (await edits(site, made["id"]))[0] == {"state": ["open", "converted"], "client": [None, client["id"]]}
    assert (await got(api, f"leads/{made['id']}"))["client"] == {"id": client["id"], "name": "ИП Зуева"}
    status, again = await post(api, "leads", json={"address": "a@b.test", "team": min(olga.team_ids)})
    assert status == 201, again
    # An archived open lead came to nothing: its item is done, and its address is free.
    async with api.delete(f"leads/{again['id']}") as answer:
        archived = await answer.json()
    assert (archived["state"], archived["archived_at"] is not None) == ("closed", True)
    assert (await item_of(site, again["id"])).state == "done"
    async with site.db.read() as conn:
        assert await conn.scalar(sa.select(sa.func.count()).select_from(clients)) == 1


async def test_who_sees_a_lead_but_may_not_edit_it_is_refused_and_the_form_names_each_problem(site: Site) -> None:
    await site.person("irina", role="admin", team=None)
    olga, _ivan = await site.person("olga"), await site.person("ivan", role="observer", team=None)
    _, made = await post(await site.api("irina"), "leads", json={"address": "a@b.test", "team": min(olga.team_ids)})
    assert (await patched(site, "olga", made["id"], note="x"))[0] == 403, "a lead of the team that nobody has"
    assert (await patched(site, "ivan", made["id"], note="x"))[0] == 403
    page = await site.browser("irina")
    async with page.post(f"/leads/{made['id']}", data={"version": "1", "address": "x", "note": "Да"}) as answer:
        text = await answer.text()
    assert answer.status == 422 and "Must be a phone number or an e-mail address" in text and ">Да</textarea>" in text
    async with page.get(f"/leads/{made['id']}") as answer:
        card = await answer.text()
    assert f'action="/leads/{made["id"]}/convert"' in card
    async with (await site.browser("ivan")).get(f"/leads/{made['id']}") as answer:
        assert answer.status == 200 and "/convert" not in await answer.text()


async def test_a_bulk_edit_of_all_that_a_tab_shows_leaves_the_others(site: Site) -> None:
    await site.person("irina", role="admin", team=None)
    olga = await site.person("olga")
    api, page, ids = await site.api("irina"), await site.browser("irina"), []
    for number in range(3):
        _, made = await post(api, "leads", json={"address": f"a{number}@b.test", "team": min(olga.team_ids)})
        ids.append(made["id"])
    async with site.db.begin() as conn:
        await leads.close(conn, site.actors["irina"], ids[0], now=T0)
    async with page.post("/leads/bulk", data={"all": "yes", "field": "note", "note": "Весна"}) as answer:
        assert answer.status == 200
    await finish(site)
    async with site.db.read() as conn:
        rows = (await conn.execute(sa.select(table.c.id, table.c.note).order_by(table.c.id))).all()
    assert [row.note for row in rows] == ["", "Весна", "Весна"]
