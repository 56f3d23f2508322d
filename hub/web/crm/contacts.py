"""Contacts on the web: the filter by client, and addresses in one list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base.conditions.tree import EVERYTHING, Leaf, Tree
from hub.crm.clients.addresses import AddressValue
from hub.crm.contacts import CONTACTS, ContactRecord
from hub.web.api.endpoint import Id
from hub.web.api.shapes import Shape, one_of
from hub.web.base.kind import RecordQuery, WebKind
from hub.web.request_context import RequestContext


class KindedAddress(Shape, frozen=True, kw_only=True):
    """A phone, e-mail or domain with its kind: normal form, as it was written, and the digits behind "ext."."""

    kind: Annotated[str, one_of("phone", "email", "domain")]
    value: str
    raw: str
    extension: str | None


class ContactQuery(RecordQuery, frozen=True, kw_only=True):
    client: Id | None = None


def kinded(**of_kinds: Sequence[AddressValue]) -> list[KindedAddress]:
    """Return the addresses of several kinds in one list."""
    return [
        KindedAddress(kind=kind, value=one.value, raw=one.raw, extension=one.extension or None)
        for kind, values in of_kinds.items()
        for one in values
    ]


async def _addresses(
    _conn: AsyncConnection, _ctx: RequestContext, rows: Sequence[ContactRecord]
) -> list[dict[str, Any]]:
    return [{"addresses": kinded(phone=row.phones, email=row.emails)} for row in rows]


def _narrow_tree(query: ContactQuery, _tree: Tree) -> Tree:
    return EVERYTHING if query.client is None else Leaf("client", "is", [query.client])


WEB = WebKind(
    entity=CONTACTS,
    more_types=(("addresses", list[KindedAddress]),),
    more=_addresses,
    query=ContactQuery,
    narrow_tree=_narrow_tree,
    icon="contact",
    subtitle="position",
)
