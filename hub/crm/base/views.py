"""Saved lists of a kind: a condition, columns and an order under a name; of one person, of a team, or of all.

Decides who sees and changes a view; what of it can be asked is decided anew each time by the rights of who opens it,
so a view shows nobody more than they may see. Invariant: a name is once among the views of one owner and kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, Literal, Protocol

import sqlalchemy as sa
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm.audit import record
from hub.crm.base import characteristics, permissions
from hub.crm.base.characteristics import PREFIX
from hub.crm.base.conditions import query, tree
from hub.crm.base.entity import Entity
from hub.crm.base.field import fold
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.errors import Conflict, Forbidden, NotFound
from hub.store.changes import publish
from hub.store.schema import Json, id_column, link, metadata, moment
from hub.store.unique import looked_for
from hub.store.upsert import insert

Sharing = Literal["me", "team", "all"]
CHANGE = "view"
MAX_VIEWS = 200
MAX_COLUMNS = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")

views = sa.Table(
    "views",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("name_folded", sa.String(100), nullable=False),
    sa.Column("filters", Json, nullable=False),
    sa.Column("columns", Json, nullable=False),
    sa.Column("sort", sa.String(100), nullable=False, server_default=""),
    sa.Column("shared_with", sa.String(10), nullable=False),
    link("owner_id", "users", nullable=False),
    link("team_id", "teams"),
    sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("position", sa.Integer()),
    sa.Column("version", sa.Integer(), nullable=False),
    moment("created_at", nullable=False),
    moment("changed_at", nullable=False),
    sa.UniqueConstraint("owner_id", "kind", "name_folded", name="uq_views_name"),
    sa.CheckConstraint("shared_with IN ('me', 'team', 'all')", name="shared_with"),
    sa.CheckConstraint("(shared_with = 'team') = (team_id IS NOT NULL)", name="team"),
)

list_columns = sa.Table(
    "list_columns",
    metadata,
    sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("kind", sa.String(40), primary_key=True),
    sa.Column("columns", Json, nullable=False),
)
"""The columns that a person chose for the list of a kind that is of no view."""


@dataclass(frozen=True, slots=True)
class View:
    """A saved list. `filters` is the condition's JSON; without `columns` the kind's own are shown."""

    id: int
    kind: str
    name: str
    filters: Mapping[str, Any]
    columns: Sequence[str]
    sort: str
    shared_with: Sharing
    owner_id: int
    team_id: int | None
    pinned: bool
    position: int | None
    version: int
    created_at: datetime
    changed_at: datetime


class ViewInput(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The input of a view. `team`: the team that a shared view belongs to."""

    name: str | UnsetType = UNSET
    where: dict[str, Any] | UnsetType | None = UNSET
    columns: list[str] | UnsetType = UNSET
    sort: str | UnsetType = UNSET
    shared_with: Sharing | UnsetType = UNSET
    team: int | UnsetType | None = UNSET
    pinned: bool | UnsetType = UNSET


class Person(permissions.Asker, Protocol):
    """An owner of views: a person, and whether they are an administrator."""

    @property
    def is_admin(self) -> bool: ...


_COLUMNS = [views.c[name] for name in View.__slots__]


def visible(person: Person) -> sa.ColumnElement[bool]:
    """Views that a person sees: their own, those of their teams, those of all.

    One that was shared with a team is the team's: who made it and left the team sees it no more.
    """
    is_of_team = views.c.shared_with == "team"
    of_teams = sa.and_(is_of_team, views.c.team_id.in_(sorted(person.team_ids)))
    mine = views.c.owner_id == person.user_id
    if not person.is_admin:
        mine = sa.and_(mine, ~is_of_team)
    return sa.or_(mine, views.c.shared_with == "all", of_teams)


