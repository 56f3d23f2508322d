"""The way out to a PBX: intents become AMI actions, each sent at most once, and each gets its outcome.

Decides what a lost answer means: what may have arrived is `unknown` and never repeated; what surely was not sent is
`refused` and, for a take, the caller is back with the team. Invariant: an intent is marked `sending` in a committed
row before its first byte goes out, and its outcome is kept until the database has it. What concerns one call goes out
in the order it was asked for, each after the answer to the one before; other calls do not wait for it, up to `AT_ONCE`
of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, Protocol

from hub.clock import utc_now
from hub.crm import queue
from hub.errors import HubError, Refused, Unavailable, Unknown
from hub.periodic import Loop
from hub.settings import Pbx
from hub.store.engine import Database
from hub.telephony.control import intents
from hub.telephony.control.actions import Action, actions_of, questions_of
from hub.telephony.control.intents import Intent, IntentState
from hub.telephony.recordings import recording_switch

ANSWER_WITHIN = timedelta(seconds=5)
AT_ONCE = 20
"""Actions that wait for their answers at the same time. What comes beyond waits its turn, or out its deadline."""


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
    region: str = "RU"
    """Where the PBX dials from."""
    _lanes: dict[str, deque[Intent]] = field(default_factory=dict)
    """What waits, by what must keep its order: `_lane_of`. The first of each is being sent."""
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self) -> None:
        """Send what is due, for ever: woken by the bus, and looking every second for a hint that was lost."""
        with self.db.bus.subscribe(intents.TOPIC) as hints, self.db.loops.loop(f"pbx.{self.pbx.name}.intents") as loop:
            await loop.retry(self.settle_left_over)
            async with asyncio.TaskGroup() as tasks:
                while True:
                    for intent in await loop.retry(self._due):
                        self._line_up(intent, tasks, loop)
                    await hints.wait(at_most_s=1)

    async def settle_left_over(self) -> None:
        """Call what a dead process was sending `unknown`."""
        async with self.db.begin() as conn:
            for intent in await intents.left_in_sending(conn, self.pbx.name):
                await intents.settle(conn, intent.id, "unknown", reason="interrupted", now=utc_now())

    async def _due(self) -> list[Intent]:
        """Return the intents that wait and have no place yet, oldest first."""
        async with self.db.read() as conn:
            waiting = await intents.due(conn, self.pbx.name)
        in_hand = {intent.id for lane in self._lanes.values() for intent in lane}
        return [intent for intent in waiting if intent.id not in in_hand]

    def _line_up(self, intent: Intent, tasks: asyncio.TaskGroup, loop: Loop) -> None:
        """Give an intent its place in its lane."""
        name = _lane_of(intent)
        if name in self._lanes:
            self._lanes[name].append(intent)
        else:
            self._lanes[name] = deque([intent])
            tasks.create_task(self._work_off(name, loop))

    async def _work_off(self, name: str, loop: Loop) -> None:
        lane = self._lanes[name]
        while lane:
            async with self._room:
                await self._send(lane[0], loop)
            lane.popleft()
        del self._lanes[name]

    async def _send(self, intent: Intent, loop: Loop) -> None:
        start = await loop.retry(partial(self._start, intent, utc_now()))
        if start == "elsewhere":
            return
        state: IntentState = "refused"
        if start == "claim_over":
            reason = "claim_over"
        elif utc_now() > intent.deadline:
            reason = "too_late"
        else:
            state, reason = await self._carry_out(intent)
        await loop.retry(partial(self._settle, intent, state, reason, utc_now()))

    async def _start(self, intent: Intent, now: datetime) -> Literal["mine", "elsewhere", "claim_over"]:
        """Mark an intent as being sent, unless another process does, and see whether it still may be."""
        async with self.db.begin() as conn:
            if not await intents.start(conn, intent.id, now=now):
                return "elsewhere"
            is_over = intent.kind == "take" and not await queue.is_held(conn, intent.claim_id or "")
        return "claim_over" if is_over else "mine"

    async def _carry_out(self, intent: Intent) -> tuple[IntentState, str]:
        """Do the intent's actions one after the other; return the outcome and its reason.

        What only prepares may fail without harm; once anything has been done, a failure after it is `unknown`.
        """
        has_acted = False
        try:
            told = await self._ask(intent)
            for action in actions_of(intent, self.pbx, told=told, region=self.region):
                await self._act(action)
                has_acted = has_acted or not action.prepares
        except (Refused, Unavailable, Unknown) as error:
            return _outcome(error, has_acted=has_acted)
        return "sent", ""

    async def _ask(self, intent: Intent) -> dict[str, str]:
        """Return what the PBX answered to the intent's questions, by variable."""
        told: dict[str, str] = {}
        for question in questions_of(intent, self.pbx):
            try:
                told[question.variable] = (await self._act(question.action())).get("Value", "")
            except Refused:
                if question.is_needed:
                    raise
        return told

    async def _act(self, action: Action) -> Mapping[str, str]:
        try:
            return await self.port.action(action.name, action.fields, deadline=ANSWER_WITHIN)
        except Unknown as error:
            if action.prepares:
                raise Unavailable(error.code, error.message, **error.details) from error
            raise

    async def _settle(self, intent: Intent, state: IntentState, reason: str, now: datetime) -> None:
        async with self.db.begin() as conn:
            if not await intents.settle(conn, intent.id, state, reason=reason, now=now):
                return
            if intent.kind in recording_switch.KINDS and state == "sent":
                await recording_switch.note(conn, intent, now=now)
            if intent.kind == "take" and state == "refused" and intent.claim_id:
                await queue.take_back(conn, intent.claim_id, reason=reason or "refused", now=now)


def _outcome(error: HubError, *, has_acted: bool) -> tuple[IntentState, str]:
    if isinstance(error, Unknown) or has_acted:
        return "unknown", error.message
    return "refused", str(error.details.get("reason", error.message))


def _lane_of(intent: Intent) -> str:
    return f"call {intent.call_id}" if intent.call_id is not None else f"intent {intent.id}"
