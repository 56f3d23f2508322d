"""Signing in to IMAP: the method that `sign_in` chooses, carried over a line; else the LOGIN command.

`refusals` says what a refusal means: a wrong secret, or a server that is busy. Invariant: one attempt for one secret;
only an access token, which grows old, is tried once more when a newer one is to be had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hub import sanitize
from hub.errors import HubError, Refused
from hub.mail.accounts.wire import secret_of
from hub.mail.imap.refusals import UNCLEAR_PAUSE, Throttled, sign_in_refused, suggested_pause
from hub.mail.imap.sign_in import SignIn, choose, from_wire, to_wire
from hub.settings import MailServer


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
    user = sanitize.one_line(server.username, field="username")
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
        if error.code == "auth_refused":
            raise
        reason = method.reason if method is not None else ""
        raise _refused(server.host, error, sanitize.shown(reason) if reason else "") from None


def _refused(host: str, error: Refused, reason: str) -> HubError:
    """Return the error for the server's no: the secret is wrong, or it is to be tried later."""
    text = f"{error.message} ({reason})" if reason else error.message
    match sign_in_refused(error.message, is_bad=bool(error.details.get("is_bad"))):
        case "for_now":
            said = f"{host} lets nobody in for now: {text}"
            return Throttled(said, pause=suggested_pause(text), code="imap_unavailable")
        case "unclear" if not reason:
            said = f"{host} refused the sign-in in words that Hub does not know: {text}"
            return Throttled(
                said, pause=max(suggested_pause(text) or UNCLEAR_PAUSE, UNCLEAR_PAUSE), code="imap_unclear"
            )
    return Refused("auth_refused", f"{host} refused the sign-in: {text}")


async def _carry(line: Line, method: SignIn) -> None:
    command = b"AUTHENTICATE " + method.name.encode("ascii")
    goes_first = "SASL-IR" in line.capabilities and not method.is_first_empty
    if goes_first:
        command += b" " + (to_wire(method.first) or b"=")
    await line.authenticate(command, lambda challenge: to_wire(method.reply(from_wire(challenge))))
    method.confirm()