async def load(conn: AsyncConnection, person: Person, kind: str = "", *, pinned: bool = False) -> list[View]:
    """Return the views of a kind (of all by default) that a person sees: pinned ones first, as ordered, then by name.

    `pinned`: those that stand in the menu.
    """
    found = sa.select(*_COLUMNS).where(visible(person))
    if kind:
        found = found.where(views.c.kind == kind)
    if pinned:
        found = found.where(views.c.pinned.is_(True))
    order = (views.c.pinned.desc(), sa.func.coalesce(views.c.position, MAX_VIEWS), views.c.name_folded, views.c.id)
    return [View(**row) for row in (await conn.execute(found.order_by(*order).limit(MAX_VIEWS))).mappings()]


async def get(conn: AsyncConnection, person: Person, view_id: int) -> View:
    """Return a view. Raises NotFound."""
    found = sa.select(*_COLUMNS).where(views.c.id == view_id, visible(person))
    if (row := (await conn.execute(found)).mappings().first()) is None:
        raise NotFound("view_missing", "no such view")
    return View(**row)


async def create(
    conn: AsyncConnection, entity: Entity[Any, Any], person: Person, given: ViewInput, *, edit: Edit, zone: tzinfo
) -> View:
    """Save a list under a name. Raises Invalid, Forbidden, Conflict for a name that is taken."""
    permissions.require(person, entity.kind, "see")
    if given.name is UNSET:
        raise Invalid({"name": Problem("required", _("Fill in this field"))})
    await _check(conn, entity, person, given, edit=edit, zone=zone)
    count = sa.select(sa.func.count()).where(views.c.owner_id == person.user_id, views.c.kind == entity.kind)
    if (await conn.execute(count)).scalar_one() >= MAX_VIEWS:
        raise Invalid({"name": Problem("too_many", _("At most %(max)s values"), {"max": MAX_VIEWS})})
    row: dict[str, Any] = {
        "kind": entity.kind,
        "filters": {},
        "columns": [],
        "sort": "",
        "shared_with": "me",
        "team_id": None,
    }
    row |= {"owner_id": person.user_id, "version": 1, "created_at": edit.now, "changed_at": edit.now}
    row |= _row(given, None)
    async with looked_for(conn, partial(_check_name, conn, person.user_id, entity.kind, row["name_folded"], None)):
        made = (await conn.execute(views.insert().values(row).returning(*_COLUMNS))).mappings().one()
    view = View(**made)
    await _told(conn, view, "view.created", edit)
    return view


async def update(
    conn: AsyncConnection,
    entity: Entity[Any, Any],
    person: Person,
    view_id: int,
    given: ViewInput,
    *,
    edit: Edit,
    zone: tzinfo,
    version: int | None = None,
) -> View:
    """Change a view of one's own; an administrator changes those of teams and of all, too."""
    view = await _own(conn, person, view_id)
    if version is not None and version != view.version:
        raise Conflict("record_changed", "someone else changed this view first", current=answer(view))
    await _check(conn, entity, person, given, edit=edit, zone=zone, view=view)
    row = _row(given, view)
    row |= {"version": view.version + 1, "changed_at": edit.now}
    mine = sa.update(views).where(views.c.id == view_id, views.c.version == view.version).values(row)
    name = str(row.get("name_folded", fold(view.name)[:100]))
    async with looked_for(conn, partial(_check_name, conn, view.owner_id, view.kind, name, view_id)):
        made = (await conn.execute(mine.returning(*_COLUMNS))).mappings().first()
    if made is None:
        raise Conflict("record_changed", "someone else changed this view first", current=answer(view))
    changed = View(**made)
    await _told(conn, changed, "view.changed", edit)
    return changed


async def delete(conn: AsyncConnection, person: Person, view_id: int, *, edit: Edit) -> None:
    """Remove a view; nothing hangs on it. Raises NotFound, Forbidden."""
    view = await _own(conn, person, view_id)
    await conn.execute(views.delete().where(views.c.id == view_id))
    await _told(conn, view, "view.deleted", edit)


