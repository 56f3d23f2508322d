"""`hub token …`: API tokens. A new one stands alone on standard output."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

from hub.clock import rfc3339, utc_now
from hub.commands.words import AddCommand, print_table, read_duration, read_id
from hub.crm import privileges, tokens
from hub.opening import opened
from hub.settings import load

LONGEST = timedelta(days=3650)


def add_parsers(token: argparse.ArgumentParser, command: AddCommand) -> None:
    """Add the commands below `hub token`."""
    words = token.add_subparsers(required=True, metavar="COMMAND")
    create = command(words, "create", _create, "make an API token for a person and print it")
    create.add_argument("email")
    create.add_argument("--name", default="", help="what it is for, as lists show it")
    create.add_argument("--expires", metavar="D", help="12h, 90d: how long it works (default: until it is revoked)")
    listed = command(words, "list", _list, "list the tokens that are not revoked")
    listed.add_argument("email", nargs="?", help="of this person (default: of everybody)")
    revoke = command(words, "revoke", _revoke, "revoke a token; its streams end at once")
    revoke.add_argument("id", help="its number in the list")


async def _create(arguments: argparse.Namespace) -> int:
    now = utc_now()
    text: str | None = arguments.expires
    expires_at = now + read_duration(text, word="--expires", at_most=LONGEST) if text is not None else None
    async with opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        token = await tokens.make(conn, arguments.email, name=arguments.name, expires_at=expires_at, now=now)
    sys.stdout.write(f"{token}\n")
    return 0


async def _list(arguments: argparse.Namespace) -> int:
    now = utc_now()
    async with opened(load(arguments.config)) as parts, parts.db.read() as conn:
        user_id = await privileges.user_id_of(conn, arguments.email) if arguments.email else None
        found = await tokens.listed(conn, user_id=user_id)
    rows = [
        (
            str(one.id),
            one.email,
            one.name,
            rfc3339(one.created_at),
            (rfc3339(one.expires_at) or "never") + ("" if one.is_live(now) else " (expired)"),
            rfc3339(one.used_at) or "never",
        )
        for one in found
    ]
    print_table(("id", "person", "name", "made", "expires", "last used"), rows)
    return 0


async def _revoke(arguments: argparse.Namespace) -> int:
    token_id = read_id(arguments.id, word="id")
    async with opened(load(arguments.config)) as parts, parts.db.begin() as conn:
        await tokens.revoke(conn, token_id, by=None, now=utc_now())
    return 0
