"""The mail server of `hub demo` and of the tests: IMAP by pymap and SMTP by aiosmtpd, on loopback sockets.

It keeps mailboxes in memory, takes what Hub sends into `journal`, and breaks on demand as `Faults` say. It decides
nothing about Hub. Invariant: what arrives by `deliver` or SMTP is handed out by IMAP byte for byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, DictBackend, Identity, Login
from pymap.backend.dict.mailbox import MailboxData
from pymap.flags import FlagOp
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials.flag import Flag
from pymap.user import Passwords, UserMetadata

from hub.clock import utc_now
from hub.settings import Mailbox, MailServer, Secret

# aiosmtpd warns of its own use of its own deprecated attribute at each sign-in.
logging.getLogger("mail.log").setLevel(logging.ERROR)

HOST = "127.0.0.1"
PASSWORD = "demo-demo"  # noqa: S105 - of a server that holds sample mails only
FOLDERS = ("Sent", "Drafts")


@dataclass(frozen=True, slots=True)
class Submitted:
    """A message that the SMTP server has taken."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    at: datetime


@dataclass(slots=True)
class Faults:
    """What the SMTP server does wrong, until it is set otherwise.

    `cut` closes the connection at that point: `connect`, `mail`, `rcpt`, `data` before it is answered, `body` in the
    middle of the data, `dot` when the data has arrived and been kept but before the answer.
    """

    cut: Literal["", "connect", "mail", "rcpt", "data", "body", "dot"] = ""
    refuse: dict[str, str] = field(default_factory=dict)
    """Answers to RCPT by recipient, such as `550 no such user`."""
    mail_answer: str = ""
    data_answer: str = ""
    hold: asyncio.Event | None = None
    """The answer to the data waits for this."""


