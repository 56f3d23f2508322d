"""The composition root: settings become running parts, and one task group holds them all.

Decides only what is wired to what. Invariants: a part that fails with a bug takes the process down loudly (the
operator's supervisor restarts it); SIGTERM drains within 30 s; nothing listens before the schema fits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from hub import logs, process
from hub.clock import utc_now
from hub.crm import claim_expiry, people, presence, trimming
from hub.crm.addresses import parse_email, parse_phone
from hub.crm.linking import Linker
from hub.errors import ConfigError, Unavailable
from hub.mail import answering
from hub.mail.accounts.keeper import MailKeeper
from hub.mail.files.scanner import Clamd
from hub.mail.files.scanning import AttachmentScanner
from hub.mail.jobs import MailJobs
from hub.mail.models import mailboxes
from hub.mail.reading.workers import ParserPool
from hub.settings import Settings
from hub.store import changes
from hub.store.blobs import BlobStore
from hub.store.bus import Bus, LocalBus, RedisBus
from hub.store.encryption import reply_key
from hub.store.engine import Database, open_database
from hub.store.migrate import require_head, upgrade
from hub.store.single_process import sole_process
from hub.store.upsert import insert
from hub.telephony import health
from hub.telephony.intake.intake import CallIntake
from hub.telephony.recordings.recording_keeper import RecordingKeeper
from hub.telephony.service import PbxService
from hub.web.listener import Limits, listening
from hub.web.server import Services, make_app

log = logging.getLogger(__name__)

ROLES = ("web", "telephony", "mail", "jobs")
TRIM_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every role is built from."""

    settings: Settings
    db: Database
    blobs: BlobStore
    linker: Linker
    is_demo: bool = False


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, is_demo: bool = False) -> AsyncIterator[Parts]:
    """Open database and stores, bring the schema to head (SQLite) or check it (PostgreSQL), seed what is configured.

    Raises ConfigError with one line that names the host or the key.
    """
    process.make_private_folder(settings.data_dir)
    process.close_to_others(settings.data_dir / "blobs")
    bus: Bus = RedisBus(settings.hub.redis) if settings.hub.redis else LocalBus()
    db = open_database(settings.hub.database, bus=bus)
    try:
        try:
            await (upgrade(db) if db.dialect == "sqlite" else require_head(db))
        except (Unavailable, OSError, sa.exc.DBAPIError) as error:
            raise unreachable(db, error) from error
        await _seed(db, settings)
        yield Parts(settings, db, BlobStore(settings.data_dir / "blobs"), make_linker(settings), is_demo)
    finally:
        await db.close()


def alone_on(settings: Settings, *, named: str) -> contextlib.AbstractContextManager[None]:
    """Hold the one place of a serving process on SQLite; no-op on PostgreSQL. Raises ConfigError."""
    url = sa.make_url(settings.hub.database)
    if url.get_backend_name() != "sqlite":
        return contextlib.nullcontext()
    return sole_process(Path(str(url.database)), named=named)


def unreachable(db: Database, error: BaseException) -> ConfigError:
    """What an operator reads when the database does not let Hub in: where it is, and what it said."""
    url = db.writer.url
    where = f"{url.host}:{url.port or 5432}" if url.host else str(url.query.get("host", url.database))
    return ConfigError("database_unreachable", f"hub.database: {where}: {one_line_of(error)}")


def one_line_of(error: BaseException) -> str:
    """The first line of what a driver says, fit for an operator."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0][:300]


def make_linker(settings: Settings) -> Linker:
    """Linking that knows what the configuration says is the company's own."""
    own_phones = {
        phone.value
        for pbx in settings.pbx
        for raw in pbx.own_numbers
        if (phone := parse_phone(raw, pbx.region or settings.hub.default_region))
    }
    own_emails = {email for box in settings.mailbox if (email := parse_email(box.address))}
    return Linker(settings.hub.default_region, frozenset(own_phones), frozenset(own_emails))


