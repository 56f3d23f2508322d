"""What the operator's machines ask."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from hub.clock import utc_now
from hub.crm.models import audit
from hub.errors import Unavailable
from hub.mail.models import mailboxes, outbox
from hub.settings import HubSection, Secret, Settings, WebSection
from hub.store.blobs import BlobStore
from hub.store.engine import Database, open_database
from hub.telephony import health as pbx_health
from hub.web import condition, health
from tests.testbed import talk
from tests.testbed.events import listening
from tests.testbed.postgres import Postgres
from tests.testbed.site import SETTINGS, Site, running_site
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.either_database


async def test_the_counters_are_prometheus_text(site: Site) -> None:
    await talk.waiting_call(site.db)
    browser = await site.browser("olga")
    async with listening(browser, "/live"), browser.get("/nothing") as missing, browser.get("/metrics") as answer:
        assert missing.status == 404
        lines = (await answer.text()).splitlines()
    assert 'hub_http_requests_total{status="4xx"} 1' in lines
    assert "hub_live_streams 1" in lines
    assert "hub_queue_waiting 1" in lines


async def test_a_database_that_is_gone_is_not_ready_but_alive(blobs: BlobStore) -> None:
    db = open_database("postgresql://nobody@127.0.0.1:1/none")
    try:
        async with running_site(db, blobs, settings=Settings()) as site:
            browser = await site.browser(None)
            for path, status in (("/healthz", 200), ("/readyz", 503), ("/api/v1/openapi.json", 200)):
                async with browser.get(path) as answer:
                    assert answer.status == status, path
            browser.cookie_jar.update_cookies({"hub_session": "x"})
            async with browser.get("/live") as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"]
    finally:
        await db.close()


def _with(site_folder: Path, **web: Any) -> Settings:
    return msgspec.structs.replace(
        SETTINGS, hub=HubSection(language="en", data_dir=str(site_folder)), web=WebSection(**web)
    )


async def _reasons(site: Site, status: int = 200) -> dict[str, dict[str, Any]]:
    async with aiohttp.ClientSession(site.url) as http, http.get("/readyz") as answer:
        told = await answer.json()
        assert answer.status == status, told
    reasons = told["reasons"] if status == 200 else told["error"]["details"]["reasons"]
    assert told.get("status", "") == ("" if status != 200 else "degraded" if reasons else "ready")
    return {one["code"]: one for one in reasons}


async def _metrics(site: Site) -> dict[str, float]:
    async with aiohttp.ClientSession(site.url) as http, http.get("/metrics") as answer:
        assert answer.status == 200
        lines = (await answer.text()).splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


async def test_a_pbx_that_is_down_or_refuses_is_told_with_its_reason(
    db: Database, blobs: BlobStore, tmp_path: Path
) -> None:
    async with running_site(db, blobs, settings=_with(tmp_path)) as site:
        assert (await _reasons(site))["pbx_down"]["pbx"] == "office"
        for state, code, error in (("down", "pbx_down", "no route"), ("auth_refused", "pbx_refused", "wrong secret")):
            async with db.begin() as conn:
                await pbx_health.write(conn, "office", state, error=error, now=utc_now())
            found = (await _reasons(site))[code]
            assert (found["pbx"], found["error"]) == ("office", error)
            assert (await _metrics(site))[f'hub_pbx_up{{pbx="office",state="{state}"}}'] == 0
        async with db.begin() as conn:
            await pbx_health.write(conn, "office", "up", version="22.10", now=utc_now())
        assert await _reasons(site) == {}
        assert (await _metrics(site))['hub_pbx_up{pbx="office",state="up"}'] == 1


async def test_the_api_tells_each_pbx_and_keeps_its_words_for_administrators(site: Site) -> None:
    await site.person("boss", role="admin")
    boss, olga = await site.api("boss"), await site.api("olga")

    async def told(client: aiohttp.ClientSession) -> dict[str, Any]:
        async with client.get("pbx") as answer:
            assert answer.status == 200
            (one,) = (await answer.json())["items"]
            return one

    never = {"name": "office", "state": "connecting", "since": None, "version": None, "error": None}
    assert await told(boss) == never
    async with site.db.begin() as conn:
        await pbx_health.write(conn, "office", "up", version="22.10", now=utc_now())
        await pbx_health.write(conn, "office", "auth_refused", error="wrong secret\nof hub", now=utc_now())
    one = await told(boss)
    assert (one["state"], one["version"], one["error"]) == ("refused", "22.10", "wrong secret of hub")
    assert one["since"] is not None
    assert (await told(olga)) == {**one, "version": None, "error": None}
    async with aiohttp.ClientSession(site.url) as nobody, nobody.get("/api/v1/pbx") as answer:
        assert answer.status == 401


async def test_a_mailbox_that_is_down_and_a_late_outbox_are_told(
    db: Database, blobs: BlobStore, tmp_path: Path
) -> None:
    async with running_site(db, blobs, settings=_with(tmp_path)) as site:
        message_id = await talk.message(db, blobs, direction="out")
        long_ago = utc_now() - timedelta(hours=1)
        async with db.begin() as conn:
            box = (await conn.execute(sa.select(mailboxes.c.id))).scalar_one()
            await conn.execute(sa.update(mailboxes).values(state="auth_refused", error="no", error_at=utc_now()))
            row = {"message_id": message_id, "mailbox_id": box, "state": "queued", "not_before": long_ago}
            await conn.execute(outbox.insert().values(**row))
        found = await _reasons(site)
        assert found["mailbox_down"]["mailbox"] == box
        assert 3500 < found["outbox_late"]["seconds"] < 3700
        assert 3500 < (await _metrics(site))["hub_outbox_due_seconds"] < 3700


async def test_a_long_transaction_that_holds_the_feed_back_is_told(
    postgres: Postgres, postgres_template: str, blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condition, "HELD_TOO_LONG", timedelta(seconds=0.2))
    db = open_database(await postgres.new_database(template=postgres_template))
    try:
        async with running_site(db, blobs, settings=_with(tmp_path)) as site:
            async with db.begin() as long_one:
                await long_one.execute(sa.text("SELECT pg_current_xact_id()"))
                await talk.waiting_call(db)

                async def is_told() -> bool:
                    return "feed_held" in await _reasons(site)

                await wait_for(is_told, what="the feed is told to be held back")
            assert "feed_held" not in await _reasons(site)
    finally:
        await db.close()


async def test_a_loop_that_fails_is_told_by_its_name(db: Database, blobs: BlobStore, tmp_path: Path) -> None:
    async def fail() -> None:
        raise Unavailable("x", "the line is gone")

    failing = asyncio.ensure_future(db.loops.run("pbx.office.intents", fail, every=timedelta(seconds=1)))
    try:
        async with running_site(db, blobs, settings=_with(tmp_path)) as site:

            async def is_told() -> dict[str, Any] | None:
                return (await _reasons(site)).get("loop_failing")

            found = await wait_for(is_told, what="the loop is told")
            assert (found["loop"], found["error"]) == ("pbx.office.intents", "the line is gone")
            assert (await _metrics(site))['hub_loop_failures{loop="pbx.office.intents"}'] >= 1
    finally:
        failing.cancel()
        await asyncio.gather(failing, return_exceptions=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted, which needs root")
async def test_a_full_disk_is_not_ready_and_recovers(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condition, "FULL_BYTES", 64 * 1024)
    monkeypatch.setattr(condition, "SCARCE_BYTES", 1024 * 1024)
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], check=False)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        shutil.copy(sqlite_template, tmp_path / "hub.db")
        db = open_database(f"sqlite:///{tmp_path}/hub.db")
        async with running_site(db, BlobStore(small / "blobs"), settings=_with(small)) as site:
            assert not {"disk_full", "disk_scarce"} & set(await _reasons(site))
            filler = small / "filler"
            filler.write_bytes(bytes(3 * 1024 * 1024 + 300_000))
            assert "disk_scarce" in await _reasons(site)
            with contextlib.suppress(OSError), filler.open("ab") as file:
                while True:
                    file.write(bytes(4096))
                    file.flush()
            assert (await _reasons(site, 503))["disk_full"]["error"] == "No space left on device"
            assert (await _metrics(site))["hub_disk_writable"] == 0
            filler.unlink()
            assert "disk_full" not in await _reasons(site)
        await db.close()
    finally:
        subprocess.run(["umount", str(small)], check=True)


async def test_metrics_are_for_the_token_or_for_this_machine_alone(
    db: Database, blobs: BlobStore, tmp_path: Path
) -> None:
    token = "a token of sixteen and more"

    async def status(site: Site, **headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with aiohttp.ClientSession(site.url) as http, http.get("/metrics", headers=sent) as answer:
            return answer.status

    async with running_site(db, blobs, settings=_with(tmp_path)) as site:
        assert await status(site) == 200
        for name in ("X_Forwarded_For", "Forwarded", "X_Real_IP", "Via", "X_Forwarded_Proto"):
            assert await status(site, **{name: "127.0.0.1"}) == 401, name
        assert await status(site, Host="hub.example.com") == 401
    async with running_site(db, blobs, settings=_with(tmp_path, metrics_token=Secret(token))) as site:
        assert await status(site) == 401
        assert await status(site, Authorization="Bearer wrong") == 401
        assert await status(site, Authorization=f"Bearer {token}") == 200
        assert await status(site, Authorization=f"Bearer {token}", X_Forwarded_For="203.0.113.9") == 200
        # To strangers /readyz says codes and nothing of what is behind them.
        assert (await _reasons(site))["pbx_down"] == {"code": "pbx_down"}


async def test_a_wrong_password_is_logged_and_audited_without_what_was_typed(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    olga = await site.person("olga", password_hash=PasswordHasher().hash("correct horse battery"))
    browser = await site.browser(None)
    for email, password in (("olga@hub.test", "hunter2-typed"), ("hunter2-typed", "hunter2-typed")):
        async with browser.post("/login", data={"email": email, "password": password}) as answer:
            assert answer.status == 401
    async with site.db.read() as conn:
        rows = (await conn.execute(sa.select(audit).where(audit.c.action == "sign_in.failed"))).all()
    assert [(row.object_id, row.details["address"]) for row in rows] == [
        (olga.user_id, "127.0.0.1"),
        (None, "127.0.0.1"),
    ]
    assert f"a wrong password of user {olga.user_id}, from 127.0.0.1" in caplog.text
    assert "a wrong password of nobody here" in caplog.text
    assert "hunter2" not in caplog.text + str(rows)


async def test_a_flood_of_strangers_asking_whether_it_is_ready_costs_one_look_in_two_seconds(
    db: Database, blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "KEPT_S", 600)
    async with running_site(db, blobs, settings=_with(tmp_path)) as site:
        through_proxy = {"X-Forwarded-For": "203.0.113.9"}
        async with aiohttp.ClientSession(site.url, headers=through_proxy) as stranger:

            async def told() -> Any:
                async with stranger.get("/readyz") as answer:
                    return await answer.json()

            first = await asyncio.gather(*(told() for _ in range(20)))
            assert [one["reasons"] for one in first] == [[{"code": "pbx_down"}]] * 20
            async with db.begin() as conn:
                await pbx_health.write(conn, "office", "up", now=utc_now())
            assert (await told())["status"] == "degraded", "what was found a moment ago"
            assert await _reasons(site) == {}, "this machine itself is told what is now"
