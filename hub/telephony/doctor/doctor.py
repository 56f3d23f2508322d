"""Ask one PBX everything that `diagnosis` judges: over a line of its own, changing nothing that stays.

Asks by what Hub's AMI user may do anyway. Two things are tried for a moment, since no action tells them: a call over
a Local channel into the shipped context `hub-doctor`, which rings no phone, and a paused member put into a queue and
taken out. Invariants: every wait has an end, and what was put in is taken out again.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from hub.clock import utc_now
from hub.errors import HubError, Refused, Unavailable
from hub.settings import Pbx
from hub.telephony.control.dial_format import any_number, written
from hub.telephony.doctor.reach import WITHIN, ask_web, our_address, peer_address, trouble_of
from hub.telephony.doctor.seen import PhoneSeen, ProbeSeen, QueueSeen, Seen
from hub.telephony.doctor.shipped import DIALPLAN_VERSION, FILTERED
from hub.telephony.line.link import Down, FrameReceived, PbxLink, Timing, Up
from hub.telephony.line.wire import Fields, Frame

PROBE_WITHIN_S = 3.0
QUEUE_EVENT_WITHIN_S = 2.0
MAX_PHONES = 500
PROBE = "Local/probe@hub-doctor"
CONTEXTS = ("hub-version", "hub-in", "hub-trunk", "hub-fallback", "hub-doctor")
FREEPBX = "from-internal-additional"
"""A context that FreePBX writes, and nobody else."""
NO_ROUTE = frozenset({"bad-number"})
"""Where FreePBX tells callers that there is no route."""
VARIABLES = ("HUB_PHONE_TECH", "HUB_CALLERID", "HUB_URL", "HUB_PBX", "HUB_WAIT", "HUB_RING", "HUB_SECOND_PREFIX")
MANAGER_KEYS = ("read", "write", "deny", "permit", "acl", "writetimeout")
_GOTO = re.compile(r"([A-Za-z0-9_-]+),(.+),(1|n|[a-z]+)")
_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:-]+")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


async def look(pbx: Pbx, owners: Mapping[str, str], *, region: str = "RU") -> Seen:
    """Return what was seen. `owners`: whose phone each extension is; `region`: where the PBX dials from.

    Never raises for what a PBX does.
    """
    seen = Seen(our_address=await asyncio.to_thread(our_address, pbx))
    seen.dialled = written(any_number(region), pbx.dial_format, region)
    async with _line(pbx) as ears:
        try:
            async with asyncio.timeout(20):
                first = await ears.first
        except TimeoutError:
            first = Down("no answer in time", auth_refused=False)
        if isinstance(first, Down):
            seen.trouble, seen.reason = await trouble_of(pbx, first), first.reason
        else:
            seen.version = first.version
            try:
                await _ask_all(pbx, ears, seen, owners)
            except Unavailable as error:
                seen.trouble, seen.reason = "lost", error.message
    if pbx.http_url:
        seen.http = await ask_web(f"{pbx.http_url.rstrip('/')}/httpstatus")
    return seen


class _Ears:
    """The line, and all that was heard on it."""

    def __init__(self, link: PbxLink) -> None:
        self.link = link
        self.first: asyncio.Future[Up | Down] = asyncio.get_running_loop().create_future()
        self.heard: list[Frame] = []
        self._news = asyncio.Event()

    async def listen(self) -> None:
        async for item in self.link.incoming():
            if isinstance(item, FrameReceived):
                if len(self.heard) < 50_000:
                    self.heard.append(item.frame)
            elif not self.first.done():
                self.first.set_result(item)
            self._news.set()

    async def until(self, done: Callable[[], object], *, at_most_s: float) -> bool:
        """Wait until it is so; False if it is not in time."""
        try:
            async with asyncio.timeout(at_most_s):
                while not done():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def events(self, name: str, **fields: str) -> list[Frame]:
        """What was heard of this name, with these headers."""
        return [
            frame
            for frame in self.heard
            if frame.get("Event") == name and all(frame.get(key) == value for key, value in fields.items())
        ]

    async def ask(self, name: str, fields: Fields) -> Frame | None:
        """Return the answer, None where the PBX says no. Raises Unavailable when the line is gone."""
        try:
            return await self.link.action(name, fields, deadline=WITHIN)
        except Unavailable:
            raise
        except HubError:
            return None

    async def rows(self, name: str, fields: Fields) -> list[Frame] | None:
        """Return a list's rows, None where the PBX says no."""
        try:
            return await self.link.list_action(name, fields, deadline=WITHIN)
        except Unavailable:
            raise
        except HubError:
            return None

    async def value(self, expression: str) -> str | None:
        """Return a global variable or what a function says; None where that may not be asked."""
        answer = await self.ask("Getvar", {"Variable": expression})
        return None if answer is None else answer.get("Value", "")


