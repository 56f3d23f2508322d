"""Writes the events of Asterisk 11, header for header, for streams that cannot be recorded any more.

Knows how one event looks and how a masquerade changes names; what happens in a call is `older`'s. Source: the manager
events' documentation of Asterisk 11 and real traces of it. Invariant: the same calls write the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GREETING = "Asterisk Call Manager/1.3\r\nResponse: Success\r\nMessage: Authentication accepted"
STATES = {"0": "Down", "4": "Ring", "5": "Ringing", "6": "Up"}


@dataclass
class Channel:
    """A channel of Asterisk 11; `name` and caller id move to another one in a masquerade, the uniqueid stays."""

    name: str
    uniqueid: str
    context: str
    exten: str
    number: str = ""
    caller_name: str = ""
    connected: str = ""

    def peer(self) -> str:
        return self.name.partition("/")[2].rpartition("-")[0]


@dataclass
class Asterisk11:
    """Writes events as Asterisk 11 does, with its headers in its order."""

    now: float = 1761234567.0
    packets: list[str] = field(default_factory=lambda: [GREETING])
    made: int = 41

    def say(self, event: str, *, privilege: str = "call", **headers: str) -> None:
        lines = [f"Event: {event}", f"Privilege: {privilege},all", f"Timestamp: {self.now:.6f}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.packets.append("\r\n".join(lines))
        self.now += 0.001

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def born(
        self, peer: str, *, context: str, exten: str = "", number: str = "", name: str = "", state: str = "0"
    ) -> Channel:
        """Make a channel; `peer` is a SIP peer, or a whole name with its slash."""
        self.made += 1
        channel = peer if "/" in peer else f"SIP/{peer}-{self.made:08x}"
        one = Channel(channel, f"pbx1-1761234567.{self.made}", context, exten, number, name)
        self.say(
            "Newchannel",
            Channel=one.name,
            ChannelState=state,
            ChannelStateDesc=STATES[state],
            CallerIDNum=number,
            CallerIDName=name,
            AccountCode="",
            Exten=exten,
            Context=context,
            Uniqueid=one.uniqueid,
        )
        return one

    def state(self, one: Channel, state: str) -> None:
        self.say("Newstate", Channel=one.name, ChannelState=state, ChannelStateDesc=STATES[state], **self.ids_of(one))

    def dial(self, caller: Channel, *callees: Channel) -> None:
        for callee in callees:
            callee.connected, callee.number = caller.number, callee.number or caller.exten
            ids = self.ids_of(caller)
            self.say(
                "Dial",
                SubEvent="Begin",
                Channel=caller.name,
                Destination=callee.name,
                **{name: ids[name] for name in list(ids)[:4]},
                UniqueID=caller.uniqueid,
                DestUniqueID=callee.uniqueid,
                Dialstring=f"trunk/{callee.number}" if callee.context == "from-trunk" else callee.peer(),
            )
            self.state(callee, "5")

    def dial_ends(self, caller: Channel, status: str) -> None:
        """The end of Dial(), for an answered call after its talk."""
        self.say("Dial", SubEvent="End", Channel=caller.name, UniqueID=caller.uniqueid, DialStatus=status)

    def bridge(self, one: Channel, two: Channel, state: str = "Link") -> None:
        self.say(
            "Bridge",
            Bridgestate=state,
            Bridgetype="core",
            Channel1=one.name,
            Channel2=two.name,
            Uniqueid1=one.uniqueid,
            Uniqueid2=two.uniqueid,
            CallerID1=one.number,
            CallerID2=two.number,
        )

    def hang_up(self, one: Channel, cause: str = "16", *, itself: bool = False) -> None:
        if itself:
            self.say("HangupRequest", Channel=one.name, Uniqueid=one.uniqueid)
        text = {"16": "Normal Clearing", "17": "User busy", "21": "Call Rejected", "26": "Answered elsewhere"}[cause]
        self.say(
            "Hangup",
            Channel=one.name,
            Uniqueid=one.uniqueid,
            **self.ids_of(one, with_uniqueid=False),
            Cause=cause,
            Cause_txt=text,
        )

    def masquerade(self, original: Channel, clone: Channel) -> None:
        """Have the phone of `clone` go on as `original`: names and caller ids change hands."""
        was, phone = original.name, clone.name
        self.say("Masquerade", Clone=phone, CloneState="Up", Original=was, OriginalState="Up")
        self.say("Rename", Channel=phone, Newname=f"{phone}<MASQ>", Uniqueid=clone.uniqueid)
        self.say("Rename", Channel=was, Newname=phone, Uniqueid=original.uniqueid)
        self.say("Rename", Channel=f"{phone}<MASQ>", Newname=f"{was}<ZOMBIE>", Uniqueid=clone.uniqueid)
        original.name, clone.name = phone, f"{was}<ZOMBIE>"
        original.number, clone.number = clone.number, original.number
        original.caller_name, clone.caller_name = clone.caller_name, original.caller_name
        presentation = "0 (Presentation Allowed, Not Screened)"
        self.say(
            "NewCallerid",
            Channel=original.name,
            CallerIDNum=original.number,
            CallerIDName=original.caller_name,
            Uniqueid=original.uniqueid,
            CID_CallingPres=presentation,
        )

    def ids_of(self, one: Channel, *, with_uniqueid: bool = True) -> dict[str, str]:
        ids = {
            "CallerIDNum": one.number or "<unknown>",
            "CallerIDName": one.caller_name or "<unknown>",
            "ConnectedLineNum": one.connected or "<unknown>",
            "ConnectedLineName": "<unknown>",
        }
        return ids | ({"Uniqueid": one.uniqueid} if with_uniqueid else {"AccountCode": ""})
