"""People who take part in a record beside its manager, each in one role: a field of any kind (`Entity.participants`).

Their table has a column for the record, one for the person and one for the role. Conditions ask it as a field of
persons. Invariant: a person has one role in a record, and the list stands in the order of roles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal, Unpack, get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base.choices import Option
from hub.crm.base.collections import Collection, Pairs
from hub.crm.base.field import Names, Options, Reading, reference
from hub.crm.base.fields import Person
from hub.crm.base.labels import FieldError, _

Role = Literal["leader", "initiator", "member", "observer"]
ROLES: tuple[Role, ...] = get_args(Role)
ROLE_OPTIONS = (
    Option("leader", _("Leader")),
    Option("initiator", _("Initiator")),
    Option("member", _("Member")),
    Option("observer", _("Observer")),
)
ROLE_LABELS: Mapping[str, str] = {one.value: one.label for one in ROLE_OPTIONS}


@dataclass(frozen=True, slots=True)
class Participant:
    user_id: int
    role: Role = "member"

    @property
    def role_label(self) -> str:
        """The role in words, marked for translation."""
        return ROLE_LABELS[self.role]


class ParticipantItem(Person):
    """One participant: `{"user", "role"}` or the id of a member; in a form the id and the role with a space."""

    shape: ClassVar[str] = "participant"

    def convert(self, value: object, reading: Reading) -> Any:
        role: Any = "member"
        if isinstance(value, str) and reading.is_form:
            value, _space, role = value.strip().partition(" ")
            role = role or "member"
        elif isinstance(value, Mapping):
            given = dict(value)
            value, role = given.pop("user", None), given.pop("role", role)
            if value is None or given:
                raise FieldError("not_a_participant", _("A participant has a user and a role"))
        if role not in ROLES:
            raise FieldError("not_a_choice", _("Must be one of: %(choices)s"), choices=", ".join(ROLES))
        return Participant(super().convert(value, reading), role)

    def store(self, value: Participant) -> dict[str, Any]:
        return {self.column.key: value.user_id}

    def ids(self, value: Participant) -> tuple[int, ...]:
        return (value.user_id,)

    def dump(self, value: Participant) -> dict[str, Any]:
        return {"user": value.user_id, "role": value.role}

    def form_text(self, value: Participant) -> str:
        return f"{value.user_id} {value.role}"

    def answer(self, value: Participant, names: Names) -> dict[str, Any]:
        return {"user": reference("user", value.user_id, names), "role": value.role}


class ParticipantStore:
    """The participants of records of one kind."""

    def __init__(self, record: sa.Column[Any], user: sa.Column[Any], role: sa.Column[Any]) -> None:
        self.record = record
        self.user = user
        self.role = role

    async def load(self, conn: AsyncConnection, ids: Sequence[int]) -> Mapping[int, tuple[Participant, ...]]:
        query = sa.select(self.record, self.user, self.role).where(self.record.in_(ids))
        found: dict[int, tuple[Participant, ...]] = {}
        for record_id, user_id, role in await conn.execute(query):
            found[record_id] = (*found.get(record_id, ()), Participant(user_id, role))
        return {record_id: _in_order(several) for record_id, several in found.items()}

    async def replace(
        self, conn: AsyncConnection, record_id: int, values: tuple[Participant, ...], *, now: datetime
    ) -> None:
        table = self.record.table
        assert isinstance(table, sa.Table)
        await conn.execute(table.delete().where(self.record == record_id))
        keys = (self.record.key, self.user.key, self.role.key)
        rows = [dict(zip(keys, (record_id, one.user_id, one.role), strict=True)) for one in values]
        if rows:
            await conn.execute(table.insert(), rows)

    def owners(self, condition: Callable[[sa.Column[Any]], sa.ColumnElement[bool]]) -> sa.Select[tuple[int]]:
        return sa.select(self.record).where(condition(self.user))


class Participants(Collection):
    """The field of a kind's participants, whatever their role."""

    def __init__(self, store: ParticipantStore, label: str, **options: Unpack[Options]) -> None:
        super().__init__(ParticipantItem(store.user, label), label, store=store, **options)

    def check(self, value: Any) -> tuple[Participant, ...]:
        several: tuple[Participant, ...] = super().check(value)
        if len({one.user_id for one in several}) < len(several):
            raise FieldError("named_twice", _("A person has one role only: somebody is named twice"))
        return _in_order(several)


def _in_order(several: Sequence[Participant]) -> tuple[Participant, ...]:
    return tuple(sorted(several, key=lambda one: (ROLES.index(one.role), one.user_id)))


def pairs_of(store: ParticipantStore) -> Pairs:
    """Return the same table as rights ask it: who takes part, in whatever role."""
    return Pairs(store.record, store.user)
