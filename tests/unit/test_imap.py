"""The line to a mailbox under bad servers: what aioimaplib 2.0.3 loses, hangs on or lets through, each by its cause."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hub.errors import Refused, Unavailable, Unknown
from hub.mail.imap.connection import ImapConnection
from hub.settings import MailServer, Secret
from tests.testbed.smtp import self_signed

Script = Callable[["Talk"], Awaitable[None]]


class Talk:
    """The server's side of one connection: a script reads commands and says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.heard: list[bytes] = []

    async def command(self) -> tuple[bytes, bytes]:
        line = (await self.reader.readuntil(b"\r\n")).rstrip(b"\r\n")
        self.heard.append(line)
        tag, _, rest = line.partition(b" ")
        return tag, rest

    def say(self, *lines: bytes) -> None:
        self.writer.write(b"".join(line + b"\r\n" for line in lines))

    async def sign_in(self, capabilities: bytes = b"IMAP4rev1 IDLE UIDPLUS") -> None:
        self.say(b"* OK ready")
        for _ in range(3):
            tag, rest = await self.command()
            if rest.startswith(b"CAPABILITY"):
                self.say(b"* CAPABILITY " + capabilities)
            self.say(tag + b" OK done")

    def drop(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def server(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[MailServer]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(Talk(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield MailServer(host="127.0.0.1", port=port, tls="none", username="u", password=Secret("p"))
    finally:
        listener.close()


@asynccontextmanager
async def signed_in(script: Script) -> AsyncIterator[ImapConnection]:
    async def after_sign_in(talk: Talk) -> None:
        await talk.sign_in()
        await script(talk)

    async with server(after_sign_in) as settings:
        connection = ImapConnection(settings)
        await connection.open()
        try:
            yield connection
        finally:
            await connection.close()


async def test_a_lost_connection_fails_the_command_that_waits() -> None:
    async def script(talk: Talk) -> None:
        await talk.command()
        talk.drop()

    async with signed_in(script) as imap:
        with pytest.raises(Unavailable):
            await imap.uids()
        with pytest.raises(Unavailable):
            await imap.uids()


async def test_a_drop_in_idle_is_told_at_once() -> None:
    async def script(talk: Talk) -> None:
        await talk.command()
        talk.say(b"+ idling")
        talk.drop()

    async with signed_in(script) as imap, asyncio.timeout(3):
        with pytest.raises(Unavailable):
            await imap.idle(at_most=timedelta(minutes=5))


async def test_a_goodbye_in_idle_ends_the_wait() -> None:
    async def script(talk: Talk) -> None:
        await talk.command()
        talk.say(b"+ idling", b"* BYE shutting down")
        await talk.command()

    async with signed_in(script) as imap, asyncio.timeout(3):
        with pytest.raises(Unavailable, match="goodbye"):
            await imap.idle(at_most=timedelta(minutes=5))


async def test_what_arrives_during_another_command_is_not_dropped() -> None:
    async def script(talk: Talk) -> None:
        tag, _ = await talk.command()
        talk.say(b"* 5 EXISTS", b"* SEARCH 1 2", tag + b" OK done")
        await talk.command()

    async with signed_in(script) as imap:
        assert await imap.uids() == [1, 2]
        async with asyncio.timeout(1):
            assert await imap.idle(at_most=timedelta(minutes=5)), "the mail that came during the search"


async def test_two_thousand_lines_in_one_chunk_are_all_read() -> None:
    async def script(talk: Talk) -> None:
        tag, _ = await talk.command()
        talk.say(*(b"* %d FETCH (UID %d RFC822.SIZE 7)" % (n, n) for n in range(1, 2001)), tag + b" OK done")
        await talk.command()

    async with signed_in(script) as imap:
        assert len(await imap.sizes(range(1, 2001))) == 2000


async def test_an_append_whose_answer_is_lost_is_unknown() -> None:
    async def script(talk: Talk) -> None:
        _, rest = await talk.command()
        talk.say(b"+ go on")
        match = re.search(rb"\{(\d+)\}", rest)
        assert match
        await talk.reader.readexactly(int(match[1]) + 2)
        talk.drop()

    async with signed_in(script) as imap:
        with pytest.raises(Unknown):
            await imap.append("Sent", b"raw\r\n", flags=["\\Seen"], at=datetime.now(UTC))


async def test_an_append_that_never_went_out_is_not_unknown() -> None:
    async def script(talk: Talk) -> None:
        await talk.command()
        talk.drop()

    async with signed_in(script) as imap:
        with pytest.raises(Unavailable):
            await imap.append("Sent", b"raw\r\n", flags=["\\Seen"], at=datetime.now(UTC))


async def test_a_refused_sign_in_is_told_from_a_server_that_is_away() -> None:
    async def script(talk: Talk) -> None:
        talk.say(b"* OK ready")
        for answer in (b"OK done", b"NO [AUTHENTICATIONFAILED] wrong"):
            tag, _ = await talk.command()
            talk.say(tag + b" " + answer)

    async with server(script) as settings:
        with pytest.raises(Refused) as refusal:
            await ImapConnection(settings).open()
    assert refusal.value.code == "auth_refused"


async def test_where_starttls_is_stripped_no_password_goes_out() -> None:
    heard: list[bytes] = []

    async def script(talk: Talk) -> None:
        talk.heard = heard
        talk.say(b"* OK ready")
        tag, _ = await talk.command()
        talk.say(b"* CAPABILITY IMAP4rev1", tag + b" OK done")
        await talk.command()

    async with server(script) as settings:
        with pytest.raises(Unavailable, match="STARTTLS"):
            await ImapConnection(msgspec.structs.replace(settings, tls="starttls")).open()
    assert not any(b"LOGIN" in line for line in heard)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "Отправленные"])
async def test_a_folders_name_cannot_leave_its_quotes(name: str) -> None:
    heard: list[bytes] = []

    async def script(talk: Talk) -> None:
        tag, rest = await talk.command()
        heard.append(rest)
        talk.say(b"* 0 EXISTS", b"* OK [UIDVALIDITY 1]", b"* OK [UIDNEXT 1]", tag + b" OK done")
        await talk.command()

    async with signed_in(script) as imap:
        await imap.select(name)
    assert re.fullmatch(rb'SELECT "(?:[^"\\]|\\["\\])*"', heard[0])


async def test_a_line_break_in_a_message_id_never_reaches_the_server() -> None:
    async def script(talk: Talk) -> None:
        await talk.command()

    async with signed_in(script) as imap:
        with pytest.raises(Refused):
            await imap.with_message_id("<x>\r\na9 DELETE INBOX")


async def test_an_idle_that_is_refused_is_not_waited_for() -> None:
    async def script(talk: Talk) -> None:
        tag, _ = await talk.command()
        talk.say(tag + b" NO not today")
        tag, rest = await talk.command()
        assert rest == b"NOOP"
        talk.say(b"* 3 EXISTS", tag + b" OK done")
        await talk.command()

    async with signed_in(script) as imap, asyncio.timeout(3):
        assert await imap.idle(at_most=timedelta(milliseconds=50)), "what NOOP told"
        assert "IDLE" not in imap.capabilities


async def test_a_drop_is_heard_also_where_there_is_no_idle() -> None:
    async def script(talk: Talk) -> None:
        tag, _ = await talk.command()
        talk.say(tag + b" NO not today")
        talk.drop()

    async with signed_in(script) as imap, asyncio.timeout(3):
        with pytest.raises(Unavailable):
            await imap.idle(at_most=timedelta(minutes=5))


@pytest.mark.parametrize(
    ("greeting", "said"), [(b"* BYE too many of you", "too many of you"), (b"HTTP/1.1 400 Bad", "does not greet")]
)
async def test_who_does_not_greet_as_imap_hears_no_password(greeting: bytes, said: str) -> None:
    heard: list[bytes] = []

    async def script(talk: Talk) -> None:
        talk.heard = heard
        talk.say(greeting)
        await talk.command()

    async with server(script) as settings:
        connection = ImapConnection(settings)
        with pytest.raises(Unavailable, match=said):
            await connection.open()
        await connection.close()
    assert heard == []


@pytest.mark.parametrize(
    "reason", [b"[UNAVAILABLE] backend", b"[LIMIT] x", b"[INUSE] x", b"[ALERT] Too many simultaneous connections"]
)
async def test_a_sign_in_refused_for_what_passes_is_no_wrong_password(reason: bytes) -> None:
    async def script(talk: Talk) -> None:
        talk.say(b"* OK ready")
        for answer in (b"OK done", b"NO " + reason):
            tag, _ = await talk.command()
            talk.say(tag + b" " + answer)

    async with server(script) as settings:
        with pytest.raises(Unavailable):
            await ImapConnection(settings).open()


async def test_a_password_that_is_not_ascii_goes_as_a_literal() -> None:
    got: list[bytes] = []

    async def script(talk: Talk) -> None:
        talk.say(b"* OK ready")
        tag, _ = await talk.command()
        talk.say(tag + b" OK done")
        tag, rest = await talk.command()
        assert rest == b"LOGIN {1}"
        talk.say(b"+ go on")
        got.append(await talk.reader.readuntil(b"\r\n"))
        talk.say(b"+ go on")
        got.append(await talk.reader.readuntil(b"\r\n"))
        talk.say(tag + b" OK done")
        tag, _ = await talk.command()
        talk.say(tag + b" OK done")
        await talk.command()

    async with server(script) as settings:
        connection = ImapConnection(msgspec.structs.replace(settings, password=Secret("пароль")))
        await connection.open()
        await connection.close()
    assert got == [b"u {12}\r\n", "пароль\r\n".encode()]


async def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.mail.imap.connection.MAX_RESPONSE_BYTES", 100_000)

    async def script(talk: Talk) -> None:
        await talk.command()
        while True:
            talk.say(*[b"* SEARCH 1 2 3"] * 100)
            await talk.writer.drain()

    async with signed_in(script) as imap, asyncio.timeout(10):
        with pytest.raises(Unavailable, match="without end"):
            await imap.uids()


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".test"])
async def test_a_host_that_is_none_is_unavailable_and_no_crash(host: str) -> None:
    with pytest.raises(Unavailable):
        await ImapConnection(MailServer(host=host, port=1, tls="none")).open()