async def _seed(db: Database, settings: Settings) -> None:
    """Make the teams and mailboxes that the configuration names."""
    now = utc_now()
    async with db.begin() as conn:
        for pbx in settings.pbx:
            for team in pbx.team:
                await people.ensure_team(conn, team.team, now=now)
        for box in settings.mailbox:
            team_id = await people.ensure_team(conn, box.team, now=now)
            values = {"name": box.name, "team_id": team_id, "owner_id": None, "source": "file", "settings": None}
            statement = insert(conn, mailboxes).values(address=box.address.lower(), created_at=now, **values)
            await conn.execute(statement.on_conflict_do_update(index_elements=["address"], set_=values))


async def _team_ids(db: Database) -> dict[str, int]:
    async with db.read() as conn:
        return {name: team_id for team_id, name in (await people.team_names(conn)).items()}


async def serve(settings: Settings, *, roles: frozenset[str], ready: asyncio.Event | None = None) -> None:
    """Run the roles until SIGTERM or SIGINT, or until cancelled. `ready` is set once the page answers."""
    logs.configure(settings.hub.log)
    with alone_on(settings, named="hub.database"):
        async with opened(settings) as parts:
            await run_roles(parts, roles=roles, ready=ready)


async def run_roles(parts: Parts, *, roles: frozenset[str], ready: asyncio.Event | None = None) -> None:
    """Run the roles on opened parts until a signal or cancellation."""
    process.raise_open_files()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(name, stop.set)
    with contextlib.ExitStack() as stack:
        parsers = stack.enter_context(ParserPool(min(4, os.cpu_count() or 1))) if "mail" in roles else None
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(parts.db.bus.run())]
            if "telephony" in roles:
                with parts.db.loops.loop("start") as start:
                    teams = await start.retry(lambda: _team_ids(parts.db))
                for pbx in parts.settings.pbx:
                    by_queue = {team.queue: teams[team.team] for team in pbx.team}
                    intake = CallIntake(parts.db, parts.linker, by_queue, pbx.region)
                    running.append(tasks.create_task(PbxService(parts.db, pbx, intake).run()))
                running.append(tasks.create_task(claim_expiry.watch(parts.db)))
            if "mail" in roles:
                assert parsers is not None
                keeper = MailKeeper(parts.db, parts.blobs, parts.linker, parts.settings, parsers)
                running.append(tasks.create_task(keeper.run()))
            if "jobs" in roles:
                running.append(tasks.create_task(health.watch(parts.db)))
                running.append(tasks.create_task(_keep_feed_short(parts.db)))
                running.append(tasks.create_task(_drop_what_is_over(parts.db)))
                running.append(tasks.create_task(RecordingKeeper(parts.db, parts.settings.pbx).run()))
                running.append(tasks.create_task(presence.watch(parts.db)))
                running.append(tasks.create_task(MailJobs(parts.db, parts.linker, parts.blobs).run()))
                running.append(tasks.create_task(answering.watch(parts.db)))
                if clamd := parts.settings.hub.clamd:
                    running.append(tasks.create_task(AttachmentScanner(parts.db, parts.blobs, Clamd(clamd)).run()))
            if "web" in roles:
                running.append(tasks.create_task(_serve_pages(parts, stop, ready)))
            elif ready is not None:
                ready.set()
            await stop.wait()
            log.info("stopping")
            for task in running:
                task.cancel()


async def _serve_pages(parts: Parts, stop: asyncio.Event, ready: asyncio.Event | None) -> None:
    key = await asyncio.to_thread(reply_key, parts.settings)
    services = Services(parts.db, parts.blobs, parts.settings, parts.linker, parts.is_demo, key)
    section = parts.settings.web
    limits = Limits(
        connections=process.connections_at_most(section.max_connections),
        per_address=section.max_connections_per_address,
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(listening(make_app(services), section.host, section.port, limits=limits))
        except OSError as error:
            place = f"web.host, web.port: cannot listen on {section.host}:{section.port}"
            raise ConfigError("port_taken", f"{place}: {error.strerror}") from error
        log.info("listening on http://%s:%d", section.host, section.port)
        if ready is not None:
            ready.set()
        await asyncio.Event().wait()


async def _drop_what_is_over(db: Database) -> None:
    await db.loops.run("web_trim", lambda: trimming.trim(db, now=utc_now()), every=TRIM_EVERY)


async def _keep_feed_short(db: Database) -> None:
    await db.loops.run("feed_trim", lambda: changes.trim(db, now=utc_now()), every=TRIM_EVERY)
