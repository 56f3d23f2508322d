"""Recorded calls for tests: a sound made by arithmetic, its file below a root, and the row by the real intake."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people
from hub.crm.models import team_rules
from hub.settings import Pbx, Settings
from hub.store.engine import Database
from hub.store.upsert import insert
from hub.telephony.models import recordings
from hub.telephony.recordings.recording_keeper import RecordingKeeper
from hub.telephony.tracking.calls import Announced
from tests.testbed import talk
from tests.testbed.site import SETTINGS

PATH = "2026/11/25/1795461316.7-1795461320.wav"


def riff(sound: bytes, *, codec: int = 1, rate: int = 8000, channels: int = 1, bits: int = 16, block: int = 0) -> bytes:
    """A WAVE file around encoded sound."""
    block = block or channels * bits // 8
    fmt = struct.pack("<HHIIHH", codec, channels, rate, rate * block, block, bits)
    head = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(sound))
    return b"RIFF" + struct.pack("<I", len(head) + len(sound)) + head + sound


def wav(seconds: float, *, loudness: Callable[[float], float] = lambda at: 0.5) -> bytes:
    """A tone of 440 Hz, 8 kHz PCM16; `loudness` is 0 to 1 by the second."""
    count = int(seconds * 8000)
    samples = (int(32767 * loudness(n / 8000) * math.sin(n * 440 * math.tau / 8000)) for n in range(count))
    return riff(struct.pack(f"<{count}h", *samples))


def settings_for(root: Path, **more: str) -> Settings:
    """A site whose PBX has its recordings in a directory (or as `more` says)."""
    where = more or {"recordings_dir": str(root)}
    pbx = Pbx(name="office", username="hub", **where)
    return Settings(hub=SETTINGS.hub, web=SETTINGS.web, pbx=(pbx,))


def keeper(db: Database, settings: Settings, *, now: Callable[[], datetime] | None = None) -> RecordingKeeper:
    """The jobs of recordings, ten minutes ahead: the calls of `talk` end a minute after now."""
    return RecordingKeeper(db, settings.pbx, now=now or (lambda: utc_now() + timedelta(minutes=10)))


async def rule(db: Database, team: str, *, days: int | None, records: bool = True) -> int:
    """Set a team's rules for recording; return its id."""
    async with db.begin() as conn:
        team_id = await people.ensure_team(conn, team, now=utc_now())
        values = {"record_calls": records, "keep_recordings_days": days, "hours": {}, "holidays": []}
        statement = insert(conn, team_rules).values(team_id=team_id, **values)
        await conn.execute(statement.on_conflict_do_update(index_elements=["team_id"], set_=values))
    return team_id


async def announce(db: Database, *, path: str = PATH, team: str = "sales", extension: str = "101", number: str) -> int:
    """A call of a team, recorded under `path` as the dialplan says, answered and over; return its id."""
    call_id, _, snapshot = await talk.waiting_call(db, number=number, team=team)
    said = Announced(snapshot, "HubRecording", {"File": path})
    await (await talk.intake(db, team)).store([said], now=utc_now())
    await talk.answered(db, snapshot, extension=extension, team=team)
    return call_id


async def recorded(
    db: Database,
    settings: Settings,
    *,
    path: str = PATH,
    sound: bytes | None = None,
    team: str = "sales",
    extension: str = "101",
    number: str = "84951234567",
) -> tuple[int, int]:
    """The same, its file written below the directory of `settings` and looked at; return (recording id, call id)."""
    root = settings.pbx[0].recordings_dir
    if root:
        place = Path(root) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(sound if sound is not None else wav(2.0))
    call_id = await announce(db, path=path, team=team, extension=extension, number=number)
    looking = keeper(db, settings)
    await looking.measure_due()
    looking._drop_pool()
    async with db.read() as conn:
        found = sa.select(recordings.c.id).where(recordings.c.call_id == call_id)
        return (await conn.execute(found)).scalar_one(), call_id
