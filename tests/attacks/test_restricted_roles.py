"""A role that reaches only its own clients: no page, call, search, export or stream tells anything of another client.

The ways out are all GET routes of the router, so that a new one is tried without a line here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
import pytest

from hub.clock import utc_now
from hub.crm import clients, people, privileges
from hub.crm.access import Actor, load_actor
from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.clients import CLIENTS, ClientInput
from hub.crm.people.table import USERS, UserInput
from hub.crm.roles.rules import id_of
from hub.crm.roles.table import ROLES, Grant, RoleInput
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.telephony.reading import manual_link
from hub.web.server import ROUTES
from tests.testbed import talk
from tests.testbed.events import listening
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database

SECRET, SECRET_PERSON, NUMBER = "Тайников", "Скрытнева", "89035550011"
OWN_ONLY = RoleInput(
    name="Own clients",
    grants=(
        *(Grant("client", action, "own") for action in ("see", "create", "edit")),
        *(Grant("contact", action, "own") for action in ("see", "create", "edit")),
        Grant("*", "see", "team"),
        Grant("*", "edit", "team"),
    ),
    rights=("telephony", "read_mail", "send_mail"),
)
STREAMS = ("/live", "/api/v1/events")


@dataclass(frozen=True, slots=True)
class Office:
    site: Site
    mine: int
    hidden: int
    ids: dict[str, int]

    def paths(self) -> Iterator[str]:
        """Yield every GET route with the ids of what lies on the hidden client's card, and with searches for it."""
        for route in ROUTES:
            if route.method != "GET" or route.path in STREAMS:
                continue
            part = route.path.removeprefix("/api/v1").split("/")[1]
            path = route.path.replace("{id}", str(self.ids.get(part, 1))).replace("{team}", str(self.ids["wallboard"]))
            for name in ("{file}", "{name}", "{page}", "{token}"):
                path = path.replace(name, "1")
            yield path
            if "{" not in route.path:
                yield from (path + query for query in (f"?q={SECRET[:5]}", f"?client={self.hidden}"))
            if path.endswith("/match"):
                yield f"{path}?phone={NUMBER}"


@pytest.fixture
async def office(db: Database, blobs: BlobStore) -> AsyncIterator[Office]:
    async with running_site(db, blobs) as site:
        admin = await site.person("irina", role="admin", team=None)
        async with db.begin() as conn:
            create = records.writers(ROLES).create
            assert create is not None
            await create(conn, OWN_ONLY, edit=Edit(admin, "api", utc_now()))
        rita = await site.person("rita", role="Own clients", extension="105")
        await site.person("olga", extension="101")
        async with db.begin() as conn:
            now = utc_now()
            mine = await clients.create(conn, rita, kind="person", name="Открытов", now=now)
            hidden = await clients.create(conn, None, kind="person", name=SECRET, now=now)
            contact = await clients.add_contact(conn, None, hidden, name=SECRET_PERSON, now=now)
            await clients.add_address(conn, None, hidden, kind="phone", raw=NUMBER, now=now)
            await clients.add_address(
                conn, None, hidden, kind="email", raw="a@tainikov.test", contact_id=contact, now=now
            )
        call_id, item_id, _ = await talk.waiting_call(db, number=NUMBER)
        talked, _, call = await talk.waiting_call(db, number="89035550012")
        await talk.answered(db, call, extension="105")
        async with db.begin() as conn:
            await manual_link.link(conn, admin, talked, client_id=hidden, contact_id=contact, now=utc_now())
        letter = await talk.message(db, blobs, client_id=hidden, sender="a@tainikov.test", sender_name="")
        team = min(rita.team_ids)
        ids = {"clients": hidden, "contacts": contact, "calls": call_id, "queue": item_id, "messages": letter}
        yield Office(site, mine, hidden, ids | {"wallboard": team, "threads": 1})


