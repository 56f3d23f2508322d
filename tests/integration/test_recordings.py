"""Recordings from the dialplan's word to the ear: who hears them, by range, audited, and until when. Both databases."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import privileges
from hub.crm.models import audit, team_members
from hub.settings import Settings
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.telephony.control import control, intents
from hub.telephony.control.actions import actions_of
from hub.telephony.control.numbers import DialRules
from hub.telephony.models import call_legs, calls, recordings
from hub.telephony.recordings import recordings as rules
from tests.factories import got, made
from tests.testbed import talk
from tests.testbed.audio_files import PATH, announce, keeper, recorded, riff, rule, settings_for, wav
from tests.testbed.site import Site, running_site

pytestmark = pytest.mark.either_database


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    root = tmp_path / "monitor"
    root.mkdir()
    return settings_for(root)


@pytest.fixture
async def site(db: Database, blobs: BlobStore, settings: Settings) -> AsyncIterator[Site]:
    """Olga (101) and Pavel (102) of sales, Vera (201) of support, Irina the administrator."""
    async with running_site(db, blobs, settings=settings) as running:
        await running.person("olga", extension="101")
        await running.person("pavel", extension="102")
        await running.person("vera", team="support", extension="201")
        await running.person("irina", team=None, role="admin")
        yield running


async def grant(site: Site, name: str) -> None:
    async with site.db.begin() as conn:
        await privileges.grant(conn, site.actors[name].user_id, "recordings", by=None, now=utc_now())


async def told(site: Site, *actions: str) -> list[tuple[str, int | None, int | None]]:
    """The audit rows of recordings: what, who, which."""
    wanted = audit.c.action.in_(actions) if actions else audit.c.object_kind == "recording"
    async with site.db.read() as conn:
        rows = await conn.execute(sa.select(audit).where(wanted).order_by(audit.c.id))
        return [(row.action, row.user_id, row.object_id) for row in rows]


async def rows(db: Database) -> list[Any]:
    async with db.read() as conn:
        return list(await conn.execute(sa.select(recordings).order_by(recordings.c.id)))


async def sound(client: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    async with client.get(path, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


async def test_who_hears_a_recording_is_the_same_in_list_card_page_and_api(site: Site, settings: Settings) -> None:
    client = await made(await site.api("irina"))
    recording, call_id = await recorded(site.db, settings)
    for name, hears in (("olga", True), ("pavel", False), ("vera", False), ("irina", True)):
        await _hears(site, name, client["id"], recording, call_id, hears)
    await grant(site, "pavel")
    await grant(site, "vera")
    await _hears(site, "pavel", client["id"], recording, call_id, True)
    await _hears(site, "vera", client["id"], recording, call_id, False)
    async with site.db.begin() as conn:
        await privileges.revoke(conn, site.actors["pavel"].user_id, "recordings", by=None, now=utc_now())
    await _hears(site, "pavel", client["id"], recording, call_id, False)


async def _hears(site: Site, name: str, client_id: int, recording: int, call_id: int, hears: bool) -> None:
    api, browser = await site.api(name), await site.browser(name)
    shown = [{"id": recording, "duration_s": 2.0}] if hears else []
    assert (await got(api, f"calls/{call_id}"))["recordings"] == shown, name
    assert [one["recordings"] for one in (await got(api, "calls"))["items"]] == [shown], name
    status = 200 if hears else 404
    for path in (f"clients/{client_id}", f"clients/{client_id}/timeline"):
        async with browser.get(f"/{path}") as answer:
            assert (f'data-player="{recording}"' in await answer.text()) == hears, (name, path)
    assert (await sound(browser, f"/recordings/{recording}"))[0] == status, name
    assert (await sound(browser, f"/recordings/{recording}?download=1"))[0] == status, name
    assert (await sound(api, f"recordings/{recording}/audio"))[0] == status, name
    answer = await got(api, f"recordings/{recording}", status)
    missing = await got(api, "recordings/999999", 404)
    for one in (answer, missing):
        one.get("error", {}).pop("request_id", None)  # each answer's own
    assert hears or answer == missing, "a foreign recording reads like one that is not there"
    if name == "irina":
        async with browser.get("/calls") as page:
            assert f'data-player="{recording}"' in await page.text()


async def test_a_leg_that_was_only_rung_hears_nothing(site: Site, settings: Settings) -> None:
    recording, call_id = await recorded(site.db, settings)
    rung = {"call_id": call_id, "channel": "PJSIP/102-1", "uniqueid": "9.9", "extension": "102", "role": "callee"}
    async with site.db.begin() as conn:
        await conn.execute(call_legs.insert().values(**rung, user_id=site.actors["pavel"].user_id, result="cancelled"))
    assert (await sound(await site.browser("pavel"), f"/recordings/{recording}"))[0] == 404


async def test_a_player_gets_the_very_bytes_by_range(site: Site, settings: Settings) -> None:
    whole = wav(1.5)
    recording, _ = await recorded(site.db, settings, sound=whole)
    page, size = await site.browser("olga"), len(whole)
    path = f"/recordings/{recording}"
    status, body, head = await sound(page, path)
    assert (status, body) == (200, whole)
    assert (head["Content-Type"], head["Content-Disposition"]) == ("audio/wav", "inline")
    assert (head["X-Content-Type-Options"], head["Accept-Ranges"]) == ("nosniff", "bytes")
    assert head["Cache-Control"] == "private, no-store"
    for asked, first, last in (("0-", 0, size - 1), ("100-199", 100, 199), ("-44", size - 44, size - 1)):
        status, body, head = await sound(page, path, Range=f"bytes={asked}")
        assert (status, body) == (206, whole[first : last + 1])
        assert head["Content-Range"] == f"bytes {first}-{last}/{size}"
    status, _, head = await sound(page, path, Range=f"bytes={size}-")
    assert (status, head["Content-Range"]) == (416, f"bytes */{size}")
    etag = (await sound(page, path))[2]["ETag"]
    assert (await sound(page, path, **{"Range": "bytes=5-9", "If-Range": etag}))[0] == 206
    assert (await sound(page, path, **{"Range": "bytes=5-9", "If-Range": '"other"'}))[:2] == (200, whole)
    (Path(settings.pbx[0].recordings_dir) / PATH).write_bytes(wav(1.0))
    assert (await sound(page, path, **{"Range": "bytes=5-9", "If-Range": etag}))[0] == 200, "it is another file now"


async def test_a_sitting_is_one_row_of_the_audit_however_it_is_asked_for(site: Site, settings: Settings) -> None:
    recording, _ = await recorded(site.db, settings)
    olga, irina = await site.browser("olga"), await site.browser("irina")
    user, admin = site.actors["olga"].user_id, site.actors["irina"].user_id
    # Not from byte 0: nobody hears a thing without a row.
    for first in (44, 0, 1000, 2000):
        await sound(olga, f"/recordings/{recording}", Range=f"bytes={first}-")
    await sound(await site.api("olga"), f"recordings/{recording}/audio")
    assert await told(site) == [("recording.listened", user, recording)]
    await sound(irina, f"/recordings/{recording}")
    for _ in range(2):
        status, _, head = await sound(olga, f"/recordings/{recording}?download=1", Range="bytes=5-6")
        assert (status, head["Accept-Ranges"]) == (200, "none"), "a download is whole, so that it is one"
        assert head["Content-Disposition"].startswith("attachment; filename=")
    expected = [("recording.listened", user, recording), ("recording.listened", admin, recording)]
    assert await told(site) == expected + [("recording.downloaded", user, recording)] * 2


async def test_what_is_refused_leaves_no_row(site: Site, settings: Settings) -> None:
    recording, _ = await recorded(site.db, settings)
    await sound(await site.browser("pavel"), f"/recordings/{recording}")
    await sound(await site.browser("olga"), f"/recordings/{recording}", Range="bytes=99999999-")
    (Path(settings.pbx[0].recordings_dir) / PATH).unlink()
    assert (await sound(await site.browser("olga"), f"/recordings/{recording}"))[0] == 404
    other = await sound(await site.browser("olga"), f"/recordings/{recording}", **{"Sec-Fetch-Site": "cross-site"})
    assert other[0] == 403
    assert await told(site) == []


async def test_the_api_tells_what_is_known_of_a_recording(site: Site, settings: Settings) -> None:
    await rule(site.db, "sales", days=30)
    recording, call_id = await recorded(site.db, settings)
    answer = await got(await site.api("olga"), f"recordings/{recording}")
    assert (answer["call"], answer["pbx"], answer["type"]) == (call_id, "office", "audio/wav")
    assert (answer["duration_s"], answer["size"]) == (2.0, 32044)
    assert (len(answer["peaks"]), max(answer["peaks"])) == (600, 50)
    assert answer["keep_until"] > answer["started_at"]


async def test_a_recording_is_announced_once_however_often_it_is_said(db: Database) -> None:
    first = await announce(db, number="84951234567")
    await announce(db, number="84957654321")
    (row,) = await rows(db)
    assert (row.call_id, row.state, row.path) == (first, "pending", PATH), "nor can another call take it over"


async def test_the_days_of_a_team_hold_for_what_comes_and_what_is_there(db: Database, settings: Settings) -> None:
    team = await rule(db, "sales", days=30)
    await announce(db, number="84951234567")
    await announce(db, number="89161234567", team="support", path="2026/11/25/2.wav")
    (row, other) = await rows(db)
    assert (row.team_id, row.keep_until - row.started_at) == (team, timedelta(days=30))
    assert other.keep_until is None, "a team without a rule keeps for good"
    for days in (90, 1, None):
        await rule(db, "sales", days=days)
        async with db.begin() as conn:
            assert await rules.apply_retention(conn, team) == 1
        (row, other) = await rows(db)
        kept = None if row.keep_until is None else row.keep_until - row.started_at
        assert kept is None if days is None else abs(kept - timedelta(days=days)) < timedelta(milliseconds=1)
        assert other.keep_until is None
    await rule(db, "sales", days=0)
    async with db.begin() as conn:
        await rules.apply_retention(conn, team)
    assert await keeper(db, settings).expire_due() == 1, "the two ways of reckoning compare with the clock alike"


async def test_what_was_kept_long_enough_is_gone_from_disk_page_and_api(site: Site, settings: Settings) -> None:
    await rule(site.db, "sales", days=1)
    recording, call_id = await recorded(site.db, settings)
    file = Path(settings.pbx[0].recordings_dir) / PATH
    assert await keeper(site.db, settings).expire_due() == 0
    assert file.exists()
    tomorrow = keeper(site.db, settings, now=lambda: utc_now() + timedelta(days=2))
    assert (await tomorrow.expire_due(), await tomorrow.expire_due()) == (1, 0)
    assert not file.exists()
    (row,) = await rows(site.db)
    assert (row.deleted_at is not None, row.peaks) == (True, None)
    assert await told(site) == [("recording.deleted", None, recording)]
    api, browser = await site.api("olga"), await site.browser("olga")
    assert (await got(api, f"calls/{call_id}"))["recordings"] == []
    assert (await got(api, f"recordings/{recording}", 410))["error"]["code"] == "recording_expired"
    assert (await sound(api, f"recordings/{recording}/audio"))[0] == 410
    status, body, _ = await sound(browser, f"/recordings/{recording}")
    assert (status, b"its time was over" in body) == (410, True)
    assert (await sound(await site.browser("pavel"), f"/recordings/{recording}"))[0] == 404, "nor told to a stranger"


async def test_nobody_hears_what_is_past_its_time_though_its_file_is_still_there(
    site: Site, settings: Settings
) -> None:
    recording, call_id = await recorded(site.db, settings)
    async with site.db.begin() as conn:
        await conn.execute(sa.update(recordings).values(keep_until=utc_now() - timedelta(seconds=1)))
    assert (await sound(await site.browser("olga"), f"/recordings/{recording}"))[0] == 410
    assert (await got(await site.api("olga"), f"calls/{call_id}"))["recordings"] == []


async def test_a_file_that_cannot_be_deleted_is_not_said_to_be(
    db: Database, settings: Settings, tmp_path: Path
) -> None:
    await rule(db, "sales", days=0)
    await recorded(db, settings)
    away = tmp_path / "unmounted"
    Path(settings.pbx[0].recordings_dir).rename(away)
    assert await keeper(db, settings).expire_due() == 0, "a disk that is away is no file that is gone"
    away.rename(settings.pbx[0].recordings_dir)
    assert await keeper(db, settings).expire_due() == 1


async def test_a_file_that_somebody_else_deleted_is_no_trouble(db: Database, settings: Settings) -> None:
    await rule(db, "sales", days=0)
    await recorded(db, settings)
    (Path(settings.pbx[0].recordings_dir) / PATH).unlink()
    assert await keeper(db, settings).expire_due() == 1


async def test_a_call_that_nobody_answered_leaves_no_recording(site: Site, settings: Settings) -> None:
    recording, call_id = await recorded(site.db, settings, sound=riff(b""))
    assert (await got(await site.api("olga"), f"calls/{call_id}"))["recordings"] == []
    assert await keeper(site.db, settings).expire_due() == 1
    assert not (Path(settings.pbx[0].recordings_dir) / PATH).exists()
    assert await told(site) == [("recording.deleted", None, recording)]


async def test_a_recording_is_looked_at_after_its_call_and_again_until_its_file_comes(
    db: Database, settings: Settings
) -> None:
    now = utc_now()
    looking = keeper(db, settings, now=lambda: now)
    assert await looking.measure_due() == 0
    await announce(db, number="84951234567")
    assert await looking.measure_due() == 0, "the call is not over"
    now = utc_now() + timedelta(minutes=10)
    assert (await looking.measure_due(), await looking.measure_due()) == (1, 0), "no file yet: later"
    place = Path(settings.pbx[0].recordings_dir) / PATH
    place.parent.mkdir(parents=True)
    place.write_bytes(wav(0.5))
    now += timedelta(seconds=6)
    assert await looking.measure_due() == 1
    looking._drop_pool()
    (row,) = await rows(db)
    assert (row.state, row.duration_s, len(row.peaks)) == ("ready", 0.5, 600)


async def test_what_cannot_be_opened_is_looked_for_again_and_breaks_no_worker(db: Database, settings: Settings) -> None:
    now = utc_now() + timedelta(minutes=10)
    looking = keeper(db, settings, now=lambda: now)
    await announce(db, number="84951234567")
    root = Path(settings.pbx[0].recordings_dir)
    root.rmdir()
    assert await looking.measure_due() == 1
    worker = looking._pool
    (root / PATH).mkdir(parents=True)
    now += timedelta(minutes=1)
    assert await looking.measure_due() == 1
    (root / PATH).rmdir()
    (root / PATH).write_bytes(wav(0.5))
    now += timedelta(minutes=1)
    assert await looking.measure_due() == 1
    assert looking._pool is worker
    looking._drop_pool()
    (row,) = await rows(db)
    assert (row.state, row.tries, row.duration_s) == ("ready", 3, 0.5)


async def test_a_worker_that_dies_is_replaced(db: Database, settings: Settings) -> None:
    now = utc_now() + timedelta(minutes=10)
    looking = keeper(db, settings, now=lambda: now)
    await recorded(db, settings)
    await announce(db, number="89161234567", path="2026/11/25/2.wav")
    (Path(settings.pbx[0].recordings_dir) / "2026/11/25/2.wav").write_bytes(wav(0.5))
    assert await looking.measure_due() == 1
    pool = looking._pool
    assert pool is not None
    for process in pool._processes.values():
        process.kill()
        process.join()
    await announce(db, number="89160000000", path="2026/11/25/3.wav")
    (Path(settings.pbx[0].recordings_dir) / "2026/11/25/3.wav").write_bytes(wav(0.5))
    for _ in range(2):
        now += timedelta(minutes=1)
        await looking.measure_due()
    looking._drop_pool()
    assert [row.state for row in await rows(db)] == ["ready"] * 3


async def test_a_file_that_never_comes_is_missing_in_the_end(db: Database, settings: Settings) -> None:
    now = utc_now() + timedelta(minutes=10)
    looking = keeper(db, settings, now=lambda: now)
    await announce(db, number="84951234567")
    looks = 0
    for _ in range(12):
        looks += await looking.measure_due()
        now += timedelta(hours=7)
    looking._drop_pool()
    (row,) = await rows(db)
    assert (row.state, looks) == ("missing", 6)


async def test_bytes_that_are_no_sound_can_still_be_saved(site: Site, settings: Settings) -> None:
    recording, call_id = await recorded(site.db, settings, sound=b"<script>alert(1)</script>")
    shown = (await got(await site.api("olga"), f"calls/{call_id}"))["recordings"]
    assert shown == [{"id": recording, "duration_s": 65.0}], "as long as the call, as far as anybody knows"
    _, body, head = await sound(await site.browser("olga"), f"/recordings/{recording}")
    assert (body[:8], head["Content-Type"], head["X-Content-Type-Options"]) == (b"<script>", "audio/wav", "nosniff")
    assert "sandbox" in head["Content-Security-Policy"]


async def test_what_no_browser_plays_is_saved_and_not_played(site: Site, settings: Settings) -> None:
    gsm = riff(bytes(65 * 50), codec=49, bits=0, block=65)
    client = await made(await site.api("irina"))
    recording, _ = await recorded(site.db, settings, path="2026/11/25/1.WAV", sound=gsm)
    page = await site.browser("olga")
    async with page.get(f"/clients/{client['id']}") as answer:
        text = await answer.text()
    assert "data-player" not in text
    assert f'href="/recordings/{recording}?download=1"' in text
    assert (await sound(page, f"/recordings/{recording}"))[2]["Content-Disposition"].startswith("attachment")


async def test_a_later_snapshot_of_the_call_leaves_its_recording_alone(site: Site, settings: Settings) -> None:
    recording, call_id = await recorded(site.db, settings)
    async with site.db.begin() as conn:
        await conn.execute(sa.update(calls).values(note="важно"))
    await talk.waiting_call(site.db, number="84951234567")
    assert [one["id"] for one in (await got(await site.api("olga"), f"calls/{call_id}"))["recordings"]] == [recording]


async def test_a_pbx_without_a_place_for_recordings_says_they_are_missing(db: Database, blobs: BlobStore) -> None:
    async with running_site(db, blobs) as site:
        await site.person("olga", extension="101")
        await announce(db, number="84951234567")
        (row,) = await rows(db)
        assert (await sound(await site.browser("olga"), f"/recordings/{row.id}"))[0] == 404


async def test_only_an_administrator_switches_privileges_and_each_switch_is_audited(site: Site) -> None:
    admin, pavel = await site.api("irina"), site.actors["pavel"].user_id
    for name in ("olga", "pavel"):
        async with (await site.api(name)).post(f"users/{pavel}/privileges", json={"grant": ["recordings"]}) as answer:
            assert answer.status == 403
    for _ in range(2):
        async with admin.post(f"users/{pavel}/privileges", json={"grant": ["recordings", "supervise"]}) as answer:
            assert (answer.status, await answer.json()) == (200, {"privileges": ["supervise", "recordings"]})
    async with admin.post(f"users/{pavel}/privileges", json={"revoke": ["supervise"]}) as answer:
        assert await answer.json() == {"privileges": ["recordings"]}
    assert await got(admin, f"users/{pavel}/privileges") == {"privileges": ["recordings"]}
    for bad, status in (({"grant": ["root"]}, 400), ({"grants": []}, 400), ({"grant": "recordings"}, 400)):
        async with admin.post(f"users/{pavel}/privileges", json=bad) as answer:
            assert answer.status == status
    async with admin.post("users/999/privileges", json={"grant": ["recordings"]}) as answer:
        assert answer.status == 404
    by = site.actors["irina"].user_id
    granted = [("user.privilege_granted", by, pavel)] * 2
    expected = [*granted, ("user.privilege_revoked", by, pavel)]
    assert await told(site, "user.privilege_granted", "user.privilege_revoked") == expected


async def test_a_dial_is_recorded_for_the_team_of_the_manager_that_records(site: Site) -> None:
    pbx = settings_for(Path("/nowhere")).pbx[0]

    async def variables(name: str, request_id: str) -> list[str]:
        async with site.db.begin() as conn:
            actor = site.actors[name]
            about = {"to": "+74951234567", "client_id": None, "contact_id": None, "now": utc_now()}
            await control.dial(conn, actor, request_id=request_id, pbx="office", rules=DialRules(region="RU"), **about)
            (intent,) = [one for one in await intents.due(conn, "office") if one.user_id == actor.user_id]
            await intents.start(conn, intent.id, now=utc_now())
        return list(actions_of(intent, pbx)[0].fields["Variable"])

    assert "HUB_RECORD=yes" not in await variables("olga", "first")
    team = await rule(site.db, "sales", days=7)
    said = await variables("olga", "second")
    assert "HUB_RECORD=yes" in said
    assert "HUB_RECORD=yes" not in await variables("vera", "third")
    dial_id = next(one.partition("=")[2] for one in said if one.startswith("HUB_DIAL="))
    async with site.db.read() as conn:
        assert await rules._team_of_dial(conn, dial_id) == team
    await rule(site.db, "sales", days=7, records=False)
    assert "HUB_RECORD=yes" not in await variables("olga", "fourth")


async def test_people_lose_what_they_heard_with_their_place(site: Site, settings: Settings) -> None:
    """Who left the team keeps hearing the calls they spoke in, and no other."""
    await grant(site, "pavel")
    mine, _ = await recorded(site.db, settings, extension="102")
    others, _ = await recorded(site.db, settings, path="2026/11/25/2.wav", number="89161234567")
    page = await site.browser("pavel")
    assert [(await sound(page, f"/recordings/{n}"))[0] for n in (mine, others)] == [200, 200]
    async with site.db.begin() as conn:
        await conn.execute(team_members.delete())
    assert [(await sound(page, f"/recordings/{n}"))[0] for n in (mine, others)] == [200, 404]


async def test_a_long_recording_is_streamed_and_not_held(site: Site, settings: Settings) -> None:
    body = struct.pack("<h", 3) * 4_000_000
    recording, _ = await recorded(site.db, settings, sound=riff(body))
    async with (await site.browser("olga")).get(f"/recordings/{recording}") as answer:
        length = 0
        async for chunk in answer.content.iter_chunked(65536):
            length += len(chunk)
    assert length == len(body) + 44
