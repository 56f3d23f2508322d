"""Every kind there is, by its word, with the functions that write its records.

Filled once by `hub.crm.kinds`. Invariant: after `check_references` each reference leads to a registered kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base.entity import DeclarationError, Entity


class Create(Protocol):
    async def __call__(self, conn: AsyncConnection, given: Any, *, edit: Any) -> Any: ...


class Update(Protocol):
    async def __call__(
        self, conn: AsyncConnection, record_id: int, given: Any, *, edit: Any, version: int | None = None
    ) -> Any: ...


class Archive(Protocol):
    async def __call__(
        self, conn: AsyncConnection, record_id: int, *, edit: Any, version: int | None = None
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class Writers:
    """The functions that write a kind's records; None is that of `records`. A kind with rules of its own gives its
    own, which decide and then call `records`."""

    create: Create | None = None
    update: Update | None = None
    archive: Archive | None = None
    restore: Archive | None = None


_KINDS: dict[str, tuple[Entity[Any, Any], Writers]] = {}


def register(entity: Entity[Any, Any], writers: Writers | None = None) -> None:
    """Make a kind known. Raises DeclarationError where its word or its path is taken."""
    for other, _ in _KINDS.values():
        if other.kind == entity.kind or other.plural == entity.plural:
            raise DeclarationError(f"{entity.kind}: declared twice, or its path {entity.plural} is taken")
    _KINDS[entity.kind] = (entity, writers or Writers())


def kinds() -> Mapping[str, Entity[Any, Any]]:
    """Return every registered kind by its word."""
    return {word: entity for word, (entity, _) in _KINDS.items()}


def kind(word: str) -> Entity[Any, Any]:
    """Return a registered kind. Raises KeyError: an unknown word is a bug of the caller."""
    return _KINDS[word][0]


def own_writers(entity: Entity[Any, Any]) -> Writers:
    """Return what the kind gave; `records.writers` fills in the rest."""
    return _KINDS[entity.kind][1] if entity.kind in _KINDS else Writers()


def target(entity: Entity[Any, Any], column: sa.Column[Any]) -> Entity[Any, Any]:
    """Return the kind that a link column of another refers to. Raises DeclarationError where no field says it."""
    for field in entity.fields:
        if field.column is column and field.kind is not None:
            return kind(field.kind)
    raise DeclarationError(f"{entity.kind}: no link has the column {column}")


def check_references() -> None:
    """Raise DeclarationError for a field that refers to a kind which nobody registered."""
    for entity, _ in _KINDS.values():
        for field in entity.fields:
            if field.kind is not None and field.kind not in _KINDS:
                raise DeclarationError(f"{entity.kind}.{field.name}: there is no kind {field.kind}")
        if entity.through is not None:
            target(entity, entity.through)
