"""A person of the company: the row, the input and the fields. The table is `models.users`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from hub import sanitize
from hub.crm.base.collections import Collection, Pairs
from hub.crm.base.entity import Entity
from hub.crm.base.fields import Choice, Email, Link, Moment, Option, Person, Team, Text
from hub.crm.base.labels import FieldError, _
from hub.crm.hours import read_zone, zone_names
from hub.crm.models import team_members, users
from hub.errors import Refused

Role = str
"""The key of a delivered role ("admin", "head", "manager", "observer") or the name of another one."""
LANGUAGES = (Option("ru", "Русский"), Option("en", "English"))
MEMBERSHIP = Pairs(team_members.c.user_id, team_members.c.team_id)


@dataclass(frozen=True, slots=True)
class UserRecord:
    id: int
    version: int
    created_at: datetime
    changed_at: datetime | None
    disabled_at: datetime | None
    name: str
    email: str
    role_id: int | None
    extension: str | None
    language: str | None
    time_zone: str | None
    two_factor_at: datetime | None
    invited_until: datetime | None
    substitute_id: int | None
    substitute_from: datetime | None
    substitute_until: datetime | None
    teams: tuple[int, ...]


class UserInput(Struct, kw_only=True, frozen=True):
    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    role: int | UnsetType = UNSET
    teams: tuple[int, ...] | UnsetType = UNSET
    extension: str | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    substitute: int | UnsetType | None = UNSET
    substitute_from: datetime | UnsetType | None = UNSET
    substitute_until: datetime | UnsetType | None = UNSET


class Extension(Text):
    """An internal number: 1 to 10 digits."""

    def check(self, value: str | None) -> str | None:
        clean = super().check(value)
        try:
            return sanitize.extension(clean) if clean else clean
        except Refused:
            raise FieldError("bad_extension", _("Must be 1 to 10 digits")) from None


class TimeZone(Text):
    """A time zone by its IANA name."""

    @property
    def suggestions(self) -> tuple[str, ...]:
        return zone_names()

    def check(self, value: str | None) -> str | None:
        clean = super().check(value)
        try:
            read_zone(clean or "")
        except Refused:
            raise FieldError("bad_time_zone", _("There is no such time zone: write it as in Europe/Moscow")) from None
        return clean


USERS = Entity(
    kind="user",
    title=_("Employee"),
    titles=_("Employees"),
    table=users,
    row=UserRecord,
    input=UserInput,
    order="name",
    name=users.c.name,
    owner=users.c.id,
    teams=MEMBERSHIP,
    archived=users.c.disabled_at,
    names_are_open=True,
    fields=(
        Text(users.c.name, _("Full name"), required=True, shown=True, searchable=True),
        Email(users.c.email, _("E-mail"), required=True, shown=True, searchable=True),
        Link(users.c.role_id, _("Role"), to="role", required=True, shown=True),
        Collection(Team(team_members.c.team_id, _("Team")), _("Teams"), store=MEMBERSHIP, name="teams", shown=True),
        Extension(users.c.extension, _("Extension"), shown=True),
        Choice(users.c.language, _("Language"), options=LANGUAGES, sortable=False),
        TimeZone(
            users.c.time_zone,
            _("Time zone"),
            sortable=False,
            help=_("As in Asia/Vladivostok. Leave empty: the company's time zone."),
        ),
        Person(
            users.c.substitute_id,
            _("Substitute"),
            help=_("Works with this person's own records, and gets calls of their clients, while they are absent."),
        ),
        Moment(users.c.substitute_from, _("Substituted from"), sortable=False),
        Moment(
            users.c.substitute_until,
            _("Substituted until"),
            sortable=False,
            help=_("Leave empty: until further notice."),
        ),
        Moment(users.c.invited_until, _("Invited until"), read_only=True, sortable=False, shown=True),
        Moment(users.c.two_factor_at, _("Two-step sign-in since"), read_only=True, sortable=False),
        Moment(users.c.created_at, _("Created"), read_only=True),
    ),
)
