"""A server that refuses for a while is a pause and never a wrong password; what it suggests is heeded."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from hub.mail.models import mailboxes
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import mail
from tests.fakes.imap_server import fake_imap
from tests.integration.test_mail_in import running_office

pytestmark = pytest.mark.either_database


@pytest.mark.parametrize(
    "answer",
    [
        b"NO [OVERQUOTA] Account exceeded command or bandwidth limits.",
        b"NO [ALERT] Too many simultaneous connections. (Failure)",
        b"NO Server Unavailable. 15",
        b"NO [UNAVAILABLE] Temporary authentication failure.",
        b"BAD Command Error. 12",
        b"NO Request is throttled. Suggested Backoff Time: 1200 milliseconds",
    ],
)
async def test_a_sign_in_refused_for_now_is_tried_again_by_itself(
    db: Database, blobs: BlobStore, answer: bytes
) -> None:
    refused_at: list[float] = []
    async with fake_imap() as server:

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if not command.startswith(b"LOGIN") or refused_at:
                return None
            refused_at.append(time.monotonic())
            return tag + b" " + answer + b"\r\n"

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:
            await office.until_state("down")
            await office.until_state("up")
            if b"Suggested" in answer:
                assert time.monotonic() - refused_at[0] >= 1.2


async def test_only_a_refusal_of_the_secret_asks_for_a_password(db: Database, blobs: BlobStore) -> None:
    async with fake_imap() as server:
        server.instead = lambda tag, command: (
            tag + b" NO [AUTHENTICATIONFAILED] Invalid credentials\r\n" if command.startswith(b"LOGIN") else None
        )
        async with running_office(db, blobs, server.settings) as office:
            await office.until_state("auth_refused")
            assert server.connections == 1


async def test_over_quota_at_select_is_a_pause_and_no_full_mailbox(db: Database, blobs: BlobStore) -> None:
    refused: list[float] = []
    async with fake_imap() as server:
        server.deliver(1, mail())

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if not command.startswith(b"SELECT") or refused:
                return None
            refused.append(time.monotonic())
            return tag + b" NO [OVERQUOTA] Suggested Backoff Time: 1500 ms\r\n"

        server.instead = instead
        async with running_office(db, blobs, server.settings) as office:
            await office.until_state("down")
            async with db.read() as conn:
                said = (await conn.execute(sa.select(mailboxes.c.error))).scalar_one()
            assert said.startswith("the mail server asks for a pause")
            await office.until(lambda found: len(found) == 1, "the mail, after the pause")
            assert time.monotonic() - refused[0] >= 1.5