class DemoMail:
    """The pair of servers. Start it with `running_mail`."""

    def __init__(self, backend: DictBackend, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses
        self.journal: list[Submitted] = []
        self.faults = Faults()
        self.on_submitted: Callable[[Submitted], Awaitable[None]] | None = None
        """Called for each message that went outside: scripted customers answer here."""
        self.imap_port = 0
        self.smtp_port = 0
        self._backend = backend
        self._imap_writers: set[asyncio.StreamWriter] = set()

    def mailbox(self, address: str, *, team: str, name: str = "") -> Mailbox:
        """Return the settings by which Hub uses one of the mailboxes."""

        def server(port: int) -> MailServer:
            return MailServer(host=HOST, port=port, tls="none", username=address, password=Secret(PASSWORD))

        return Mailbox(address=address, team=team, name=name, imap=server(self.imap_port), smtp=server(self.smtp_port))

    async def deliver(
        self, raw: bytes, *, to: str = "", folder: str = "INBOX", at: datetime | None = None, seen: bool = False
    ) -> None:
        """Put a message into a folder of the mailbox `to` (default: the first), as if it had just arrived."""
        box = await self._folder(to or self.addresses[0], folder)
        flags = frozenset({Flag(b"\\Seen")}) if seen else frozenset[Flag]()
        await box.append(AppendMessage(raw, at or utc_now(), flags), recent=True)

    async def stored(self, folder: str, *, of: str = "") -> list[bytes]:
        """Return the messages of a folder, oldest first."""
        box = await self._folder(of or self.addresses[0], folder)
        return [bytes(message._content) async for message in box.messages() if message._content is not None]

    async def mark(self, folder: str, position: int, flag: bytes, *, of: str = "") -> None:
        """Set a flag such as `\\Seen` on the message at a position, as another mail program would."""
        box = await self._folder(of or self.addresses[0], folder)
        found = [message async for message in box.messages()][position]
        await box.update(found.uid, found, frozenset({Flag(flag)}), FlagOp.ADD)

    async def expunge(self, folder: str, *, of: str = "") -> None:
        """Remove all messages of a folder."""
        box = await self._folder(of or self.addresses[0], folder)
        await box.delete([message.uid async for message in box.messages()])

    def drop_imap(self) -> None:
        """Cut every IMAP connection without a word."""
        for writer in list(self._imap_writers):
            writer.transport.abort()

    async def _folder(self, address: str, folder: str) -> MailboxData:
        async with Identity(address, self._backend.login, None, frozenset()).new_session() as session:
            return await session.mailbox_set.get_mailbox(folder)

    async def _make_accounts(self) -> None:
        passwords = Passwords(self._backend.config)
        for address in self.addresses:
            user = UserMetadata(self._backend.config, address, password=await passwords.hash_password(PASSWORD))
            identity = Identity(address, self._backend.login, None, frozenset())
            await identity.set(user)
            async with identity.new_session() as session:
                for folder in FOLDERS:
                    await session.mailbox_set.add_mailbox(folder)

    async def _serve_imap(self, serve: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._imap_writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, EOFError):
                await serve(reader, writer)
        finally:
            self._imap_writers.discard(writer)

    async def take(self, submitted: Submitted) -> None:
        """Keep a submitted message: into the mailboxes it names, and into the journal."""
        self.journal.append(submitted)
        for recipient in submitted.recipients:
            if recipient.lower() in self.addresses:
                await self.deliver(submitted.raw, to=recipient.lower())
        if self.on_submitted is not None:
            await self.on_submitted(submitted)


class _SmtpPeer(SMTP):
    """aiosmtpd that can break in the middle of things."""

    def __init__(self, mail: DemoMail) -> None:
        super().__init__(
            self,
            hostname="mail.hub.example",
            ident="ESMTP",
            enable_SMTPUTF8=False,
            data_size_limit=40_000_000,
            authenticator=_authenticate,
            auth_require_tls=False,
            loop=asyncio.get_running_loop(),
        )
        self._mail = mail

    @property
    def _faults(self) -> Faults:
        return self._mail.faults

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._faults.cut == "connect":
            self._abort()

    def _abort(self) -> None:
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.abort()

    async def handle_MAIL(
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self._faults.cut == "mail":
            self._abort()
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        if self._faults.mail_answer:
            return self._faults.mail_answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self._faults.cut == "rcpt":
            self._abort()
        if answer := self._faults.refuse.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def smtp_DATA(self, arg: str) -> None:
        if self._faults.cut == "data":
            self._abort()
        if self._faults.cut == "body":
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._reader.readexactly(100)
            self._abort()
        await super().smtp_DATA(arg)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if self._faults.data_answer:
            return self._faults.data_answer
        sender, recipients = envelope.mail_from or "", tuple(envelope.rcpt_tos)
        await self._mail.take(Submitted(sender, recipients, envelope.content, utc_now()))
        if self._faults.hold is not None:
            await self._faults.hold.wait()
        if self._faults.cut == "dot":
            self._abort()
        return "250 OK"


def _authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=is_right, handled=False)


@contextlib.asynccontextmanager
async def running_mail(addresses: Iterable[str]) -> AsyncIterator[DemoMail]:
    """Run both servers on free ports of 127.0.0.1 within the block; every address is a mailbox of its own."""
    args = Namespace(passlib_cfg=None, proxy_protocol=None, inherited_sockets=None)
    config = Config(
        args,
        host=HOST,
        port=0,
        demo_data=False,
        demo_user="",
        demo_password="",
        tls_enabled=False,
        secure_auth=False,
        reject_dnsbl=False,
        invalid_user_sleep=0.0,
    )
    config.apply_context()
    backend = DictBackend(Login(config), config)
    mail = DemoMail(backend, tuple(address.lower() for address in addresses))
    await mail._make_accounts()
    serve = ProxyProtocolReader(config.proxy_protocol).get_callback(IMAPServer(backend.login, config))
    loop = asyncio.get_running_loop()
    imap = await asyncio.start_server(partial(mail._serve_imap, serve), HOST, 0)
    smtp = await loop.create_server(lambda: _SmtpPeer(mail), HOST, 0)
    mail.imap_port, mail.smtp_port = (server.sockets[0].getsockname()[1] for server in (imap, smtp))
    try:
        yield mail
    finally:
        for server in (imap, smtp):
            server.close()
        mail.drop_imap()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await imap.wait_closed()
