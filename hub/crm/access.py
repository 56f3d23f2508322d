"""Rights on records and acts: the one place that every list, card, search, export, API call and stream asks.

An `Actor` is a signed-in person with role and teams, read fresh for each request. Predicates are SQL conditions,
so a list and a card cannot differ. Invariant: nothing here answers "yes" for a disabled user or a foreign team.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import utc_now
from hub.crm import substitution
from hub.crm.base import permissions, registry
from hub.crm.base.permissions import Action, Grants, may_receive, permitted, scope
from hub.crm.models import (
    clients,
    phones,
    queue_items,
    role_grants,
    role_pages,
    role_rights,
    roles,
    team_members,
    user_privileges,
    users,
)
from hub.crm.roles.presets import PRESET, Right
from hub.errors import Forbidden
from hub.store.changes import Change

Privilege = Right
"""A right that a role holds, or that a person holds beside it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person as access knows them."""

    user_id: int
    name: str
    email: str
    role: Literal["admin", "manager"]
    team_ids: frozenset[int]
    extension: str | None
    language: str | None
    privileges: frozenset[Privilege] = frozenset()
    """The role's rights, and those that the person holds beside it."""
    phones: tuple[tuple[str, str], ...] = ()
    """(pbx, extension) where it is another than `extension`; an empty one where that is somebody else's phone."""
    role_id: int | None = None
    role_name: str = ""
    granted: Grants | None = None
    """None: what the preset of `role` grants."""
    pages: frozenset[str] | None = None
    """The parts of the menu that the role has; None: those of the preset of `role`."""
    must_enrol: bool = False
    """Whether the role asks for a second step of the sign-in that the person has not set up yet."""
    substitutes: frozenset[int] = frozenset()
    """The people whom this person substitutes now: their own records are in scope `own` too."""
    changes_at: datetime | None = None
    """The moment from which `substitutes` is another one."""
    time_zone: str | None = None
    """The IANA name of the zone in which the person reads times; None: the company's."""

    @property
    def grants(self) -> Grants:
        """The grants of the role on records."""
        return PRESET[self.role].grants if self.granted is None or self.is_admin else self.granted

    @property
    def own_ids(self) -> frozenset[int]:
        """The person, and those whom they substitute now."""
        return self.substitutes | {self.user_id}

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    def has(self, privilege: Privilege) -> bool:
        if self.is_admin or privilege in self.privileges:
            return True
        return self.granted is None and privilege in PRESET[self.role].rights

    def has_page(self, page: str) -> bool:
        """Tell whether a part of the menu exists for the person; "" is everybody's."""
        pages = PRESET[self.role].pages if self.pages is None else self.pages
        return not page or self.is_admin or page in pages

    def extension_on(self, pbx: str) -> str | None:
        """The person's phone on this PBX."""
        return dict(self.phones).get(pbx, self.extension) or None

    @property
    def has_phone(self) -> bool:
        """Whether there is a phone of theirs on any PBX."""
        return bool(self.extension) or any(extension for _, extension in self.phones)


# Made once: these are asked for with each request, and making a statement costs more than running it.
_ID = sa.bindparam("user_id", type_=sa.BigInteger)
_ROLE = sa.bindparam("role_id", type_=sa.BigInteger)
_PERSON = (
    sa.select(users, roles.c.name.label("role_name"), roles.c.requires_two_factor)
    .outerjoin(roles, roles.c.id == users.c.role_id)
    .where(users.c.id == _ID, users.c.disabled_at.is_(None))
)
_TEAMS_AND_ABSENT = substitution.of_substitute(_ID).union_all(
    sa.select(team_members.c.team_id, *(sa.null() for _ in substitution.TERM)).where(team_members.c.user_id == _ID)
)
"""The teams of a person, and the absences in which they substitute, in one question."""
_RIGHTS = sa.union(
    sa.select(user_privileges.c.privilege).where(user_privileges.c.user_id == _ID),
    sa.select(role_rights.c.right).where(role_rights.c.role_id == _ROLE),
)
_GRANTS = sa.select(role_grants).where(role_grants.c.role_id == _ROLE)
_PAGES = sa.select(role_pages.c.page).where(role_pages.c.role_id == _ROLE)
_PHONES = (
    sa.select(phones)
    .where(sa.or_(phones.c.user_id == _ID, phones.c.extension == sa.bindparam("extension", type_=sa.String)))
    .order_by(phones.c.pbx)
)