async def telling(office: Office, name: str) -> set[str]:
    """Return the addresses that tell this person of the hidden client, by its name or its contact's."""
    found = set()
    page, api = await office.site.browser(name), await office.site.api(name)
    for path in office.paths():
        client = api if path.startswith("/api") else page
        async with client.get(path, allow_redirects=False) as answer:
            body = (await answer.read()).decode("utf-8", "replace")
            assert answer.status < 500, (path, body[:500])
        typed = path.partition("?")[2].startswith("q=")
        said = (SECRET_PERSON,) if typed else (SECRET, SECRET_PERSON)
        if any(word in body for word in said):
            found.add(path)
    return found


async def test_no_way_out_tells_of_a_client_beyond_the_role(office: Office) -> None:
    open_to_manager = await telling(office, "olga")
    for path in ("/clients", f"/clients/{office.hidden}", "/api/v1/clients", "/messages", "/desk"):
        assert path in open_to_manager, path
    assert len(open_to_manager) > 25
    assert await telling(office, "rita") == set()


async def test_a_hidden_client_is_a_reference_without_a_name(office: Office) -> None:
    api = await office.site.api("rita")
    async with api.get(f"calls/{office.ids['calls']}") as answer:
        assert (await answer.json())["client"] == {"id": office.hidden, "name": None}
    async with api.get("queue") as answer:
        titles = [one["title"] for one in (await answer.json())["items"]]
    assert "+79035550011" in titles and SECRET not in titles
    async with api.post(f"queue/{office.ids['queue']}/claim") as answer:
        claimed = await answer.json()
    assert (answer.status, claimed["title"], claimed["client"]) == (200, "+79035550011", None)


async def test_nothing_is_done_with_a_client_beyond_the_role(office: Office) -> None:
    api, site = await office.site.api("rita"), office.site
    hidden = office.hidden
    tries: list[tuple[str, str, object]] = [
        ("PATCH", f"clients/{hidden}", {"name": "x"}),
        ("DELETE", f"clients/{hidden}", None),
        ("POST", f"calls/{office.ids['calls']}/link", {"client": hidden}),
        ("POST", f"messages/{office.ids['messages']}/link", {"client": hidden}),
        ("POST", "calls", {"to": "+74951234567", "client": hidden}),
        ("POST", "contacts", {"name": "x", "client": hidden}),
    ]
    for method, path, body in tries:
        async with api.request(method, path, json=body) as answer:
            assert answer.status in (404, 422), (path, await answer.text())
    async with site.db.read() as conn:
        assert (await records.get(conn, None, CLIENTS, hidden)).name == SECRET


async def set_role(site: Site, name: str, role: str) -> None:
    async with site.db.begin() as conn:
        update = records.writers(USERS).update
        assert update is not None
        given = UserInput(role=await id_of(conn, role))
        await update(conn, site.actors[name].user_id, given, edit=Edit(site.actors["irina"], "api", utc_now()))


async def touch(office: Office, client_id: int, note: str) -> None:
    async with office.site.db.begin() as conn:
        await records.update(conn, CLIENTS, client_id, ClientInput(note=note), edit=Edit(None, "hub", utc_now()))


async def test_an_open_stream_follows_a_new_role_at_once(office: Office) -> None:
    site = office.site
    async with listening(await site.api("rita"), "events") as events:
        await touch(office, office.hidden, "1")
        await touch(office, office.mine, "1")
        assert (await events.until("client")).data["id"] == office.mine
        await set_role(site, "rita", "manager")
        await events.until("reset")
        await touch(office, office.hidden, "2")
        assert (await events.until("client")).data["id"] == office.hidden
        await set_role(site, "rita", "Own clients")
        await events.until("reset")
        await touch(office, office.hidden, "3")
        await touch(office, office.mine, "3")
        assert (await events.until("client")).data["id"] == office.mine


