"""Questions on a line whose server spells, counts and answers in its own way: each answer as types, or not believed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hub.errors import Unavailable
from hub.mail.imap.connection import connected
from hub.mail.imap.grammar import ranges
from tests.unit.test_imap import Talk, server

ODD = [
    b'* LIST (\\HasNoChildren) "/" "R&D"',
    b'* LIST () "/" "\xd0\x9e\xd1\x82\xd0\xbf\xd1\x80\xd0\xb0\xd0\xb2\xd0\xbb\xd0\xb5\xd0\xbd\xd0\xbd\xd1\x8b\xd0\xb5"',
    b'* LIST () "/" {4}\r\n\xcf\xf0\xee\xe7',
    b'* LIST () "/" {9}\r\na "b" \\ c',
    b"* LIST () NIL plain",
    b'* LIST (\\NonExistent) "/" "gone"',
    b'* LIST () "/" inbox',
]
"""Names that RFC 3501 does not allow, and that servers send all the same; and some that it does."""


async def test_a_folder_is_asked_for_by_the_bytes_by_which_it_was_listed() -> None:
    asked: list[bytes] = []

    async def script(talk: Talk) -> None:
        await talk.sign_in()
        tag, _ = await talk.command()
        talk.say(*ODD, tag + b" OK done")
        while True:
            tag, command = await talk.command()
            if command.endswith(b"}"):
                talk.say(b"+ go on")
                command += b" " + (await talk.reader.readuntil(b"\r\n")).rstrip(b"\r\n")
            asked.append(command)
            talk.say(b"* 0 EXISTS", tag + b" OK done")

    async with server(script) as settings, connected(settings) as imap:
        folders = await imap.list_folders()
        names = [one.name for one in folders]
        assert names == ["R&D", "Отправленные", "\\xcf\\xf0\\xee\\xe7", 'a "b" \\ c', "plain", "gone", "INBOX"]
        assert [one.name for one in folders if not one.selectable] == ["gone"]
        for name in names[:5]:
            await imap.select(name)
    assert asked[:5] == [
        b'SELECT "R&D"',
        b"SELECT {24} " + "Отправленные".encode(),
        b"SELECT {4} \xcf\xf0\xee\xe7",
        b'SELECT "a \\"b\\" \\\\ c"',
        b'SELECT "plain"',
    ]


async def test_changes_are_rows_with_flags_what_vanished_and_the_sequence_reached() -> None:
    async def script(talk: Talk) -> None:
        await talk.sign_in(b"IMAP4rev1 ENABLE CONDSTORE QRESYNC")
        tag, _ = await talk.command()
        talk.say(b"* ENABLED QRESYNC", tag + b" OK done")
        tag, _ = await talk.command()
        talk.say(
            b"* VANISHED (EARLIER) 1:3,41,4000000000:4294967295",
            b"* 4 FETCH (UID 10 FLAGS (\\Seen $Label1) MODSEQ (700))",
            b"* 5 FETCH (MODSEQ (9000000000000000000000) FLAGS () UID 11)",
            b"* 6 FETCH (FLAGS (\\Seen))",
            b"* 7 FETCH (UID 99 FLAGS (\\Deleted) MODSEQ (900))",
            tag + b" OK [HIGHESTMODSEQ 701] done",
        )
        await talk.command()

    async with server(script) as settings, connected(settings) as imap:
        await imap.enable_changes()
        changed = await imap.changed_since(600, 2, 50)
        assert changed.flags == {10: ("\\Seen", "$Label1"), 11: ()}
        assert changed.vanished == ((2, 3), (41, 41))
        assert changed.modseq == 701
        assert not imap.has_news, "what answers a question is no news"
    assert ranges(b"5:1,7") == [(1, 5), (7, 7)]


async def test_what_is_said_unasked_is_news_and_what_answers_is_not() -> None:
    async def script(talk: Talk) -> None:
        await talk.sign_in()
        tag, _ = await talk.command()
        talk.say(b"* 3 EXISTS", b"* OK [UIDVALIDITY 1] ok", tag + b" OK done")
        tag, _ = await talk.command()
        talk.say(b"* 1 FETCH (UID 1 FLAGS ())", tag + b" OK done")
        tag, _ = await talk.command()
        talk.say(b"* SEARCH 1 2", b"* 2 EXPUNGE", tag + b" OK done")
        tag, _ = await talk.command()
        talk.say(b"+ idling")
        await talk.reader.readuntil(b"DONE\r\n")
        talk.say(tag + b" OK done")

    async with server(script) as settings, connected(settings) as imap:
        await imap.select("INBOX")
        await imap.flags(1, 5)
        assert (imap.has_news, imap.exists) == (False, 3)
        await imap.uids()
        assert (imap.has_news, imap.exists) == (True, 2)
        assert await imap.idle(at_most=timedelta(seconds=5))
        assert not await imap.idle(at_most=timedelta(seconds=5), or_until=lambda: asyncio.sleep(0))


@pytest.mark.parametrize("last_words", [b"", b"* 1 FETC"])
async def test_a_line_that_falls_silent_in_the_middle_is_given_up(
    last_words: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.mail.imap.asking.FETCH_WITHIN", timedelta(seconds=0.3))

    async def script(talk: Talk) -> None:
        await talk.sign_in()
        await talk.command()
        talk.writer.write(last_words)
        await talk.command()

    async with server(script) as settings, connected(settings) as imap:
        with pytest.raises(Unavailable, match="does not answer"):
            await imap.flags(1, 5)
