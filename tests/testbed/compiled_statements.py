"""What SQLAlchemy worked out once, kept for every database of a test run.

An engine compiles each statement at its first use, and a test has engines of its own: a quarter of the processor time
of a short test went into compiling the same statements again. The cache finds a statement by its dialect, so the
engines share that too. Invariant: it is the dialect of an engine that has connected, so it knows its server.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.util import LRUCache

from hub.store.engine import Database


@dataclass(frozen=True, slots=True)
class _Compiled:
    dialect: sa.Dialect
    statements: LRUCache


_kept: dict[str, _Compiled] = {}


def keep_statements(database: Database) -> None:
    """Keep what an engine of this kind compiles from here on. `database` has been written to."""
    engine = database.writer.sync_engine
    _kept.setdefault(database.dialect, _Compiled(engine.dialect, LRUCache(2000)))


def use_kept_statements(database: Database) -> None:
    """Have a database that nobody has used yet take what others of its kind compiled."""
    kept = _kept[database.dialect]
    for engine in {database.writer, database.reader}:
        engine.sync_engine.dialect = kept.dialect
        engine.sync_engine.update_execution_options(compiled_cache=kept.statements)
