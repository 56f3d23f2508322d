"""`hub doctor`: is everything there that Hub is configured for, and which line mends what is not.

Asks every PBX, mailbox, database and key; what is to be said of a PBX is `hub/telephony/diagnosis`'s. Invariants: it
changes nothing that stays, nothing is told of a secret but its file's mode, and one peer that hangs holds up no other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import ssl
import stat
import sys
import tempfile
import tomllib
from collections.abc import Awaitable, Iterable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.app import one_line_of
from hub.crm import phones
from hub.crm.addresses import parse_phone
from hub.errors import ConfigError, HubError
from hub.guard import shown
from hub.mail.imap.connection import connected
from hub.mail.sending import smtp
from hub.mail.sync.sent_folder import sent_folder_of
from hub.settings import MailServer, Pbx, Settings, load
from hub.store.bus import RedisBus
from hub.store.engine import Database, open_database
from hub.store.migrate import require_head
from hub.telephony.backfill import cdr_check
from hub.telephony.doctor.diagnosis import certificate, judge
from hub.telephony.doctor.doctor import look
from hub.telephony.doctor.reach import days_left
from hub.telephony.doctor.seen import Finding, exit_code, in_words
from hub.telephony.recordings import recording_check

REDIS_WITHIN_S = 4.0
MAIL_WITHIN = timedelta(seconds=15)
LITTLE_SPACE_BYTES = 1_000_000_000
Owners = dict[str, dict[str, str]]


async def doctor(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 if anything is bad."""
    settings = load(arguments.config)
    findings = await asyncio.to_thread(_files, arguments.config, settings)
    found, owners = await _database(settings)
    findings += found
    works: list[Awaitable[list[Finding]]] = [_redis(settings)] if settings.hub.redis else []
    works += [_pbx(pbx, settings, owners.get(pbx.name, {})) for pbx in settings.pbx]
    works += [_mailbox(f"mailbox {box.address}", box.imap, box.smtp) for box in settings.mailbox]
    for some in await asyncio.gather(*works):
        findings += some
    if not settings.pbx and not settings.mailbox:
        findings.append(Finding("warn", "config", "names no PBX and no mailbox", "[[pbx]] · [[mailbox]]"))
    if arguments.json:
        told = {"ok": exit_code(findings) == 0, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(told, ensure_ascii=True, indent=1) + "\n")
    else:
        sys.stdout.write(in_words(findings))
    return exit_code(findings)


# Files