async def load_actor(conn: AsyncConnection, user_id: int, *, now: datetime | None = None) -> Actor | None:
    """Return the actor for an enabled user as of `now` (the present), None otherwise."""
    user = (await conn.execute(_PERSON, {"user_id": user_id})).first()
    if user is None:
        return None
    its = {"user_id": user_id, "role_id": user.role_id}
    now = now or utc_now()
    found_teams, absences = set(), []
    for row in await conn.execute(_TEAMS_AND_ABSENT, {"user_id": user_id, "now": now}):
        if row.substitute_id is None:
            found_teams.add(row.id)
        else:
            absences.append(substitution.Absence(*row))
    substituted, changes_at = substitution.substituted_by(user_id, absences, now=now)
    held = await conn.execute(_RIGHTS, its)
    granted = pages = None
    if user.role_id is not None:
        found = await conn.execute(_GRANTS, {"role_id": user.role_id})
        granted = {(row.kind, row.action): row.scope for row in found}
        pages = frozenset((await conn.execute(_PAGES, {"role_id": user.role_id})).scalars())
    person = (user.id, user.name, user.email, user.role, frozenset(found_teams), user.extension, user.language)
    here = {}
    for row in await conn.execute(_PHONES, {"user_id": user_id, "extension": user.extension}):
        if row.user_id == user_id or row.pbx not in here:
            here[row.pbx] = row.extension if row.user_id == user_id else ""
    return Actor(
        *person,
        privileges=frozenset(held.scalars()),
        phones=tuple(here.items()),
        role_id=user.role_id,
        role_name=user.role_name or "",
        granted=granted,
        pages=pages,
        must_enrol=bool(user.requires_two_factor) and user.two_factor_at is None,
        substitutes=substituted,
        changes_at=changes_at,
        time_zone=user.time_zone,
    )


def require_admin(actor: Actor) -> None:
    """Raise Forbidden unless `actor` is an administrator."""
    if not actor.is_admin:
        raise Forbidden("forbidden", "only an administrator may do this")


def require(actor: Actor, privilege: Privilege) -> None:
    """Raise Forbidden unless `actor` holds the privilege; an administrator holds all."""
    if not actor.has(privilege):
        raise Forbidden("privilege_missing", f"you do not have the privilege {privilege!r}", privilege=privilege)


def require_edit(actor: Actor, kind: str) -> None:
    """Raise Forbidden for whoever may edit nothing of this kind, as an observer."""
    permissions.require(actor, kind, "edit")


def require_work(actor: Actor) -> None:
    """Raise Forbidden for whoever neither calls nor writes, and so takes nothing from a queue."""
    if not actor.has("telephony"):
        require(actor, "send_mail")


