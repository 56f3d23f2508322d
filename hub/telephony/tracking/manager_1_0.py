"""From the words of Asterisk 1.4 (manager interface 1.0) to those of 1.6 to 11, which `older` reads. Pure.

Decides nothing: the same facts under other names. What 1.4 does not say stays unsaid: which number was dialled, and
how a ring ended but for the cause of the hang-up. Source: the events of Asterisk 1.4's channel.c, app_dial.c, pbx.c.
"""

from __future__ import annotations

from collections.abc import Mapping

Frame = Mapping[str, str]

EVENTS = frozenset(("Newcallerid", "Link", "Unlink", "Unhold"))
"""Names that Asterisk had until 1.4, or means today with a Linkedid."""


def in_later_words(frame: Frame) -> Frame:
    """Return a frame of 1.4 as 1.6 would say it; any other comes back unchanged."""
    match frame.get("Event"):
        case "Newchannel" | "Newstate" if "State" in frame and "ChannelStateDesc" not in frame:
            return _with(frame, ChannelStateDesc=frame["State"])
        case "Newcallerid":
            return _with(frame, Event="NewCallerid")
        case "Dial" if "SrcUniqueID" in frame and "SubEvent" not in frame:
            dialled = frame.get("Destination", "").partition("/")[2].rpartition("-")[0]
            words = {"Channel": frame.get("Source", ""), "UniqueID": frame["SrcUniqueID"], "Dialstring": dialled}
            return _with(frame, SubEvent="Begin", **words)
        case "Link" | "Unlink" as event:
            return _with(frame, Event="Bridge", Bridgestate=event)
        case "Rename" if "Oldname" in frame:
            return _with(frame, Channel=frame["Oldname"])
        case "Hold" if "Status" not in frame:
            return _with(frame, Status="On")
        case "Unhold":
            return _with(frame, Event="Hold", Status="Off")
        case "Join" | "Leave":
            return _with(frame)
        case _:
            return frame


def _with(frame: Frame, **words: str) -> Frame:
    """Add the later words; a caller id is called by its later name too."""
    shown = {"CallerIDNum": frame["CallerID"]} if "CallerID" in frame and "CallerIDNum" not in frame else {}
    return {**frame, **shown, **words}
