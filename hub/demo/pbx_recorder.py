"""[hub-record] and MixMonitor on the scripted PBX: a name is said before a talk, a file is there after it.

Invariant: the file is as long as the talk; a call that nobody answered leaves one without sound, as MixMonitor does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

from hub.demo.sounds import conversation


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records the callers of these queues, and whoever is dialled with HUB_RECORD=yes, below `root`."""

    root: Path
    queues: frozenset[str]

    def name(self, uniqueid: str, at: datetime) -> str:
        """Return the path below the root as the dialplan builds it."""
        return f"{at:%Y/%m/%d}/{uniqueid}-{int(at.timestamp())}.wav"

    def name_now(self, uniqueid: str) -> str:
        return self.name(uniqueid, datetime.now(UTC))

    def write(self, path: str, seconds: float) -> None:
        """Leave the file of a talk that lasted so long."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(conversation(seconds, seed=crc32(path.encode())))
