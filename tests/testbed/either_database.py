"""Tests whose SQL is the same on both databases: each case runs on one of them, half of the cases on each.

What differs between the databases (races, locks, the search, order, plans, uniqueness, the feed) is tested on both. A
test of pages, protocols or rights asks the same statements of either; the marker `either_database` says so of a file
or a test. `pytest --both-databases`, or the name of a single test, runs it on both. Invariant: which database a case
runs on follows from its name alone, so a second try of what failed runs the same.
"""

from __future__ import annotations

from zlib import crc32

import pytest

MARKER = "either_database"
OPTION = "--both-databases"
FIXTURE = "db_url"
DATABASES = ("sqlite", "postgresql")


def leave_one_database(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop, of the tests so marked, the cases whose turn is the other database's."""
    if config.getoption(OPTION) or any("::" in word for word in config.args):
        return
    dropped = [item for item in items if item.get_closest_marker(MARKER) is not None and not _is_its_turn(item)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


def _is_its_turn(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    database = callspec.params.get(FIXTURE) if callspec else None
    if database not in DATABASES or _names_databases(item):
        return True
    case = item.nodeid.replace(database, "", 1)
    return DATABASES[crc32(case.encode()) % 2] == database


def _names_databases(item: pytest.Item) -> bool:
    """Return whether the test itself says which databases it runs on."""
    return any(FIXTURE in str(marker.args[0]) for marker in item.iter_markers("parametrize") if marker.args)