async def move(conn: AsyncConnection, person: Person, view_id: int, by: int, *, edit: Edit) -> None:
    """Move a view of one's own among one's views of its kind. Raises NotFound, Forbidden."""
    view = await _own(conn, person, view_id)
    order = [one.id for one in await load(conn, person, view.kind) if one.owner_id == view.owner_id]
    place = order.index(view_id)
    order.insert(max(0, place + by), order.pop(place))
    for position, one in enumerate(order):
        await conn.execute(sa.update(views).where(views.c.id == one).values(position=position))
    await publish(conn, CHANGE, view_id, at=edit.now, user_id=view.owner_id, team_id=view.team_id)


async def hand_over(conn: AsyncConnection, owner_id: int, heir_id: int, *, edit: Edit) -> int:
    """Make the shared views of a person a colleague's; return how many. Private ones stay where they are.

    One whose name the colleague uses already for the same kind gets a number behind it.
    """
    shared = sa.select(*_COLUMNS).where(views.c.owner_id == owner_id, views.c.shared_with != "me").order_by(views.c.id)
    found = [View(**row) for row in (await conn.execute(shared)).mappings()]
    held = sa.select(views.c.kind, views.c.name_folded).where(views.c.owner_id == heir_id)
    taken = {(kind, name) for kind, name in await conn.execute(held)}
    for view in found:
        name, number = view.name, 2
        while (view.kind, fold(name)[:100]) in taken:
            name, number = f"{view.name[:90]} ({number})", number + 1
        taken.add((view.kind, fold(name)[:100]))
        row = {"owner_id": heir_id, "name": name, "name_folded": fold(name)[:100], "version": view.version + 1}
        await conn.execute(sa.update(views).where(views.c.id == view.id).values(row | {"changed_at": edit.now}))
        await _told(conn, replace(view, owner_id=heir_id, name=name), "view.changed", edit)
    return len(found)


def can_change(person: Person, view: View) -> bool:
    """Tell whether a person may change a view."""
    return person.is_admin or view.owner_id == person.user_id


async def chosen_columns(conn: AsyncConnection, person: Person, kind: str) -> Sequence[str]:
    """Return the columns that a person chose for the list of a kind; none: the kind's own."""
    table = list_columns
    query = sa.select(table.c.columns).where(table.c.user_id == person.user_id, table.c.kind == kind)
    found: Sequence[str] | None = (await conn.execute(query)).scalar()
    return found or ()


async def choose_columns(conn: AsyncConnection, entity: Entity[Any, Any], person: Person, names: list[str]) -> None:
    """Remember the columns of a person's list of a kind; none: the kind's own again. Raises Invalid."""
    if problem := await _column_problem(conn, entity, names):
        raise Invalid({"columns": problem})
    row = {"user_id": person.user_id, "kind": entity.kind, "columns": list(dict.fromkeys(names))}
    statement = insert(conn, list_columns).values(row)
    new = {"columns": statement.excluded.columns}
    await conn.execute(statement.on_conflict_do_update(index_elements=["user_id", "kind"], set_=new))


def condition(view: View) -> tree.Tree:
    """Return the condition of a view, to be asked by the rights of who opens it."""
    return tree.parse(view.filters)


def answer(view: View) -> dict[str, Any]:
    """Return a view as the API answers it."""
    names = ("id", "kind", "name", "columns", "sort", "shared_with", "pinned", "version")
    moments = {name: rfc3339(getattr(view, name)) for name in ("created_at", "changed_at")}
    people = {"where": view.filters, "owner": view.owner_id, "team": view.team_id}
    return {name: getattr(view, name) for name in names} | people | moments


async def _own(conn: AsyncConnection, person: Person, view_id: int) -> View:
    view = await get(conn, person, view_id)
    if not can_change(person, view):
        raise Forbidden("not_permitted", "only who made this view, or an administrator, may change it")
    return view


