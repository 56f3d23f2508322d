"""What the configuration that Hub ships for Asterisk says, for those who print it and those who look for it. Pure.

Invariant: a test holds these and the files in config/asterisk together.
"""

from __future__ import annotations

import re

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

OLD_FILTER_LINES = (*(f"eventfilter = !Event: {name}" for name in FILTERED), "eventfilter = !Device: Queue:")
"""The same for every Asterisk; since 20.11, 21.6 and 22.1 there is the faster form below."""

FILTER_LINES = (
    *(f"eventfilter(action(exclude),name({name})) =" for name in FILTERED),
    # Asterisk tells the state of queues and parking places as of phones; Hub looks at phones only.
    "eventfilter(action(exclude),name(DeviceStateChange),header(Device),method(starts_with)) = Queue:",
)


def filter_line(name: str, version: str) -> str:
    """Return the line of manager.conf that keeps events of this name back, in the form that a version reads."""
    return (
        f"eventfilter(action(exclude),name({name})) ="
        if reads_new_filters(version)
        else f"eventfilter = !Event: {name}"
    )


def reads_new_filters(version: str) -> bool:
    """Tell whether an Asterisk knows `eventfilter(…)`; not where its version is not known."""
    found = re.match(r"\D*(\d+)\.(\d+)", version)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2])
    return minor >= {20: 11, 21: 6, 22: 1}.get(major, 0) if major in (20, 21, 22) else major > 22
