"""A team: the row, the input and the fields. The table is `models.teams`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from hub.crm.base.entity import Entity
from hub.crm.base.fields import Moment, Text
from hub.crm.base.labels import _
from hub.crm.models import teams


@dataclass(frozen=True, slots=True)
class TeamRecord:
    id: int
    version: int
    created_at: datetime
    changed_at: datetime | None
    archived_at: datetime | None
    name: str


class TeamInput(Struct, kw_only=True, frozen=True):
    name: str | UnsetType = UNSET


TEAMS = Entity(
    kind="team",
    title=_("Team"),
    titles=_("Teams"),
    table=teams,
    row=TeamRecord,
    input=TeamInput,
    order="name",
    name=teams.c.name,
    team=teams.c.id,
    names_are_open=True,
    fields=(
        Text(teams.c.name, _("Name"), required=True, shown=True, searchable=True),
        Moment(teams.c.created_at, _("Created"), read_only=True, shown=True),
    ),
)