async def test_an_open_stream_follows_a_changed_role_and_a_switched_right(office: Office) -> None:
    site, admin = office.site, office.site.actors["irina"]
    async with listening(await site.api("rita"), "events") as events:
        async with site.db.begin() as conn:
            update = records.writers(ROLES).update
            assert update is not None
            given = RoleInput(grants=(Grant("client", "see", "all"),))
            await update(conn, await id_of(conn, "Own clients"), given, edit=Edit(admin, "api", utc_now()))
        await events.until("reset")
        await touch(office, office.hidden, "2")
        assert (await events.until("client")).data["id"] == office.hidden
        async with site.db.begin() as conn:
            await privileges.grant(conn, site.actors["rita"].user_id, "supervise", by=None, now=utc_now())
        await events.until("reset")


async def test_a_stream_hears_of_calls_on_ones_own_clients_card(office: Office) -> None:
    site = office.site
    async with site.db.begin() as conn:
        await clients.add_address(conn, None, office.mine, kind="phone", raw="89035550077", now=utc_now())
    async with listening(await site.api("rita"), "events") as events:
        await talk.waiting_call(site.db, number=NUMBER, team="support")
        call_id, _, _ = await talk.waiting_call(site.db, number="89035550077", team="support")
        assert (await events.until("call")).data["id"] == call_id
        assert (await events.until("timeline")).data["client"] == office.mine


async def test_who_may_not_read_mail_finds_no_letter_on_a_card_either(db: Database, blobs: BlobStore) -> None:
    async with running_site(db, blobs) as site:
        admin = await site.person("irina", role="admin", team=None)
        async with db.begin() as conn:
            create = records.writers(ROLES).create
            assert create is not None
            given = RoleInput(name="No mail", grants=(Grant("*", "see", "all"),), rights=("telephony",))
            await create(conn, given, edit=Edit(admin, "api", utc_now()))
            client_id = await clients.create(conn, None, kind="person", name="Открытов", now=utc_now())
        await site.person("rita", role="No mail")
        letter = await talk.message(db, blobs, client_id=client_id, subject="Совсем секретно")
        api = await site.api("rita")
        assert await texts(api, f"clients/{client_id}/timeline", "messages", "messages?q=секретно") == 0
        async with api.get(f"messages/{letter}") as answer:
            assert answer.status == 404
        assert await texts(await site.api("irina"), f"clients/{client_id}/timeline", "messages") == 2


async def texts(api: aiohttp.ClientSession, *paths: str) -> int:
    """Count the addresses that tell the letter's subject."""
    count = 0
    for path in paths:
        async with api.get(path) as answer:
            assert answer.status == 200
            count += "Совсем секретно" in await answer.text()
    return count


async def actor_of(db: Database, user_id: int) -> Actor:
    async with db.read() as conn:
        found = await load_actor(conn, user_id)
    assert found is not None
    return found


async def test_a_role_for_the_team_reaches_as_far_as_the_team(db: Database) -> None:
    async with db.begin() as conn:
        create = records.writers(ROLES).create
        assert create is not None
        given = RoleInput(name="Team", grants=(Grant("client", "see", "team"), Grant("contact", "see", "team")))
        await create(conn, given, edit=Edit(None, "hub", utc_now()))
        ids = {}
        for name, team in (("anna", "sales"), ("boris", "sales"), ("vera", "support")):
            ids[name] = await people.add_user(
                conn,
                email=f"{name}@hub.test",
                name=name,
                role="Team",
                password_hash="x",
                team_names=[team],
                now=utc_now(),
            )
        made = await clients.create(conn, None, kind="person", name="Ромашкин", now=utc_now())
        await clients.add_contact(conn, None, made, name="Анна", now=utc_now())
        edit = Edit(None, "hub", utc_now())
        await records.update(conn, CLIENTS, made, ClientInput(manager=ids["anna"]), edit=edit)
    for name, seen in (("anna", 1), ("boris", 1), ("vera", 0)):
        actor = await actor_of(db, ids[name])
        async with db.read() as conn:
            assert len(await clients.search(conn, actor, "ром", region="RU")) == seen, name
