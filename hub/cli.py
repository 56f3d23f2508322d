"""The `hub` command. Parses words, builds parts, and turns every refusal into one line on stderr.

Exit codes: 0 done; 1 a deed was refused; 2 the configuration or the call of the
command is wrong. Invariant: no traceback for what an operator can mend.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from hub import app, process
from hub.clock import utc_now
from hub.crm import people, phones, privileges
from hub.errors import ConfigError, HubError, Refused, Unavailable
from hub.mail import jobs
from hub.mail.accounts import secrets as mail_secrets
from hub.settings import Settings, load
from hub.store.engine import open_database
from hub.store.migrate import upgrade
from hub.store.vault import Vault


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments = _parser().parse_args(argv)
    process.keep_files_private()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a stranger is called must not end a command because the terminal is not in UTF-8.
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for chatty in ("aiosqlite", "alembic", "mail.log"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        return _run(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except BaseExceptionGroup as group:
        known, rest = group.split(HubError)
        if known is None or rest is not None:
            raise
        return _say(next(_leaves(known)))
    except HubError as error:
        return _say(error)


def _run(work: Awaitable[int]) -> int:
    async def finish() -> int:
        return await work

    try:
        import uvloop
    except ImportError:
        return asyncio.run(finish())
    return uvloop.run(finish())


def _leaves(group: BaseExceptionGroup[HubError]) -> Iterator[HubError]:
    for one in group.exceptions:
        yield from _leaves(one) if isinstance(one, BaseExceptionGroup) else (one,)


def _say(error: HubError) -> int:
    sys.stderr.write(f"hub: {error.message}\n")
    return 2 if isinstance(error, ConfigError) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hub", description="Calls, mail and people of a company in one place.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        words: argparse._SubParsersAction[argparse.ArgumentParser],
        name: str,
        run: Callable[[argparse.Namespace], Awaitable[int]],
        text: str,
        *,
        config: bool = True,
    ) -> argparse.ArgumentParser:
        made = words.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        if config:
            made.add_argument("--config", type=Path, required=True, metavar="FILE", help="the TOML configuration")
        return made

    demo = command(commands, "demo", _demo, "a working day with sample data; needs nothing else", config=False)
    demo.add_argument("--port", type=int, default=8080)
    demo.add_argument("--host", default="127.0.0.1")
    demo.add_argument(
        "--data-dir", type=Path, default=None, help="where the sample data goes (default: anew, in var/demo)"
    )
    serve = command(commands, "serve", _serve, "the service")
    serve.add_argument("--roles", default=",".join(app.ROLES), help="any of web,telephony,mail,jobs")
    command(commands, "migrate", _migrate, "bring the database schema to head")

    user = commands.add_parser("user", help="people").add_subparsers(required=True, metavar="COMMAND")
    add = command(user, "add", _user_add, "add a person; the password is read from standard input")
    add.add_argument("email")
    add.add_argument("--name", required=True)
    add.add_argument("--role", choices=["admin", "manager"], required=True)
    add.add_argument("--team", action="append", default=[], metavar="T")
    add.add_argument(
        "--extension", action="append", default=[], metavar="X", help="their phone: 101, or office:101 for one PBX"
    )
    add.add_argument("--password-stdin", action="store_true", required=True)
    for word, run, text in (
        ("grant", _user_grant, "give a person a privilege"),
        ("revoke", _user_revoke, "take a privilege away"),
    ):
        switch = command(user, word, run, text)
        switch.add_argument("email")
        switch.add_argument("privilege", help=" or ".join(privileges.PRIVILEGES))
    keys = commands.add_parser("keys", help="keys of the secrets").add_subparsers(required=True, metavar="COMMAND")
    command(keys, "rotate", _keys_rotate, "seal every secret in the database with a new key")
    token = commands.add_parser("token", help="API tokens").add_subparsers(required=True, metavar="COMMAND")
    create = command(token, "create", _token_create, "make an API token for a person and print it")
    create.add_argument("email")

    searching = commands.add_parser("search", help="the search of messages").add_subparsers(
        required=True, metavar="COMMAND"
    )
    command(searching, "rebuild", _search_rebuild, "keep the words of every stored message anew, while Hub runs")

    doctor = command(
        commands, "doctor", _doctor, "check every PBX, mailbox, database and key; say which line mends what"
    )
    doctor.add_argument("--json", action="store_true", help="for machines")
    pbx = commands.add_parser("pbx", help="PBXs").add_subparsers(required=True, metavar="COMMAND")
    snippet = command(pbx, "snippet", _pbx_snippet, "print Asterisk's configuration for the names in Hub's")
    snippet.add_argument("--pbx", metavar="NAME", help="which PBX; not needed where there is one")
    snippet.add_argument("--freepbx", action="store_true", help="for the files that FreePBX leaves to you")
    snippet.add_argument("--trunk", default="trunk", metavar="ENDPOINT", help="the endpoint that leads outside")
    snippet.add_argument("--fallback", default="101", metavar="X,Y", help="who is rung when nobody takes a caller")
    record = command(commands, "record", _record, "write what a PBX says to a file, for a report of a wrong call")
    record.add_argument("--pbx", metavar="NAME", help="which PBX; not needed where there is one")
    record.add_argument("--seconds", type=float, metavar="N", help="how long (default: until Ctrl+C)")
    record.add_argument("--mask-numbers", action="store_true", help="hide numbers and names; secrets are hidden always")
    record.add_argument("--max-mb", type=int, default=200, metavar="N", help="stop at this size (default: 200)")
    record.add_argument("out", type=Path, metavar="OUT", help="a new file; packed if its name ends in .xz")
    replay = command(commands, "replay", _replay, "tell the calls of a file that `hub record` wrote", config=False)
    replay.add_argument("--config", type=Path, metavar="FILE", help="take contexts and queues from here")
    replay.add_argument("--pbx", metavar="NAME", help="… of this PBX")
    replay.add_argument("--internal-context", action="append", default=[], metavar="C", help="a context of your phones")
    replay.add_argument("--queue", action="append", default=[], metavar="Q", help="a queue that Hub takes callers from")
    replay.add_argument("--json", action="store_true", help="one line of JSON a call")
    replay.add_argument("file", type=Path, metavar="FILE", help="a recording, or any capture of AMI")
    return parser


async def _serve(arguments: argparse.Namespace) -> int:
    roles = frozenset(filter(None, arguments.roles.split(",")))
    if unknown := roles - frozenset(app.ROLES):
        raise ConfigError("config_invalid", f"--roles: unknown role {min(unknown)!r}: any of {','.join(app.ROLES)}")
    await app.serve(load(arguments.config), roles=roles)
    return 0


async def _demo(arguments: argparse.Namespace) -> int:
    from hub.demo.day import run_demo

    await run_demo(host=arguments.host, port=arguments.port, data_dir=arguments.data_dir)
    return 0


async def _doctor(arguments: argparse.Namespace) -> int:
    from hub.commands.doctor import doctor

    # What the line says of its attempts is judged here, and need not be logged beside it.
    logging.getLogger("hub").setLevel(logging.CRITICAL)
    return await doctor(arguments)


async def _pbx_snippet(arguments: argparse.Namespace) -> int:
    from hub.commands.pbx import snippet

    return await snippet(arguments)


async def _record(arguments: argparse.Namespace) -> int:
    from hub.commands.streams import record

    return await record(arguments)


async def _replay(arguments: argparse.Namespace) -> int:
    from hub.commands.streams import replay

    return await replay(arguments)


async def _migrate(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    db = open_database(settings.hub.database)
    try:
        await upgrade(db)
    except (Unavailable, OSError, sa.exc.DBAPIError) as error:
        raise app.unreachable(db, error) from error
    finally:
        await db.close()
    sys.stdout.write("the schema is at head\n")
    return 0


async def _user_add(arguments: argparse.Namespace) -> int:
    settings: Settings = load(arguments.config)
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Refused("bad_password", "no password on standard input")
    usual, named = _phones(arguments.extension, settings)
    hashed = await people.hash_password(password)
    async with app.opened(settings) as parts, parts.db.begin() as conn:
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


async def _user_grant(arguments: argparse.Namespace) -> int:
    privilege = privileges.read_privilege(arguments.privilege)
    async with app.opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email)
        await privileges.grant(conn, user_id, privilege, by=None, now=utc_now())
    return 0


async def _user_revoke(arguments: argparse.Namespace) -> int:
    privilege = privileges.read_privilege(arguments.privilege)
    async with app.opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email)
        await privileges.revoke(conn, user_id, privilege, by=None, now=utc_now())
    return 0


async def _search_rebuild(arguments: argparse.Namespace) -> int:
    """Queue the job; a running `hub serve` with the role jobs does it."""
    async with app.opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        newest = await jobs.rebuild_search(conn, now=utc_now())
    sys.stdout.write("there are no messages\n" if not newest else "queued: the role jobs of hub serve does it now\n")
    return 0


async def _keys_rotate(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    async with app.opened(settings) as parts:
        count = await mail_secrets.rotate(parts.db, vault := Vault.of(settings))
    sys.stdout.write(f"{count} secrets are sealed with a new key, which is in {vault.path}\n")
    return 0


async def _token_create(arguments: argparse.Namespace) -> int:
    async with app.opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        token = await people.make_token(conn, arguments.email, now=utc_now())
    sys.stdout.write(f"{token}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