@asynccontextmanager
async def _line(pbx: Pbx) -> AsyncIterator[_Ears]:
    timing = Timing(connect_within=WITHIN, login_within=WITHIN, auth_pause=timedelta(hours=1))
    ears = _Ears(PbxLink(pbx, skip=frozenset(), timing=timing))
    tasks = [asyncio.create_task(ears.link.run()), asyncio.create_task(ears.listen())]
    try:
        yield ears
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _ask_all(pbx: Pbx, ears: _Ears, seen: Seen, owners: Mapping[str, str]) -> None:
    began = utc_now()
    pong = await ears.ask("Ping", {}) or {}
    seen.clock_off_s = _seconds_off(pong.get("Timestamp", ""), (began.timestamp() + utc_now().timestamp()) / 2)
    seen.peer_address = await peer_address(pbx)
    seen.has_booted_event = bool(ears.events("FullyBooted"))
    commands = await ears.ask("ListCommands", {})
    seen.commands = frozenset(commands) - {"Response", "ActionID"} if commands else None
    for key in MANAGER_KEYS if _PLAIN.fullmatch(pbx.username) else ():
        if value := await ears.value(f"AST_CONFIG(manager.conf,{pbx.username},{key})"):
            seen.manager[key] = value
    await _ask_dialplan(pbx, ears, seen)
    await _ask_queues(pbx, ears, seen)
    await _ask_phones(pbx, ears, seen, owners)
    seen.probe = await _probe(ears, seen)
    seen.has_queue_events = await _try_queue_events(pbx, ears, seen)


def _seconds_off(told: str, now_s: float) -> float | None:
    try:
        off_s = float(told) - now_s
    except ValueError:
        return None
    return off_s if math.isfinite(off_s) else None


# Dialplan, queues, phones


async def _ask_dialplan(pbx: Pbx, ears: _Ears, seen: Seen) -> None:
    for context in (*CONTEXTS, pbx.dial_context):
        rows = await ears.rows("ShowDialPlan", {"Context": context})
        extensions = frozenset(row.get("Extension", "") for row in rows or () if row.get("Context") == context)
        if extensions:
            seen.contexts[context] = extensions
        elif context == "hub-version" and await _leads(ears, context, DIALPLAN_VERSION):
            # `reporting` is not given: what stands there cannot be listed, but it can be asked for.
            seen.contexts[context] = frozenset({DIALPLAN_VERSION})
    teams = [team.queue.removeprefix("hub-") for team in pbx.team]
    places = [(context, team) for team in teams for context in ("hub-in", "hub-fallback")]
    for context, extension in [("hub-trunk", seen.dialled), *places]:
        leads = await _leads(ears, context, extension)
        if leads is not None:
            seen.reached[context, extension] = leads
            if leads:
                seen.contexts.setdefault(context, frozenset({extension}))
    if seen.reached.get(("hub-trunk", seen.dialled)):
        seen.route = await _route(ears, seen.dialled)
    seen.is_freepbx = bool(await ears.rows("ShowDialPlan", {"Context": FREEPBX}))
    for name in VARIABLES:
        if (value := await ears.value(name)) is not None:
            seen.variables[name] = value
    url = seen.variables.get("HUB_URL", "")
    if pbx.dialplan_secret and _WEB_ADDRESS.fullmatch(url):
        secret = await ears.value("AST_CONFIG(hub_ask.conf,hub,secret)")
        seen.has_ask_secret = None if secret is None else secret == pbx.dialplan_secret.reveal()
        answer = await ears.value(f"CURL({url}/healthz)")
        seen.reaches_hub = None if answer is None else '"ok"' in answer


async def _leads(ears: _Ears, context: str, extension: str) -> bool | None:
    """Whether a call would find something there; None where the PBX does not say."""
    answer = await ears.value(f"DIALPLAN_EXISTS({context},{extension},1)")
    return {"1": True, "0": False}.get(answer or "")


async def _route(ears: _Ears, number: str) -> tuple[str, str, bool | None] | None:
    """Follow the number from [hub-trunk] to the routes it is sent on to; None where it is sent nowhere else."""
    rows = await ears.rows("ShowDialPlan", {"Context": "hub-trunk", "Extension": number}) or []
    first = next((row.get("Extension", "") for row in rows if row.get("Context") == "hub-trunk"), "")
    for row in rows:
        if row.get("Extension") == first and row.get("Application") == "Goto":
            found = _GOTO.fullmatch(row.get("AppData", ""))
            extension = sent_on(found[2], number) if found else None
            if found is None or extension is None:
                return "hub-trunk", number, None
            there = await ears.rows("ShowDialPlan", {"Context": found[1], "Extension": extension})
            if there is None:
                leads = await _leads(ears, found[1], extension)
                return found[1], extension, False if leads is False else None
            contexts = {one.get("Context", "") for one in there if one.get("Extension")}
            return found[1], extension, bool(contexts - NO_ROUTE)
    return None