def _files(config: Path, settings: Settings) -> list[Finding]:
    raw = tomllib.loads(config.read_text("utf-8"))
    findings = list(_secrets_in(raw, config))
    data_dir = settings.data_dir
    try:
        place = next(path for path in (data_dir, *data_dir.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
        free = shutil.disk_usage(place).free
    except OSError as error:
        text = f"{data_dir}: nothing can be written there: {error.strerror}"
        findings.append(Finding("bad", "data_dir", text, f"chown hub: {data_dir}; or hub.data_dir"))
        return findings
    if free < LITTLE_SPACE_BYTES:
        text = f"{data_dir}: {free // 1_000_000} MB are left on that disk"
        findings.append(Finding("warn", "data_dir", text, "make room: raw mail and attachments go there"))
    else:
        findings.append(Finding("ok", "data_dir", f"{data_dir} can be written"))
    return findings


def _secrets_in(raw: dict[str, Any], config: Path) -> Iterable[Finding]:
    """Judge who else may read the secrets: those in files of their own, and those in the configuration."""
    good = 0
    holds_secret = bool(re.search(r"://[^/@:]+:[^@]+@", str(raw.get("hub", {}).get("database", ""))))
    for key, value in _leaves(raw):
        name = key.rpartition(".")[2]
        if name.endswith(("secret", "password")) and value:
            holds_secret = True
        if name.endswith(("secret_file", "password_file")) and value:
            problem = _readable_by_all(config.parent / value)
            good += not problem
            if problem:
                yield Finding("bad", "secrets", f"{key}: {value} {problem}", f"chmod 600 {value}")
    if holds_secret and (problem := _readable_by_all(config)):
        yield Finding("bad", "secrets", f"{config} holds a secret and {problem}", f"chmod 600 {config}; or …_file keys")
    elif holds_secret:
        good += 1
    if good:
        yield Finding("ok", "secrets", "no file with a secret is readable by everybody")


def _leaves(node: Any, place: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{place}.{key}" if place else key)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _leaves(value, f"{place}[{number}]")
    elif isinstance(node, str):
        yield place, node


def _readable_by_all(path: Path) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return str(error.strerror)
    return f"can be read by everybody on this machine (mode {mode:o})" if mode & stat.S_IROTH else ""


# Database and Redis


async def _database(settings: Settings) -> tuple[list[Finding], Owners]:
    url = settings.hub.database
    if url.startswith("sqlite") and not await asyncio.to_thread(Path(file := url.removeprefix("sqlite:///")).exists):
        # Opening it would make it, and nothing is to be made here.
        return [Finding("ok", "database", f"{file}: there is no file yet; `hub serve` makes it")], {}
    db = open_database(url)
    try:
        async with asyncio.timeout(20):
            await require_head(db)
            owners = await _owners(db, settings)
        return [Finding("ok", "database", f"{db.dialect} answers, and its schema fits this Hub")], owners
    except ConfigError as error:
        is_older = db.dialect == "sqlite" and error.code == "schema_old"
        mend = "start `hub serve`, which brings it up after a copy" if is_older else "hub migrate --config FILE"
        return [Finding("warn" if is_older else "bad", "database", error.message, mend)], {}
    except (HubError, OSError, sa.exc.DBAPIError, TimeoutError) as error:
        where = db.writer.url.host or db.writer.url.database
        text = f"{where} does not answer: {one_line_of(error)}"
        return [Finding("bad", "database", shown(text), "hub.database; is the server started?")], {}
    finally:
        await db.close()


async def _owners(db: Database, settings: Settings) -> Owners:
    async with db.read() as conn:
        return {
            pbx.name: {extension: name for extension, (_, name) in (await phones.owners(conn, pbx.name)).items()}
            for pbx in settings.pbx
        }


async def _redis(settings: Settings) -> list[Finding]:
    bus = RedisBus(settings.hub.redis)
    running = asyncio.create_task(bus.run())
    try:
        async with asyncio.timeout(REDIS_WITHIN_S):
            await bus.connected.wait()
    except TimeoutError:
        text = "does not answer: processes learn of each other's changes by looking, which is slower"
        return [Finding("bad", "redis", text, "hub.redis; is the server started?")]
    finally:
        running.cancel()
        await asyncio.wait([running])
        await bus.close()
    return [Finding("ok", "redis", "answers")]


# PBX and mail


async def _pbx(pbx: Pbx, settings: Settings, owners: dict[str, str]) -> list[Finding]:
    place = f"pbx {pbx.name}"
    findings = list(judge(pbx, await look(pbx, owners)))
    recordings = [
        Finding("bad" if one.is_error else "warn", place, shown(one.problem, max_chars=400), one.mend)
        for one in await recording_check.check(pbx)
    ]
    if (pbx.recordings_dir or pbx.recordings_url) and not recordings:
        recordings.append(Finding("ok", place, "recordings can be heard"))
    findings += [
        Finding("bad" if one.is_error else "warn", place, shown(one.problem, max_chars=400), one.mend)
        for one in await cdr_check.check(pbx)
    ]
    return [*findings, *recordings, *_own_numbers(pbx, settings.hub.default_region)]


def _own_numbers(pbx: Pbx, default_region: str) -> Iterable[Finding]:
    for number in pbx.own_numbers:
        # A trunk's name may stand there too.
        if not any(c.isalpha() for c in number) and parse_phone(number, pbx.region or default_region) is None:
            text = f"own number {shown(number)!r} is no phone number: calls from it would become a client's"
            yield Finding("warn", f"pbx {pbx.name}", text, 'pbx.own_numbers = ["+7 495 000-01-00"]')


async def _mailbox(place: str, imap: MailServer, out: MailServer) -> list[Finding]:
    found = await asyncio.gather(_imap(place, imap), _smtp(place, out))
    return [finding for some in found for finding in some]


async def _imap(place: str, server: MailServer) -> list[Finding]:
    key = f"imap {server.host}:{server.port}"
    try:
        async with asyncio.timeout(MAIL_WITHIN.total_seconds()), connected(server) as imap:
            sent = sent_folder_of(await imap.list_folders())
    except HubError as error:
        mend = (
            "imap.username and imap.password_file" if error.code == "auth_refused" else "imap.host, imap.port, imap.tls"
        )
        # Most of what a line says of itself begins with where it leads.
        text = f"imap {error.message}" if error.message.startswith(server.host) else f"{key}: {error.message}"
        return [Finding("bad", place, shown(text, max_chars=400), f"mailbox.{mend}")]
    except TimeoutError:
        return [Finding("bad", place, f"{key}: does not answer in time", "mailbox.imap.host, imap.port, imap.tls")]
    findings = [Finding("ok", place, f"{key}: signed in")]
    if sent is None:
        mend = "make a folder named Sent, or have the server mark one (RFC 6154)"
        findings.append(Finding("warn", place, f"{key}: there is no folder for sent mail", mend))
    return [*findings, *await _wire(place, key, server)]


async def _smtp(place: str, server: MailServer) -> list[Finding]:
    key = f"smtp {server.host}:{server.port}"
    if problem := await smtp.sign_in_only(server, deadline=MAIL_WITHIN):
        mend = "mailbox.smtp.host, smtp.port, smtp.tls, smtp.username, smtp.password_file"
        return [Finding("bad", place, f"{key}: {problem}", mend)]
    return [
        Finding("ok", place, f"{key}: {'signed in' if server.username else 'answers'}"),
        *await _wire(place, key, server),
    ]


async def _wire(place: str, key: str, server: MailServer) -> list[Finding]:
    """Judge what the way to a mail server is worth: its certificate's days, or that there is no certificate."""
    if server.tls == "none":
        if server.host in ("127.0.0.1", "localhost", "::1"):
            return []
        return [Finding("warn", place, f"{key}: password and mail cross the network in clear", 'tls = "tls"')]
    if server.tls == "starttls":
        return []
    context = await asyncio.to_thread(ssl.create_default_context)
    if server.ca_file:
        await asyncio.to_thread(context.load_verify_locations, server.ca_file)
    told = certificate(key, await days_left(server.host, server.port, context))
    return [Finding(level, place, text, mend) for level, text, mend in told]
