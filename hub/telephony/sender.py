"""The way out to a PBX: intents become AMI actions, each sent at most once, and each gets its outcome.

Decides what a lost answer means: a take or a dial that may have arrived is `unknown` and never repeated; what
surely was not sent is `refused` and, for a take, the caller is back with the team. Invariant: an intent is marked
`sending` in a committed row before its first byte goes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from hub import guard
from hub.clock import utc_now
from hub.crm import queue
from hub.errors import Refused, Unavailable, Unknown
from hub.settings import Pbx
from hub.store.engine import Database
from hub.telephony import control, recording_switch
from hub.telephony.control import Intent

ANSWER_WITHIN = timedelta(seconds=5)
RING_MANAGER_MS = 30_000


class ActionPort(Protocol):
    """What the sender needs of a PBX link."""

    async def action(
        self, name: str, fields: Mapping[str, str | Sequence[str]], *, deadline: timedelta
    ) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class IntentSender:
    """Carries out the intents of one PBX."""

    db: Database
    pbx: Pbx
    port: ActionPort

    async def run(self) -> None:
        """Send what is due, for ever: woken by the bus, and looking every second for a hint that was lost."""
        with self.db.bus.subscribe(control.TOPIC) as hints:
            await self.settle_left_over()
            while True:
                await self.send_due()
                await hints.wait(at_most_s=1)

    async def settle_left_over(self) -> None:
        """Call what a dead process was sending `unknown`."""
        async with self.db.begin() as conn:
            for intent in await control.left_in_sending(conn, self.pbx.name):
                await control.settle(conn, intent.id, "unknown", reason="interrupted", now=utc_now())

    async def send_due(self) -> None:
        """Send every intent that waits, oldest first."""
        async with self.db.read() as conn:
            waiting = await control.due(conn, self.pbx.name)
        for intent in waiting:
            await self._send(intent)

    async def _send(self, intent: Intent) -> None:
        async with self.db.begin() as conn:
            if not await control.start(conn, intent.id, now=utc_now()):
                return
        if utc_now() > intent.deadline:
            await self._settle(intent, "refused", "too_late")
            return
        name, fields = action_of(intent, self.pbx)
        try:
            await self.port.action(name, fields, deadline=ANSWER_WITHIN)
        except Refused as error:
            await self._settle(intent, "refused", error.details.get("reason", error.message))
        except Unavailable as error:
            await self._settle(intent, "refused", error.message)
        except Unknown as error:
            await self._settle(intent, "unknown", error.message)
        else:
            await self._settle(intent, "sent", "")

    async def _settle(self, intent: Intent, state: control.IntentState, reason: str) -> None:
        now = utc_now()
        async with self.db.begin() as conn:
            await control.settle(conn, intent.id, state, reason=reason, now=now)
            if intent.kind in recording_switch.KINDS and state == "sent":
                await recording_switch.note(conn, intent, now=now)
            if intent.kind == "take" and state == "refused" and intent.claim_id:
                await queue.take_back(conn, intent.claim_id, reason=reason or "refused", now=now)


def action_of(intent: Intent, pbx: Pbx) -> tuple[str, dict[str, str | Sequence[str]]]:
    """Return the AMI action of an intent: its name and headers. Raises Refused on a value no line may carry.

    Source: the dialplan in config/asterisk/extensions_hub.conf and Asterisk 22's manager actions.
    """
    if intent.kind == "take":
        assert intent.queue and intent.channel and intent.claim_id and intent.extension
        return "QueueWithdrawCaller", {
            "Queue": guard.one_line(intent.queue, field="queue"),
            "Caller": guard.one_line(intent.channel, field="channel"),
            "WithdrawInfo": f"{intent.claim_id}-{guard.extension(intent.extension)}",
        }
    if intent.kind == "hangup":
        assert intent.channel
        return "Hangup", {"Channel": guard.one_line(intent.channel, field="channel"), "Cause": "16"}
    if intent.kind in recording_switch.KINDS:
        assert intent.channel
        return recording_switch.action_of(intent, channel=guard.one_line(intent.channel, field="channel"))
    assert intent.extension and intent.number and intent.channel_id
    number = guard.dial_digits(intent.number)
    variables = [f"HUB_DIAL={intent.channel_id}", f"HUB_EXTENSION={intent.extension}"]
    if intent.record_team_id is not None:
        variables.append("HUB_RECORD=yes")
    return "Originate", {
        "Channel": f"{pbx.phone_tech}/{guard.extension(intent.extension)}",
        "Context": pbx.dial_context,
        "Exten": number,
        "Priority": "1",
        "ChannelId": intent.channel_id,
        "CallerID": number,
        "Timeout": str(RING_MANAGER_MS),
        "Async": "true",
        "Variable": variables,
    }
