"""From an intent to AMI actions: names and headers, nothing sent. Pure.

What is asked must fit through a manager's rights of call, agent, originate and reporting; an application is never
named, only a context of the dialplan in config/asterisk/extensions_hub.conf. Invariant: every value in a header has
passed a guard, so that no channel name, number or extension can be another action, channel or application.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub import sanitize
from hub.errors import Refused
from hub.settings import Pbx
from hub.telephony.control.dial_format import written
from hub.telephony.control.intents import Intent

RING_MANAGER_MS = 30_000
_CHANNEL = re.compile(r"[A-Za-z0-9_]{1,20}/[A-Za-z0-9_.@:;+/-]{1,120}")
_KEYS = re.compile(r"[0-9*#A-D]{1,10}")


@dataclass(frozen=True, slots=True)
class Action:
    """One AMI action. One that `prepares` changes nothing that a person would notice."""

    name: str
    fields: dict[str, str | Sequence[str]]
    prepares: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A variable or function that is asked of the PBX before the actions can be written; of a channel, or global."""

    variable: str
    channel: str = ""
    is_needed: bool = True
    """Whether the intent fails where the PBX does not say."""

    def action(self) -> Action:
        fields: dict[str, str | Sequence[str]] = {"Channel": self.channel} if self.channel else {}
        return Action("Getvar", {**fields, "Variable": self.variable}, prepares=True)


COMPLETE_KEYS = "FEATURE(atxfercomplete)"
SECOND_PREFIX = "HUB_SECOND_PREFIX"


def questions_of(intent: Intent, pbx: Pbx) -> list[Question]:
    """Return what must be asked before the intent's actions can be written.

    Which keys complete a transfer is the channel's own: of the shipped dialplan, or of the site's features.conf.
    A phone that Hub rings may be several devices, which only the dialplan can ring at once.
    """
    if intent.kind == "complete":
        return [Question(COMPLETE_KEYS, _channel(intent))]
    asked: list[str] = []
    if intent.kind in _RINGING and pbx.phone_tech == "PJSIP":
        extension = sanitize.extension(intent.extension or "")
        asked += [_devices_of(extension), SECOND_PREFIX, _rings_all(extension)]
    if intent.kind == "dial" and _needs_today(intent, pbx):
        asked.append(IS_TODAYS)
    return [Question(variable, is_needed=False) for variable in asked]


IS_TODAYS = "DIALPLAN_EXISTS(hub-colleague,1,1)"
"""Asks whether the dialplan can call colleagues, write numbers otherwise and press keys: versions before 3 cannot."""


def _needs_today(intent: Intent, pbx: Pbx) -> bool:
    return bool(intent.target or intent.keys) or pbx.dial_format != "e164"


def _devices_of(extension: str) -> str:
    return f"PJSIP_DIAL_CONTACTS({extension})"


def _rings_all(extension: str) -> str:
    """Ask whether the dialplan has [hub-ring]: versions before 3 have not."""
    return f"DIALPLAN_EXISTS(hub-ring,{extension},1)"


_NOTHING: Mapping[str, str] = {}
_RINGING = frozenset({"dial", "retrieve", "listen", "whisper", "barge"})


def actions_of(intent: Intent, pbx: Pbx, *, told: Mapping[str, str] = _NOTHING, region: str = "RU") -> list[Action]:
    """Return the AMI actions of an intent, in order; `told` are the answers to `questions_of`, by variable.

    `region` is where the PBX dials from.
    Raises Refused on a value no line may carry. Source: Asterisk 22's manager actions, tried on 22.10.
    """
    match intent.kind:
        case "take":
            return [_take(intent)]
        case "dial":
            return [_dial(intent, pbx, told, region)]
        case "hangup":
            return [Action("Hangup", {"Channel": _channel(intent), "Cause": "16"})]
        case "blind":
            context, target = _target(intent, pbx, region)
            return [Action("BlindTransfer", {"Channel": _channel(intent), "Context": context, "Exten": target})]
        case "attended":
            context, target = _target(intent, pbx, region)
            # "#" ends the number: Asterisk would wait three seconds for more.
            return [Action("Atxfer", {"Channel": _channel(intent), "Context": context, "Exten": f"{target}#"})]
        case "complete":
            return _press(intent, told.get(COMPLETE_KEYS, ""))
        case "cancel":
            return [Action("CancelAtxfer", {"Channel": _channel(intent)})]
        case "hold":
            return _hold(intent)
        case "unhold":
            return [Action("Redirect", {"Channel": _channel(intent), **_place("hub-hold", "join")})]
        case "park":
            return [Action("Park", {"Channel": _peer(intent), "TimeoutChannel": _channel(intent)})]
        case "retrieve":
            return [_ring(intent, pbx, told, _place("hub-retrieve", "s"), [f"HUB_PEER={_peer(intent)}"])]
        case "rec_pause" | "rec_resume":
            state = "1" if intent.kind == "rec_pause" else "0"
            return [Action("MixMonitorMute", {"Channel": _channel(intent), "Direction": "both", "State": state})]
        case "listen" | "whisper" | "barge":
            return [_ring(intent, pbx, told, _place("hub-spy", intent.kind), [f"HUB_SPY={_channel(intent)}"])]


