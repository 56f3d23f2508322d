"""Lists of values that an administrator edits: industries, regions, sources, results, and options of characteristics.

A record stores a value's `key`, which never changes; its label, colour and place may, and show everywhere at once
because nothing is copied. Values are switched off, not deleted: an old record keeps its value, a new one cannot get it.
Invariants: a key is in its dictionary once; a value
is below none of its own; a value that something holds is not deleted (`dictionary_uses`).
"""

from __future__ import annotations

import re
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.audit import record
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.schema import record_columns
from hub.errors import Conflict, NotFound
from hub.store.changes import publish
from hub.store.schema import Json, link, metadata

CHANGE = "dictionary"
"""The kind of a change in the feed; pages that show labels draw anew."""
MAX_VALUES = 5_000
ICONS = (
    "", "star", "flag", "target", "users", "user", "building", "phone", "mail", "globe", "megaphone", "calendar",
    "clock", "file-text", "ban", "check",
)  # fmt: skip
"""Icons of the shell's sprite that a value may have."""
COLORS = ("", "grey", "red", "orange", "yellow", "green", "teal", "blue", "indigo", "purple", "pink")
_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")

dictionary_values = sa.Table(
    "dictionary_values",
    metadata,
    *record_columns(archived="", always_changed=True),
    sa.Column("dictionary", sa.String(80), nullable=False),
    sa.Column("key", sa.String(60), nullable=False),
    sa.Column("label", Json, nullable=False),
    sa.Column("color", sa.String(20), nullable=False, server_default=""),
    sa.Column("icon", sa.String(40), nullable=False, server_default=""),
    sa.Column("position", sa.Integer(), nullable=False),
    sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
    link("parent_id", "dictionary_values"),
    sa.Column("data", Json, nullable=False),
    sa.UniqueConstraint("dictionary", "key", name="uq_dictionary_values_key"),
)


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A list that the product delivers, perhaps with its first values; `is_tree`: values may stand below others."""

    name: str
    title: str
    is_tree: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """One value. `label` has a text by language; `parent` is the key of the value above."""

    id: int
    dictionary: str
    key: str
    label: Mapping[str, str]
    color: str
    icon: str
    position: int
    active: bool
    parent: str | None
    data: Mapping[str, Any]
    version: int

    def text(self, language: str) -> str:
        """Return the label in a language, in the other one where it has none."""
        return self.label.get(language) or next((text for text in self.label.values() if text), self.key)


class ValueInput(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The input of a value. `order` is its place in the list, from 0."""

    key: str | UnsetType = UNSET
    label: dict[str, str] | UnsetType = UNSET
    color: str | UnsetType = UNSET
    icon: str | UnsetType = UNSET
    order: int | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    parent: str | UnsetType | None = UNSET
    data: dict[str, Any] | UnsetType = UNSET


@dataclass(slots=True)
class _Declared:
    by_name: dict[str, Dictionary] = field(default_factory=dict)


_DECLARED = _Declared()


def declare(*dictionaries: Dictionary) -> None:
    """Make dictionaries of the product known."""
    for one in dictionaries:
        _DECLARED.by_name[one.name] = one


def declared() -> Sequence[Dictionary]:
    """Return the dictionaries of the product, in the order in which they were declared."""
    return list(_DECLARED.by_name.values())


async def load(conn: AsyncConnection, names: Several[str]) -> dict[str, list[Value]]:
    """Return the values of these dictionaries in their order, switched-off ones too, in one statement."""
    values, above = dictionary_values, dictionary_values.alias()
    query = (
        sa.select(values, above.c.key.label("parent"))
        .outerjoin(above, above.c.id == values.c.parent_id)
        .where(values.c.dictionary.in_(names))
        .order_by(values.c.dictionary, values.c.position, values.c.id)
    )
    found: dict[str, list[Value]] = {name: [] for name in names}
    for row in (await conn.execute(query)).mappings() if names else ():
        found[row["dictionary"]].append(Value(**{name: row[name] for name in Value.__slots__}))
    return found


async def get(conn: AsyncConnection, dictionary: str, value_id: int) -> Value:
    """Return one value. Raises NotFound."""
    for value in (await load(conn, [dictionary]))[dictionary]:
        if value.id == value_id:
            return value
    raise NotFound("value_missing", "no such value")


@dataclass(frozen=True, slots=True)
class Asked:
    """Keys that a record is to get in one of its fields; `kept` are those that it holds there already."""

    dictionary: str
    keys: Several[str]
    kept: Several[str] = ()


async def problems_of(conn: AsyncConnection, asked: Mapping[str, Asked]) -> dict[str, Problem]:
    """Return, by field, the problem with a key that a record may not get."""
    problems: dict[str, Problem] = {}
    known = await load(conn, {one.dictionary for one in asked.values()})
    for name, one in asked.items():
        is_active = {value.key: value.active for value in known[one.dictionary]}
        for key in one.keys:
            if key in one.kept or is_active.get(key):
                continue
            if key in is_active:
                problems[name] = Problem("switched_off", _("This value is switched off: %(key)s"), {"key": key})
            else:
                problems[name] = Problem("not_a_choice", _("There is no such value: %(key)s"), {"key": key[:60]})
    return problems


