"""What the phones of one PBX do, as Asterisk last said it. Pure.

Decides which device a frame is about, which of our few states it is in, and what of it the database does not have
yet; not whose phone it is. Invariants: a state is never older than the last list taken after a connection, so
nothing outlives a cut; an unknown word is `unknown`, never "busy"; what was stored once is not written again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from hub.telephony.tracking.endpoints import extension_in, is_by_hardware

Frame = Mapping[str, str]
State = Literal["idle", "ringing", "in_use", "busy", "on_hold", "unavailable", "unknown"]
Contact = Literal["", "reachable", "registered", "unreachable", "none"]

EVENTS = frozenset({"DeviceStateChange", "ContactStatus", "PeerStatus", "ExtensionStatus"})
MAX_DEVICES = 5_000
"""More than any PBX has phones; what comes past it is not kept."""
MAX_CONTACTS = 20

# A phone or a line, not a queue, a parking place or a conference, of which Asterisk also tells states.
_DEVICE = re.compile(r"(PJSIP|SIP|IAX2|DAHDI|SCCP|Skinny|MGCP|H323|USTM)/[A-Za-z0-9_.+*@#-]{1,60}")

_STATES: Mapping[str, State] = {
    "NOT_INUSE": "idle",
    "INUSE": "in_use",
    "RINGINUSE": "in_use",
    "RINGING": "ringing",
    "BUSY": "busy",
    "ONHOLD": "on_hold",
    "UNAVAILABLE": "unavailable",
    "INVALID": "unavailable",
}
# ExtensionStatus is a set of bits: in use 1, busy 2, unavailable 4, ringing 8, on hold 16 (pbx.h).
_BITS: tuple[tuple[int, State], ...] = ((1, "in_use"), (2, "busy"), (16, "on_hold"), (8, "ringing"), (4, "unavailable"))

_CONTACTS: Mapping[str, Contact] = {
    "Reachable": "reachable",
    "Updated": "registered",
    "Created": "registered",
    "NonQualified": "registered",
    "Unknown": "registered",
    "Unreachable": "unreachable",
    "Removed": "none",
    # chan_sip's PeerStatus
    "Registered": "registered",
    "Lagged": "reachable",
    "Unregistered": "none",
    "Rejected": "none",
}
_BEST: tuple[Contact, ...] = ("reachable", "registered", "unreachable")


@dataclass(frozen=True, slots=True)
class Device:
    """One phone or line. `since` is when Hub heard of this state; `contact` is empty where nothing was said of it."""

    name: str
    state: State
    since: datetime
    contact: Contact = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """What the database does not have yet."""

    changed: tuple[Device, ...]
    gone: tuple[str, ...]
    extensions: Mapping[str, str | None]
    """By the name of each device among them."""

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone)


def extension_of(device: str) -> str | None:
    """Return the extension that a device is named after, alone or beside its tenant's name; None for all else."""
    technology, _, name = device.partition("/")
    return None if is_by_hardware(technology) else extension_in(name)