async def _check(
    conn: AsyncConnection,
    entity: Entity[Any, Any],
    person: Person,
    given: ViewInput,
    *,
    edit: Edit,
    zone: tzinfo,
    view: View | None = None,
) -> None:
    problems: dict[str, Problem] = {}
    if given.name is not UNSET and (not given.name.strip() or _CONTROL.search(given.name)):
        problems["name"] = Problem("bad_value", _("Write a name on one line"))
    elif given.name is not UNSET and len(given.name) > 100:
        problems["name"] = Problem("too_long", _("At most %(max)s characters"), {"max": 100})
    if given.columns is not UNSET and (told := await _column_problem(conn, entity, given.columns)):
        problems["columns"] = told
    if given.shared_with == "team" and not isinstance(given.team, int):
        problems["team"] = Problem("required", _("Fill in this field"))
    if isinstance(given.team, int) and not await _may_share_with(conn, person, given.team):
        problems["team"] = Problem("not_found", _("There is no such record"))
    is_of_all = view is not None and view.shared_with == "all" and given.shared_with is UNSET
    if (given.shared_with == "all" or is_of_all) and not person.is_admin:
        problems["shared_with"] = Problem("not_permitted", _("Only an administrator shares a list with all"))
    if problems:
        raise Invalid(problems)
    if isinstance(given.where, dict):
        await query.where(conn, person, entity, tree.parse(given.where), now=edit.now, zone=zone)
    if given.sort is not UNSET and given.sort:
        await characteristics.read_sort(conn, entity, given.sort)


async def _may_share_with(conn: AsyncConnection, person: Person, team_id: int) -> bool:
    """Tell whether a person may share with a team: one of theirs, for an administrator any that there is."""
    if team_id in person.team_ids or not person.is_admin:
        return team_id in person.team_ids
    teams = metadata.tables["teams"]
    return (await conn.execute(sa.select(teams.c.id).where(teams.c.id == team_id))).first() is not None


async def _column_problem(conn: AsyncConnection, entity: Entity[Any, Any], names: Sequence[str]) -> Problem | None:
    known = {*entity.by_name, "created_at", "changed_at"}
    if entity.has_characteristics and any(name.startswith(PREFIX) for name in names):
        known |= {one.name for one in await characteristics.fields(conn, entity)}
    if unknown := [name for name in names if name not in known]:
        return Problem("unknown_field", _("There is no field %(field)s"), {"field": unknown[0][:80]})
    if len(names) > MAX_COLUMNS:
        return Problem("too_many", _("At most %(max)s values"), {"max": MAX_COLUMNS})
    return None


async def _check_name(conn: AsyncConnection, owner_id: int, kind: str, name: str, view_id: int | None) -> None:
    same = sa.select(views.c.id).where(views.c.owner_id == owner_id, views.c.kind == kind, views.c.name_folded == name)
    if (await conn.execute(same)).scalar() not in (None, view_id):
        raise Invalid({"name": Problem("taken", _("Already taken"))})


def _row(given: ViewInput, before: View | None) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if given.name is not UNSET:
        name = " ".join(given.name.split())
        row |= {"name": name, "name_folded": fold(name)[:100]}
    if given.where is not UNSET:
        row["filters"] = tree.to_json(tree.parse(given.where))
    for name in ("columns", "sort", "pinned"):
        if (value := getattr(given, name)) is not UNSET:
            row[name] = list(dict.fromkeys(value)) if name == "columns" else value
    if given.shared_with is not UNSET:
        row["shared_with"] = given.shared_with
        row["team_id"] = given.team if given.shared_with == "team" else None
    elif given.team is not UNSET and before is not None and before.shared_with == "team":
        row["team_id"] = given.team or before.team_id
    return row


async def _told(conn: AsyncConnection, view: View, act: str, edit: Edit) -> None:
    user_id = edit.actor.user_id if edit.actor else None
    details = {"kind": view.kind, "name": view.name, "shared_with": view.shared_with}
    await record(conn, act, at=edit.now, user_id=user_id, object_kind="view", object_id=view.id, details=details)
    team_id = view.team_id if view.shared_with == "team" else None
    await publish(conn, CHANGE, view.id, at=edit.now, user_id=view.owner_id, team_id=team_id)
