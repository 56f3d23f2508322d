"""Hub itself as its operator runs it: the command, a configuration file, people added as the command does.

`Hub.start`, `running_demo` and `run_command` start the command as a fork (`forked`), `run_afresh` and `HUB` by a new
interpreter.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

import aiohttp
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import utc_now
from hub.crm import people, tokens
from hub.crm.people import Role
from hub.opening import opened
from hub.settings import load
from tests.testbed import forked
from tests.testbed.forked import Forked
from tests.testbed.migrated import sqlite_file
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for

HUB = [sys.executable, "-m", "hub.cli"]
PASSWORD = "correct horse battery"


def clean_environment() -> dict[str, str]:
    """The environment without anything that would configure Hub, or have each start compile it anew."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


async def run_command(*words: str, stdin: str = "", deadline_s: float = 60) -> tuple[int, str, str]:
    """Run `hub WORDS…`; return exit code, stdout and stderr."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        process = await forked.start_with(words, files=(given, out, err), env=clean_environment())
        try:
            async with asyncio.timeout(deadline_s):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        for file in (out, err):
            file.seek(0)
        return code, out.read().decode(), err.read().decode()


async def run_afresh(*words: str, stdin: str = "", deadline_s: float = 60) -> tuple[int, str, str]:
    """Do as `run_command` does, in a new interpreter: 1.4 s of processor time, most of it imports."""
    process = await asyncio.create_subprocess_exec(
        *HUB,
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    try:
        async with asyncio.timeout(deadline_s):
            out, err = await process.communicate(stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def _password_hash() -> str:
    """Return the hash of `PASSWORD`, the same for everybody: it is made to be dear."""
    if not _hashes:
        _hashes.append(await people.hash_password(PASSWORD))
    return _hashes[0]


_hashes: list[str] = []


@dataclass
class Hub:
    """One `hub serve`. `restart` and `kill` are for fault tests; the log is in `log`."""

    folder: Path
    config: Path
    port: int
    log: Path
    roles: str = "web,telephony,mail,jobs"
    process: Forked | asyncio.subprocess.Process | None = None
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        words = ["serve", "--config", str(self.config), "--roles", self.roles]
        with self.log.open("ab") as log:
            self.process = await forked.start(words, log=log, env=clean_environment())
        await self.ready()

    async def ready(self) -> None:
        """Wait until Hub answers."""
        await wait_for(self.is_ready, what="hub answers", deadline_s=90)

    async def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, f"hub ended: {self.log.read_text()}"
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(how)
            try:
                async with asyncio.timeout(30):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
                raise AssertionError("hub did not stop within 30 s") from None

    async def add_user(
        self, email: str, name: str, role: Role, teams: Sequence[str] = (), extension: str | None = None
    ) -> None:
        """Add a person as `hub user add` does, without the seconds that a start of the command takes."""
        async with self.database() as conn:
            await people.add_user(
                conn,
                email=email,
                name=name,
                role=role,
                password_hash=await _password_hash(),
                team_names=teams,
                extension=extension,
                now=utc_now(),
            )

    @asynccontextmanager
    async def database(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction beside the running Hub, as its commands have; the schema is at head."""
        async with opened(load(self.config, clean_environment())) as parts, parts.db.begin() as conn:
            yield conn

    async def add_user_by_command(self, email: str, name: str, role: Role, *words: str) -> None:
        command = ["user", "add", email, "--config", str(self.config), "--name", name, "--role", role]
        code, _, err = await run_afresh(*command, "--password-stdin", *words, stdin=PASSWORD + "\n")
        assert code == 0, err

    async def token(self, email: str) -> str:
        """Return a token of a person, made as `hub token create` does at the first time."""
        if email not in self.tokens:
            async with self.database() as conn:
                self.tokens[email] = await tokens.make(conn, email, now=utc_now())
        return self.tokens[email]

    async def api(
        self, email: str, method: str, path: str, *, headers_extra: dict[str, str] | None = None, **keywords: object
    ) -> tuple[int, object]:
        """Call the REST interface as a person; return status and JSON."""
        headers = {"Authorization": f"Bearer {await self.token(email)}", **(headers_extra or {})}
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{self.url}/api/v1{path}", headers=headers, **keywords) as answer,  # type: ignore[arg-type]
        ):
            return answer.status, await answer.json()


@asynccontextmanager
async def running_hub(folder: Path, toml: str, *, database: str = "", redis: str = "") -> AsyncIterator[Hub]:
    """Write a configuration (`toml` adds PBXs and mailboxes) and give a Hub that is not started yet."""
    port = free_port()
    config = folder / "hub.toml"
    if not database:
        (folder / "hub.db").write_bytes(await asyncio.to_thread(sqlite_file))
        database = f"sqlite:///{folder}/hub.db"
    config.write_text(
        f'[hub]\ndatabase = "{database}"\nredis = "{redis}"\ndata_dir = "{folder}/data"\nlanguage = "en"\n'
        f"[web]\nport = {port}\n{toml}",
        "utf-8",
    )
    hub = Hub(folder, config, port, folder / "hub.log")
    try:
        yield hub
    finally:
        await hub.stop()


@asynccontextmanager
async def running_demo(folder: Path) -> AsyncIterator[Hub]:
    """Give a demo that answers, and stop it at the end."""
    port = free_port()
    demo = Hub(folder, folder / "none.toml", port, folder / "demo.log")
    words = ("demo", "--port", str(port), "--data-dir", str(folder / "demo"))
    with demo.log.open("wb") as log:
        demo.process = await forked.start(words, log=log, env=clean_environment())
    try:
        await demo.ready()
        yield demo
    finally:
        await demo.stop()