def sent_on(text: str, number: str) -> str | None:
    """Work out what an operator's `8${EXTEN:2}` or `${FILTER(0-9,${EXTEN})}` makes of a number; None: too artful."""
    digits = re.sub(r"\D", "", number)
    text = text.replace("${FILTER(0-9,${EXTEN})}", digits)
    text = re.sub(r"\$\{FILTER\(0-9,\$\{EXTEN:(\d{1,2})\}\)\}", lambda m: re.sub(r"\D", "", number[int(m[1]) :]), text)
    text = re.sub(r"\$\{EXTEN(?::(\d{1,2}))?\}", lambda m: number[int(m[1] or 0) :], text)
    return text if re.fullmatch(r"[0-9+*#]{1,30}", text) else None


async def _ask_queues(pbx: Pbx, ears: _Ears, seen: Seen) -> None:
    queues: dict[str, QueueSeen] = {}
    for team in pbx.team:
        rows = await ears.rows("QueueStatus", {"Queue": team.queue})
        if rows is None:
            return
        for row in rows:
            if row.get("Event") == "QueueParams" and row.get("Queue") == team.queue:
                most = row.get("Max", "0")
                queues[team.queue] = QueueSeen(
                    members=sum(one.get("Event") == "QueueMember" for one in rows),
                    max_callers=int(most) if most.isascii() and most.isdigit() and len(most) < 10 else 0,
                    join_empty=await ears.value(f"AST_CONFIG(queues.conf,{team.queue},joinempty)") or None,
                )
    seen.queues = queues


async def _ask_phones(pbx: Pbx, ears: _Ears, seen: Seen, owners: Mapping[str, str]) -> None:
    for extension, owner in list(owners.items())[:MAX_PHONES]:
        state = await ears.value(f"DEVICE_STATE({pbx.phone_tech}/{extension})") or ""
        context = ""
        if pbx.phone_tech == "PJSIP" and state not in ("", "INVALID"):
            context = await ears.value(f"PJSIP_ENDPOINT({extension},context)") or ""
        seen.phones[extension] = PhoneSeen(owner, state, context)


# What only trying shows


async def _probe(ears: _Ears, seen: Seen) -> ProbeSeen:
    """Call the doctor's own extension and listen to what is told of that."""
    probe = ProbeSeen()
    if "hub-doctor" not in seen.contexts:
        probe.refusal = "Hub's dialplan has no context hub-doctor"
        return probe
    token = secrets.token_hex(8)
    began = len(ears.heard)
    fields = {"Channel": PROBE, "Context": "hub-doctor", "Exten": "listen", "Priority": "1", "Async": "true"}
    try:
        await ears.link.action(
            "Originate", {**fields, "Timeout": "3000", "Variable": f"HUB_PROBE={token}"}, deadline=WITHIN
        )
    except Refused as error:
        probe.refusal = f"Originate: {error.details.get('reason', error.message)}"
        return probe

    def ours(name: str) -> list[Frame]:
        return [frame for frame in ears.events(name) if _is_ours(frame)]

    def said_so() -> bool:
        return bool(ears.events("UserEvent", UserEvent="DoctorProbe", Probe=token))

    def is_over() -> bool:
        all_heard = bool(ours("OriginateResponse") and ours("MusicOnHoldStart")) and said_so()
        return all_heard or len(ours("Hangup")) >= 2

    await ears.until(is_over, at_most_s=PROBE_WITHIN_S)
    probe.answered, probe.said_so, probe.music = (
        bool(ours("OriginateResponse")),
        said_so(),
        bool(ours("MusicOnHoldStart")),
    )
    for frame in ours("OriginateResponse"):
        # It would end by itself within two seconds.
        await ears.ask("Hangup", {"Channel": frame["Channel"]})
    probe.has_timestamps = any("Timestamp" in frame for frame in ours("Newchannel"))
    for frame in ears.heard[began:]:
        if (name := frame.get("Event", "")) in FILTERED:
            probe.unwanted[name] = probe.unwanted.get(name, 0) + 1
    return probe


def _is_ours(frame: Frame) -> bool:
    return frame.get("Channel", "").startswith(f"{PROBE}-")


async def _try_queue_events(pbx: Pbx, ears: _Ears, seen: Seen) -> bool | None:
    """Put a paused member into a queue, where Asterisk rings nobody, and see whether that is told."""
    queue = next((team.queue for team in pbx.team if seen.queues and team.queue in seen.queues), None)
    if queue is None or (seen.commands is not None and "QueueAdd" not in seen.commands):
        return None
    member = {"Queue": queue, "Interface": f"{PROBE}-{secrets.token_hex(4)}"}
    try:
        if await ears.ask("QueueAdd", {**member, "Paused": "true", "Penalty": "99"}) is None:
            return None
        return await ears.until(
            lambda: ears.events("QueueMemberAdded", Interface=member["Interface"]), at_most_s=QUEUE_EVENT_WITHIN_S
        )
    finally:
        # Also when this is cancelled: a member that stays would be one that nobody asked for.
        await asyncio.shield(asyncio.ensure_future(ears.ask("QueueRemove", member)))
