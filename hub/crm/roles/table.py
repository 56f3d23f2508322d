"""A role: the row, the input and the fields. The table is `models.roles`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import registry
from hub.crm.base.collections import Collection, Pairs
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field, Reading
from hub.crm.base.fields import Choice, Moment, Option, Text, YesNo
from hub.crm.base.labels import FieldError, _
from hub.crm.base.permissions import ACTIONS, EVERY_KIND, SCOPES, Action, Scope
from hub.crm.models import role_grants, role_pages, role_rights, roles

ACTION_LABELS: dict[Action, str] = {
    "see": _("See"),
    "create": _("Create"),
    "edit": _("Edit"),
    "delete": _("Archive"),
    "assign": _("Assign"),
    "export": _("Export"),
    "bulk": _("Bulk edit"),
}
SCOPE_LABELS: dict[Scope, str] = {"none": _("no"), "own": _("own"), "team": _("team's"), "all": _("all")}
RIGHT_OPTIONS = (
    Option("telephony", _("Take, dial and transfer calls")),
    Option("read_mail", _("Read mail")),
    Option("send_mail", _("Send mail")),
    Option("own_mailbox", _("Add a mailbox of one's own")),
    Option("recordings", _("Listen to the team's recordings")),
    Option("supervise", _("Listen to and join the team's calls")),
    Option("dictionaries", _("Edit dictionaries")),
)
PAGE_OPTIONS = (
    Option("desk", _("Desk")),
    Option("clients", _("Clients")),
    Option("contacts", _("Contacts")),
    Option("calls", _("Calls")),
    Option("messages", _("Messages")),
    Option("leads", _("Leads")),
    Option("outbox", _("Outbox")),
    Option("team", _("Team")),
    Option("reports", _("Reports")),
    Option("settings", _("Settings")),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """The scope of a role for one action on one kind (`*`: on each that is not named)."""

    kind: str
    action: Action
    scope: Scope

    @property
    def labels(self) -> tuple[str, str, str]:
        """Kind, action and scope in words, marked for translation."""
        entity = registry.kinds().get(self.kind)
        title = _("Every other kind") if entity is None else entity.titles
        return title, ACTION_LABELS[self.action], SCOPE_LABELS[self.scope]


class GrantItem(Field):
    """One grant: `{"kind", "action", "scope"}`."""

    type = "grant"

    def convert(self, value: object, reading: Reading) -> Grant:
        text = value.split() if isinstance(value, str) and reading.is_form else None
        if text is not None and len(text) == 3:
            value = dict(zip(("kind", "action", "scope"), text, strict=True))
        if not isinstance(value, Mapping) or set(value) != {"kind", "action", "scope"}:
            raise FieldError("not_a_grant", _("A grant names a kind, an action and a scope"))
        if not all(isinstance(word, str) for word in value.values()):
            raise FieldError("not_a_grant", _("A grant names a kind, an action and a scope"))
        return Grant(value["kind"], value["action"], value["scope"])

    def check(self, value: Grant) -> Grant:
        if value.kind != EVERY_KIND and value.kind not in registry.kinds():
            raise FieldError("unknown_kind", _("There is no kind %(kind)s"), kind=str(value.kind)[:40])
        if value.action not in ACTIONS or value.scope not in SCOPES:
            raise FieldError("not_a_grant", _("A grant names a kind, an action and a scope"))
        return value

    def form_text(self, value: Grant) -> str:
        return f"{value.kind} {value.action} {value.scope}"

    def dump(self, value: Grant) -> dict[str, str]:
        return {"kind": value.kind, "action": value.action, "scope": value.scope}


class GrantStore:
    """The grants of roles."""

    async def load(self, conn: AsyncConnection, ids: Sequence[int]) -> Mapping[int, tuple[Grant, ...]]:
        table = role_grants.c
        query = sa.select(role_grants).where(table.role_id.in_(ids)).order_by(table.role_id, table.kind, table.action)
        found: dict[int, tuple[Grant, ...]] = {}
        for row in await conn.execute(query):
            found[row.role_id] = (*found.get(row.role_id, ()), Grant(row.kind, row.action, row.scope))
        return found

    async def replace(self, conn: AsyncConnection, record_id: int, values: tuple[Grant, ...], *, now: datetime) -> None:
        await conn.execute(role_grants.delete().where(role_grants.c.role_id == record_id))
        last = {(one.kind, one.action): one.scope for one in values}
        rows = [{"role_id": record_id, "kind": k, "action": a, "scope": scope} for (k, a), scope in last.items()]
        if rows:
            await conn.execute(role_grants.insert(), rows)

    def owners(self, condition: Callable[[sa.Column[Any]], sa.ColumnElement[bool]]) -> sa.Select[tuple[int]]:
        return sa.select(role_grants.c.role_id).where(condition(role_grants.c.kind))


class GrantList(Collection):
    """Grants in the order of their kinds and actions, in which they are stored."""

    def check(self, value: tuple[Grant, ...]) -> tuple[Grant, ...]:
        unique = {(one.kind, one.action): one for one in super().check(value)}
        return tuple(sorted(unique.values(), key=lambda one: (one.kind, one.action)))


@dataclass(frozen=True, slots=True)
class RoleRecord:
    id: int
    version: int
    created_at: datetime
    changed_at: datetime | None
    archived_at: datetime | None
    key: str | None
    name: str
    grants: tuple[Grant, ...]
    rights: tuple[str, ...]
    pages: tuple[str, ...]
    requires_two_factor: bool


class RoleInput(Struct, kw_only=True, frozen=True):
    name: str | UnsetType = UNSET
    grants: tuple[Grant, ...] | UnsetType = UNSET
    rights: tuple[str, ...] | UnsetType = UNSET
    pages: tuple[str, ...] | UnsetType = UNSET
    requires_two_factor: bool | UnsetType = UNSET


ROLES = Entity(
    kind="role",
    title=_("Role"),
    titles=_("Roles"),
    table=roles,
    row=RoleRecord,
    input=RoleInput,
    order="name",
    name=roles.c.name,
    is_short=True,
    names_are_marked=True,
    names_are_open=True,
    fields=(
        Text(roles.c.name, _("Name"), required=True, shown=True, searchable=True),
        Text(roles.c.key, _("Delivered role"), read_only=True, sortable=False, hidden=True),
        GrantList(
            GrantItem(role_grants.c.kind, _("Grant")),
            _("Rights to records"),
            store=GrantStore(),
            name="grants",
            most=500,
            filterable=False,
        ),
        Collection(
            Choice(role_rights.c.right, _("Right"), options=RIGHT_OPTIONS),
            _("Other rights"),
            store=Pairs(role_rights.c.role_id, role_rights.c.right),
            name="rights",
            shown=True,
        ),
        Collection(
            Choice(role_pages.c.page, _("Page"), options=PAGE_OPTIONS),
            _("Parts of the menu"),
            store=Pairs(role_pages.c.role_id, role_pages.c.page),
            name="pages",
        ),
        YesNo(
            roles.c.requires_two_factor,
            _("Two-step sign-in required"),
            sortable=False,
            help=_("Whoever has the role sets up an authenticator app right after signing in."),
        ),
        Moment(roles.c.created_at, _("Created"), read_only=True),
    ),
)