async def test_a_certificate_is_checked_and_a_ca_of_our_own_is_trusted(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)

    async def script(talk: Talk) -> None:
        await talk.sign_in()
        await talk.command()

    async with server(script, tls=context) as settings:
        secure = msgspec.structs.replace(settings, tls="tls")
        with pytest.raises(Unavailable, match="TLS"):
            await ImapConnection(secure).open()
        connection = ImapConnection(msgspec.structs.replace(secure, ca_file=str(certificate)))
        await connection.open()
        await connection.close()
        missing = msgspec.structs.replace(secure, ca_file=str(tmp_path / "none.pem"))
        with pytest.raises(Unavailable, match=r"ca_file .*none\.pem"):
            await ImapConnection(missing).open()


async def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path, name="DNS:mail.example")

    async def script(talk: Talk) -> None:
        await talk.sign_in()

    async with server(script, tls=context) as settings:
        with pytest.raises(Unavailable, match="TLS"):
            await ImapConnection(msgspec.structs.replace(settings, tls="tls", ca_file=str(certificate))).open()


async def test_starttls_hides_the_password_and_forgets_what_was_said_in_clear(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    clear: list[bytes] = []
    secret: list[bytes] = []

    async def script(talk: Talk) -> None:
        talk.heard = clear
        talk.say(b"* OK ready")
        tag, _ = await talk.command()
        talk.say(b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED", tag + b" OK done")
        tag, rest = await talk.command()
        assert rest == b"STARTTLS"
        talk.writer.write(tag + b" OK go\r\n* CAPABILITY IMAP4rev1 INJECTED\r\n* CAPABILITY LOGINDISABLED ")
        await talk.writer.start_tls(context)
        talk.heard = secret
        for _ in range(3):
            tag, rest = await talk.command()
            if rest.startswith(b"CAPABILITY"):
                talk.say(b"* CAPABILITY IMAP4rev1 IDLE")
            talk.say(tag + b" OK done")
        await talk.command()

    async with server(script) as settings:
        connection = ImapConnection(msgspec.structs.replace(settings, tls="starttls", ca_file=str(certificate)))
        await connection.open()
        assert connection.capabilities == {"IMAP4REV1", "IDLE"}
        await connection.close()
    assert any(line.split(b" ")[1] == b"LOGIN" for line in secret)
    assert not any(line.split(b" ")[1] == b"LOGIN" for line in clear)
