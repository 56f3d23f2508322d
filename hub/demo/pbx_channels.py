"""The channels and frames of the scripted PBX: what a real Asterisk 22 says of a channel, header for header.

Pure: builds text, opens nothing. The headers and their order are those of the recorded streams in tests/data/ami.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STATES = {"0": "Down", "4": "Ring", "5": "Ringing", "6": "Up", "7": "Busy"}
UNKNOWN = "<unknown>"
CAUSES = {
    "0": "Unknown",
    "16": "Normal Clearing",
    "17": "User busy",
    "19": "User alerting, no answer",
    "21": "Call Rejected",
    "26": "Answered elsewhere",
    "34": "Circuit/channel congestion",
}


@dataclass(slots=True)
class ScriptedChannel:
    """One live channel."""

    name: str
    uniqueid: str
    linkedid: str
    context: str
    exten: str
    caller_number: str = UNKNOWN
    caller_name: str = UNKNOWN
    state: str = "0"
    connected_number: str = UNKNOWN
    connected_name: str = UNKNOWN
    priority: str = "1"
    bridge: str = ""
    application: str = ""
    application_data: str = ""

    @property
    def endpoint(self) -> str:
        """The phone or line that it is of, as in `PJSIP/101-00000001`."""
        return self.name.partition("/")[2].rpartition("-")[0]

    def headers(self, prefix: str = "") -> dict[str, str]:
        """The snapshot that every channel event carries; `Dest` as prefix for the called side."""
        return {
            f"{prefix}Channel": self.name,
            f"{prefix}ChannelState": self.state,
            f"{prefix}ChannelStateDesc": STATES[self.state],
            f"{prefix}CallerIDNum": self.caller_number,
            f"{prefix}CallerIDName": self.caller_name,
            f"{prefix}ConnectedLineNum": self.connected_number,
            f"{prefix}ConnectedLineName": self.connected_name,
            f"{prefix}Language": "en",
            f"{prefix}AccountCode": "",
            f"{prefix}Context": self.context,
            f"{prefix}Exten": self.exten,
            f"{prefix}Priority": self.priority,
            f"{prefix}Uniqueid": self.uniqueid,
            f"{prefix}Linkedid": self.linkedid,
        }


def event(name: str, headers: Mapping[str, str], *, timestamp: float) -> bytes:
    """Write one event as it goes to everybody who reads its class."""
    kind = "user" if name == "UserEvent" else "agent" if name.startswith("Queue") else "call"
    return packet({"Event": name, "Privilege": f"{kind},all", "Timestamp": f"{timestamp:.6f}", **headers})


def packet(headers: Mapping[str, str]) -> bytes:
    """Write one AMI packet."""
    return ("".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()
