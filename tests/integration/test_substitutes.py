"""A substitute: has the absent person's own scope from–until, everywhere, and no account of theirs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import clients, substitution
from hub.crm.access import load_actor
from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.clients import CLIENTS, ClientInput
from hub.crm.linking import Linker
from hub.crm.models import users
from hub.crm.roles.table import ROLES, Grant, RoleInput
from hub.crm.rules import TeamRules, save
from hub.store.engine import Database
from hub.telephony.routing import route_facts
from hub.telephony.routing.route_facts import Place, Question
from tests.factories import got
from tests.testbed.events import listening
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database
NOW = utc_now()
DAY = timedelta(days=1)
OWN = RoleInput(
    name="Own only",
    grants=(
        Grant("client", "see", "own"),
        Grant("client", "edit", "own"),
        Grant("user", "see", "own"),
        Grant("user", "edit", "own"),
    ),
)


async def own_only(site: Site) -> None:
    async with site.db.begin() as conn:
        await records.create(conn, ROLES, OWN, edit=Edit(None, "hub", NOW))


async def client_of(site: Site, owner: str, name: str = "Ромашка") -> int:
    async with site.db.begin() as conn:
        client_id = await clients.create(conn, None, kind="organisation", name=name, now=NOW)
        given = ClientInput(manager=site.actors[owner].user_id)
        await records.update(conn, CLIENTS, client_id, given, edit=Edit(None, "hub", NOW))
    return client_id


async def patched(api: aiohttp.ClientSession, user_id: int, **fields: Any) -> tuple[int, Any]:
    async with api.patch(f"users/{user_id}", json=fields) as answer:
        return answer.status, await answer.json()


async def refused(api: aiohttp.ClientSession, user_id: int, **fields: Any) -> dict[str, str]:
    status, told = await patched(api, user_id, **fields)
    assert status == 422, told
    return {name: one["code"] for name, one in told["error"]["details"]["fields"].items()}


def text(at: datetime) -> str:
    return at.isoformat()


async def people_of(site: Site, *names: str) -> list[int]:
    return [(await site.person(name)).user_id for name in names]


async def test_a_substitute_works_with_the_absent_persons_records_for_the_term(site: Site) -> None:
    await own_only(site)
    await site.person("irina", role="admin", team=None)
    anna = (await site.person("anna", role="Own only", team=None)).user_id
    boris = (await site.person("boris", role="Own only", team=None)).user_id
    theirs = await client_of(site, "anna")
    admin, substitute = await site.api("irina"), await site.api("boris")
    assert (await got(substitute, "clients"))["items"] == []
    term = {"substitute": boris, "substitute_from": text(NOW - DAY), "substitute_until": text(NOW + DAY)}
    status, told = await patched(admin, anna, **term)
    assert status == 200, told
    assert told["substitute"] == {"id": boris, "name": "Boris"}
    assert [one["id"] for one in (await got(substitute, "clients"))["items"]] == [theirs]
    told = await got(admin, f"users/{boris}/rights")
    assert told["substitutes"] == [{"id": anna, "name": "Anna"}]
    async with (await site.browser("irina")).get(f"/users/{boris}") as answer:
        assert "Own records are those of Anna too, while substituting them." in await answer.text()
    async with substitute.patch(f"clients/{theirs}", json={"note": "called back"}) as answer:
        assert answer.status == 200, await answer.text()
    assert [one["id"] for one in (await got(substitute, "users"))["items"]] == [boris], (
        "an account is no record of work"
    )
    async with substitute.patch(f"users/{anna}", json={"email": "boris2@hub.test"}) as answer:
        assert answer.status == 404
    assert (await patched(admin, anna, substitute=None))[1]["substitute_from"] is None
    assert (await got(substitute, "clients"))["items"] == []


@pytest.mark.parametrize(
    ("since", "until_", "is_in"), [(-2, -1, False), (-1, 1, True), (1, 2, False), (-1, None, True)]
)
async def test_the_term_decides_from_its_first_to_before_its_last_moment(
    site: Site, since: int, until_: int | None, is_in: bool
) -> None:
    anna, boris = await people_of(site, "anna", "boris")
    ends = None if until_ is None else NOW + until_ * DAY
    async with site.db.begin() as conn:
        begins = NOW + since * DAY
        values = {"substitute_id": boris, "substitute_from": begins, "substitute_until": ends}
        await conn.execute(sa.update(users).where(users.c.id == anna).values(**values))
        actor = await load_actor(conn, boris, now=NOW)
        assert actor is not None
        assert (anna in actor.substitutes) is is_in
        moments = [at for at in (begins, ends) if at is not None and at > NOW]
        assert actor.changes_at == min(moments, default=None)
        if ends is not None:
            at_end = await load_actor(conn, boris, now=ends)
            assert at_end is not None
            assert at_end.substitutes == frozenset()
        at_start = await load_actor(conn, boris, now=begins)
        assert at_start is not None
        assert at_start.substitutes == {anna}


async def test_a_substitute_who_is_absent_too_passes_the_work_on(site: Site) -> None:
    anna, boris, vera = await people_of(site, "anna", "boris", "vera")
    async with site.db.begin() as conn:
        for person, substitute in ((anna, boris), (boris, vera)):
            values = {"substitute_id": substitute, "substitute_from": NOW - DAY, "substitute_until": NOW + DAY}
            await conn.execute(sa.update(users).where(users.c.id == person).values(**values))
        actor = await load_actor(conn, vera, now=NOW)
        assert actor is not None
        assert actor.substitutes == {anna, boris}
        assert await substitution.present(conn, anna, now=NOW) == vera
        await conn.execute(sa.update(users).where(users.c.id == vera).values(disabled_at=NOW))
        assert await substitution.present(conn, anna, now=NOW) == boris, "nobody disabled stands in"
        assert await substitution.present(conn, anna, now=NOW + DAY) == anna


async def test_what_cannot_be_is_refused_by_one_word_at_the_field(site: Site) -> None:
    await site.person("irina", role="admin", team=None)
    api = await site.api("irina")
    anna, boris, vera, gone = await people_of(site, "anna", "boris", "vera", "gone")
    async with api.delete(f"users/{gone}") as answer:
        assert answer.status == 200
    term = {"substitute_from": text(NOW), "substitute_until": text(NOW + 10 * DAY)}
    assert await refused(api, anna, substitute=anna, **term) == {"substitute": "oneself"}
    assert await refused(api, anna, substitute=gone, **term) == {"substitute": "not_found"}
    assert await refused(api, anna, substitute_from=text(NOW)) == {"substitute": "required"}
    early = {"substitute": boris, "substitute_from": text(NOW), "substitute_until": text(NOW - DAY)}
    assert await refused(api, anna, **early) == {"substitute_until": "too_early"}
    assert (await patched(api, anna, substitute=boris, **term))[0] == 200
    assert await refused(api, boris, substitute=anna, **term) == {"substitute": "substitute_cycle"}
    assert (await patched(api, boris, substitute=vera, **term))[0] == 200
    assert await refused(api, vera, substitute=anna) == {"substitute": "substitute_cycle"}, "until further notice"
    later = {"substitute_from": text(NOW + 10 * DAY), "substitute_until": text(NOW + 20 * DAY)}
    assert (await patched(api, vera, substitute=anna, **later))[0] == 200, "at no moment do all three terms overlap"
    status, told = await patched(api, gone, substitute=anna)
    assert (status, told["error"]["code"]) == (409, "record_archived")


async def test_an_open_page_hears_of_the_absent_persons_client_as_soon_as_the_term_begins(site: Site) -> None:
    await own_only(site)
    await site.person("irina", role="admin", team=None)
    anna = (await site.person("anna", role="Own only", team=None)).user_id
    boris = (await site.person("boris", role="Own only", team=None)).user_id
    theirs = await client_of(site, "anna")
    admin = await site.api("irina")
    async with listening(await site.api("boris"), "events") as heard:
        begins = utc_now() + timedelta(seconds=3)
        term = {"substitute": boris, "substitute_from": text(begins), "substitute_until": text(begins + DAY)}
        assert (await patched(admin, anna, **term))[0] == 200
        await heard.until("reset")
        assert utc_now() < begins, "the first is of the absence that was written down"
        await heard.until("reset", deadline_s=20)
        assert utc_now() >= begins
        async with admin.patch(f"clients/{theirs}", json={"note": "news"}) as answer:
            assert answer.status == 200
        assert (await heard.until("client", deadline_s=20)).data["id"] == theirs


async def test_a_call_for_an_absent_managers_client_rings_the_substitute(db: Database, site: Site) -> None:
    admin = await site.person("irina", role="admin", team=None)
    anna = (await site.person("anna", extension="101")).user_id
    boris = (await site.person("boris", extension="102")).user_id
    client_id = await client_of(site, "anna")
    place, question = Place("office", {"sales": "hub-sales"}, "RU"), Question("+74951234567", "hub-sales")
    async with db.begin() as conn:
        phones = {"phones": ["+74951234567"]}
        given = CLIENTS.read(phones, is_new=False)
        update = records.writers(CLIENTS).update
        assert update is not None
        await update(conn, client_id, given, edit=Edit(None, "hub", NOW))
        (team_id,) = site.actors["anna"].team_ids
        await save(conn, admin, team_id, TeamRules(personal_s=15), now=NOW)
        found = await route_facts.gather(conn, Linker("RU"), place, question, now=NOW)
        assert found.owner is not None
        assert (found.owner.name, found.owner.extension) == ("Anna", "101")
        values = {"substitute_id": boris, "substitute_from": NOW - DAY, "substitute_until": NOW + DAY}
        await conn.execute(sa.update(users).where(users.c.id == anna).values(**values))
        found = await route_facts.gather(conn, Linker("RU"), place, question, now=NOW)
        assert found.owner is not None
        assert (found.owner.name, found.owner.extension, found.client) == ("Boris", "102", "Ромашка")
        found = await route_facts.gather(conn, Linker("RU"), place, question, now=NOW + DAY)
        assert found.owner is not None
        assert found.owner.name == "Anna"


async def test_the_form_and_the_card_show_substitute_and_term(site: Site) -> None:
    await site.person("irina", role="admin", team=None)
    anna, boris = await people_of(site, "anna", "boris")
    page = await site.browser("irina")
    async with page.get(f"/users/{anna}/edit") as answer:
        form = await answer.text()
    assert 'name="substitute"' in form
    version = json.loads(form.split('name="version" value="')[1].split('"')[0])
    data = {"version": version, "substitute": boris, "substitute_from": "2030-01-01T09:00"}
    async with page.post(f"/users/{anna}", data=data | {"substitute_until": "2029-01-01T09:00"}) as answer:
        assert "Must be later than the beginning" in await answer.text()
    async with page.post(f"/users/{anna}", data=data, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
    async with page.get(f"/users/{anna}") as answer:
        card = await answer.text()
    assert "Substitute" in card
    assert "Boris" in card
    async with site.db.read() as conn:
        query = sa.select(users.c.substitute_from).where(users.c.id == anna)
        assert (await conn.execute(query)).scalar_one() > datetime(2029, 12, 31, tzinfo=UTC)
