"""Rights: a role grants each kind and action a scope, and `permitted` turns that into one SQL condition.

The condition decides list, card, count, export, references and streams, and stands in the statement that writes.
Roles and their presets are in `hub.crm.roles`; this module only reads what an asker was granted. Invariant: what was
not granted is not permitted; without an asker Hub itself acts and everything is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, get_args

import sqlalchemy as sa

from hub.crm.base import registry
from hub.crm.base.entity import Entity
from hub.errors import Forbidden
from hub.store.membership import in_set

Action = Literal["see", "create", "edit", "delete", "assign", "export", "bulk"]
Scope = Literal["none", "own", "team", "all"]
ACTIONS: tuple[Action, ...] = get_args(Action)
SCOPES: tuple[Scope, ...] = get_args(Scope)
EVERY_KIND = "*"
"""Stands in a grant for each kind that the role has no grant of its own for."""
Grants = Mapping[tuple[str, Action], Scope]


class Asker(Protocol):
    """Whoever asks: a person with teams and what their role grants."""

    @property
    def user_id(self) -> int: ...
    @property
    def team_ids(self) -> frozenset[int]: ...
    @property
    def grants(self) -> Grants: ...
    @property
    def own_ids(self) -> frozenset[int]:
        """The person, and those whom they substitute now: scope `own` reaches the records of all of them."""
        ...


def scope(asker: Asker | None, kind: str, action: Action) -> Scope:
    """Return how far the asker's role reaches for this action on this kind."""
    if asker is None:
        return "all"
    return asker.grants.get((kind, action)) or asker.grants.get((EVERY_KIND, action)) or "none"


def require(asker: Asker | None, kind: str, action: Action) -> None:
    """Raise Forbidden where the role does not allow this action on any record of the kind."""
    if scope(asker, kind, action) == "none":
        raise Forbidden("not_permitted", f"your role does not let you {action} this", kind=kind, action=action)


def permitted(asker: Asker | None, entity: Entity[Any, Any], action: Action) -> sa.ColumnElement[bool]:
    """Return the condition on the kind's table under which the asker may do this."""
    if entity.rule is not None and asker is not None:
        return entity.rule(asker, action)
    return _within(asker, entity, scope(asker, entity.kind, action))


def _within(asker: Asker | None, entity: Entity[Any, Any], reach: Scope) -> sa.ColumnElement[bool]:
    if reach == "all" or asker is None:
        return sa.true()
    if reach == "none":
        return sa.false()
    held: list[tuple[sa.Column[Any], Any]] = []
    """Columns of the record itself, each with the values of which it holds one."""
    elsewhere: list[sa.Select[tuple[int]]] = []
    own_ids = sorted(asker.own_ids)
    if entity.owner is not None:
        # An account is its person's alone: whoever substitutes them works with their records, not with their account.
        held.append((entity.owner, [asker.user_id] if entity.owner is entity.id else own_ids))
    if entity.participants is not None:
        elsewhere.append(entity.participants.owners(lambda user_id: user_id.in_(own_ids)))
    if reach == "team" and asker.team_ids:
        team_ids = sorted(asker.team_ids)
        if entity.team is not None:
            held.append((entity.team, team_ids))
        if entity.teams is not None:
            elsewhere.append(entity.teams.owners(lambda team_id: team_id.in_(team_ids)))
    if entity.through is not None:
        other = registry.target(entity, entity.through)
        held.append((entity.through, sa.select(other.id).where(_within(asker, other, reach))))
    return sa.or_(
        sa.false(),
        *(column.in_(values) for column, values in held),
        *(in_set(entity.id, one) for one in elsewhere),
    )


def may_receive(asker: Asker, entity: Entity[Any, Any], told: Mapping[str, Any]) -> bool:
    """Tell whether a change may reach the asker, by the principals of before and after that it carries."""
    reach = scope(asker, entity.kind, "see")
    if reach == "all" or reach == "none":
        return reach == "all"
    own_ids = {asker.user_id} if entity.owner is entity.id else asker.own_ids
    if not own_ids.isdisjoint(told.get("owners", ())):
        return True
    return reach == "team" and not asker.team_ids.isdisjoint(told.get("teams", ()))
