"""The line to a mailbox that is slow, chatty or silent: what still comes is waited for, what does not is given up."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hub.errors import Unavailable
from tests.unit.test_imap import Talk, signed_in

RAW = b"Subject: x\r\n\r\n" + b"x" * 1000


def row(uid: int) -> bytes:
    return b'* 1 FETCH (UID %d FLAGS () INTERNALDATE "24-Nov-2026 09:00:00 +0000" BODY[] {%d}\r\n' % (uid, len(RAW))


async def test_a_message_that_comes_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.mail.imap.asking.FETCH_WITHIN", timedelta(seconds=0.4))

    async def script(talk: Talk) -> None:
        tag, _ = await talk.command()
        whole = row(7) + RAW + b")\r\n" + tag + b" OK done\r\n"
        for at in range(0, len(whole), 100):
            talk.writer.write(whole[at : at + 100])
            await talk.writer.drain()
            # Real time is the subject here: each piece comes well within the deadline, the whole well after it.
            await asyncio.sleep(0.08)
        await talk.command()

    async with signed_in(script) as imap:
        (fetched,) = await imap.fetch([7])
    assert fetched.raw == RAW


async def test_a_message_that_stops_coming_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.mail.imap.asking.FETCH_WITHIN", timedelta(seconds=0.2))

    async def script(talk: Talk) -> None:
        await talk.command()
        talk.writer.write(row(7) + RAW[:10])
        await talk.command()

    async with signed_in(script) as imap, asyncio.timeout(5):
        with pytest.raises(Unavailable, match="does not answer"):
            await imap.fetch([7])


async def test_a_server_that_drips_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.mail.imap.asking.FETCH_WITHIN", timedelta(seconds=0.2))
    monkeypatch.setattr("hub.mail.imap.connection.LONGEST_ANSWER", timedelta(seconds=0.6))

    async def script(talk: Talk) -> None:
        await talk.command()
        while True:
            talk.say(b"* OK Still here")
            await talk.writer.drain()
            await asyncio.sleep(0.05)

    async with signed_in(script) as imap, asyncio.timeout(5):
        with pytest.raises(Unavailable, match="does not answer"):
            await imap.fetch([7])


@pytest.mark.parametrize("notice", [b"* NO [ALERT] quota is at (95%", b'* OK he said "hm', b"* BAD )(", b"* 3 EXPUNGE"])
async def test_what_a_server_says_to_people_spoils_no_answer(notice: bytes) -> None:
    async def script(talk: Talk) -> None:
        tag, _ = await talk.command()
        talk.say(notice, b'* LIST (\\Sent) "." Sent', notice, tag + b" OK done")
        tag, _ = await talk.command()
        talk.say(notice, b"* 1 FETCH (UID 7 RFC822.SIZE 5)", notice, tag + b" OK done")
        await talk.command()

    async with signed_in(script) as imap:
        assert [folder.special_use for folder in await imap.list_folders()] == ["sent"]
        assert [one.size for one in await imap.sizes([7])] == [5]