def keys_under(dictionary: str, keys: Sequence[str]) -> sa.Select[Any]:
    """Return the keys of these values and of all below them."""
    values = dictionary_values
    top = sa.select(values.c.id, values.c.key).where(values.c.dictionary == dictionary, values.c.key.in_(keys))
    below = top.cte(recursive=True)
    child = values.alias()
    below = below.union(sa.select(child.c.id, child.c.key).join(below, child.c.parent_id == below.c.id))
    return sa.select(below.c.key)


async def create(conn: AsyncConnection, dictionary: str, given: ValueInput, *, edit: Edit) -> Value:
    """Add a value, at the end unless `order` says where. Raises Invalid, Conflict for a key that is taken."""
    there = await lock(conn, dictionary)
    problems = _problems(given, there, None, dictionary)
    if given.label is UNSET:
        problems["label"] = Problem("required", _("Fill in this field"))
    if len(there) >= MAX_VALUES:
        problems["key"] = Problem("too_many", _("At most %(max)s values"), {"max": MAX_VALUES})
    label = {} if given.label is UNSET else given.label
    key = key_of(label, {value.key for value in there}) if given.key is UNSET else given.key
    if any(value.key == key for value in there):
        problems["key"] = Problem("taken", _("Already taken"))
    if problems:
        raise Invalid(problems)
    row = {"dictionary": dictionary, "key": key, "label": tidy_label(label), "position": len(there), "data": {}}
    row |= {"created_at": edit.now, "changed_at": edit.now} | _row(given, there)
    made = (await conn.execute(dictionary_values.insert().values(row).returning(dictionary_values.c.id))).scalar_one()
    await _place(conn, [value.id for value in there], made, given)
    await _told(conn, dictionary, made, "dictionary_value.created", edit, {"key": key})
    return await get(conn, dictionary, made)


async def deliver(conn: AsyncConnection, dictionary: str, given: Sequence[ValueInput], *, now: datetime) -> None:
    """Write the first values of an empty list at once; a value stands behind the one that it is below."""
    ids: dict[str, int] = {}
    above: set[str | None] = {None}
    while here := [(at, one) for at, one in enumerate(given) if one.parent in above and one.key not in ids]:
        rows = [
            {"dictionary": dictionary, "key": one.key, "label": one.label, "position": at, "data": {}}
            | {"color": one.color, "icon": one.icon, "parent_id": ids.get(str(one.parent))}
            | {"created_at": now, "changed_at": now}
            for at, one in here
        ]
        columns = dictionary_values.c
        await conn.execute(dictionary_values.insert(), rows)
        written = sa.select(columns.key, columns.id).where(columns.dictionary == dictionary)
        ids = {row.key: row.id for row in await conn.execute(written)}
        above = set(ids)


async def update(
    conn: AsyncConnection, dictionary: str, value_id: int, given: ValueInput, *, edit: Edit, version: int | None = None
) -> Value:
    """Change a value: its label, colour, place, whether it is on. Raises NotFound, Invalid, Conflict."""
    there = await lock(conn, dictionary)
    before = next((value for value in there if value.id == value_id), None)
    if before is None:
        raise NotFound("value_missing", "no such value")
    if version is not None and version != before.version:
        raise Conflict("record_changed", "someone else changed this value first", current=answer(before))
    problems = _problems(given, there, before, dictionary)
    if given.key is not UNSET and given.key != before.key:
        problems["key"] = Problem("read_only", _("Cannot be changed"))
    if problems:
        raise Invalid(problems)
    row = _row(given, there) | {"version": before.version + 1, "changed_at": edit.now}
    await conn.execute(sa.update(dictionary_values).where(dictionary_values.c.id == value_id).values(row))
    await _place(conn, [value.id for value in there if value.id != value_id], value_id, given)
    details = {"key": before.key} | {name: value for name, value in msgspec.to_builtins(given).items() if name != "key"}
    await _told(conn, dictionary, value_id, "dictionary_value.changed", edit, details)
    return await get(conn, dictionary, value_id)


async def delete_unused(conn: AsyncConnection, value: Value, *, edit: Edit) -> None:
    """Remove a value of which the caller knows that nothing holds it (`dictionary_uses.delete`)."""
    await conn.execute(dictionary_values.delete().where(dictionary_values.c.id == value.id))
    await _told(conn, value.dictionary, value.id, "dictionary_value.deleted", edit, {"key": value.key})


def answer(value: Value) -> dict[str, Any]:
    """Return a value as the API answers it."""
    names = ("id", "key", "label", "color", "icon", "active", "parent", "data", "version")
    return {name: getattr(value, name) for name in names} | {"order": value.position}


