"""A phone that rings longer than a claim lasts, on a real Asterisk: the call is never offered to a second manager."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import claim_expiry, people, queue
from hub.crm.access import Actor, load_actor
from hub.crm.models import queue_items
from hub.crm.queue import claims
from hub.errors import Conflict
from hub.store.engine import Database
from hub.telephony.control import control
from tests.integration.test_told_live import hub, is_up
from tests.testbed.ami import Ami
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.sipp import caller, phone
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.asterisk
CLAIM_LASTS = timedelta(seconds=2)
"""Shorter than a `late` phone rings: as HUB_RING above 45 is with the real lease."""


async def manager(db: Database, name: str, extension: str) -> Actor:
    async with db.begin() as conn:
        user_id = await people.add_user(
            conn,
            email=f"{name}@hub.test",
            name=name,
            role="manager",
            password_hash="x",
            team_names=["sales"],
            extension=extension,
            now=utc_now(),
        )
        actor = await load_actor(conn, user_id)
    assert actor is not None
    return actor


async def take(db: Database, actor: Actor) -> queue.Item:
    async def waiting() -> list[queue.Item]:
        async with db.read() as conn:
            return await queue.listed(conn, actor, state="waiting")

    (item,) = await wait_for(waiting, what="the caller waits", deadline_s=20)
    async with db.begin() as conn:
        taken = await queue.claim(conn, actor, item.id, now=utc_now())
        await control.take(conn, actor, taken, now=utc_now())
    return taken


def forget_to_say_how_long(asterisk: Asterisk) -> None:
    """Make the dialplan the former one, which said of a claim only that it began."""
    file = asterisk.home / "etc/extensions_hub.conf"
    text = file.read_text()
    assert text.count(",Ring: ${HUB_RING_S})") == 1
    file.write_text(text.replace(",Ring: ${HUB_RING_S})", ")"))


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "older dialplan"])
async def test_a_call_whose_phone_rings_longer_than_the_lease_stays_with_who_took_it(
    db: Database, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    monkeypatch.setattr(claims, "CALL_LEASE", CLAIM_LASTS)
    monkeypatch.setattr(queue, "RING_MARGIN", timedelta(seconds=1))
    async with running_asterisk(ring_s=60) as asterisk:
        if not is_told:
            forget_to_say_how_long(asterisk)
            await asterisk.restart()
        ami = await Ami.open(asterisk)
        async with hub(db, asterisk):
            await wait_for(lambda: is_up(db), what="Hub is connected")
            anna, boris = await manager(db, "anna", "101"), await manager(db, "boris", "102")
            async with phone(asterisk, "101", "late"), caller(asterisk, "84951234567"):
                taken = await take(db, anna)
                states: list[tuple[str, int | None]] = []

                async def talked() -> bool:
                    await claim_expiry.expire(db, now=utc_now())
                    async with db.read() as conn:
                        row = (await conn.execute(sa.select(queue_items))).one()
                    states.append((row.state, row.owner_id))
                    if row.state == "waiting" and not is_told:
                        async with db.begin() as conn:
                            await queue.claim(conn, boris, row.id, now=utc_now())
                    return row.state == "claimed" and row.lease_until is None

                await wait_for(talked, what="they talk", deadline_s=30)
                async with db.begin() as conn:
                    with pytest.raises(Conflict, match="anna has already taken this"):
                        await queue.claim(conn, boris, taken.id, now=utc_now())
                    held = await queue.find(conn, taken.id, actor=anna)
                assert (held.owner_id, held.claim_id) == (anna.user_id, taken.claim_id)
                if is_told:
                    assert set(states) == {("claimed", anna.user_id)}, "nobody else was offered the call meanwhile"
                else:
                    assert ("waiting", None) in states
        ami.close()
