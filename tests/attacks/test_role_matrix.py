"""Every route of every kind × every delivered role × one's own record, one of the team, and a foreign one.

Kinds come from the registry, routes from the router, and what is allowed from `permissions.scope`: a new kind, route or
role is tried without a line here. A route that no action is named for must hide what the role does not see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.access import Actor, load_actor
from hub.crm.base import records, registry
from hub.crm.base.collections import Collection
from hub.crm.base.entity import Entity
from hub.crm.base.fields import Choice, Email
from hub.crm.base.history import Edit
from hub.crm.base.permissions import Action, Scope, scope
from hub.crm.leads.table import LeadAddress
from hub.crm.roles.presets import PRESETS
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web.crm.routes import KINDS
from hub.web.routes import Route
from hub.web.server import ROUTES
from tests.testbed import talk
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database

Relation = Literal["own", "team", "foreign"]
REACHES: dict[Scope, tuple[Relation, ...]] = {
    "none": (),
    "own": ("own",),
    "team": ("own", "team"),
    "all": ("own", "team", "foreign"),
}
ACTIONS: dict[tuple[str, str], Action] = {
    ("PATCH", "/{id}"): "edit",
    ("POST", "/{id}"): "edit",
    ("DELETE", "/{id}"): "delete",
    ("POST", "/{id}/archive"): "delete",
    ("POST", "/{id}/restore"): "delete",
}
ON_NONE: dict[tuple[str, str], tuple[Action, ...]] = {
    ("GET", "/new"): ("create",),
    ("POST", ""): ("create",),
    ("GET", "/bulk"): ("bulk",),
    ("POST", "/bulk"): ("bulk", "edit"),
    ("POST", "/bulk/archive"): ("bulk", "delete"),
    ("POST", "/bulk/restore"): ("bulk", "delete"),
    ("GET", "/export"): ("export",),
}
"""Routes without a record: refused where the role grants the action on none at all."""


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        yield running


@dataclass(frozen=True, slots=True)
class People:
    me: Actor
    mate: Actor
    stranger: Actor


async def people(site: Site, role: str) -> People:
    me = await site.person("me", role=role, extension="101")
    mate, stranger = await site.person("mate"), await site.person("stranger", team="support")
    async with site.db.read() as conn:
        fresh = await load_actor(conn, me.user_id)
    assert fresh is not None
    return People(fresh, mate, stranger)


class Records:
    """Makes a record of any kind in any relation to a person, from what the kind declares."""

    def __init__(self, site: Site, cast: People) -> None:
        self.site, self.cast, self.made = site, cast, 0
        self.known: dict[tuple[str, Relation], int | None] = {}

    async def id_of(self, entity: Entity[Any, Any], relation: Relation) -> int | None:
        """Return the record; None where the kind has none in this relation."""
        key = (entity.kind, relation)
        if key not in self.known:
            self.known[key] = await self._find(entity, relation)
        return self.known[key]

    async def _find(self, entity: Entity[Any, Any], relation: Relation) -> int | None:
        if entity.kind in ("call", "message"):
            return await self._talk(entity.kind, relation)
        if not entity.is_editable:
            return None
        owner = {"own": self.cast.me, "team": self.cast.mate, "foreign": self.cast.stranger}[relation]
        if entity.owner is entity.id:
            return owner.user_id
        if entity.team is entity.id:
            return None if relation == "own" else min(owner.team_ids)
        if entity.owner is not None:
            return await self._make(entity, {self._name(entity, entity.owner): owner.user_id})
        if entity.through is not None:
            behind = await self.id_of(registry.target(entity, entity.through), relation)
            return await self._make(entity, {self._name(entity, entity.through): behind})
        if entity.team is not None:
            given = {self._name(entity, entity.team): min(owner.team_ids)}
            return None if relation == "own" else await self._make(entity, given)
        return await self._make(entity, {}) if relation == "foreign" else None

    async def _talk(self, kind: str, relation: Relation) -> int:
        """Return a call or a message of one's own (that one answered, of one's mailbox), of the team, or foreign."""
        team = "sales" if relation == "team" else "support"
        if kind == "message":
            owner = self.cast.me.user_id if relation == "own" else None
            files = (("a.txt", "text/plain", b"a"),)
            return await talk.message(self.site.db, self.site.blobs, team=team, owner_id=owner, files=files)
        call_id, _item, waiting = await talk.waiting_call(self.site.db, team=team)
        if relation == "own":
            await talk.answered(self.site.db, waiting, extension=self.cast.me.extension or "", team=team)
        return call_id

    @staticmethod
    def _name(entity: Entity[Any, Any], column: sa.Column[Any]) -> str:
        return next(field.name for field in entity.fields if field.column is column and field.columns)

    async def sample(self, entity: Entity[Any, Any], given: dict[str, Any]) -> dict[str, Any]:
        """Return what a new record needs, over `given`."""
        self.made += 1
        if entity.owner is None and entity.team is not None and entity.team is not entity.id:
            given = {self._name(entity, entity.team): min(self.cast.me.team_ids)} | given
        values: dict[str, Any] = {}
        for field in (*entity.required_of_new, *(one for one in entity.input_fields if one.follows)):
            if field.name in given or isinstance(field, Collection):
                continue
            if field.kind is not None:
                values[field.name] = await self.id_of(registry.kind(field.kind), "foreign")
            elif isinstance(field, Choice):
                values[field.name] = field.options[0].value
            else:
                is_mail = isinstance(field, (Email, LeadAddress))
                values[field.name] = f"x{self.made}@hub.test" if is_mail else f"x{self.made}"
        return values | given

    async def _make(self, entity: Entity[Any, Any], given: dict[str, Any]) -> int:
        values = await self.sample(entity, given)
        create = records.writers(entity).create
        assert create is not None
        async with self.site.db.begin() as conn:
            made = await create(conn, entity.read(values, is_new=True), edit=Edit(None, "hub", utc_now()))
        return int(made.id)


def routes_of(entity: Entity[Any, Any]) -> Iterator[tuple[Route, str]]:
    """Yield the routes of a kind, with what follows the kind's word in the path; those that change come last."""
    found = []
    for route in ROUTES:
        path = route.path.removeprefix("/api/v1")
        rest = path.removeprefix(f"/{entity.plural}")
        if rest != path and (not rest or rest.startswith("/")):
            found.append((route, rest))
    # What archives comes after what changes, and what brings back after that.
    yield from sorted(found, key=lambda one: (one[0].method != "GET", _harm(*one), one[1]))


