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

from hub import logs, process
from hub.clock import utc_now
from hub.commands import accounts, tokens
from hub.errors import ConfigError, HubError, Unavailable
from hub.opening import ROLES, opened, unreachable
from hub.settings import load
from hub.store.engine import open_database
from hub.store.migrate import upgrade


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments = _parser().parse_args(argv)
    process.keep_files_private()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a stranger is called must not end a command because the terminal is not in UTF-8.
            stream.reconfigure(errors="backslashreplace")
    logs.configure("text")
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
    serve.add_argument("--roles", default=",".join(ROLES), help="any of web,telephony,mail,jobs")
    command(commands, "migrate", _migrate, "bring the database schema to head")

    accounts.add_parsers(commands.add_parser("user", help="people"), command)
    keys = commands.add_parser("keys", help="keys of the secrets").add_subparsers(required=True, metavar="COMMAND")
    command(keys, "rotate", _keys_rotate, "seal every secret in the database with a new key")
    tokens.add_parsers(commands.add_parser("token", help="API tokens"), command)
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
    if unknown := roles - frozenset(ROLES):
        raise ConfigError("config_invalid", f"--roles: unknown role {min(unknown)!r}: any of {','.join(ROLES)}")
    settings = load(arguments.config)
    # Imported last: a wrong line of the configuration is told at once.
    from hub.app import serve

    await serve(settings, roles=roles)
    return 0


async def _demo(arguments: argparse.Namespace) -> int:
    from hub.demo.day import run_demo

    # A line for each call and message of the sample data would bury the address and the logins.
    for room in ("hub.telephony.intake", "hub.mail.intake"):
        logging.getLogger(room).setLevel(logging.WARNING)
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
        raise unreachable(db, error) from error
    finally:
        await db.close()
    sys.stdout.write("the schema is at head\n")
    return 0


async def _search_rebuild(arguments: argparse.Namespace) -> int:
    """Queue the job; a running `hub serve` with the role jobs does it."""
    from hub.mail import jobs

    async with opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        newest = await jobs.rebuild_search(conn, now=utc_now())
    sys.stdout.write("there are no messages\n" if not newest else "queued: the role jobs of hub serve does it now\n")
    return 0


async def _keys_rotate(arguments: argparse.Namespace) -> int:
    from hub.commands.keys import rotate

    return await rotate(arguments)


if __name__ == "__main__":
    sys.exit(main())
