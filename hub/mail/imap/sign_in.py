"""How a mailbox shows who it is: SASL, as bytes in and bytes out, for IMAP and SMTP alike. Pure.

Decides which of the offered methods is used and what each challenge is answered. Invariants: a method that shows the
password is not chosen on a line in clear but where the operator wrote `tls = "none"`; a server that does not prove
that it knows the password (SCRAM) is not believed; the empty answer to OAuth's error challenge is always given, for
servers wait for it.

Channel binding (`-PLUS`) is left out: servers differ in which binding they mean, and the wrong one looks like a wrong
password. Source: RFC 4616, 5802, 7628; https://developers.google.com/workspace/gmail/imap/xoauth2-protocol.
"""

from __future__ import annotations

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Literal

from scramp import ScramClient, ScramException

from hub.errors import Refused, Unavailable

AuthChoice = Literal["auto", "plain", "login", "scram", "oauth"]
SCRAMS = ("SCRAM-SHA-256", "SCRAM-SHA-1")
TOKENS = ("XOAUTH2", "OAUTHBEARER")
_BY_CHOICE: dict[AuthChoice, tuple[str, ...]] = {
    "auto": (*SCRAMS, "PLAIN", "LOGIN"),
    "plain": ("PLAIN",),
    "login": ("LOGIN",),
    "scram": SCRAMS,
    "oauth": TOKENS,
}
MOST_ROUNDS = 8


class SignIn(ABC):
    """One attempt by one method. `first` goes out with the command; each challenge gets a `reply`."""

    name: str
    first: bytes = b""
    is_first_empty = False
    """Whether the client has nothing to say at first, so that the server begins."""

    is_proven = True
    """Whether the server has shown that it knows the password, where the method has it do so."""

    @abstractmethod
    def reply(self, challenge: bytes) -> bytes:
        """Answer a challenge. Raises Unavailable for one that makes no sense."""

    def confirm(self) -> None:
        """Called once the server says yes. Raises Unavailable where it said so without the proof it owes."""
        if not self.is_proven:
            raise Unavailable("bad_sign_in", "the mail server did not prove that it knows the password; is it the one?")

    @property
    def reason(self) -> str:
        """What the server said of its refusal within the method; empty where it said nothing."""
        return ""


class Plain(SignIn):
    name = "PLAIN"

    def __init__(self, user: str, secret: str) -> None:
        self.first = b"\0" + user.encode() + b"\0" + secret.encode()

    def reply(self, challenge: bytes) -> bytes:
        # Without an initial response in the command the server asks by an empty challenge.
        return self.first


class Login(SignIn):
    name = "LOGIN"
    is_first_empty = True

    def __init__(self, user: str, secret: str) -> None:
        self._answers = [secret.encode(), user.encode()]

    def reply(self, challenge: bytes) -> bytes:
        if not self._answers:
            raise Unavailable("bad_sign_in", "the mail server asks for more than a name and a password")
        return self._answers.pop()


class Scram(SignIn):
    def __init__(self, name: str, user: str, secret: str) -> None:
        self.name = name
        try:
            self._client = ScramClient([name], user, secret)
            self.first = self._client.get_client_first().encode()
        except ScramException as error:
            raise Refused("auth_refused", f"{name} cannot carry this name or password: {error}") from None
        self._stage = 0
        self.is_proven = False

    def reply(self, challenge: bytes) -> bytes:
        try:
            if self._stage == 0 and not challenge:
                return self.first
            if self._stage == 0:
                self._client.set_server_first(challenge.decode())
                self._stage = 1
                final: str = self._client.get_client_final()
                return final.encode()
            if self._stage == 1:
                self._stage = 2
                self._client.set_server_final(challenge.decode())
                self.is_proven = True
                return b""
        except (ScramException, UnicodeDecodeError, ValueError) as error:
            raise Unavailable("bad_sign_in", f"the mail server's answer to {self.name} is wrong: {error}") from None
        raise Unavailable("bad_sign_in", f"the mail server asks too often in {self.name}")


class Token(SignIn):
    """XOAUTH2 and OAUTHBEARER. A refusal comes as a challenge in JSON, and waits for an empty answer."""

    def __init__(self, name: str, user: str, token: str, host: str, port: int) -> None:
        self.name = name
        if name == "XOAUTH2":
            self.first = f"user={user}\x01auth=Bearer {token}\x01\x01".encode()
        else:
            who = user.replace("=", "=3D").replace(",", "=2C")
            self.first = f"n,a={who},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01".encode()
        self._reason = ""

    def reply(self, challenge: bytes) -> bytes:
        if not challenge:
            return self.first
        self._reason = _told(challenge)
        return b"" if self.name == "XOAUTH2" else b"\x01"

    @property
    def reason(self) -> str:
        return self._reason


def _told(challenge: bytes) -> str:
    try:
        told = json.loads(challenge)
    except (ValueError, RecursionError):
        return challenge[:100].decode("utf-8", "replace")
    words = [str(told[key])[:100] for key in ("status", "scope") if told.get(key)] if isinstance(told, dict) else []
    return ", ".join(words)


def choose(
    offered: Collection[str],
    *,
    choice: AuthChoice,
    user: str,
    secret: str,
    host: str,
    port: int,
    may_be_seen: bool,
) -> SignIn | None:
    """Return the strongest offered method, None where none fits.

    `offered` are SASL names in capitals. `may_be_seen`: the line is encrypted, or the operator wants it in clear.
    Raises Refused where a method fits but would show the password.
    """
    names = [name for name in _BY_CHOICE[choice] if name in offered]
    safe = [name for name in names if may_be_seen or name in SCRAMS]
    if not safe:
        if names:
            raise Refused("auth_refused", f"{host} takes the password in clear only, and the line is not encrypted")
        return None
    name = safe[0]
    if name in SCRAMS:
        return Scram(name, user, secret)
    if name in TOKENS:
        return Token(name, user, secret, host, port)
    return Plain(user, secret) if name == "PLAIN" else Login(user, secret)


def to_wire(answer: bytes) -> bytes:
    return base64.b64encode(answer)


def from_wire(challenge: bytes) -> bytes:
    """Read a challenge. Raises Unavailable for what is no base64."""
    try:
        return base64.b64decode(challenge.strip(), validate=True)
    except binascii.Error:
        # Some servers ask in words ("334 Username:"); the words decide nothing.
        return challenge.strip()
