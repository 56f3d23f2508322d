"""Alembic's entry: run the migrations on the connection that `store.migrate` hands over. Decides nothing."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from hub.store.schema import BigId, Json, Moment, metadata


def _render(kind: str, thing: Any, _context: AutogenContext) -> str | Literal[False]:
    """Name Hub's own column types in a draft, so that both databases get their form of them."""
    if kind != "type":
        return False
    if isinstance(thing, Moment):
        return "Moment()"
    return {id(BigId): "BigId", id(Json): "Json"}.get(id(thing), False)


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave out the search's tables: SQLite and PostgreSQL have others, so the metadata has neither."""
    return not (kind == "table" and name is not None and name.startswith("message_search"))


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
    compare_type=False,
    render_item=_render,
    include_name=is_ours,
)
with context.begin_transaction():
    context.run_migrations()
