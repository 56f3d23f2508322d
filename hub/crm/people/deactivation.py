"""Deactivation of a person: the account is disabled, and what they own goes to a colleague by bulk edits.

`belongings` says of everything that refers to people what becomes of it.

Invariant: the account and the hand-over stand in one transaction; what the bulk edits then do can be undone, the
disabling is taken back by restoring the person.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import accounts
from hub.crm.base import bulk_edit, records, registry, views
from hub.crm.base.bulk_selection import Selection
from hub.crm.base.conditions import tree
from hub.crm.base.entity import Entity
from hub.crm.base.field import Field
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.people.belongings import FATES
from hub.crm.people.editing import require_over
from hub.crm.people.table import USERS


@dataclass(frozen=True, slots=True)
class Deactivated:
    """The result of handing over a person's work."""

    returned: int
    """Queue items that went back to their teams."""
    operations: tuple[int, ...]
    """The bulk edits that hand over what they owned, one for each kind."""
    views: int = 0
    """Shared lists that are the colleague's now."""


async def deactivate(
    conn: AsyncConnection, user_id: int, *, hand_over_to: int | None, edit: Edit, version: int | None = None
) -> Deactivated:
    """Disable a person and hand over what they own. Raises Invalid at `hand_over_to`, and what disabling raises."""
    await require_over(conn, user_id, edit)
    if hand_over_to is not None:
        heir = (await records.get_many(conn, edit.actor, USERS, [hand_over_to])).get(hand_over_to)
        if heir is None or heir.disabled_at is not None or heir.id == user_id:
            raise Invalid({"hand_over_to": Problem("not_found", _("There is no such record"))})
    returned = await accounts.disable(conn, user_id, edit=edit, version=version)
    operations = []
    for entity, field in owned_kinds():
        if hand_over_to is not None:
            theirs = tree.parse({"all": [{"field": field.name, "op": "is", "value": [user_id]}]})
            selection = Selection(where=theirs)
            operations.append(await bulk_edit.begin(conn, entity, {field.name: hand_over_to}, selection, edit=edit))
    shared = 0 if hand_over_to is None else await views.hand_over(conn, user_id, hand_over_to, edit=edit)
    return Deactivated(returned, tuple(operations), shared)


def owned_kinds() -> Iterator[tuple[Entity[Any, Any], Field]]:
    """Yield each kind whose records people own, with the field that says whose a record is."""
    for entity in registry.kinds().values():
        for field in entity.input_fields:
            is_owner = entity.owner is not None and field.column is entity.owner and field.type == "person"
            if is_owner and FATES.get((entity.table.name, field.column.name), "handed_over") == "handed_over":
                yield entity, field
