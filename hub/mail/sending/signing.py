"""Signing in to SMTP: the method that `imap/sign_in` chooses, carried over a client's AUTH command (RFC 4954).

Decides nothing about what a refusal means for a message; that is `smtp`'s. Invariant: one attempt for one secret; only
an access token, which grows old, is tried once more when a newer one is to be had.
"""

from __future__ import annotations

from typing import Any

from hub import sanitize
from hub.errors import Unavailable
from hub.mail.accounts.wire import secret_of
from hub.mail.imap.sign_in import MOST_ROUNDS, SignIn, choose, from_wire, to_wire
from hub.settings import MailServer


async def sign_in(client: Any, server: MailServer, *, is_encrypted: bool) -> tuple[int, str]:
    """Sign in over aiosmtplib's `client`; return the last answer, 235 where it went well.

    Raises Unavailable for a server that offers no method Hub may use or does not prove itself, Refused `auth_refused`
    where there is no access token to be had; and what the client raises.
    """
    user = sanitize.one_line(server.username, field="username")
    secret = await secret_of(server)
    answer = await _once(client, server, user, secret, is_encrypted)
    if answer[0] == 535 and server.auth == "oauth" and (fresh := await secret_of(server, stale=secret)) != secret:
        answer = await _once(client, server, user, fresh, is_encrypted)
    return answer


async def _once(client: Any, server: MailServer, user: str, secret: str, is_encrypted: bool) -> tuple[int, str]:
    method = choose(
        {name.upper() for name in client.server_auth_methods},
        choice=server.auth,
        user=user,
        secret=secret,
        host=server.host,
        port=server.port,
        may_be_seen=is_encrypted or server.tls == "none",
    )
    if method is None:
        told = ", ".join(sorted(name.upper() for name in client.server_auth_methods)) or "none"
        text = f"{server.host} offers no AUTH method that Hub may use here: it has {told}"
        raise Unavailable("no_sign_in_method", text)
    return await _carry(client, method)


async def _carry(client: Any, method: SignIn) -> tuple[int, str]:
    command = [b"AUTH", method.name.encode("ascii")]
    if not method.is_first_empty:
        command.append(to_wire(method.first) or b"=")
    answer = await client.execute_command(*command)
    for _ in range(MOST_ROUNDS):
        if answer.code != 334:
            break
        answer = await client.execute_command(to_wire(method.reply(from_wire(answer.message.encode()))))
    else:
        raise Unavailable("bad_sign_in", "the mail server asks without end at the sign-in")
    if answer.code == 235:
        method.confirm()
    more = f" ({sanitize.shown(method.reason)})" if method.reason else ""
    return answer.code, answer.message + more
