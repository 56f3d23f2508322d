"""Roles: the delivered ones keep what people could do before; others reach exactly as far as they grant."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import access, accounts, clients, people, privileges
from hub.crm.access import Actor, load_actor
from hub.crm.base import history, records
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid
from hub.crm.models import audit, roles, users
from hub.crm.people.table import USERS, UserInput
from hub.crm.roles.presets import PRESETS
from hub.crm.roles.rules import id_of
from hub.crm.roles.table import ROLES, Grant, RoleInput
from hub.errors import Conflict, Forbidden, NotFound, Refused
from hub.store.changes import Change, Position
from hub.store.engine import Database

WRITE_ROLE, WRITE_USER = records.writers(ROLES), records.writers(USERS)


async def person(db: Database, name: str, role: str = "manager", *teams: str) -> Actor:
    async with db.begin() as conn:
        user_id = await people.add_user(
            conn, email=f"{name}@hub.test", name=name, role=role, password_hash="x", team_names=teams, now=utc_now()
        )
        actor = await load_actor(conn, user_id)
    assert actor is not None
    return actor


async def again(db: Database, actor: Actor) -> Actor:
    async with db.read() as conn:
        fresh = await load_actor(conn, actor.user_id)
    assert fresh is not None
    return fresh


def by(actor: Actor | None) -> Edit:
    return Edit(actor, "api", utc_now())


async def test_the_delivered_roles_are_those_of_the_presets(db: Database) -> None:
    async with db.read() as conn:
        page = await records.page(conn, None, ROLES, limit=20)
    found = {one.key: one for one in page.items}
    assert set(found) == {preset.key for preset in PRESETS}
    for preset in PRESETS:
        role = found[preset.key]
        assert role.name == preset.name
        assert {(one.kind, one.action): one.scope for one in role.grants} == preset.grants
        assert (set(role.rights), set(role.pages)) == (preset.rights, set(preset.pages))


async def test_an_administrator_and_a_manager_may_do_what_they_could_before(db: Database) -> None:
    admin, anna = await person(db, "olga", "admin"), await person(db, "anna", "manager", "sales")
    assert (admin.is_admin, anna.is_admin) == (True, False)
    for right in privileges.PRIVILEGES:
        assert admin.has(right)
    assert [right for right in privileges.PRIVILEGES if anna.has(right)] == ["telephony", "read_mail", "send_mail"]
    async with db.begin() as conn:
        await privileges.grant(conn, anna.user_id, "recordings", by=None, now=utc_now())
        assert await privileges.held_by(conn, anna.user_id) == ["recordings"]
    assert (await again(db, anna)).has("recordings")
    async with db.begin() as conn:
        made = await clients.create(conn, anna, kind="person", name="Ромашка", now=utc_now())
        await privileges.revoke(conn, anna.user_id, "recordings", by=None, now=utc_now())
        boris = await people.add_user(
            conn, email="b@hub.test", name="b", role="manager", password_hash="x", team_names=["other"], now=utc_now()
        )
        seen = await records.page(conn, anna, USERS)
        assert (await records.get(conn, anna, clients.CLIENTS, made)).name == "Ромашка"
        with pytest.raises(NotFound):
            await records.get(conn, anna, USERS, boris)
    assert [one.id for one in seen.items] == [anna.user_id]
    assert not (await again(db, anna)).has("recordings")


async def test_a_person_whom_an_older_version_made_has_the_preset_of_that_role(db: Database) -> None:
    anna = await person(db, "anna")
    async with db.begin() as conn:
        await conn.execute(sa.update(users).values(role_id=None))
    fresh = await again(db, anna)
    assert fresh.granted is None
    assert fresh.grants == anna.grants
    assert fresh.has("telephony")
    assert not fresh.has("supervise")


async def test_an_observer_looks_on_and_touches_nothing(db: Database) -> None:
    anna = await person(db, "anna", "observer", "sales")
    async with db.begin() as conn:
        client_id = await clients.create(conn, None, kind="person", name="Ромашка", now=utc_now())
        assert (await records.get(conn, anna, clients.CLIENTS, client_id)).name == "Ромашка"
        with pytest.raises(Forbidden):
            await records.update(conn, clients.CLIENTS, client_id, clients.ClientInput(note="x"), edit=by(anna))
        with pytest.raises(Forbidden):
            await clients.create(conn, anna, kind="person", name="Василёк", now=utc_now())
    with pytest.raises(Forbidden):
        access.require_work(anna)


async def test_a_role_of_ones_own_making_reaches_as_far_as_it_grants(db: Database) -> None:
    admin = await person(db, "olga", "admin")
    grants = (Grant("client", "see", "own"), Grant("client", "edit", "own"), Grant("user", "see", "all"))
    async with db.begin() as conn:
        made = await WRITE_ROLE.create(conn, RoleInput(name="Стажёр", grants=grants), edit=by(admin))  # type: ignore[misc]
    anna = await person(db, "anna", "стажер", "sales")
    assert (anna.role_id, anna.role_name) == (made.id, "Стажёр")
    async with db.begin() as conn:
        mine = await clients.create(conn, None, kind="person", name="mine", now=utc_now())
        await clients.create(conn, None, kind="person", name="not mine", now=utc_now())
        given = clients.ClientInput(manager=anna.user_id)
        await records.update(conn, clients.CLIENTS, mine, given, edit=by(admin))
        assert [one.id for one in (await records.page(conn, anna, clients.CLIENTS)).items] == [mine]
    about = {"at": utc_now(), "kind": "client", "team_id": None, "user_id": None}
    for owners, heard in (([anna.user_id], True), ([admin.user_id], False)):
        change = Change(Position(0, 1), object_id=mine, client_id=mine, data={"owners": owners}, **about)  # type: ignore[arg-type]
        assert access.can_receive(anna, change) is heard
    assert not anna.has("telephony")


async def test_only_administrators_change_roles_and_never_their_own(db: Database) -> None:
    admin = await person(db, "olga", "admin")
    async with db.begin() as conn:
        role_id = await id_of(conn, "manager")
        every = (Grant("*", "see", "all"), Grant("*", "edit", "all"), Grant("role", "edit", "all"))
        made = await WRITE_ROLE.create(conn, RoleInput(name="Almost", grants=every), edit=by(admin))  # type: ignore[misc]
    anna = await person(db, "anna", "Almost")

    async def change(actor: Actor, changed_id: int) -> None:
        async with db.begin() as conn:
            await WRITE_ROLE.update(conn, changed_id, RoleInput(rights=("supervise",)), edit=by(actor))  # type: ignore[misc]

    async def promote() -> None:
        async with db.begin() as conn:
            given = UserInput(role=await id_of(conn, "admin"))
            await WRITE_USER.update(conn, anna.user_id, given, edit=by(anna))  # type: ignore[misc]

    for attempt in (change(anna, made.id), change(anna, role_id), promote()):
        with pytest.raises(Forbidden):
            await attempt
    async with db.read() as conn:
        of_admin = await id_of(conn, "admin")
    with pytest.raises(Forbidden, match="cannot be changed"):
        await change(admin, of_admin)
    await change(admin, role_id)
    async with db.read() as conn:
        (entry, *_) = await history.page(conn, "role", role_id)
        acts = (await conn.execute(sa.select(audit.c.action).where(audit.c.object_kind == "role"))).scalars().all()
    assert entry.changes == {"rights": [["read_mail", "send_mail", "telephony"], ["supervise"]]}
    assert acts == ["role.created", "role.changed"]
    with pytest.raises(Conflict, match="people have this role"):
        async with db.begin() as conn:
            await WRITE_ROLE.archive(conn, made.id, edit=by(admin))  # type: ignore[misc]


async def test_a_grant_on_nothing_is_refused(db: Database) -> None:
    for wrong in ({"kind": "moon", "action": "see", "scope": "all"}, {"kind": "client"}, "client see all", None, []):
        with pytest.raises(Invalid) as caught:
            ROLES.read({"name": "x", "grants": [wrong]}, is_new=True)
        assert list(caught.value.problems) == ["grants"]
    sent = {"kind": "client", "action": "see", "scope": "own"}
    assert ROLES.read({"name": "x", "grants": [sent]}, is_new=True).grants == (Grant("client", "see", "own"),)


async def test_there_is_always_an_administrator(db: Database) -> None:
    admin = await person(db, "olga", "admin")
    async with db.read() as conn:
        manager = await id_of(conn, "manager")

    async def step_down() -> None:
        async with db.begin() as conn:
            await WRITE_USER.update(conn, admin.user_id, UserInput(role=manager), edit=by(admin))  # type: ignore[misc]

    async def leave() -> None:
        async with db.begin() as conn:
            await WRITE_USER.archive(conn, admin.user_id, edit=by(admin))  # type: ignore[misc]

    for attempt in (step_down(), leave()):
        with pytest.raises(Refused, match="only administrator"):
            await attempt
    assert (await again(db, admin)).is_admin
    other = await person(db, "anna", "admin")
    await step_down()
    assert not (await again(db, admin)).is_admin
    async with db.begin() as conn:
        assert await accounts.disable(conn, admin.user_id, edit=by(other)) == 0
        assert await load_actor(conn, admin.user_id) is None
        await WRITE_USER.restore(conn, admin.user_id, edit=by(other))  # type: ignore[misc]
        entries = await history.page(conn, "user", admin.user_id)
    assert [entry.changes for entry in entries[:2]] == [{"archived": [True, False]}, {"archived": [False, True]}]


async def test_a_person_is_made_and_edited_with_an_error_at_each_field(db: Database) -> None:
    admin = await person(db, "olga", "admin")
    async with db.begin() as conn:
        role, team = await id_of(conn, "manager"), await people.ensure_team(conn, "sales", now=utc_now())
        given = USERS.read({"name": "Anna", "email": "A@Hub.test", "role": role, "teams": [team]}, is_new=True)
        made = await WRITE_USER.create(conn, given, edit=by(admin))  # type: ignore[misc]
        account = people.account_key("a@hub.test")
        _, stored = await people.password_of(conn, account)
        with pytest.raises(Invalid) as caught:
            await WRITE_USER.update(conn, made.id, UserInput(email="olga@hub.test", teams=(99,)), edit=by(admin))  # type: ignore[misc]
    assert (made.email, made.teams, made.role_id) == ("a@hub.test", (team,), role)
    assert not await people.fits(stored, "!")
    assert set(caught.value.problems) == {"teams"}
    with pytest.raises(Invalid) as caught:
        USERS.read({"name": "", "extension": "12a", "email": "x", "password_hash": "y"}, is_new=False)
    assert {name: one.code for name, one in caught.value.problems.items()} == {
        "name": "required",
        "extension": "bad_extension",
        "email": "bad_email",
        "password_hash": "unknown_field",
    }


async def test_an_unknown_role_is_refused_with_those_there_are(db: Database) -> None:
    with pytest.raises(Refused, match="admin, head, manager, observer"):
        await person(db, "anna", "boss")
    async with db.read() as conn:
        assert (await conn.execute(sa.select(sa.func.count()).select_from(roles))).scalar_one() == 4
