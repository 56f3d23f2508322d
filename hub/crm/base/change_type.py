"""Change the type of a characteristic: a new field with a converted copy of every value, as an operation.

The old field and its values stay as they are, under a name that says so; what does not fit the new type is named, by
record. An undo takes the copies away again. Invariant: no value is lost, whatever the new type is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import characteristic_definitions, characteristics, operations, permissions, records, registry
from hub.crm.base.bulk_edit import reverse_changes
from hub.crm.base.characteristic_definitions import DefinitionInput
from hub.crm.base.characteristic_values import values_table
from hub.crm.base.characteristics import Characteristic, Definition
from hub.crm.base.dictionaries import Value, load
from hub.crm.base.entity import Entity
from hub.crm.base.field import Reading
from hub.crm.base.fields import fold
from hub.crm.base.history import Edit
from hub.crm.base.keyset import count_up_to
from hub.crm.base.labels import FieldError, Invalid, Problem, _
from hub.crm.base.operations import Operation, Result
from hub.crm.base.reasons import Reason

KIND = "change_type"
COUNTED = 1_000_000
BEFORE = {"ru": "до изменения типа", "en": "before the change of type"}


async def begin(
    conn: AsyncConnection, definition_id: int, type_: str, *, reading: Reading, edit: Edit
) -> tuple[int, Definition]:
    """Make the field of the new type and queue the copying; return the operation and the new definition.

    The texts in a choice's new field become its options. Raises NotFound, Invalid, Forbidden.
    """
    old = await characteristic_definitions.get(conn, definition_id)
    if type_ == old.type:
        raise Invalid({"type": Problem("same_type", _("It is of this type already"))})
    if "person" in (type_, old.type):
        raise Invalid({"type": Problem("no_conversion", _("A person can become no other type, and nothing a person"))})
    entity = registry.kind(old.kind)
    label = {language: text[:150] for language, text in old.label.items()}
    given = DefinitionInput(
        label=label, type=type_, help=dict(old.help or {}), group=old.group, order=old.position, choices=UNSET
    )
    made = await characteristic_definitions.create(conn, entity, given, edit=edit)
    if made.has_options:
        await _copy_options(conn, entity, old, made, edit=edit)
    renamed = {language: f"{text} ({BEFORE[language]})" for language, text in label.items()}
    await characteristic_definitions.update(conn, old.id, DefinitionInput(label=renamed, required=False), edit=edit)
    if old.required:
        await characteristic_definitions.update(conn, made.id, DefinitionInput(required=True), edit=edit)
    total = await count_up_to(conn, _having(entity, old.id, edit.actor), COUNTED)
    params = {"from": old.key, "from_id": old.id, "into": made.key}
    params |= {"region": reading.region, "zone": str(reading.zone)}
    number = await operations.begin(conn, KIND, entity.kind, params=params, total=total, edit=edit)
    return number, await characteristic_definitions.get(conn, made.id)


def _having(entity: Entity[Any, Any], field_id: int, person: permissions.Asker | None) -> sa.Select[Any]:
    """Select the ids of the records that a person may see and that have a value: a result tells of its record."""
    column = values_table(entity.table).c
    return sa.select(column.record_id).where(column.field_id == field_id, _seen(entity, person)).distinct()


def _seen(entity: Entity[Any, Any], person: permissions.Asker | None) -> sa.ColumnElement[bool]:
    visible = sa.select(entity.id).where(permissions.permitted(person, entity, "see"))
    return values_table(entity.table).c.record_id.in_(visible)


async def _copy_options(
    conn: AsyncConnection, entity: Entity[Any, Any], old: Definition, made: Definition, *, edit: Edit
) -> None:
    """Give a new choice the options of the old one, or the texts that records hold, as far as a list takes them."""
    if old.has_options:
        labels = [dict(one.label) for one in (await load(conn, [old.dictionary]))[old.dictionary]]
    else:
        column = values_table(entity.table).c
        texts = sa.select(column.text).where(column.field_id == old.id, column.text.is_not(None))
        texts = texts.where(_seen(entity, edit.actor)).distinct().limit(1000)
        by_fold = {fold(text)[:200]: text[:200] for text in (await conn.execute(texts)).scalars() if fold(text)}
        labels = [{"ru": text, "en": text} for _folded, text in sorted(by_fold.items())]
    await characteristic_definitions.add_options(conn, made, labels, edit=edit)


class ChangeType:
    """The work of a change of type."""

    can_undo = True

    async def targets(
        self, conn: AsyncConnection, operation: Operation, person: permissions.Asker | None, *, limit: int
    ) -> Sequence[int]:
        entity = registry.kind(operation.object_kind)
        found = _having(entity, operation.params["from_id"], person)
        column = values_table(entity.table).c.record_id
        found = found.where(column > operation.position).order_by(column).limit(limit)
        return list((await conn.execute(found)).scalars())

    async def apply(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        entity, params = registry.kind(operation.object_kind), operation.params
        by_key = {one.key: one for one in await characteristics.definitions(conn, [entity.kind])}
        old = characteristics.field_of(entity, by_key[params["from"]])
        new = characteristics.field_of(entity, by_key[params["into"]])
        held = (await characteristics.load(conn, entity, [old], [record_id])).get(record_id, {}).get(old.name)
        named = [one.definition.dictionary for one in (old, new) if one.definition.has_options]
        options = await load(conn, named) if named else {}
        try:
            sent = converted(old, new, held, options, _reading(params))
        except FieldError as error:
            shown = " / ".join(_texts(old, held, options))
            return Result(record_id, "refused", (Reason(error.problem, old.name, shown[:200]),))
        write = records.writers(entity).update
        assert write is not None
        await write(conn, record_id, entity.read({new.name: sent}, is_new=False), edit=edit)
        return Result(record_id, "updated")

    async def reverse(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        return await reverse_changes(conn, operation, record_id, edit=edit)


def _reading(params: Mapping[str, Any]) -> Reading:
    return Reading(is_form=True, region=params["region"], zone=ZoneInfo(params["zone"]))


def converted(
    old: Characteristic, new: Characteristic, held: Any, options: Mapping[str, Sequence[Value]], reading: Reading
) -> Any:
    """Return a value of one type as the other takes it in JSON. Raises FieldError where it does not fit.

    It is read as a person would have typed it: "12,5" is a number, "да" is yes, the label of an option is the option.
    """
    texts = _texts(old, held, options)
    if new.definition.has_options:
        by_label = {fold(text): one.key for one in options[new.definition.dictionary] for text in one.label.values()}
        keys = [by_label.get(fold(text)[:200]) for text in texts]
        if None in keys or (len(keys) > 1 and not new.is_many):
            raise FieldError("not_a_choice", _("There is no such value: %(key)s"), key=" / ".join(texts)[:60])
        return keys if new.is_many else keys[0]
    if new.definition.type in ("text", "long_text"):
        return new.dump(new.parse(", ".join(texts)))
    if len(texts) > 1:
        raise FieldError("several_values", _("Has several values"))
    return new.dump(new.parse(_typed(new.definition.type, held, texts[0], reading), reading))


def _typed(type_: str, held: Any, text: str, reading: Reading) -> str:
    """Return a text as it is typed into a field of this type."""
    if type_ == "yes_no":
        return _WORDS.get(fold(text), text)
    if isinstance(held, datetime) and type_ == "date":
        return held.astimezone(reading.zone).date().isoformat()
    if type_ in ("date", "moment") and (day := _DAY_FIRST.fullmatch(text.strip())):
        text = f"{day[3]}-{int(day[2]):02}-{int(day[1]):02}"
    return f"{text}T00:00" if type_ == "moment" and "T" not in text else text


_DAY_FIRST = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")
_WORDS = {"да": "on", "есть": "on", "yes": "on", "1": "on", "нет": "off", "no": "off", "0": "off"}


def _texts(old: Characteristic, held: Any, options: Mapping[str, Sequence[Value]]) -> list[str]:
    """Return a value as a person would type it."""
    labels = {one.key: one.text("ru") for one in options.get(old.definition.dictionary, ())}
    several = held if old.is_many else (held,)
    if old.definition.type == "yes_no":
        return ["да" if one else "нет" for one in several]
    return [labels.get(one, one) if isinstance(one, str) else str(old.item.dump(one)) for one in several]