async def lock(conn: AsyncConnection, dictionary: str) -> list[Value]:
    """Return the values and keep other writers from the whole list until the transaction ends."""
    if conn.dialect.name == "postgresql":
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"dictionary {dictionary}"))))
    return (await load(conn, [dictionary]))[dictionary]


def _problems(given: ValueInput, there: Sequence[Value], before: Value | None, dictionary: str) -> dict[str, Problem]:
    problems: dict[str, Problem] = {}
    if given.key is not UNSET and not _KEY.fullmatch(given.key):
        problems["key"] = Problem("bad_key", _("A key is small Latin letters, digits, dots, dashes and underscores"))
    if given.label is not UNSET and (problem := label_problem(given.label)):
        problems["label"] = problem
    if given.color is not UNSET and given.color not in COLORS:
        problems["color"] = Problem(
            "not_a_choice", _("Must be one of: %(choices)s"), {"choices": ", ".join(COLORS[1:])}
        )
    if given.icon is not UNSET and given.icon not in ICONS:
        problems["icon"] = Problem("not_a_choice", _("Must be one of: %(choices)s"), {"choices": ", ".join(ICONS[1:])})
    if given.order is not UNSET and not 0 <= given.order <= MAX_VALUES:
        problems["order"] = Problem("out_of_range", _("The place is counted from 0"))
    if given.data is not UNSET and len(msgspec.json.encode(given.data)) > 10_000:
        problems["data"] = Problem("too_long", _("Too long"))
    if isinstance(given.parent, str) and (problem := _parent_problem(given.parent, there, before, dictionary)):
        problems["parent"] = problem
    return problems


def label_problem(label: Mapping[str, str]) -> Problem | None:
    """Return what is wrong with a label, by language."""
    if set(label) - {"ru", "en"} or not any(text.strip() for text in label.values()):
        return Problem("bad_label", _("A label has a text in Russian, in English, or in both"))
    if any(_CONTROL.search(text) for text in label.values()):
        return Problem("control_character", _("Must not contain control characters"))
    if any(len(text) > 200 for text in label.values()):
        return Problem("too_long", _("At most %(max)s characters"), {"max": 200})
    return None


def _parent_problem(key: str, there: Sequence[Value], before: Value | None, dictionary: str) -> Problem | None:
    known = _DECLARED.by_name.get(dictionary)
    if known is None or not known.is_tree:
        return Problem("not_a_tree", _("Values of this list do not stand below others"))
    parents = {value.key: value.parent for value in there}
    if key not in parents:
        return Problem("not_found", _("There is no such value: %(key)s"), {"key": key[:60]})
    above: str | None = key
    while above is not None and before is not None:
        if above == before.key:
            return Problem("circle", _("A value cannot stand below itself"))
        above = parents[above]
    return None


def tidy_label(label: Mapping[str, str]) -> dict[str, str]:
    """Return a label without blank texts and runs of spaces."""
    return {language: " ".join(text.split()) for language, text in label.items() if text.strip()}


def _row(given: ValueInput, there: Sequence[Value]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in ("color", "icon", "active", "data"):
        if (value := getattr(given, name)) is not UNSET:
            row[name] = value
    if given.label is not UNSET:
        row["label"] = tidy_label(given.label)
    if given.parent is not UNSET:
        row["parent_id"] = next((value.id for value in there if value.key == given.parent), None)
    return row


def key_of(label: Mapping[str, str], taken: Several[str]) -> str:
    """Return a key made from the label that is not taken yet."""
    text = label.get("en") or label.get("ru") or "value"
    plain = re.sub(r"[^a-z0-9]+", "_", "".join(_LATIN.get(c, c) for c in text.casefold())).strip("_")[:40] or "value"
    numbered = (f"{plain}_{number}" for number in range(2, MAX_VALUES + 3))
    return plain if plain not in taken else next(key for key in numbered if key not in taken)


_LATIN = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch  y  e yu ya".split(" "),
        strict=True,
    )
)


async def _place(conn: AsyncConnection, others: Sequence[int], moved: int, given: ValueInput) -> None:
    """Number the list anew where a value was given a place in it."""
    if given.order is UNSET:
        return
    order = [*others[: given.order], moved, *others[given.order :]]
    values = dictionary_values
    write = sa.update(values).where(values.c.id == sa.bindparam("row")).values(position=sa.bindparam("place"))
    await conn.execute(write, [{"row": row, "place": place} for place, row in enumerate(order)])


async def _told(
    conn: AsyncConnection, dictionary: str, value_id: int, action: str, edit: Edit, details: dict[str, Any]
) -> None:
    user_id = edit.actor.user_id if edit.actor else None
    details = {"dictionary": dictionary, **details}
    await record(
        conn, action, at=edit.now, user_id=user_id, object_kind="dictionary_value", object_id=value_id, details=details
    )
    await publish(conn, CHANGE, value_id, at=edit.now, data={"dictionary": dictionary})
