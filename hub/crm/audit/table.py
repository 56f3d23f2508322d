"""The audit as a kind: who did what, when and to what. Administrators read it; nobody changes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hub.crm.access import Actor
from hub.crm.base.entity import Entity
from hub.crm.base.fields import Integer, Json, Moment, Person, Text
from hub.crm.base.labels import _
from hub.crm.models import audit


@dataclass(frozen=True, slots=True)
class AuditRow:
    id: int
    at: datetime
    user_id: int | None
    action: str
    object_kind: str
    object_id: int | None
    details: dict[str, Any]


def may(actor: Actor, action: str) -> sa.ColumnElement[bool]:
    """The audit is an administrator's to read, and nobody's to write."""
    return sa.true() if actor.is_admin and action in ("see", "export") else sa.false()


def matches(text: str, _region: str) -> sa.ColumnElement[bool]:
    """Acts whose word begins so: "user", "user.dis"."""
    return audit.c.action.startswith(text.strip().lower(), autoescape=True)


AUDIT: Entity[AuditRow, Any] = Entity(
    kind="audit",
    title=_("Audit entry"),
    titles=_("Audit log"),
    path="audit",
    table=audit,
    row=AuditRow,
    name=audit.c.action,
    rule=may,
    actions=(),
    search=matches,
    fields=(
        Text(audit.c.action, _("Act"), shown=True, sortable=False),
        Person(audit.c.user_id, _("Who"), name="user", shown=True),
        Text(audit.c.object_kind, _("Object"), shown=True, sortable=False),
        Integer(audit.c.object_id, _("Number"), name="object", most=2**63 - 1, shown=True, sortable=False),
        Json(audit.c.details, _("Details"), shown=True),
        Moment(audit.c.at, _("When"), shown=True, sortable=False),
    ),
)
