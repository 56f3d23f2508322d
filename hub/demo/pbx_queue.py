"""The scripted PBX's queues: who stands where, and who has been asked out.

Pure. Decides places as app_queue does: by priority, then by arrival. Invariant: the first to ask for a caller wins,
and everybody later is told so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.demo.pbx_channels import ScriptedChannel

NOBODY = "Unable to request withdraw from queue: No such caller"
TAKEN = "Unable to request withdraw from queue: Already requested"


@dataclass(eq=False, slots=True)
class Standing:
    """One caller in a queue, since `joined_at` (seconds of the loop's clock). `info` came with the withdrawal."""

    queue: str
    channel: ScriptedChannel
    priority: int
    joined_at: float
    original_position: int = 0
    info: str | None = None


@dataclass(slots=True)
class Queues:
    """All queues of one PBX."""

    names: tuple[str, ...]
    _standing: list[Standing] = field(default_factory=list)

    def join(self, queue: str, channel: ScriptedChannel, *, priority: int, now_s: float) -> Standing:
        """Put a caller behind everybody of the same or a higher priority."""
        standing = Standing(queue, channel, priority, now_s)
        before = [n for n, one in enumerate(self._standing) if one.priority >= priority]
        self._standing.insert(before[-1] + 1 if before else 0, standing)
        standing.original_position = self.position(standing)
        return standing

    def leave(self, standing: Standing) -> None:
        self._standing.remove(standing)

    def clear(self) -> None:
        self._standing.clear()

    def position(self, standing: Standing) -> int:
        """Return the caller's place in their queue; the first is 1."""
        return [one for one in self._standing if one.queue == standing.queue].index(standing) + 1

    def count(self, queue: str) -> int:
        return sum(one.queue == queue for one in self._standing)

    def withdraw(self, queue: str, channel: str, info: str) -> Standing | str:
        """Ask a caller out; return whom, or Asterisk's words for why not."""
        found = next((one for one in self._standing if one.channel.name == channel and one.queue == queue), None)
        if found is None:
            return NOBODY
        if found.info is not None:
            return TAKEN
        found.info = info
        return found

    def status(self, queue: str, *, now_s: float) -> list[dict[str, str]]:
        """The rows of `QueueStatus`, for one queue or, where `queue` is empty, for all."""
        rows: list[dict[str, str]] = []
        for name in self.names:
            if queue in ("", name):
                rows.append({"Event": "QueueParams", "Queue": name, **_params(self.count(name))})
                rows += [self._entry(one, now_s) for one in self._standing if one.queue == name]
        return rows

    def _entry(self, one: Standing, now_s: float) -> dict[str, str]:
        return {
            "Event": "QueueEntry",
            "Queue": one.queue,
            "Position": str(self.position(one)),
            **{name: one.channel.headers()[name] for name in _SHOWN},
            "Wait": str(int(now_s - one.joined_at)),
            "Priority": str(one.priority),
        }


_SHOWN = "Channel Uniqueid CallerIDNum CallerIDName ConnectedLineNum ConnectedLineName".split()


def _params(calls: int) -> dict[str, str]:
    zeros = dict.fromkeys(("Holdtime", "TalkTime", "Completed", "Abandoned", "ServiceLevel"), "0")
    shares = {"ServicelevelPerf": "0.0", "ServicelevelPerf2": "0.0", "Weight": "0"}
    return {"Max": "0", "Strategy": "ringall", "Calls": str(calls), **zeros, **shares}
