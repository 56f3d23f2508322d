"""The types of a kind for the OpenAPI document: what is answered of a record, what is sent of one.

Only for the document: what is sent is read by `Entity.read`, which names every field with a problem at once, and what
is answered is written by `records.answers`. Pure. Invariant: what the types allow, `Entity.read` can read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import GenericAlias
from typing import Annotated, Any

import msgspec

from hub.crm.base.collections import Collection
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.fields import MAX_ID, Choice, Integer, Text
from hub.crm.base.history import WAYS
from hub.crm.base.participants import ROLES
from hub.web.api.shapes import Cursor, Moment, Ref, Reference, Shape, one_of
from hub.web.base.kind import WebKind

Id = Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
Day = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date"})]
SentMoment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class MoneyAmount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decimal as text, and the currency's three letters."""

    value: str
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


class AddressAnswer(Shape, frozen=True, kw_only=True):
    """A phone, e-mail or domain: normal form, as it was written, and the digits behind "ext."."""

    value: str
    raw: str
    extension: str | None


class ParticipantAnswer(Shape, frozen=True, kw_only=True):
    """Somebody who takes part in a record, and in which role."""

    user: Reference
    role: Annotated[str, one_of(*ROLES)]


class SentParticipant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person with their role in a record; a member where none is said."""

    user: Id
    role: Annotated[str, one_of(*ROLES)] = "member"


class Edited(Shape, frozen=True, kw_only=True):
    """One edit: `changes` is `{field: [from, to]}`, empty for the creation."""

    id: int
    at: Moment
    by: Ref | None
    way: Annotated[str, one_of(*WAYS)]
    operation: int | None
    version: int
    changes: dict[str, list[Any]]


class Edits(Shape, frozen=True, kw_only=True):
    items: list[Edited]
    next: Cursor | None


class Counted(Shape, frozen=True, kw_only=True):
    """A number; `capped` where there are more."""

    count: int
    capped: bool


_ANSWERED: dict[str, Any] = {
    "text": str, "long_text": str, "email": str, "phone": str, "integer": int, "duration": float,
    "json": dict[str, Any],
    "number": str, "money": MoneyAmount, "date": Day, "moment": Moment, "yes_no": bool, "choice": str,
    "participant": ParticipantAnswer,
    "link": Reference, "person": Reference, "team": Reference, "address": AddressAnswer,
}  # fmt: skip
_SENT: dict[str, Callable[[Any], Any]] = {
    "text": lambda field: _bounded(field),
    "long_text": lambda field: _bounded(field),
    "email": lambda _field: str,
    "phone": lambda _field: str,
    "integer": lambda field: _whole(field),
    "number": lambda _field: str,
    "money": lambda _field: MoneyAmount,
    "date": lambda _field: Day,
    "moment": lambda _field: SentMoment,
    "yes_no": lambda _field: bool,
    "choice": lambda field: _chosen(field),
    "link": lambda _field: Id,
    "person": lambda _field: Id,
    "participant": lambda _field: SentParticipant,
    "team": lambda _field: Id,
    "address": lambda _field: Annotated[str, msgspec.Meta(max_length=254)],
}


def add_type(word: str, *, answered: Any, sent: Any) -> None:
    """Make the type of a kind's own field known to the document."""
    _ANSWERED[word] = answered
    _SENT[word] = lambda _field: sent


def _bounded(field: Text) -> Any:
    return Annotated[str, msgspec.Meta(max_length=field.max_chars)]


def _whole(field: Integer) -> Any:
    return Annotated[int, msgspec.Meta(ge=field.least, le=field.most)]


def _chosen(field: Choice) -> Any:
    return Annotated[str, one_of(*(option.value for option in field.options))] if field.options else str


def _shape(item: Field) -> str:
    """Return the word of a value's type in the document: its field's, or what it says of itself."""
    return getattr(item, "shape", item.type)


def answered(field: Field) -> Any:
    """Return the type of a field in an answer."""
    if isinstance(field, Collection):
        return GenericAlias(list, (_ANSWERED[_shape(field.item)],))
    kind = _chosen(field) if isinstance(field, Choice) else _ANSWERED[field.type]
    return kind if field.is_required else kind | None


def sent(field: Field) -> Any:
    """Return the type of a field in what is sent."""
    if isinstance(field, Collection):
        item = _SENT[_shape(field.item)](field.item)
        return Annotated[GenericAlias(list, (item,)), msgspec.Meta(max_length=field.most)] | None
    kind = _SENT[field.type](field)
    return kind if field.is_required else kind | None


def _word(entity: Entity[Any, Any]) -> str:
    return entity.kind.title().replace("_", "")


@functools.cache
def record_type(web: WebKind) -> type[msgspec.Struct]:
    """Return the type of a record as the API answers it."""
    entity = web.entity
    if web.answer is not None:
        return web.answer.type
    common: dict[str, Any] = {"id": int}
    columns = {"version": int, "created_at": Moment, "changed_at": Moment | None}
    common |= {name: kind for name, kind in columns.items() if name in entity.table.c}
    if entity.archived_column is not None:
        common["archived_at"] = Moment | None
    every = common | {str(field.name): answered(field) for field in entity.fields}
    if entity.has_characteristics:
        every["characteristics"] = dict[str, Any]
    every |= dict(web.more_types)
    return msgspec.defstruct(f"{_word(entity)}Record", list(every.items()), frozen=True, kw_only=True)


def list_type(web: WebKind, record: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return the type of a page of records."""
    fields = [("items", GenericAlias(list, (record,))), ("next", Cursor | None)]
    return msgspec.defstruct(f"{_word(web.entity)}Page", fields, frozen=True, kw_only=True)


def new_type(entity: Entity[Any, Any], *more: tuple[str, Any]) -> type[msgspec.Struct]:
    """Return the type of what makes a record; `more` are (name, type) beyond the fields."""
    required = list(entity.required_of_new)
    optional = [f for f in entity.input_fields if f not in required]
    fields: list[Any] = [(str(field.name), sent(field)) for field in required]
    fields += [(str(one.name), sent(one), msgspec.UNSET if one.is_required else one.default) for one in optional]
    fields += _characteristics(entity)
    fields += [(name, kind, None) for name, kind in more]
    return msgspec.defstruct(f"New{_word(entity)}", fields, kw_only=True, forbid_unknown_fields=True)


def change_type(entity: Entity[Any, Any]) -> type[msgspec.Struct]:
    """Return the type of what changes a record: only what is sent changes."""
    fields: list[Any] = [("version", Annotated[int, msgspec.Meta(ge=1)] | None, None)]
    fields += [(str(field.name), sent(field), msgspec.UNSET) for field in entity.input_fields]
    fields += _characteristics(entity)
    return msgspec.defstruct(f"{_word(entity)}Change", fields, kw_only=True, forbid_unknown_fields=True)


def _characteristics(entity: Entity[Any, Any]) -> list[Any]:
    return [("characteristics", dict[str, Any], msgspec.UNSET)] if entity.has_characteristics else []
