"""Who hears whom: bridges and the Local channels that join them. Pure.

Knows nothing of calls. A bridge that only holds (parking, music) carries no sound from one member to another.
Invariant: a channel is in one bridge at most, and an empty bridge is not kept.
"""

from __future__ import annotations

from hub.telephony.tracking.livecall import LiveChannel


class Bridges:
    """The bridges of one PBX, by their ids."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, LiveChannel]] = {}
        self._silent: set[str] = set()

    def note_technology(self, bridge: str, technology: str) -> None:
        """Take what kind of bridge it is; members of a holding bridge do not hear each other."""
        if technology == "holding_bridge":
            self._silent.add(bridge)

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
            self._silent.discard(channel.bridge)
        channel.last_bridge = channel.bridge
        channel.bridge = None
        channel.on_hold = channel.is_held = False

    def members(self, bridge: str) -> list[LiveChannel]:
        return list(self._members.get(bridge, {}).values())

    def exchange(self, one: LiveChannel, other: LiveChannel) -> None:
        """Follow two channels that have exchanged their uniqueids: each now stands where the other stood."""
        one.bridge, other.bridge = other.bridge, one.bridge
        for channel in (one, other):
            if channel.bridge is not None and channel.bridge in self._members:
                self._members[channel.bridge][channel.uniqueid] = channel

    def merge(self, gone: str, into: str) -> list[LiveChannel]:
        """Move everybody of `gone` over and return them."""
        moved = list(self._members.get(gone, {}).values())
        for channel in moved:
            self.enter(channel, into)
        return moved

    def heard_by(self, channel: LiveChannel) -> list[LiveChannel]:
        """Return the persons whom this channel hears, through bridges and Local channels."""
        if channel.other_half is None:
            if channel.bridge is None or channel.bridge in self._silent:
                return []
            members = self._members.get(channel.bridge, {})
            if not any(member.party.is_wiring for member in members.values()):
                return [member for member in members.values() if member is not channel]
        seen = {channel.uniqueid: channel}
        ahead = [channel]
        while ahead:
            here = ahead.pop()
            is_joined = here.bridge and here.bridge not in self._silent
            near = list(self._members.get(here.bridge, {}).values()) if is_joined and here.bridge else []
            if here.other_half is not None:
                near.append(here.other_half)
            for other in near:
                if other.uniqueid not in seen:
                    seen[other.uniqueid] = other
                    ahead.append(other)
        return [other for other in seen.values() if other is not channel and other.is_person]
