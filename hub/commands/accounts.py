"""`hub user …`: people, their passwords, sessions and privileges, and the links to set a password.

Parses words and prints; `crm.accounts`, `crm.sessions` and `crm.password_resets` decide. Invariants: a password comes
from standard input and never from a word; what is secret stands alone on standard output.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hub.clock import rfc3339, utc_now
from hub.commands.words import AddCommand, print_table, read_duration, read_id
from hub.crm import accounts, password_resets, people, phones, privileges, sessions, two_factor
from hub.crm.base.history import Edit
from hub.crm.browsers import browser_name
from hub.errors import Conflict, Refused
from hub.opening import opened
from hub.settings import Settings, load


def add_parsers(user: argparse.ArgumentParser, command: AddCommand) -> None:
    """Add the commands below `hub user`."""
    words = user.add_subparsers(required=True, metavar="COMMAND")
    add = command(words, "add", _add, "add a person; the password is read from standard input")
    add.add_argument("email")
    add.add_argument("--name", required=True)
    add.add_argument("--role", required=True, help="admin, head, manager, observer, or the name of a role")
    add.add_argument("--team", action="append", default=[], metavar="T")
    add.add_argument(
        "--extension", action="append", default=[], metavar="X", help="their phone: 101, or office:101 for one PBX"
    )
    add.add_argument("--password-stdin", action="store_true", required=True)
    passwd = command(words, "passwd", _passwd, "set a person's password; it ends their sessions")
    passwd.add_argument("email")
    passwd.add_argument("--password-stdin", action="store_true", required=True, help="read it from standard input")
    link = command(words, "reset-link", _reset_link, "print a link by which a person sets a new password, once")
    link.add_argument("email")
    link.add_argument(
        "--expires", metavar="D", default="24h", help="30m, 24h, 7d: how long it works (default: 24h, at most 30d)"
    )
    invite = command(words, "invite", _invite, "print a link by which a new person sets their first password and joins")
    invite.add_argument("email")
    invite.add_argument("--name", help="of a person who is not there yet")
    invite.add_argument("--role", help="of a person who is not there yet: admin, head, manager, observer, or a role")
    invite.add_argument("--team", action="append", default=[], metavar="T")
    invite.add_argument("--expires", metavar="D", default="7d", help="how long it works (default: 7d, at most 30d)")
    for word, run, text in (
        ("disable", _disable, "keep a person out at once: sessions, streams and tokens end, their queue items go back"),
        ("enable", _enable, "let a disabled person in again"),
        ("reset-two-factor", _reset_two_factor, "let a person who lost phone and recovery codes in by the password"),
    ):
        command(words, word, run, text).add_argument("email")
    listed = command(words, "sessions", _sessions, "list where a person is signed in, or end it")
    listed.add_argument("email")
    listed.add_argument("--end", metavar="ID", help="end this session; all ends every one")
    for word, run, text in (
        ("grant", _grant, "give a person a privilege"),
        ("revoke", _revoke, "take a privilege away"),
    ):
        switch = command(words, word, run, text)
        switch.add_argument("email")
        switch.add_argument("privilege", help=" or ".join(privileges.PRIVILEGES))


def _typed_password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Refused("bad_password", "no password on standard input")
    return password


async def _add(arguments: argparse.Namespace) -> int:
    settings: Settings = load(arguments.config)
    usual, named = _phones(arguments.extension, settings)
    hashed = await people.hash_password(_typed_password())
    async with opened(settings) as parts, parts.db.begin() as conn:
        user_id = await people.add_user(
            conn,
            email=arguments.email,
            name=arguments.name,
            role=arguments.role,
            password_hash=hashed,
            team_names=arguments.team,
            extension=usual,
            now=utc_now(),
        )
        for pbx, extension in named:
            await phones.give(conn, user_id, pbx, extension)
    return 0


def _phones(words: Sequence[str], settings: Settings) -> tuple[str | None, list[tuple[str, str]]]:
    """Sort `101` (any PBX) from `office:101` (that one). Raises Refused."""
    usual = [word for word in words if ":" not in word]
    named = [(pbx, extension) for pbx, _, extension in (word.partition(":") for word in words if ":" in word)]
    if len(usual) > 1:
        raise Refused("bad_extension", "--extension: give one without a PBX at most", field="extension")
    known = {pbx.name for pbx in settings.pbx}
    if unknown := [pbx for pbx, _ in named if pbx not in known]:
        raise Refused("bad_extension", f"--extension: there is no PBX {unknown[0]!r}", field="extension")
    return (usual[0] if usual else None), named


async def _passwd(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    hashed = await people.hash_password(_typed_password())
    async with opened(settings) as parts, parts.db.begin() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email)
        await accounts.set_password(conn, user_id, hashed, way="command", now=utc_now())
    return 0


async def _reset_link(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    lasts = read_duration(arguments.expires, word="--expires", at_most=password_resets.LONGEST)
    async with opened(settings) as parts, parts.db.begin() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email)
        token = await password_resets.make(conn, user_id, lasts=lasts, by=None, now=utc_now())
    sys.stdout.write(f"{_address(settings)}/reset/{token}\n")
    return 0


async def _invite(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    lasts = read_duration(arguments.expires, word="--expires", at_most=password_resets.LONGEST)
    is_new = bool(arguments.name or arguments.role or arguments.team)
    if is_new and not (arguments.name and arguments.role):
        raise Refused("bad_request", "a new person needs both --name and --role")
    now = utc_now()
    async with opened(settings) as parts, parts.db.begin() as conn:
        if is_new:
            user_id = await people.add_user(
                conn,
                email=arguments.email,
                name=arguments.name,
                role=arguments.role,
                password_hash=password_resets.NO_PASSWORD,
                team_names=arguments.team,
                now=now,
            )
        else:
            user_id = await privileges.user_id_of(conn, arguments.email)
        if await password_resets.has_password(conn, user_id):
            raise Conflict("joined", "this person has set a password already: use `hub user reset-link`")
        token = await password_resets.make(conn, user_id, lasts=lasts, by=None, now=now)
    sys.stdout.write(f"{_address(settings)}/reset/{token}\n")
    return 0


def _address(settings: Settings) -> str:
    """Return where people reach Hub: `public_url`, else where it listens."""
    if settings.web.public_url:
        return settings.web.public_url.rstrip("/")
    sys.stderr.write("web.public_url is not set: the link leads to where Hub listens\n")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(settings.web.host, settings.web.host)  # noqa: S104
    return f"http://{host}:{settings.web.port}"


async def _disable(arguments: argparse.Namespace) -> int:
    async with opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email)
        returned = await accounts.disable(conn, user_id, edit=Edit(None, "command", utc_now()))
    if returned:
        sys.stdout.write(f"queue items returned to their teams: {returned}\n")
    return 0


async def _enable(arguments: argparse.Namespace) -> int:
    async with opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email)
        await accounts.enable(conn, user_id, edit=Edit(None, "command", utc_now()))
    return 0


async def _reset_two_factor(arguments: argparse.Namespace) -> int:
    async with opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email)
        await two_factor.reset(conn, user_id, by=None, now=utc_now())
    return 0


async def _sessions(arguments: argparse.Namespace) -> int:
    end: str | None = arguments.end
    session_id = read_id(end, word="--end") if end not in (None, "all") else None
    now = utc_now()
    async with opened(load(arguments.config)) as parts:
        if end is None:
            async with parts.db.read() as conn:
                user_id = await privileges.user_id_of(conn, arguments.email)
                found = await sessions.open_of(conn, user_id, now=now)
            rows = [
                (str(one.id), rfc3339(one.created_at), rfc3339(one.seen_at), one.address, browser_name(one.user_agent))
                for one in found
            ]
            print_table(("id", "signed in", "last seen", "address", "browser"), rows)
            return 0
        async with parts.db.begin() as conn:
            user_id = await privileges.user_id_of(conn, arguments.email)
            if session_id is None:
                await sessions.end_all(conn, user_id, by=None, now=now)
            else:
                await sessions.end(conn, user_id, session_id, by=None, now=now)
    return 0


async def _grant(arguments: argparse.Namespace) -> int:
    privilege = privileges.read_privilege(arguments.privilege)
    async with opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email)
        await privileges.grant(conn, user_id, privilege, by=None, now=utc_now())
    return 0


async def _revoke(arguments: argparse.Namespace) -> int:
    privilege = privileges.read_privilege(arguments.privilege)
    async with opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email)
        await privileges.revoke(conn, user_id, privilege, by=None, now=utc_now())
    return 0
