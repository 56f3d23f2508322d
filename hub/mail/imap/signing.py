"""Signing in to IMAP: the method that `sign_in` chooses, carried over a line; else the LOGIN command.

Decides what a refusal means: a wrong secret, or a server that is busy. Invariant: one attempt for one secret; only an
access token, which grows old, is tried once more when a newer one is to be had.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from hub import guard
from hub.errors import Refused, Unavailable
from hub.mail.accounts.wire import secret_of
from hub.mail.imap.sign_in import SignIn, choose, from_wire, to_wire
from hub.settings import MailServer

_FOR_NOW = re.compile(r"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]|too many (simultaneous )?connections", re.IGNORECASE)
"""A sign-in refused for what passes (RFC 5530), not for the password: trying again locks nobody out."""


class Line(Protocol):
    """What of a connection is needed here. Both raise Refused for the server's no, Unavailable."""

    capabilities: frozenset[str]

    @property
    def is_encrypted(self) -> bool: ...

    async def log_in(self, user: str, secret: str) -> Any:
        """Send the LOGIN command."""

    async def authenticate(self, command: bytes, reply: Callable[[bytes], bytes]) -> Any:
        """Send a command and answer each challenge."""


async def sign_in(line: Line, server: MailServer) -> str:
    """Sign in; return the method's name. Raises Refused `auth_refused` where the secret is not taken, Unavailable."""
    user = guard.one_line(server.username, field="username")
    secret = await secret_of(server)
    try:
        return await _once(line, server, user, secret)
    except Refused as error:
        if error.code != "auth_refused" or server.auth != "oauth":
            raise
        fresh = await secret_of(server, stale=secret)
        if fresh == secret:
            raise
        return await _once(line, server, user, fresh)


async def _once(line: Line, server: MailServer, user: str, secret: str) -> str:
    offered = {word.removeprefix("AUTH=") for word in line.capabilities if word.startswith("AUTH=")}
    may_be_seen = line.is_encrypted or server.tls == "none"
    method = choose(
        offered,
        choice=server.auth,
        user=user,
        secret=secret,
        host=server.host,
        port=server.port,
        may_be_seen=may_be_seen,
    )
    if method is None and server.auth in ("scram", "oauth"):
        raise Refused("auth_refused", f"{server.host} does not offer sign-in by {server.auth}")
    if method is None and ("LOGINDISABLED" in line.capabilities or not may_be_seen):
        raise Refused("auth_refused", f"{server.host} takes no password on this connection: use tls")
    try:
        if method is None:
            await line.log_in(user, secret)
            return "LOGIN command"
        await _carry(line, method)
        return method.name
    except Refused as error:
        if _FOR_NOW.search(error.message):
            raise Unavailable("imap_unavailable", error.message) from None
        more = f" ({guard.shown(method.reason)})" if method is not None and method.reason else ""
        raise Refused("auth_refused", f"{server.host} refused the sign-in: {error.message}{more}") from None


async def _carry(line: Line, method: SignIn) -> None:
    command = b"AUTHENTICATE " + method.name.encode("ascii")
    goes_first = "SASL-IR" in line.capabilities and not method.is_first_empty
    if goes_first:
        command += b" " + (to_wire(method.first) or b"=")
    await line.authenticate(command, lambda challenge: to_wire(method.reply(from_wire(challenge))))
    method.confirm()