def _take(intent: Intent) -> Action:
    assert intent.queue and intent.claim_id
    return Action(
        "QueueWithdrawCaller",
        {
            "Queue": sanitize.one_line(intent.queue, field="queue"),
            "Caller": sanitize.one_line(intent.channel or "", field="channel"),
            "WithdrawInfo": f"{intent.claim_id}-{sanitize.extension(intent.extension or '')}",
        },
    )


def _dial(intent: Intent, pbx: Pbx, told: Mapping[str, str], region: str) -> Action:
    about = [f"HUB_DIAL={intent.channel_id}", f"HUB_EXTENSION={sanitize.extension(intent.extension or '')}"]
    if intent.record_team_id is not None:
        about.append("HUB_RECORD=yes")
    is_todays = told.get(IS_TODAYS) == "1"
    if not is_todays and (intent.target or intent.keys):
        raise Refused("dialplan_old", "the PBX's dialplan is too old for this", reason="dialplan_old")
    if intent.target:
        target = sanitize.extension(intent.target)
        return _ring(intent, pbx, told, _place("hub-colleague", target), about, shown=target)
    number = sanitize.dial_digits(intent.number or "")
    if intent.keys:
        about.append(f"HUB_KEYS={sanitize.extension(intent.keys, field='keys')}")
    if (routed := written(number, pbx.dial_format, region)) != number:
        if not is_todays:
            return _ring(intent, pbx, told, _place(pbx.dial_context, routed), about, shown=number)
        about.append(f"HUB_AS={routed}")
    return _ring(intent, pbx, told, _place(pbx.dial_context, number), about, shown=number)


def _ring(
    intent: Intent,
    pbx: Pbx,
    told: Mapping[str, str],
    place: dict[str, str],
    variables: list[str],
    *,
    shown: str = "",
) -> Action:
    """Ring the asker's phone under the intent's channel id, and lead it into the dialplan once it is picked up.

    Where it is several devices, [hub-ring] rings them all: Originate itself would ring the first alone.
    """
    assert intent.channel_id
    extension = sanitize.extension(intent.extension or "")
    is_several = "&" in told.get(_devices_of(extension), "") or bool(told.get(SECOND_PREFIX))
    fields: dict[str, str | Sequence[str]] = {"Channel": f"{pbx.phone_tech}/{extension}"}
    if is_several and told.get(_rings_all(extension)) == "1":
        fields["Channel"] = f"Local/{extension}@hub-ring"
        variables = [f"HUB_NEXT={place['Context']}", f"HUB_NEXT_EXTEN={place['Exten']}", *variables]
        # "_": the phone that is picked up has them too.
        variables = [f"_{variable}" for variable in variables]
        place = {**place, "Context": "hub-rung"}
    fields |= {**place, "ChannelId": sanitize.one_line(intent.channel_id, field="channel_id")}
    if shown:
        fields["CallerID"] = shown
    return Action("Originate", {**fields, "Timeout": str(RING_MANAGER_MS), "Async": "true", "Variable": variables})


def _hold(intent: Intent) -> list[Action]:
    """Both sides leave their bridge in one action: one after the other, the second would be hung up."""
    fields: dict[str, str | Sequence[str]] = {"Channel": _peer(intent), **_place("hub-hold", "client")}
    extra = {f"Extra{name}": value for name, value in _place("hub-hold", "manager").items()}
    told = {"Channel": _channel(intent), "Variable": "HUB_PEER", "Value": _peer(intent)}
    return [
        Action("Setvar", {**told}, prepares=True),
        Action("Redirect", {**fields, "ExtraChannel": _channel(intent), **extra}),
    ]


def _press(intent: Intent, keys: str) -> list[Action]:
    if not _KEYS.fullmatch(keys):
        raise Refused("no_transfer_keys", "this channel has no keys to complete a transfer", reason="no_transfer_keys")
    fields = {"Channel": _channel(intent), "Receive": "true"}
    return [Action("PlayDTMF", {**fields, "Digit": key}) for key in keys]


def _place(context: str, extension: str) -> dict[str, str]:
    return {"Context": context, "Exten": extension, "Priority": "1"}


def _target(intent: Intent, pbx: Pbx, region: str) -> tuple[str, str]:
    """Return the context and the digits of whom a call is handed to."""
    if intent.number and pbx.dial_format == "e164":
        return "hub-transfer-out", sanitize.dial_digits(intent.number).removeprefix("+")
    if intent.number:
        return "hub-transfer-as", written(sanitize.dial_digits(intent.number), pbx.dial_format, region)
    return "hub-transfer", sanitize.extension(intent.target or "")


def _channel(intent: Intent) -> str:
    return channel_name(intent.channel or "")


def _peer(intent: Intent) -> str:
    return channel_name(intent.peer_channel or "")


def channel_name(value: str) -> str:
    """Return the name of one channel as Asterisk makes them. Raises Refused for what could name several, or more."""
    if not _CHANNEL.fullmatch(value):
        raise Refused("bad_channel", f"{sanitize.shown(value)!r} is not a channel's name", field="channel")
    return value
