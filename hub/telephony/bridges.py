"""Who hears whom: bridges and the Local channels that join them. Pure.

Knows nothing of calls. Invariant: a channel is in one bridge at most, and an empty bridge is not kept.
"""

from __future__ import annotations

from hub.telephony.livecall import LiveChannel


class Bridges:
    """The bridges of one PBX, by their ids."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, LiveChannel]] = {}

    def enter(self, channel: LiveChannel, bridge: str) -> None:
        self.leave(channel)
        channel.bridge = bridge
        self._members.setdefault(bridge, {})[channel.uniqueid] = channel

    def leave(self, channel: LiveChannel) -> None:
        if channel.bridge is None:
            return
        members = self._members.get(channel.bridge, {})
        members.pop(channel.uniqueid, None)
        if not members:
            self._members.pop(channel.bridge, None)
        channel.bridge = None
        channel.on_hold = False

    def merge(self, gone: str, into: str) -> list[LiveChannel]:
        """Move everybody of `gone` over and return them."""
        moved = list(self._members.get(gone, {}).values())
        for channel in moved:
            self.enter(channel, into)
        return moved

    def heard_by(self, channel: LiveChannel) -> list[LiveChannel]:
        """Return the persons whom this channel hears, through bridges and Local channels."""
        if channel.bridge is None and channel.is_person:
            return []
        seen = {channel.uniqueid: channel}
        ahead = [channel]
        while ahead:
            here = ahead.pop()
            near = list(self._members.get(here.bridge, {}).values()) if here.bridge else []
            if here.other_half is not None:
                near.append(here.other_half)
            for other in near:
                if other.uniqueid not in seen:
                    seen[other.uniqueid] = other
                    ahead.append(other)
        return [other for other in seen.values() if other is not channel and other.is_person]