def of_my_teams(actor: Actor, team_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Rows of the actor's teams; an administrator's teams are all."""
    if actor.is_admin:
        return sa.true()
    return team_id.in_(sorted(actor.team_ids)) if actor.team_ids else sa.false()


def queue_visible(actor: Actor) -> sa.ColumnElement[bool]:
    """Queue items the actor may see: those of their teams, and those they hold."""
    return sa.or_(of_my_teams(actor, queue_items.c.team_id), queue_items.c.owner_id == actor.user_id)


TALK_ACTIONS = ("see", "export", "edit")
"""The actions that a role may grant on calls and messages: nobody makes, deletes or assigns one. `edit`: link it to a
client."""


def talk_permitted(
    actor: Actor,
    kind: Literal["call", "message"],
    action: Action,
    *,
    client_id: sa.ColumnElement[int],
    own: sa.ColumnElement[bool],
    of_team: sa.ColumnElement[bool],
    every: sa.ColumnElement[bool],
) -> sa.ColumnElement[bool]:
    """Calls or messages with which the actor may do this: as far as the role reaches, and of a client whose card they
    may see. `own`, `of_team` and `every` are what scopes mean; `own` is part of each.
    """
    if action not in TALK_ACTIONS:
        return sa.false()
    reach = scope(actor, kind, action)
    if reach == "none":
        return of_visible_client(actor, client_id) if action == "see" else sa.false()
    reached = {"own": own, "team": sa.or_(own, of_team), "all": sa.or_(own, every)}
    return sa.or_(reached[reach], of_visible_client(actor, client_id))


def of_visible_client(actor: Actor | None, client_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Rows of a client whose card the actor may see."""
    if scope(actor, "client", "see") == "all":
        return client_id.is_not(None)
    entity = registry.kind("client")
    return client_id.in_(sa.select(entity.id).where(permitted(actor, entity, "see")))


def timeline_visible(
    actor: Actor | None, *, kind: sa.ColumnElement[str], client_id: sa.ColumnElement[int]
) -> sa.ColumnElement[bool]:
    """Entries of a client's timeline the actor may see: of a client whose card is open to them, mail for readers."""
    seen = of_visible_client(actor, client_id)
    return seen if actor is None or actor.has("read_mail") else sa.and_(seen, kind != "message")


def shown_name(actor: Actor | None, kind: str) -> sa.ColumnElement[str]:
    """The name of a record that a query joins, NULL where the actor may not see the record."""
    entity = registry.kind(kind)
    if entity.names_are_open or scope(actor, kind, "see") == "all":
        return entity.name
    return sa.case((permitted(actor, entity, "see"), entity.name))


def mailbox_open(
    actor: Actor, *, team_id: sa.ColumnElement[int], owner_id: sa.ColumnElement[int]
) -> sa.ColumnElement[bool]:
    """Mailboxes the actor may read: those of their teams, their own, and nobody else's own but for an administrator."""
    if actor.is_admin:
        return sa.true()
    if not actor.has("read_mail"):
        return sa.false()
    return sa.or_(owner_id == actor.user_id, sa.and_(owner_id.is_(None), of_my_teams(actor, team_id)))


def mailbox_writable(
    actor: Actor, *, team_id: sa.ColumnElement[int], owner_id: sa.ColumnElement[int]
) -> sa.ColumnElement[bool]:
    """Mailboxes the actor may write from: those of their teams, and their own; an administrator writes as no other."""
    if not actor.has("send_mail"):
        return sa.false()
    return sa.or_(owner_id == actor.user_id, sa.and_(owner_id.is_(None), of_my_teams(actor, team_id)))


def recording_audible(
    actor: Actor, *, team_id: sa.ColumnElement[int], was_in_call: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    """Recordings the actor may hear: of calls they spoke in, and with the privilege those of their teams.

    The privilege opens none of a team whose calls the role does not show.
    """
    if actor.is_admin:
        return sa.true()
    if not actor.has("recordings") or scope(actor, "call", "see") in ("none", "own"):
        return was_in_call
    return sa.or_(of_my_teams(actor, team_id), was_in_call)


@dataclass(frozen=True, slots=True)
class Principals:
    """The person and the team of a client now: who may see its card by scope `own` and `team`."""

    owners: frozenset[int] = frozenset()
    teams: frozenset[int] = frozenset()

    def as_told(self) -> dict[str, frozenset[int]]:
        """Return them in the form in which a change of a record carries them."""
        return {"owners": self.owners, "teams": self.teams}


async def principals_of_clients(conn: AsyncConnection, ids: Collection[int]) -> dict[int, Principals]:
    """Return the principals of clients, for changes of what lies on their cards: one statement."""
    if not ids:
        return {}
    query = sa.select(clients.c.id, clients.c.owner_id, clients.c.team_id).where(clients.c.id.in_(ids))
    return {
        row.id: Principals(
            frozenset(() if row.owner_id is None else (row.owner_id,)),
            frozenset(() if row.team_id is None else (row.team_id,)),
        )
        for row in await conn.execute(query)
    }


def can_receive(actor: Actor, change: Change, of_client: Principals | None = None) -> bool:
    """Tell whether a change may reach the actor's stream: the same rule as for lists, on the change's own facts.

    `of_client` are the principals of the client on whose card it stands.
    """
    if actor.is_admin:
        return True
    entity = registry.kinds().get(change.kind)
    if entity is not None and (entity.rule is None or "teams" in change.data):
        # A change that the base tells names the principals of before and after; any other names them once.
        owners, teams = change.data.get("owners", ()), change.data.get("teams", ())
        told = {"owners": {*owners, change.user_id} - {None}, "teams": {*teams, change.team_id} - {None}}
        # What has no team, of a kind whose own rule says who sees it, is everybody's, as a template.
        is_open = entity.rule is not None and not any(told.values()) and scope(actor, change.kind, "see") != "none"
        return is_open or may_receive(actor, entity, told)
    if "message" in (change.kind, change.data.get("entry_kind")) and not actor.has("read_mail"):
        return False
    if change.client_id is not None and _may_see_card(actor, of_client):
        return True
    # Calls and messages follow the role, and name team, person and client; of a personal mailbox there is no team.
    reach = scope(actor, change.kind, "see") if change.kind in ("call", "message") else "team"
    if change.user_id in (actor.own_ids if change.kind == "call" else {actor.user_id}):
        return reach != "none"
    if change.team_id is not None:
        return reach == "all" or (reach == "team" and change.team_id in actor.team_ids)
    if change.kind == "call":
        return reach == "all"
    return change.user_id is None and change.client_id is None and change.kind in ("pbx", "mailbox")


def received_ids(actor: Actor, change: Change) -> list[int]:
    """Return those records of a change that the actor may see: a batch is told to whoever may see one of it."""
    groups, entity = change.data.get("groups"), registry.kinds().get(change.kind)
    if groups is None or entity is None or actor.is_admin:
        return change.ids
    return sorted(one for group in groups if may_receive(actor, entity, group) for one in group["ids"])


def _may_see_card(actor: Actor, of_client: Principals | None) -> bool:
    told = {} if of_client is None else of_client.as_told()
    return may_receive(actor, registry.kind("client"), told)
