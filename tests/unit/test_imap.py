"""The line to a mailbox under bad servers: what aioimaplib 2.0.3 loses, hangs on or lets through, each by its cause."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from hub.errors import Refused, Unavailable, Unknown
from hub.mail.imap import ImapConnection
from hub.settings import MailServer, Secret

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
async def server(script: Script) -> AsyncIterator[MailServer]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(Talk(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
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
