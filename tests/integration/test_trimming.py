"""Tables of the sign-in and the API do not grow for ever, and lose nothing that still counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import idempotency, people, trimming
from hub.crm.access import load_actor
from hub.crm.models import idempotency_keys, sessions
from hub.store.engine import Database


async def _person(db: Database) -> int:
    async with db.begin() as conn:
        return await people.add_user(
            conn, email="a@hub.test", name="A", role="manager", password_hash="x", team_names=[], extension=None,
            now=utc_now(),
        )  # fmt: skip


async def _count(db: Database, table: sa.Table) -> int:
    async with db.read() as conn:
        return (await conn.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()


async def test_a_session_is_dropped_a_month_after_its_end_and_no_sooner(db: Database) -> None:
    user_id, now = await _person(db), utc_now()
    async with db.begin() as conn:
        open_still = await people.open_session(conn, user_id, user_agent="x", now=now)
        await people.open_session(conn, user_id, user_agent="x", now=now - timedelta(days=400))
        revoked = await people.open_session(conn, user_id, user_agent="x", now=now)
        found = await people.find_session(conn, revoked, now=now)
        assert found is not None
        await people.revoke_session(conn, found.id, now=now)
    assert (await trimming.trim(db, now=now))["sessions"] == 1
    async with db.read() as conn:
        assert await people.find_session(conn, open_still, now=now) is not None
    # A month later the revoked one is gone too, and by then the open one has only just run out.
    assert (await trimming.trim(db, now=now + trimming.SESSIONS_KEPT + timedelta(days=1)))["sessions"] >= 1
    assert (await trimming.trim(db, now=now + timedelta(days=800)))["sessions"] <= 1
    assert await _count(db, sessions) == 0


async def test_an_idempotency_key_answers_for_three_days_and_is_dropped_then(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "AT_ONCE", 3)
    user_id, now = await _person(db), utc_now()
    async with db.begin() as conn:
        actor = await load_actor(conn, user_id)
        assert actor is not None
        for n in range(10):
            at = now - timedelta(days=4) if n < 8 else now - timedelta(days=2)
            assert await idempotency.first(conn, actor, f"key-{n}", request_hash="h", now=at) is None
            await idempotency.keep(conn, actor, f"key-{n}", status=200, answer={})
    assert (await trimming.trim(db, now=now))["idempotency_keys"] == 8
    assert await _count(db, idempotency_keys) == 2
    async with db.begin() as conn:
        assert (await idempotency.first(conn, actor, "key-9", request_hash="h", now=now)) is not None
