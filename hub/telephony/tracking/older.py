"""From the words of Asterisk 11 and before, down to 1.4, to today's. Pure.

There an event names no Linkedid, a `Dial` is one event in two kinds, and a bridge is a pair without a name. Decides
which channels belong together, so that the tracker need know only one language. A channel that is about to be
dialled is held back until it is clear for whom. Invariant: what is kept of channels is bounded and goes with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from hub.telephony.tracking import manager_1_0

Frame = Mapping[str, str]
Frames = list[dict[str, str]]

MAX_KEPT = 20_000

EVENTS = manager_1_0.EVENTS | frozenset(
    "Newchannel Newstate NewCallerid LocalBridge Dial Bridge Rename Hangup Hold Join Leave Transfer Pickup ParkedCall "
    "UnParkedCall ParkedCallTimeOut ParkedCallGiveUp MeetmeJoin MeetmeLeave ConfbridgeJoin ConfbridgeLeave UserEvent "
    "AgentCalled HangupRequest SoftHangupRequest".split()
)
"""Those that are worth a look where they come without a Linkedid."""


_MODERN = ("LocalOneUniqueid", "ParkeeUniqueid", "DestUniqueid")


def is_old(frame: Frame) -> bool:
    """Tell whether a frame is in the older words."""
    return "Linkedid" not in frame and frame.get("Event") in EVENTS and not any(k in frame for k in _MODERN)


_PARKING = ("ParkedCall", "UnParkedCall", "ParkedCallTimeOut", "ParkedCallGiveUp")


class Older:
    """What an older Asterisk leaves to be remembered between two events."""

    def __init__(self) -> None:
        self._linked: dict[str, str] = {}
        """Linkedid by uniqueid."""
        self._uniqueids: dict[str, str] = {}
        """By channel name."""
        self._unborn: dict[str, Frames] = {}
        """Frames of channels of which it is not clear yet whom they are dialled for."""
        self._halves: dict[str, str] = {}
        self._rung: dict[str, list[str]] = {}
        """Uniqueids of the rung by that of who rings them."""
        self._up: set[str] = set()
        self._shown: dict[str, str] = {}
        """The number that a channel shows, by uniqueid."""
        self._handlers: dict[str, Callable[[Frame], Frames]] = {
            "Newchannel": self._new_channel,
            "NewCallerid": self._new_caller_id,
            "Newstate": self._new_state,
            "LocalBridge": self._local_bridge,
            "Dial": self._dial,
            "AgentCalled": self._agent_called,
            "Bridge": self._bridge,
            "Rename": self._rename,
            "Hangup": self._hangup,
            "Hold": self._hold,
            "Join": lambda frame: self._plain(frame, event="QueueCallerJoin"),
            "Leave": lambda frame: self._plain(frame, event="QueueCallerLeave"),
            "Transfer": self._transfer,
            "Pickup": self._pickup,
            "MeetmeJoin": lambda frame: self._conference(frame, event="BridgeEnter"),
            "MeetmeLeave": lambda frame: self._conference(frame, event="BridgeLeave"),
            "ConfbridgeJoin": lambda frame: self._conference(frame, event="BridgeEnter"),
            "ConfbridgeLeave": lambda frame: self._conference(frame, event="BridgeLeave"),
        }

    def translate(self, frame: Frame) -> Frames:
        """Return what a frame means in today's words: nothing, one frame or several."""
        frame = manager_1_0.in_later_words(frame)
        event = frame.get("Event", "")
        if event in _PARKING:
            return self._parking(frame)
        return self._handlers.get(event, self._plain)(frame)

    def rows(self, rows: Iterable[Frame]) -> list[Frame]:
        """Give the rows of `CoreShowChannels` the headers that today's have."""
        old = [row for row in rows if "Linkedid" not in row and row.get("UniqueID")]
        for row in old:
            self._uniqueids[row.get("Channel", "")] = row["UniqueID"]
        for row in old:
            name, uniqueid = row.get("Channel", ""), row["UniqueID"]
            other = row.get("BridgedUniqueID") or self._uniqueids.get(_other_half(name), "")
            if other:
                self._together(uniqueid, other)
        return [row if "Linkedid" in row or not row.get("UniqueID") else self._row(row) for row in rows]

    def _row(self, row: Frame) -> Frame:
        uniqueid, other = row["UniqueID"], row.get("BridgedUniqueID", "")
        more = {"Uniqueid": uniqueid, "Linkedid": self._linked_id(uniqueid)}
        more |= {"CallerIDNum": row.get("CallerIDnum", ""), "CallerIDName": row.get("CallerIDname", "")}
        return {**row, **more, "BridgeId": _pair(uniqueid, other) if other else "", "Exten": row.get("Extension", "")}

    # Births

    def _new_channel(self, frame: Frame) -> Frames:
        uniqueid, name = frame.get("Uniqueid", ""), frame.get("Channel", "")
        if not uniqueid or not name:
            return []
        for kept in (self._linked, self._uniqueids, self._unborn, self._halves, self._rung, self._shown):
            if len(kept) >= MAX_KEPT:
                kept.pop(next(iter(kept)))
        self._uniqueids[name] = uniqueid
        if frame.get("ChannelStateDesc") == "Ring" and not name.startswith("Local/"):
            return self._plain(frame)
        self._unborn[uniqueid] = [dict(frame)]
        return []

    def _new_caller_id(self, frame: Frame) -> Frames:
        self._shown[frame.get("Uniqueid", "")] = frame.get("CallerIDNum", "")
        held_back = self._unborn.get(frame.get("Uniqueid", ""))
        if held_back is None:
            return self._plain(frame)
        if len(held_back) < 10:
            held_back.append(dict(frame))
        return []

    def _local_bridge(self, frame: Frame) -> Frames:
        one, two = frame.get("Uniqueid1", ""), frame.get("Uniqueid2", "")
        self._halves[one], self._halves[two] = two, one
        if one in self._unborn and two in self._unborn:
            self._unborn[two].append(dict(frame))
            return []
        self._together(one, two)
        return [*self._bear(one), *self._bear(two), self._local_words(frame)]

    def _local_words(self, frame: Frame) -> dict[str, str]:
        words = {"Event": "LocalBridge"}
        for prefix, number in (("LocalOne", "1"), ("LocalTwo", "2")):
            uniqueid = frame.get("Uniqueid" + number, "")
            words |= self._channel(prefix, uniqueid, frame.get("Channel" + number, ""))
        return words

    def _bear(self, uniqueid: str, *, linked_id: str = "") -> Frames:
        """Let go the frames of a channel that were held back, and those of its other half."""
        if uniqueid not in self._unborn:
            return []
        half = self._halves.get(uniqueid, "")
        if linked_id:
            self._linked[uniqueid] = linked_id
        both = sorted({uniqueid, half} & self._unborn.keys(), key=list(self._unborn).index)
        frames: Frames = []
        for one in both:
            if half:
                self._linked[one] = self._linked.get(uniqueid) or self._linked.get(half) or self._linked_id(both[0])
        for one in both:
            for frame in self._unborn.pop(one):
                is_local = frame["Event"] == "LocalBridge"
                frames.append(self._local_words(frame) if is_local else {**frame, "Linkedid": self._linked_id(one)})
        return frames

    # What is the same but for the Linkedid

    def _plain(self, frame: Frame, *, event: str = "") -> Frames:
        uniqueid = frame.get("Uniqueid", "")
        if not uniqueid:
            return []
        frames = self._bear(uniqueid)
        name = frame.get("Channel") or next((n for n, u in self._uniqueids.items() if u == uniqueid), "")
        self._uniqueids.setdefault(name, uniqueid)
        more = {"Event": event or frame["Event"], "Channel": name, "Linkedid": self._linked_id(uniqueid)}
        return [*frames, {**frame, **more}]

    def _new_state(self, frame: Frame) -> Frames:
        if frame.get("ChannelStateDesc") == "Up":
            self._up.add(frame.get("Uniqueid", ""))
        return self._plain(frame)

    def _hold(self, frame: Frame) -> Frames:
        return self._plain(frame, event="Unhold" if frame.get("Status") == "Off" else "Hold")

    def _rename(self, frame: Frame) -> Frames:
        uniqueid, name = frame.get("Uniqueid", ""), frame.get("Newname", "")
        frames = self._bear(uniqueid)
        if self._uniqueids.get(frame.get("Channel", "")) == uniqueid:
            del self._uniqueids[frame["Channel"]]
        self._uniqueids[name] = uniqueid
        return [*frames, dict(frame)]

    def _hangup(self, frame: Frame) -> Frames:
        uniqueid = frame.get("Uniqueid", "")
        # Who was held back all the time was dialled for nobody: no call.
        frames = [] if self._unborn.pop(uniqueid, None) else self._plain(frame)
        # Its Linkedid stays a while: `Dial` tells how it went only after the hang-up.
        self._uniqueids = {name: other for name, other in self._uniqueids.items() if other != uniqueid}
        self._rung.pop(uniqueid, None)
        self._halves.pop(uniqueid, None)
        self._shown.pop(uniqueid, None)
        self._up.discard(uniqueid)
        return frames

    def _conference(self, frame: Frame, *, event: str) -> Frames:
        room = frame.get("Meetme") or frame.get("Conference") or ""
        frames = self._plain(frame, event=event)
        return (
            [*frames[:-1], {**frames[-1], "BridgeUniqueid": f"conference {room}", "BridgeCreator": "ConfBridge"}]
            if frames
            else []
        )

    # What has other words today

    def _dial(self, frame: Frame) -> Frames:
        caller = frame.get("UniqueID", "")
        if frame.get("SubEvent") == "End":
            return self._dial_end(frame, caller)
        rung, rung_name = frame.get("DestUniqueID", ""), frame.get("Destination", "")
        return self._begin(frame, caller, frame.get("Channel", ""), rung, rung_name)

    def _agent_called(self, frame: Frame) -> Frames:
        """A queue rings a member: of that there is no `Dial`."""
        caller_name, rung_name = frame.get("ChannelCalling", ""), frame.get("DestinationChannel", "")
        caller = self._uniqueids.get(caller_name) or frame.get("Uniqueid", "")
        return self._begin(frame, caller, caller_name, self._uniqueids.get(rung_name, ""), rung_name)

    def _begin(self, frame: Frame, caller: str, caller_name: str, rung: str, rung_name: str) -> Frames:
        if not caller or not rung:
            return []
        frames = self._bear(caller)
        frames += self._bear(rung, linked_id=self._linked_id(caller))
        self._linked[rung] = self._linked_id(caller)
        self._rung.setdefault(caller, []).append(rung)
        words = {"Event": "DialBegin", "DialString": frame.get("Dialstring", "")}
        words |= {key: frame[key] for key in ("CallerIDNum", "CallerIDName") if key in frame}
        words["DestCallerIDNum"] = self._shown.get(rung, "")
        return [*frames, words | self._channel("", caller, caller_name) | self._channel("Dest", rung, rung_name)]

    def _dial_end(self, frame: Frame, caller: str) -> Frames:
        status = frame.get("DialStatus", "")
        rung = self._rung.pop(caller, [])
        if status == "ANSWER":
            rung = [one for one in rung if one in self._up]
        words = {"Event": "DialEnd", "DialStatus": status}
        return [words | self._channel("Dest", one, "") for one in rung]

    def _bridge(self, frame: Frame) -> Frames:
        one, two = frame.get("Uniqueid1", ""), frame.get("Uniqueid2", "")
        if not one or not two:
            return []
        frames = self._bear(one) + self._bear(two)
        is_link = frame.get("Bridgestate", "Link") == "Link"
        if is_link:
            self._together(one, two)
        words = {"Event": "BridgeEnter" if is_link else "BridgeLeave", "BridgeUniqueid": _pair(one, two)}
        for uniqueid, name in ((one, frame.get("Channel1", "")), (two, frame.get("Channel2", ""))):
            frames.append(words | self._channel("", uniqueid, name))
        return frames

    def _transfer(self, frame: Frame) -> Frames:
        by, by_name = frame.get("Uniqueid", ""), frame.get("Channel", "")
        other, other_name = frame.get("TargetUniqueid", ""), frame.get("TargetChannel", "")
        if not by:
            return []
        if frame.get("TransferType") == "Blind":
            words = {"Event": "BlindTransfer", "Result": "Success", "Extension": frame.get("TransferExten", "")}
            words["Context"] = frame.get("TransferContext", "")
            words |= self._channel("Transferer", by, by_name)
            return [words | (self._channel("Transferee", other, other_name) if other else {})]
        words = {"Event": "AttendedTransfer", "Result": "Success", "DestType": "App"}
        words |= self._channel("OrigTransferer", by, by_name)
        return [words | (self._channel("SecondTransferer", other, other_name) if other else {})]

    def _pickup(self, frame: Frame) -> Frames:
        picker, target = frame.get("Channel", ""), frame.get("TargetChannel", "")
        words = {"Event": "Pickup"} | self._channel("", self._uniqueids.get(picker, ""), picker)
        return [words | self._channel("Target", self._uniqueids.get(target, ""), target)]

    def _parking(self, frame: Frame) -> Frames:
        name = frame.get("Channel", "")
        parkee = frame.get("Uniqueid") or self._uniqueids.get(name, "")
        if not parkee:
            return []
        words = {"Event": frame["Event"]} | self._channel("Parkee", parkee, name)
        if frame["Event"] == "ParkedCall":
            words["ParkerDialString"] = frame.get("From", "").rpartition("-")[0]
        if frame["Event"] == "UnParkedCall" and (retriever := self._uniqueids.get(frame.get("From", ""))):
            words |= self._channel("Retriever", retriever, frame["From"])
        return [*self._bear(parkee), words]

    # Who belongs together

    def _channel(self, prefix: str, uniqueid: str, name: str) -> dict[str, str]:
        shown = {f"{prefix}Uniqueid": uniqueid, f"{prefix}Linkedid": self._linked_id(uniqueid) if uniqueid else ""}
        return shown | {f"{prefix}Channel": name}

    def _linked_id(self, uniqueid: str) -> str:
        return self._linked.setdefault(uniqueid, uniqueid)

    def _together(self, one: str, two: str) -> None:
        """Give two channels one Linkedid: the older."""
        first, second = sorted((self._linked_id(one), self._linked_id(two)), key=_age)
        if first != second:
            self._linked[one] = self._linked[two] = first


def _age(linked_id: str) -> tuple[float, float]:
    seconds, _, number = linked_id.rpartition("-")[2].partition(".")
    is_known = seconds.isascii() and seconds.isdigit() and number.isascii() and number.isdigit()
    return (float(seconds), float(number)) if is_known and len(seconds) < 16 and len(number) < 16 else (float("inf"), 0)


def _pair(one: str, two: str) -> str:
    return "pair " + " ".join(sorted((one, two)))


def _other_half(name: str) -> str:
    if not name.startswith("Local/"):
        return ""
    return name[:-1] + {"1": "2", "2": "1"}.get(name[-1:], "")
