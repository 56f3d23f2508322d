"""What a PBX lists of itself, for a tracker that begins or has missed something.

The channels are asked for last: what happens after that list is replayed on top of it, what came before is not.
Invariant: only the list of channels is needed; what a PBX does not answer beside it is left out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta

from hub.errors import HubError, Unavailable
from hub.telephony.line.link import PbxLink
from hub.telephony.line.wire import Frame

log = logging.getLogger(__name__)

WITHIN = timedelta(seconds=5)
TRIES = 3
DETAILS = {"bridges": "BridgeList", "queues": "QueueStatus", "parked": "ParkedCalls", "devices": "DeviceStateList"}
"""By the argument of `CallTracker.resync`: what is asked for beside the channels."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of `CoreShowChannels`, and by the names of DETAILS those of the other lists."""

    channels: list[Frame]
    position: int
    """Of the list of channels among the events: those up to it are older than this."""
    details: dict[str, list[Frame]] = field(default_factory=dict)


async def take(link: PbxLink) -> Snapshot | None:
    """Ask for everything; None if the PBX does not list its channels. Raises Unavailable where the line is gone."""
    details: dict[str, list[Frame]] = {}
    for name, action in DETAILS.items():
        try:
            details[name] = await link.list_action(action, {}, deadline=WITHIN)
        except Unavailable:
            raise
        except HubError as error:
            # Without res_parking there is no ParkedCalls, before Asterisk 12 no BridgeList.
            log.info("pbx %s: no %s: %s", link.pbx.name, action, error)
    for _attempt in range(TRIES):
        try:
            listed = await link.listed("CoreShowChannels", {}, deadline=WITHIN)
            return Snapshot(listed.rows, listed.position, details)
        except Unavailable:
            raise
        except HubError as error:
            log.warning("pbx %s: no list of channels: %s", link.pbx.name, error)
    return None


async def channel_ids(link: PbxLink) -> frozenset[str] | None:
    """Return the uniqueids of the channels that there are; None where the list was cut short. Raises HubError."""
    listed = await link.listed("CoreShowChannels", {}, deadline=WITHIN)
    if not listed.is_whole:
        return None
    return frozenset(row.get("Uniqueid") or row.get("UniqueID", "") for row in listed.rows)