class DeviceBoard:
    """All devices of one PBX. Never raises on a frame, whatever it says."""

    def __init__(self, stored: Iterable[Device] = ()) -> None:
        self._stored = {device.name: device for device in stored}
        self._now: dict[str, Device] = dict(self._stored)
        self._contacts: dict[str, dict[str, Contact]] = {}

    def devices(self) -> list[Device]:
        return list(self._now.values())

    def handle(self, frame: Frame, *, now: datetime) -> bool:
        """Take one event in; True when a device looks different now."""
        match frame.get("Event"):
            case "DeviceStateChange":
                return self._see(frame.get("Device", ""), _state(frame.get("State", "")), now=now)
            case "ExtensionStatus":
                device = frame.get("Hint", "").partition("&")[0].partition(",")[0]
                return self._see(device, _state_of_bits(frame.get("Status", "")), now=now)
            case "ContactStatus":
                name, uri = frame.get("EndpointName") or frame.get("AOR", ""), frame.get("URI", "")
                return self._see_contact(f"PJSIP/{name}", uri, frame.get("ContactStatus", ""), now=now)
            case "PeerStatus":
                # Of PJSIP it sums up what ContactStatus tells contact by contact.
                name = "" if frame.get("ChannelType") == "PJSIP" else frame.get("Peer", "")
                return self._see_contact(name, "", frame.get("PeerStatus", ""), now=now)
        return False

    def take_list(self, rows: Iterable[Frame], *, now: datetime) -> None:
        """Take the PBX's own list (`DeviceStateList`, or `SIPpeers` of an old one) for the whole truth.

        What it does not name is gone; what a contact was is not said in it, so it is forgotten.
        """
        before, self._now, self._contacts = self._now, {}, {}
        for row in rows:
            match row.get("Event"):
                case "DeviceStateChange":
                    self._put(before, row.get("Device", ""), _state(row.get("State", "")), now=now)
                case "PeerEntry":
                    name = f"{row.get('Channeltype', 'SIP')}/{row.get('ObjectName', '')}"
                    state, contact = _of_peer(row.get("Status", ""))
                    if _DEVICE.fullmatch(name) and len(self._contacts) < MAX_DEVICES:
                        self._contacts[name] = {} if contact == "none" else {"": contact}
                    self._put(before, name, state, now=now)

    def pending(self) -> Pending:
        """Return what differs from what was stored."""
        changed = tuple(device for name, device in self._now.items() if self._stored.get(name) != device)
        gone = tuple(name for name in self._stored if name not in self._now)
        names = (*(device.name for device in changed), *gone)
        return Pending(changed, gone, {name: self._extension_of(name) for name in names})

    def _extension_of(self, name: str) -> str | None:
        """FreePBX's browser phone 99101 is one more device of 101, where there is one of that name."""
        extension = extension_of(name)
        if extension is None or len(extension) < 5 or not extension.startswith("99"):
            return extension
        desk = f"{name.partition('/')[0]}/{extension[2:]}"
        return extension[2:] if desk in self._now else extension

    def settle(self, pending: Pending) -> None:
        """Note that `pending` is in the database."""
        self._stored |= {device.name: device for device in pending.changed}
        for name in pending.gone:
            self._stored.pop(name, None)

    def _see(self, name: str, state: State, *, now: datetime) -> bool:
        return self._put(self._now, name, state, now=now)

    def _put(self, before: Mapping[str, Device], name: str, state: State, *, now: datetime) -> bool:
        if not _DEVICE.fullmatch(name) or (name not in self._now and len(self._now) >= MAX_DEVICES):
            return False
        old = before.get(name)
        contact = self._contact_of(name)
        since = old.since if old is not None and old.state == state else now
        self._now[name] = device = Device(name, state, since, contact)
        return device != old

    def _see_contact(self, name: str, uri: str, said: str, *, now: datetime) -> bool:
        """Note one contact. Whether the phone can be rung is the device state's to say: it may have others."""
        contact = _CONTACTS.get(said)
        if contact is None or not _DEVICE.fullmatch(name) or len(uri) > 300:
            return False
        known = self._contacts.setdefault(name, {})
        if contact != "none" and (uri in known or len(known) < MAX_CONTACTS):
            # "Updated" is only a registration renewed: what qualifying found out stands.
            known[uri] = known.get(uri, contact) if said == "Updated" else contact
        elif contact == "none":
            known.pop(uri, None)
        old = self._now.get(name)
        if old is None:
            if len(self._now) >= MAX_DEVICES:
                self._contacts.pop(name)
                return False
            old = Device(name, "unknown", now)
        self._now[name] = device = replace(old, contact=self._contact_of(name))
        return device != old

    def _contact_of(self, name: str) -> Contact:
        known = self._contacts.get(name)
        if known is None:
            return ""
        return next((word for word in _BEST if word in known.values()), "none")


def _state(word: str) -> State:
    return _STATES.get(word.upper(), "unknown")


def _state_of_bits(text: str) -> State:
    if text == "0":
        return "idle"
    bits = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    return next((state for bit, state in _BITS if bits & bit), "unknown")


def _of_peer(status: str) -> tuple[State, Contact]:
    """What chan_sip says of a peer in `SIPpeers`: `OK (12 ms)`, `LAGGED`, `UNREACHABLE`, `UNKNOWN`, `Unmonitored`.

    Whether a peer that answers is in a call, this list does not say.
    """
    if status.startswith(("OK", "LAGGED")):
        return "unknown", "reachable"
    if status.startswith("Unmonitored"):
        return "unknown", "registered"
    return "unavailable", "unreachable" if status.startswith("UNREACHABLE") else "none"
