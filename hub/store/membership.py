"""`in_set(column, select)`: the column's value is one of those that a sub-select gives, asked once for the statement.

As a part of an OR, PostgreSQL carries `IN (SELECT …)` by no index; an array that it makes first is carried like a list
of values. SQLite carries both.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _InSet(FunctionElement[Any]):
    # Of no type: SQLite would be asked whether a boolean equals 1, which no index carries.
    type = sa.types.NullType()
    name = "in_set"
    inherit_cache = True


def in_set(column: sa.ColumnElement[Any], found: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that a column holds one of the values that `found` selects."""
    return _InSet(column, found.correlate(None).scalar_subquery())


@compiles(_InSet)
def _plain(element: _InSet, compiler: Any, **given: Any) -> str:
    column, found = element.clauses
    return f"{compiler.process(column, **given)} IN {compiler.process(found, **given)}"


@compiles(_InSet, "postgresql")
def _array(element: _InSet, compiler: Any, **given: Any) -> str:
    column, found = element.clauses
    return f"{compiler.process(column, **given)} = ANY (ARRAY{compiler.process(found, **given)})"
