"""Phones, e-mails and domains of clients and contacts as fields: sent as text, kept raw and in their normal form.

They lie in one table that answers whose an address is (`linking`). Invariant: a list holds an address once, however
it is spelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Unpack

import sqlalchemy as sa
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm.addresses import AddressKind, parse_domain, parse_email, parse_phone
from hub.crm.base.collections import Collection
from hub.crm.base.field import Field, Names, Options, Reading
from hub.crm.base.labels import FieldError, _
from hub.crm.models import addresses

MAX_CHARS = 254


@dataclass(frozen=True, slots=True)
class AddressValue:
    """One address; how it was written does not count in comparing."""

    value: str
    extension: str = ""
    raw: str = field(default="", compare=False)


class AddressItem(Field):
    """One address of a kind: a text in what is sent, `{value, raw, extension}` in what is answered."""

    type = "address"

    def __init__(self, address_kind: AddressKind, label: str) -> None:
        super().__init__(addresses.c.value, label)
        self.address_kind = address_kind

    def convert(self, value: object, reading: Reading) -> AddressValue:
        if not isinstance(value, str):
            raise FieldError("not_text", _("Must be a text"))
        if len(value) > MAX_CHARS:
            raise FieldError("too_long", _("At most %(max)s characters"), max=MAX_CHARS)
        raw = sanitize.shown(value, max_chars=MAX_CHARS)
        if self.address_kind == "phone":
            if phone := parse_phone(value, reading.region):
                return AddressValue(phone.value, phone.extension[:20], raw)
            raise FieldError("bad_phone", _("Not a phone number: %(value)s"), value=raw[:60])
        if self.address_kind == "email":
            if email := parse_email(value):
                return AddressValue(email, "", raw)
            raise FieldError("bad_email", _("Not an e-mail address: %(value)s"), value=raw[:60])
        if domain := parse_domain(value):
            return AddressValue(domain, "", raw)
        raise FieldError("bad_domain", _("Not a domain: %(value)s"), value=raw[:60])

    def parse(self, value: object, reading: Reading = Reading()) -> AddressValue:  # noqa: B008
        return self.convert("" if value is None else value, reading)

    def dump(self, value: AddressValue) -> str:
        """Write an address so that it reads the same wherever it is read: a phone with its country code."""
        return f"{value.value} ext. {value.extension}" if value.extension else value.value

    def answer(self, value: AddressValue, names: Names) -> dict[str, Any]:
        return {"value": value.value, "raw": value.raw, "extension": value.extension or None}


class AddressStore:
    """The addresses of one kind, of clients or of contacts; one statement reads every kind."""

    def __init__(self, owner: sa.Column[Any], address_kind: AddressKind) -> None:
        self.owner = owner
        self.address_kind = address_kind

    @property
    def family(self) -> sa.Column[Any]:
        return self.owner

    @property
    def part(self) -> AddressKind:
        return self.address_kind

    async def load(self, conn: AsyncConnection, ids: Sequence[int]) -> Mapping[int, tuple[AddressValue, ...]]:
        return (await self.load_parts(conn, ids, [self.part])).get(self.part, {})

    async def load_parts(
        self, conn: AsyncConnection, ids: Sequence[int], parts: Sequence[str]
    ) -> Mapping[str, Mapping[int, tuple[AddressValue, ...]]]:
        here = sa.and_(self.owner.in_(ids), addresses.c.kind.in_(parts))
        query = sa.select(addresses.c.kind, self.owner, addresses.c.value, addresses.c.extension, addresses.c.raw)
        found: dict[str, dict[int, tuple[AddressValue, ...]]] = {}
        for kind, owner_id, *of_value in await conn.execute(query.where(here).order_by(addresses.c.id)):
            value, of_kind = AddressValue(*of_value), found.setdefault(kind, {})
            if value not in of_kind.get(owner_id, ()):
                of_kind[owner_id] = (*of_kind.get(owner_id, ()), value)
        return found

    async def replace(
        self, conn: AsyncConnection, record_id: int, values: tuple[AddressValue, ...], *, now: datetime
    ) -> None:
        """Keep the rows of what stays; where the order changed, write all anew, for rows are ordered by their ids."""
        before = (await self.load(conn, [record_id])).get(record_id, ())
        kept = tuple(value for value in before if value in values)
        if kept != values[: len(kept)]:
            kept = ()
        gone = [value.value for value in before if value not in kept]
        here = sa.and_(self.owner == record_id, addresses.c.kind == self.address_kind)
        if gone:
            await conn.execute(addresses.delete().where(here, addresses.c.value.in_(gone)))
        rows = [
            {"kind": self.address_kind, "value": one.value, "raw": one.raw or one.value, "extension": one.extension}
            | {self.owner.key: record_id, "created_at": now}
            for one in values
            if one not in kept
        ]
        if rows:
            await conn.execute(addresses.insert(), rows)

    def owners(self, condition: Callable[[sa.Column[Any]], sa.ColumnElement[bool]]) -> sa.Select[tuple[int]]:
        here = sa.and_(self.owner.is_not(None), addresses.c.kind == self.address_kind)
        return sa.select(self.owner).where(here, condition(addresses.c.value))


ADDRESS_FIELDS: tuple[tuple[AddressKind, str], ...] = (("phone", "phones"), ("email", "emails"), ("domain", "domains"))


def addresses_of(record: object) -> dict[AddressKind, tuple[str, ...]]:
    """Return the addresses of a client or a contact in their normal form, by kind."""
    return {kind: tuple(one.value for one in getattr(record, name, ())) for kind, name in ADDRESS_FIELDS}


def gives_addresses(given: object) -> bool:
    """Tell whether the input of a client or a contact has any list of addresses, an empty one too."""
    return any(getattr(given, name, UNSET) is not UNSET for _kind, name in ADDRESS_FIELDS)


def address_list(
    owner: sa.Column[Any], address_kind: AddressKind, label: str, **options: Unpack[Options]
) -> Collection:
    """Return the field of a record's addresses of one kind."""
    return Collection(AddressItem(address_kind, label), label, store=AddressStore(owner, address_kind), **options)
