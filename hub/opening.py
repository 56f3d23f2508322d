"""Open what every role and command is built from: the settings' database, blobs and linker, at the schema's head.

Knows nothing of what runs on them: a command that only opens the database starts in half the time of the service.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from hub import process
from hub.clock import utc_now
from hub.crm import people, typical_data
from hub.crm.addresses import parse_email, parse_phone
from hub.crm.linking import Linker
from hub.errors import ConfigError, Unavailable
from hub.mail.mailbox_kind import MAILBOXES
from hub.mail.models import mailboxes
from hub.settings import Settings
from hub.store.blobs import BlobStore
from hub.store.bus import Bus, LocalBus, RedisBus
from hub.store.engine import Database, open_database
from hub.store.migrate import require_head, upgrade
from hub.store.single_process import sole_process
from hub.store.upsert import insert

ROLES = ("web", "telephony", "mail", "jobs")


@dataclass(frozen=True, slots=True)
class Parts:
    """The common part of all roles."""

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
    """The line for an operator when the database does not let Hub in: where it is, and what it said."""
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
    """Give the typical data once; make the teams and mailboxes that the configuration names."""
    now = utc_now()
    async with db.begin() as conn:
        await typical_data.deliver(conn, language=settings.hub.language, now=now)
        for pbx in settings.pbx:
            for team in pbx.team:
                await people.ensure_team(conn, team.team, now=now)
        for box in settings.mailbox:
            team_id = await people.ensure_team(conn, box.team, now=now)
            values = {"team_id": team_id, "owner_id": None, "source": "file", "settings": None}
            values |= MAILBOXES.field("name").store(box.name) | {"sign_in": box.oauth or "password"}
            statement = insert(conn, mailboxes).values(address=box.address.lower(), created_at=now, **values)
            await conn.execute(statement.on_conflict_do_update(index_elements=["address"], set_=values))