def _harm(route: Route, rest: str) -> int:
    if rest.endswith("/restore"):
        return 2
    return int(route.method == "DELETE" or rest.endswith(("/archive", "/deactivate")))


async def status(
    client: aiohttp.ClientSession, route: Route, record_id: int | None, new: dict[str, Any]
) -> tuple[int, str]:
    path = route.path.replace("{id}", str(record_id))
    body: dict[str, Any] = {}
    if route.method != "GET":
        given: dict[str, Any] = {"ids": [1], "set": {"name": "x"}} if path.endswith("/bulk") else new
        body = {"json" if route.path.startswith("/api") else "data": given}
    async with client.request(route.method, path, allow_redirects=False, **body) as answer:
        return answer.status, (await answer.read()).decode("utf-8", "replace")


@pytest.mark.parametrize("role", [preset.key for preset in PRESETS])
async def test_each_route_of_each_kind_answers_as_far_as_the_role_reaches(site: Site, role: str) -> None:
    cast = await people(site, role)
    made = Records(site, cast)
    page, api = await site.browser("me"), await site.api("me")
    wrong, tried = [], 0
    for web in KINDS:
        for relation in REACHES["all"]:
            await made.id_of(web.entity, relation)
    for web in KINDS:
        entity = web.entity
        for route, rest in routes_of(entity):
            if "{" in rest.removeprefix("/{id}"):
                continue  # the id of something else, as of a saved view
            client = api if route.path.startswith("/api") else page
            for relation in REACHES["all"] if "{id}" in rest else ("foreign",):
                record_id = await made.id_of(entity, relation) if "{id}" in rest else None
                if "{id}" in rest and record_id is None:
                    continue
                new = await made.sample(entity, {}) if (route.method, rest) == ("POST", "") else {}
                told, text = await status(client, route, record_id, new)
                tried += 1
                if problem := judged(cast.me, entity, route, rest, relation, told):
                    wrong.append(f"{route.method} {route.path} {relation}: {told}, {problem}: {text[:150]!r}")
    assert wrong == [], "\n".join(wrong)
    assert tried > 20 * len(KINDS)


def judged(me: Actor, entity: Entity[Any, Any], route: Route, rest: str, relation: Relation, told: int) -> str:
    """Return what is wrong with an answer, by the scopes of the role; nothing where it is right."""
    if told >= 500:
        return "broken"
    if route.who == "admin" and not me.is_admin:
        return "" if told == 403 else "the administrator's alone"
    if not entity.is_editable and route.method != "GET":
        # Nobody edits these through the base: their own calls ask their own rights (`test_web_access`).
        return ""
    if "{id}" not in rest:
        actions = ON_NONE.get((route.method, rest), ())
        if not actions and scope(me, entity.kind, "see") == "none":
            return ""  # a list of nothing may be shown or refused
        is_refused = any(scope(me, entity.kind, action) == "none" for action in actions)
        return "" if (told == 403) is is_refused else f"{actions}: {is_refused=}"
    if relation not in REACHES[scope(me, entity.kind, "see")]:
        return "" if told == 404 else "not hidden"
    action = ACTIONS.get((route.method, rest), "see")
    if relation not in REACHES[scope(me, entity.kind, action)]:
        return "" if told == 403 else f"not refused: {action}"
    if action == "see" and route.method != "GET":
        return "" if told != 404 else "hidden"
    # The administrator's role cannot be changed by anybody.
    is_fixed = entity.kind == "role" and action != "see"
    return "" if told not in (403, 404) or is_fixed else f"refused: {action}"


@pytest.mark.parametrize("role", [preset.key for preset in PRESETS])
async def test_lists_hold_what_the_role_sees_and_nothing_else(site: Site, role: str) -> None:
    cast = await people(site, role)
    made = Records(site, cast)
    api = await site.api("me")
    for web in KINDS:
        entity, expected = web.entity, set()
        reach = REACHES[scope(cast.me, entity.kind, "see")]
        ids = {relation: await made.id_of(entity, relation) for relation in REACHES["all"]}
        expected = {record_id for relation, record_id in ids.items() if relation in reach and record_id}
        if web.who == "admin" and not cast.me.is_admin:
            for path in (entity.plural, f"{entity.plural}/count"):
                async with api.get(path) as answer:
                    assert answer.status == 403, path
            continue
        async with api.get(entity.plural, params={"limit": "200"}) as answer:
            found = {one["id"] for one in (await answer.json())["items"]}
        assert found & {one for one in ids.values() if one} == expected, entity.kind
        async with api.get(f"{entity.plural}/count") as answer:
            assert (await answer.json())["count"] == len(found), entity.kind
