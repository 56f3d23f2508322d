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
from collections.abc import Mapping
from datetime import timedelta

from hub import logs, process
from hub.clock import utc_now
from hub.crm import claim_expiry, people, presence, relinking, trimming
from hub.crm.access import load_actor
from hub.crm.addresses import AddressKind
from hub.crm.base.operation_runs import OperationRuns
from hub.crm.operation_kinds import WORKS
from hub.errors import ConfigError
from hub.mail import answering
from hub.mail import relink as mail_relink
from hub.mail.accounts.keeper import MailKeeper
from hub.mail.files.scanner import Clamd
from hub.mail.files.scanning import AttachmentScanner
from hub.mail.jobs import MailJobs
from hub.mail.reading.workers import ParserPool
from hub.opening import Parts, alone_on, opened
from hub.settings import Settings
from hub.store import changes
from hub.store.encryption import reply_key
from hub.store.engine import Database
from hub.telephony import health
from hub.telephony.intake.intake import CallIntake
from hub.telephony.reading import relink as calls_relink
from hub.telephony.recordings.recording_keeper import RecordingKeeper
from hub.telephony.service import PbxService
from hub.web.listener import Limits, listening
from hub.web.server import Services, make_app

log = logging.getLogger(__name__)

TRIM_EVERY = timedelta(hours=1)
RELINKS: Mapping[AddressKind, relinking.Batch] = {
    "phone": calls_relink.batch,
    "email": mail_relink.batch,
    "domain": mail_relink.batch,
}
"""Which past things of an address are asked anew whose they are."""


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
                running.append(tasks.create_task(relinking.RelinkRuns(parts.db, parts.linker, RELINKS).run()))
                running.append(tasks.create_task(OperationRuns(parts.db, WORKS, load_actor).run()))
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
