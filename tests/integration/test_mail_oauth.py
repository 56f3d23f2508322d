"""Tokens: got by a person, renewed by Hub, taken by IMAP, and what happens when a provider says no."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.errors import HubError, Refused, Unavailable
from hub.mail.accounts import accounts, oauth, secrets
from hub.mail.accounts.account import Written
from hub.mail.accounts.boxes import all_boxes
from hub.mail.accounts.oauth import Client, Tokens, TokenSource
from hub.mail.imap.connection import connected
from hub.settings import Secret
from hub.store.engine import Database
from tests.fakes.imap_server import fake_imap
from tests.fakes.oauth_server import FakeProvider, fake_provider
from tests.integration.test_mail_keeper import Office
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with fake_provider() as running:
        yield running


@pytest.fixture
async def office(db: Database, tmp_path: Path, provider: FakeProvider) -> Office:
    made = Office(db, tmp_path)
    await made.begin()
    made.settings = msgspec.structs.replace(made.settings, oauth=provider.section)
    return made


async def box_of(office: Office, imap: Any, provider: FakeProvider, *, lasts: timedelta = timedelta(0)) -> int:
    """A mailbox that a person has signed in for; its access token lasts `lasts` from now."""
    written = office.written(imap, password=None)
    side = msgspec.structs.replace(written.settings.imap, auth="oauth", tls="tls")
    settings = msgspec.structs.replace(written.settings, imap=side, smtp=side, oauth="google")
    async with office.db.begin() as conn:
        new = Written(written.address, "x", office.team, settings)
        mailbox_id = await accounts.add(conn, office.vault, office.admin, new, personal=False, now=utc_now())
        provider.refresh_tokens.add("refresh-0")
        tokens = Tokens(Secret("access-old"), Secret("refresh-0"), utc_now() + lasts)
        await oauth.keep_tokens(conn, office.vault, mailbox_id, tokens, now=utc_now())
        # The fake speaks no TLS; what a page refuses, a row may hold for this test.
        clear = msgspec.structs.replace(settings, imap=msgspec.structs.replace(side, tls="none"))
        row = sa.text("UPDATE mailboxes SET settings = :s")
        as_json = sa.bindparam("s", msgspec.to_builtins(clear), sa.JSON())
        await conn.execute(row.bindparams(as_json))
    return mailbox_id


def source(office: Office, provider: FakeProvider, mailbox_id: int, holder: str = "one") -> TokenSource:
    return TokenSource(office.db, office.vault, Client.of(provider.section, "google"), mailbox_id, holder)


async def test_an_old_token_is_renewed_once_however_many_ask_at_once(office: Office, provider: FakeProvider) -> None:
    async with fake_imap() as imap:
        mailbox_id = await box_of(office, imap, provider)
    sources = [source(office, provider, mailbox_id, holder=f"process {n % 3}") for n in range(9)]
    tokens = await asyncio.gather(*(one() for one in sources))
    assert len(set(tokens)) == 1 and set(tokens) <= provider.access_tokens
    assert len(provider.asked) == 1
    # The rotated refresh token was kept: the next renewal goes well, too.
    assert await source(office, provider, mailbox_id)(tokens[0]) != tokens[0]
    assert len(provider.asked) == 2


async def test_a_token_that_lasts_is_not_renewed_and_one_near_its_end_is(
    office: Office, provider: FakeProvider
) -> None:
    async with fake_imap() as imap:
        mailbox_id = await box_of(office, imap, provider, lasts=timedelta(minutes=30))
    assert await source(office, provider, mailbox_id)() == "access-old"
    async with office.db.begin() as conn:
        tokens = Tokens(Secret("access-old"), Secret(""), utc_now() + timedelta(minutes=2))
        await oauth.keep_tokens(conn, office.vault, mailbox_id, tokens, now=utc_now())
    assert await source(office, provider, mailbox_id)() in provider.access_tokens


async def test_a_permission_that_is_gone_is_told_as_a_sign_in_that_a_person_must_do(
    office: Office, provider: FakeProvider
) -> None:
    async with fake_imap() as imap:
        provider.guard(imap)
        mailbox_id = await box_of(office, imap, provider)
        provider.refresh_tokens.clear()
        async with office.keeper():
            row = await office.until(mailbox_id, "auth_refused")
            assert "sign in again" in row.error and "refresh-0" not in row.error

            async def is_marked() -> bool:
                return (await office.row(mailbox_id)).refused_with is not None

            await wait_for(is_marked, what="what was refused is remembered")
            assert len(provider.asked) == 1 and imap.connections >= 0


@pytest.mark.parametrize(
    "answer",
    [(500, {}), (503, {"error": "temporarily_unavailable"}), (200, {"access_token": 7}), (200, ["x"]), (302, {})],
)
async def test_a_provider_that_is_ill_is_asked_again_later_and_not_at_once(
    office: Office, provider: FakeProvider, answer: tuple[int, Any]
) -> None:
    async with fake_imap() as imap:
        mailbox_id = await box_of(office, imap, provider)
    provider.answer = answer
    mine = source(office, provider, mailbox_id)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await mine()
    assert len(provider.asked) == 1
    provider.answer = None
    assert await source(office, provider, mailbox_id, "two")() in provider.access_tokens


async def test_imap_takes_the_token_and_a_revoked_one_is_replaced_at_once(
    office: Office, provider: FakeProvider
) -> None:
    async with fake_imap() as imap:
        provider.guard(imap)
        await box_of(office, imap, provider, lasts=timedelta(hours=1))  # good by its time, but the server knows it not
        (found,) = await all_boxes(office.db, office.settings, office.vault, holder="one")
        assert found.box is not None
        async with asyncio.timeout(10), connected(found.box.imap) as line:
            assert line.signed_in_by == "XOAUTH2"
        assert len(provider.asked) == 1
        provider.access_tokens.clear()
        provider.answer = (200, {"access_token": "unknown-to-imap", "expires_in": 3600})
        with pytest.raises(Refused) as refusal:
            async with asyncio.timeout(10), connected(found.box.imap):
                pass
        assert refusal.value.code == "auth_refused" and "400" in refusal.value.message
        assert "unknown-to-imap" not in refusal.value.message


async def test_no_token_and_no_secret_is_in_any_log_or_error(
    office: Office, provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with fake_imap() as imap:
        provider.guard(imap)
        mailbox_id = await box_of(office, imap, provider)
        async with office.keeper():
            await office.until(mailbox_id, "up")
        provider.answer = (400, {"error": "invalid_request", "error_description": "refresh-0 hub-client-secret"})
        with pytest.raises(HubError) as refusal:
            await source(office, provider, mailbox_id)(next(iter(provider.access_tokens)))
    told = caplog.text + refusal.value.message
    for word in ("refresh-", "access-", "hub-client-secret"):
        assert word not in told
    async with office.db.read() as conn:
        kept = await secrets.read(conn, office.vault, mailbox_id)
    assert json.loads(kept["access"].reveal())[0] in provider.access_tokens
