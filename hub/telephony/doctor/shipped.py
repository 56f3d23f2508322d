"""What the configuration that Hub ships for Asterisk says, for those who print it and those who look for it. Pure.

Invariant: a test holds these and the files in config/asterisk together.
"""

from __future__ import annotations

DIALPLAN_VERSION = "3"
"""Of config/asterisk/extensions_hub.conf; an extension of this name stands in its context `hub-version`."""

READ = ("system", "call", "agent", "user")
WRITE = ("call", "agent", "originate", "reporting")
FILTERED = (
    "VarSet",
    "Newexten",
    "RTCPSent",
    "RTCPReceived",
    "ChannelTalkingStart",
    "ChannelTalkingStop",
    "TestEvent",
)
"""What the PBX should keep to itself: of the 87 events of a plain call 54 are VarSet."""

FILTER_LINES = (
    *(f"eventfilter(action(exclude),name({name})) =" for name in FILTERED),
    # Asterisk tells the state of queues and parking places as of phones; Hub looks at phones only.
    "eventfilter(action(exclude),name(DeviceStateChange),header(Device),method(starts_with)) = Queue:",
)
