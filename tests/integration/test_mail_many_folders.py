"""New mail in INBOX of a mailbox with a thousand folders on a distant server: seen at once, whatever else is read.

Against a real Dovecot through a proxy that delays each direction by 50 ms. With `-s` the figures are shown.
"""

from __future__ import annotations

import asyncio
import statistics
import time

import msgspec
import pytest

from hub.mail import health
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.integration.test_mail_in import BOX, Office, running_office
from tests.integration.test_mail_in_faults import numbered
from tests.testbed.dovecot import Dovecot, running_dovecot
from tests.testbed.proxy import running_delay
from tests.testbed.waiting import wait_for

pytestmark = [
    pytest.mark.dovecot,
    pytest.mark.timeout(180),
    pytest.mark.parametrize("db_url", ["sqlite"], indirect=True),
]
FOLDERS = 1000
DELAY_S = 0.05
MAILS = 15


async def with_folders(dovecot: Dovecot) -> None:
    def make() -> None:
        for name in ("INBOX", *(f"Folder {n:04}" for n in range(FOLDERS))):
            dovecot._maildir(BOX, name)

    await asyncio.to_thread(make)


async def delays(office: Office, dovecot: Dovecot, *, apart_s: float) -> list[float]:
    """Deliver mail at moments that have nothing to do with what Hub does; return how long each took to be stored."""
    took = []
    for n in range(1, MAILS + 1):
        began = time.monotonic()
        dovecot.deliver(BOX, numbered(n))
        await office.until(lambda found, n=n: any(one.subject == f"s{n}" for one in found), f"mail {n}", deadline_s=60)
        took.append(time.monotonic() - began)
        # Real time is the subject here: the next one comes while other folders are asked.
        await asyncio.sleep(apart_s * (0.5 + (n * 7 % 10) / 10))
    return took


def told(what: str, took: list[float]) -> None:
    print(f"\n{what}: p50 {statistics.median(took):.2f} s, max {max(took):.2f} s of {len(took)}")


async def is_polled(office: Office) -> bool:
    """Whether the other folders have been looked into at least in part, which shows that they are being read."""
    async with office.db.read() as conn:
        known = (await health.folders_of(conn, [office.mailbox_id])).get(office.mailbox_id, [])
    return len(known) >= FOLDERS


@pytest.mark.parametrize("capabilities", ["", "IMAP4rev1 IDLE UIDPLUS MOVE"], ids=["qresync", "plain"])
async def test_inbox_is_heard_within_two_seconds_while_a_thousand_folders_are_read(
    db: Database, blobs: BlobStore, capabilities: str
) -> None:
    async with (
        running_dovecot(BOX, capabilities=capabilities) as dovecot,
        running_delay(dovecot.port, delay_s=DELAY_S) as proxy,
    ):
        await with_folders(dovecot)
        imap = msgspec.structs.replace(dovecot.server(BOX), port=proxy.port)
        async with running_office(db, blobs, imap) as office:
            await office.until_state("up")
            await wait_for(lambda: is_polled(office), what="the folders are being read", deadline_s=30)
            took = await delays(office, dovecot, apart_s=1.0)
    told(f"{FOLDERS} folders, {2 * DELAY_S * 1000:.0f} ms round trip, {capabilities or 'qresync'}", took)
    assert max(took) <= 2, took


async def test_where_a_server_gives_one_connection_inbox_is_looked_into_between_the_folders(
    db: Database, blobs: BlobStore
) -> None:
    limit = "protocol imap {\n  mail_max_userip_connections = 1\n}"
    async with running_dovecot(BOX, extra=limit) as dovecot, running_delay(dovecot.port, delay_s=DELAY_S) as proxy:
        await with_folders(dovecot)
        imap = msgspec.structs.replace(dovecot.server(BOX), port=proxy.port)
        async with running_office(db, blobs, imap) as office:
            await office.until_state("up")
            await wait_for(lambda: is_polled(office), what="the folders are being read", deadline_s=30)
            took = await delays(office, dovecot, apart_s=1.0)
    told(f"{FOLDERS} folders, one connection", took)
    # Two looks are at most the longest work in one folder and a second apart.
    assert statistics.median(took) <= 2 and max(took) <= 4, took
