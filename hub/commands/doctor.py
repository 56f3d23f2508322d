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
import stat
import sys
import tempfile
import tomllib
from collections.abc import Awaitable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.crm import phones
from hub.crm.addresses import parse_phone
from hub.errors import ConfigError, HubError, Unavailable
from hub.mail.accounts import doctor as mail_doctor
from hub.mail.files.scanner import Clamd
from hub.opening import one_line_of
from hub.sanitize import shown
from hub.settings import Mailbox, Pbx, Settings, load
from hub.store.bus import RedisBus
from hub.store.encryption import Vault
from hub.store.engine import Database, open_database
from hub.store.migrate import require_head
from hub.telephony.backfill import cdr_check
from hub.telephony.doctor.diagnosis import judge
from hub.telephony.doctor.doctor import look
from hub.telephony.doctor.seen import Finding, exit_code, in_words
from hub.telephony.recordings import recording_check

REDIS_WITHIN_S = 4.0
LITTLE_SPACE_BYTES = 1_000_000_000
Owners = dict[str, dict[str, str]]


async def doctor(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 if anything is bad."""
    settings = load(arguments.config)
    findings = await asyncio.to_thread(_files, arguments.config, settings)
    findings += _proxy(settings)
    found, owners = await _database(settings)
    findings += found
    works: list[Awaitable[list[Finding]]] = [_redis(settings)] if settings.hub.redis else []
    works += [_scanner(settings)] if settings.hub.clamd else []
    works += [_pbx(pbx, settings, owners.get(pbx.name, {})) for pbx in settings.pbx]
    works += [_mailbox(f"mailbox {box.address}", box) for box in settings.mailbox if not box.oauth]
    works.append(_pages(settings))
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


def _proxy(settings: Settings) -> list[Finding]:
    """Whether those who come through a reverse proxy are told apart: else one holds up the sign-ins of all."""
    if not settings.web.public_url.startswith("https://"):
        return []
    if settings.web.trusted_proxies:
        return [Finding("ok", "web", f"{settings.web.public_url}, behind {', '.join(settings.web.trusted_proxies)}")]
    text = "behind a proxy that is not named everybody has its address, and shares its limit of sign-ins"
    return [Finding("warn", "web", text, 'web.trusted_proxies = ["127.0.0.1"]')]


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


async def _scanner(settings: Settings) -> list[Finding]:
    try:
        await Clamd(settings.hub.clamd).ping()
    except Unavailable as error:
        text = f"{settings.hub.clamd}: {error.message}: attachments are not scanned"
        return [Finding("bad", "clamd", text, "hub.clamd; is clamd started?")]
    return [Finding("ok", "clamd", "answers")]


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
    findings = list(judge(pbx, await look(pbx, owners, region=pbx.region or settings.hub.default_region)))
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


async def _mailbox(place: str, box: Mailbox) -> list[Finding]:
    return [Finding(level, place, text, mend) for level, text, mend in await mail_doctor.examine(box)]


async def _pages(settings: Settings) -> list[Finding]:
    """Examine what stands in the database: mailboxes of pages, their secrets, their tokens."""
    url = settings.hub.database
    if url.startswith("sqlite") and not await asyncio.to_thread(Path(url.removeprefix("sqlite:///")).exists):
        return []
    db, vault = open_database(url), Vault.of(settings)
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(60):
            await require_head(db)
            boxes, told = await mail_doctor.boxes_of_pages(db, settings, vault)
            findings += [Finding(level, "secrets", text, mend) for level, text, mend in told]
            for box in boxes:
                place = f"mailbox {box.address}"
                if box.box is None:
                    findings.append(Finding("bad", place, shown(box.problem, max_chars=400), "the page /mailboxes"))
                    continue
                if box.box.oauth:
                    told = await mail_doctor.tokens_of(db, vault, box.id)
                    findings += [Finding(level, place, text, mend) for level, text, mend in told]
                findings += await _mailbox(place, box.box)
    except (HubError, OSError, sa.exc.DBAPIError, TimeoutError):
        # What is wrong with the database itself is told where the database is examined.
        return findings
    finally:
        await db.close()
    return findings
