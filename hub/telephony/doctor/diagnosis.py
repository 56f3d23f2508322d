"""What is wrong with a PBX, from what was seen of it, and the line that mends it. Pure.

Decides only; `doctor` asks. `bad` is what breaks calls or a promise, `warn` what is dangerous or will break them.
Invariant: every finding that is not `ok` names the file and the line that mends it, and never a secret.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from hub.sanitize import shown
from hub.settings import Pbx
from hub.telephony.doctor.seen import Finding, HttpSeen, Level, QueueSeen, Seen, Trouble
from hub.telephony.doctor.shipped import DIALPLAN_VERSION, READ, WRITE, filter_line
from hub.telephony.tracking.directions import PbxRules, counts_as_phone

_SHOWS_CLASS = {
    "call": ("Redirect", "Atxfer", "BlindTransfer"),
    "agent": ("QueueAdd", "QueuePause"),
    "originate": ("Originate",),
    "reporting": ("CoreShowChannels", "CoreStatus"),
}
"""`ListCommands` names only what the asker may do: any of these shows that its class is given."""
_TOO_MUCH = {
    "command": ("Command",),
    "config": ("UpdateConfig", "CreateConfig"),
    "system": ("ModuleLoad", "DBPut", "Filter"),
    "agi": ("AGI",),
}
CLAIM_LASTS_S, LITTLE_RING_S, MAX_RING_S = 45, 3, 180
CLOCK_WARN_S, CLOCK_BAD_S = 2.0, 60.0
CERTIFICATE_WARN_DAYS = 14


def judge(pbx: Pbx, seen: Seen) -> list[Finding]:
    """Return what is to be said of a PBX, in the order in which an operator mends it."""
    place = f"pbx {pbx.name}"
    found = _connection(pbx, seen) if seen.trouble else _all(pbx, seen)
    files = in_freepbx if seen.is_freepbx else str
    return [Finding(level, place, shown(text, max_chars=400), files(mend)) for level, text, mend in found]


_IN_FREEPBX = (
    ("manager.conf, [general]:", "manager_custom.conf, [general](+):"),
    ("manager.conf", "manager_custom.conf"),
    ("extensions.conf, [globals]:", "globals_custom.conf:"),
    ("extensions.conf", "extensions_custom.conf"),
    ("queues.conf", "queues_custom.conf"),
    ("musiconhold.conf", "musiconhold_custom.conf"),
    ("`asterisk -rx 'dialplan reload'`", "`fwconsole reload`"),
    ("`asterisk -rx 'queue reload all'`", "`fwconsole reload`"),
)


def in_freepbx(mend: str) -> str:
    """Name the files that are an operator's on FreePBX, which writes the main ones anew."""
    for plain, custom in _IN_FREEPBX:
        mend = mend.replace(plain, custom)
    return mend


_Said = tuple[Level, str, str]


def _all(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    yield "ok", f"signed in as {pbx.username}; Asterisk {seen.version}", ""
    yield from _wire(seen)
    yield from _clock(seen)
    yield from _rights(pbx, seen)
    yield from _events(pbx, seen)
    yield from _dialplan(pbx, seen)
    yield from _numbers(pbx, seen)
    yield from _ring(seen)
    yield from _variables(pbx, seen)
    yield from _queues(pbx, seen)
    yield from _phones(pbx, seen)
    yield from _http(pbx, seen)


# The line


def _connection(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    where = f"{pbx.host}:{pbx.port}"
    ours = seen.our_address or "this machine"
    listen = f"manager.conf, [general]:  enabled = yes · port = {pbx.port} · bindaddr = "
    mends: dict[Trouble, str] = {
        "refused": f"{listen}{_bind_address(pbx)}; or mend pbx.host and pbx.port",
        "unknown_host": "pbx.host: a name that resolves, or an address",
        "unreachable": f"pbx.host; or let {ours} through to {where}",
        "silent": f"pbx.host and pbx.port; or let {ours} through the firewall to {where}",
        "tls": f"pbx.port: the port without TLS; {listen}127.0.0.1",
        "not_ami": f"pbx.port: the port of manager.conf ({listen.removeprefix('manager.conf, ')}…)",
        "sign_in": (
            f"manager.conf:  [{pbx.username}] · secret = the word in pbx.secret_file · "
            f"permit = {ours}/255.255.255.255; then `asterisk -rx 'manager reload'`"
        ),
        "lost": "see Asterisk's log; then run `hub doctor` again",
    }
    texts: dict[Trouble, str] = {
        "sign_in": (
            f"{where} refused the sign-in of {pbx.username} from {ours} (Asterisk says the same of an "
            "unknown user, a wrong secret and a forbidden address)"
        ),
        "refused": f"{where}: connection refused: nobody listens there",
        "unknown_host": f"{pbx.host}: there is no host of this name",
        "tls": f"{where} speaks TLS, and Hub speaks AMI without",
        "not_ami": f"{where} is not an Asterisk manager interface",
        "silent": f"{where} does not answer",
    }
    assert seen.trouble is not None
    mend = mends[seen.trouble]
    # Whether it is a FreePBX cannot be asked without a line.
    if "manager.conf" in mend:
        mend += " (FreePBX: in manager_custom.conf)"
    if seen.trouble in ("silent", "unreachable"):
        mend += f" (FreePBX: Connectivity, Firewall, Networks: {ours} as Trusted)"
    yield "bad", texts.get(seen.trouble, f"{where}: {seen.reason}"), mend


def _bind_address(pbx: Pbx) -> str:
    return pbx.host if _is_address(pbx.host) else "0.0.0.0"  # noqa: S104  # what the operator writes, not what we bind


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _wire(seen: Seen) -> Iterator[_Said]:
    if _is_address(seen.peer_address) and not ipaddress.ip_address(seen.peer_address).is_loopback:
        text = f"the secret and every number cross the network to {seen.peer_address} in clear"
        yield "warn", text, 'a tunnel (WireGuard, stunnel), or Hub on the PBX\'s machine:  pbx.host = "127.0.0.1"'


def _clock(seen: Seen) -> Iterator[_Said]:
    off_s = seen.clock_off_s
    if off_s is None:
        return
    if abs(off_s) <= CLOCK_WARN_S:
        yield "ok", f"its clock differs by {abs(off_s):.1f} s", ""
        return
    level: Level = "bad" if abs(off_s) > CLOCK_BAD_S else "warn"
    word = "ahead of" if off_s > 0 else "behind"
    yield level, f"its clock is {abs(off_s):.0f} s {word} this machine's", "on both:  timedatectl set-ntp true"


# What the AMI user may do, and what it hears


def _rights(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    if seen.commands is None:
        yield "warn", "does not say which actions are allowed (ListCommands)", f"[{pbx.username}]:  {_write_line()}"
        return
    missing = [name for name, shows in _SHOWS_CLASS.items() if not seen.commands.intersection(shows)]
    if missing:
        text = f"{pbx.username} lacks the right to write: {', '.join(missing)}"
        yield "bad", text, f"manager.conf, [{pbx.username}]:  {_write_line()}"
    if "QueueWithdrawCaller" not in seen.commands:
        text = "there is no action QueueWithdrawCaller, by which a waiting caller is taken"
        yield "bad", text, "modules.conf:  load = app_queue.so; or Asterisk 22 (16.30, 18.16 and 20.1 are the oldest)"
    too_much = {name: shows for name, shows in _TOO_MUCH.items() if seen.commands.intersection(shows)}
    if too_much:
        can = ", ".join(
            f"{name} ({next(one for one in shows if one in seen.commands)})" for name, shows in too_much.items()
        )
        text = f"{pbx.username} may do more than Hub needs: {can}; whoever gets the secret, gets that"
        yield "warn", text, f"manager.conf, [{pbx.username}]:  {_write_line()}"
    if not missing and not too_much:
        yield "ok", f"{pbx.username} may do what Hub does and no more", ""
    if seen.manager and not seen.manager.get("deny") and not seen.manager.get("acl"):
        text = f"{pbx.username} may sign in from anywhere"
        line = f"deny = 0.0.0.0/0.0.0.0 · permit = {seen.our_address or '127.0.0.1'}/255.255.255.255"
        yield "warn", text, f"manager.conf, [{pbx.username}]:  {line}"


def _write_line() -> str:
    return f"write = {','.join(WRITE)}"


def _events(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    user = f"manager.conf, [{pbx.username}]"
    probe = seen.probe
    told = {word.strip() for word in seen.manager.get("read", "").split(",")} - {""}
    heard = {
        "system": seen.has_booted_event,
        "call": None if probe is None or probe.refusal else probe.answered,
        "agent": seen.has_queue_events,
        "user": None if probe is None or probe.refusal else probe.said_so,
    }
    missing = [
        n for n, is_heard in heard.items() if is_heard is False or (is_heard is None and told and not told & {n, "all"})
    ]
    untried = [n for n, is_heard in heard.items() if is_heard is None and not told]
    if missing:
        yield (
            "bad",
            f"events of these classes do not reach Hub: {', '.join(missing)}",
            f"{user}:  read = {','.join(READ)}",
        )
    if untried:
        why = f" ({probe.refusal})" if probe is not None and probe.refusal else ""
        text = f"whether events of these classes reach Hub could not be tried{why}: {', '.join(untried)}"
        yield "warn", text, "mend what is said of rights, queues and the dialplan, and run `hub doctor` again"
    if not missing and not untried:
        yield "ok", "the events that Hub lives by reach it", ""
    if probe is None or probe.refusal or not probe.answered:
        return
    if probe.unwanted:
        names = ", ".join(f"{count} {name}" for name, count in sorted(probe.unwanted.items()))
        lines = " · ".join(filter_line(name, seen.version) for name in sorted(probe.unwanted))
        text = f"the event filter is not in force: one short call brought {names}"
        yield "warn", text, f"{user}:  read = {','.join(READ)} · {lines}"
    else:
        yield "ok", "the event filter is in force", ""
    if not probe.has_timestamps:
        text = "events carry no time of their own"
        yield "warn", text, "manager.conf, [general]:  timestampevents = yes"
    timeout = seen.manager.get("writetimeout", "")
    if seen.manager and not (timeout.isdigit() and int(timeout) >= 1000):
        text = "the PBX cuts the line when it has waited for 100 ms"
        yield "warn", text, f"{user}:  writetimeout = 1000"
    if not probe.music:
        text = "there is no music on hold: callers wait in silence"
        line = "musiconhold.conf:  [default] · mode = files · directory = a folder with sound files"
        yield "bad", text, f"{line}; then `asterisk -rx 'moh reload'`"


# The dialplan


def _dialplan(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    versions = seen.contexts.get("hub-version")
    include = "extensions.conf, at its end:  #include extensions_hub.conf"
    if versions is None and "hub-in" not in seen.contexts:
        yield "bad", "Hub's dialplan is not there", f"{include}; then `asterisk -rx 'dialplan reload'`"
        return
    is_fitting = versions is not None and DIALPLAN_VERSION in versions
    if is_fitting:
        yield "ok", f"Hub's dialplan is there, version {DIALPLAN_VERSION}", ""
    else:
        have = ", ".join(sorted(versions)) if versions else "1"
        mend = "copy config/asterisk/extensions_hub.conf to /etc/asterisk; then `asterisk -rx 'dialplan reload'`"
        yield "bad", f"Hub's dialplan is of version {have}, and this Hub needs {DIALPLAN_VERSION}", mend
    if pbx.dial_context not in seen.contexts:
        text = f"there is no context {pbx.dial_context}: click-to-call cannot dial"
        yield "bad", text, 'pbx.dial_context = "hub-out"; ' + include
    for (context, extension), leads in seen.reached.items():
        if not leads:
            yield "bad", *_leads_nowhere(context, extension)


def _numbers(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    """Say whether a number outside, written as Hub writes it, finds a route."""
    if not seen.reached.get(("hub-trunk", seen.dialled)):
        return
    context, extension, leads = seen.route or ("hub-trunk", seen.dialled, None)
    show = f"`asterisk -rx 'dialplan show {extension}@{context}'`"
    if leads is False:
        text = f"a number outside is dialled as {extension}, and {context} has no route for that"
        mend = f'pbx.dial_format = "national", "digits" or as your routes are written; {show} shows what is there'
        yield "bad", text, mend
    elif leads:
        yield "ok", f"a number outside is dialled as {extension}, and {context} has a route for that", ""
    else:
        yield "ok", f"a number outside is dialled as {seen.dialled}; {show} shows the route", ""


def _ring(seen: Seen) -> Iterator[_Said]:
    """Judge how long a manager's phone rings. A dialplan before version 3 rings for whatever is written."""
    told = seen.variables.get("HUB_RING", "")
    if not told:
        return
    line = "extensions.conf, [globals]:  HUB_RING = 20"
    ring_s = int(told) if told.isascii() and told.isdigit() and len(told) < 6 else 0
    is_todays = DIALPLAN_VERSION in seen.contexts.get("hub-version", frozenset())
    if ring_s == 0:
        yield "warn", f"HUB_RING = {told} is no number of seconds: phones ring for 20", line
    elif not is_todays and ring_s >= CLAIM_LASTS_S:
        text = (
            f"HUB_RING = {ring_s}: this dialplan does not tell Hub, and after {CLAIM_LASTS_S} s a call is offered again"
        )
        yield "bad", text, line
    elif ring_s > MAX_RING_S:
        yield "warn", f"HUB_RING = {ring_s}: phones ring for {MAX_RING_S} s, which is the most", line
    elif ring_s < LITTLE_RING_S:
        yield "warn", f"HUB_RING = {ring_s}: nobody picks a phone up within {ring_s} s", line
    else:
        yield "ok", f"a manager's phone rings for {ring_s} s", ""


def _leads_nowhere(context: str, extension: str) -> tuple[str, str]:
    line = {
        "hub-trunk": "exten => _[+0-9]!,1,Dial(PJSIP/${FILTER(0-9,${EXTEN})}@trunk,60)",
        "hub-fallback": "exten => _[a-zA-Z0-9]!,1,Dial(PJSIP/101,60,m)",
    }.get(context)
    what = {
        "hub-trunk": "no number outside can be called",
        "hub-fallback": "a caller whom nobody takes is dropped",
    }.get(context, "callers do not reach their team")
    text = f"extension {extension} in the context {context} leads nowhere: {what}"
    return text, f"extensions.conf:  [{context}] · {line}" if line else "copy config/asterisk/extensions_hub.conf anew"


def _variables(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    told = seen.variables
    tech = told.get("HUB_PHONE_TECH") or "PJSIP"
    if tech != pbx.phone_tech:
        text = f"the dialplan rings phones as {tech}/…, and Hub as {pbx.phone_tech}/…"
        yield (
            "bad",
            text,
            f'extensions.conf, [globals]:  HUB_PHONE_TECH = {pbx.phone_tech}; or pbx.phone_tech = "{tech}"',
        )
    if not pbx.dialplan_secret:
        return
    if not told.get("HUB_URL"):
        text = "the dialplan does not know where Hub answers: blacklist, hours and own managers are passed over"
        yield (
            "warn",
            text,
            "extensions.conf, [globals]:  HUB_URL = http://127.0.0.1:8080 · hub_ask.conf:  [hub] · secret = …",
        )
    elif (told.get("HUB_PBX") or "office") != pbx.name:
        text = f"the dialplan asks for PBX {told.get('HUB_PBX') or 'office'}"
        yield "bad", text, f"extensions.conf, [globals]:  HUB_PBX = {pbx.name}"
    elif seen.has_ask_secret is False:
        text = "the dialplan's secret is not Hub's: what it asks is refused, and callers go the plain way"
        mend = (
            "hub_ask.conf:  [hub] · secret = the word in pbx.dialplan_secret_file; modules.conf:  load = func_config.so"
        )
        yield "bad", text, mend
    elif seen.reaches_hub is False:
        text = f"the dialplan asks Hub at {told['HUB_URL']}, and nothing answers there: callers go the plain way"
        yield (
            "warn",
            text,
            "start `hub serve`; or extensions.conf, [globals]:  HUB_URL = where web.host and web.port are",
        )
    elif seen.reaches_hub:
        yield "ok", "the dialplan reaches Hub", ""


# Queues and phones


def _queues(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    if not pbx.team:
        yield (
            "warn",
            "has no team: nobody is offered its callers",
            '[[pbx.team]] · queue = "hub-sales" · team = "sales"',
        )
        return
    if seen.queues is None:
        yield "bad", "does not list its queues", "modules.conf:  load = app_queue.so"
        return
    good: list[str] = []
    for team in pbx.team:
        problems = list(_queue(team.queue, seen.queues.get(team.queue)))
        yield from problems
        good += [] if problems else [team.queue]
    if good:
        yield "ok", f"queues are there: {', '.join(good)}", ""


def _queue(name: str, queue: QueueSeen | None) -> Iterator[_Said]:
    if not name.startswith("hub-"):
        text = f"queue {name}: Hub's dialplan sends callers to queues named hub-… only"
        yield "bad", text, f'pbx.team.queue = "hub-{name}" · queues.conf:  [hub-{name}](hub-template)'
    if queue is None:
        yield (
            "bad",
            f"there is no queue {name}",
            f"queues.conf:  [{name}](hub-template); then `asterisk -rx 'queue reload all'`",
        )
        return
    if queue.members:
        text = f"queue {name} has {_count(queue.members, 'member')}: Asterisk rings them by itself, beside Hub"
        yield "bad", text, f"queues.conf, [{name}]:  no member = …; `asterisk -rx 'queue remove member … from {name}'`"
    if queue.max_callers:
        yield "warn", f"queue {name} turns callers away past {queue.max_callers}", f"queues.conf, [{name}]:  maxlen = 0"
    if queue.join_empty is not None and queue.join_empty.lower() not in ("yes", "true", "1", "on", "y", "t"):
        text = f"queue {name} does not let callers in, since it has no members"
        yield "bad", text, f"queues.conf, [{name}]:  joinempty = yes · leavewhenempty = no"


def _phones(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    good = 0
    rules = PbxRules(pbx=pbx.name, internal_contexts=frozenset(pbx.internal_contexts) or None)
    for extension, phone in seen.phones.items():
        whose = f"{pbx.phone_tech}/{extension} ({phone.owner})"
        if phone.state == "INVALID":
            text = f"there is no phone {whose}"
            yield "bad", text, f"pjsip.conf:  [{extension}] · type = endpoint; or mend the person's extension"
        elif phone.state == "UNAVAILABLE":
            yield "warn", f"phone {whose} is not registered", "sign the telephone in; calls cannot be given to it"
        elif phone.context and not counts_as_phone(extension, rules, context=phone.context):
            all_of_them = {*pbx.internal_contexts, *(one.context for one in seen.phones.values() if one.context)}
            contexts = ", ".join(f'"{name}"' for name in sorted(all_of_them))
            text = f"phone {whose} dials from the context {phone.context}, which Hub takes for an outside line's"
            yield "bad", text, f"pbx.internal_contexts = [{contexts}]"
        elif phone.state:
            good += 1
    if good:
        yield "ok", f"{_count(good, 'phone')} of Hub's people {'is' if good == 1 else 'are'} there", ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# Its web server


def _http(pbx: Pbx, seen: Seen) -> Iterator[_Said]:
    if seen.http is None:
        return
    if seen.http.status in (403, 404):
        text = f"{pbx.http_url}/httpstatus: {seen.http.status}"
        yield (
            "bad",
            text,
            "http.conf, [general]:  enable_status = yes; or mend pbx.http_url (it holds http.conf's prefix)",
        )
        return
    yield from web_address("http_url", seen.http, fine=frozenset({200}))


def web_address(key: str, seen: HttpSeen, *, fine: frozenset[int]) -> Iterator[_Said]:
    """Judge what a web address answered."""
    if seen.status is None:
        mend = f"pbx.{key}; or http.conf, [general]:  enabled = yes · enable_status = yes · bindaddr = 127.0.0.1"
        yield "bad", f"{key}: {seen.error}", mend
    elif seen.status not in fine:
        yield "bad", f"{key}: answered {seen.status}", f"pbx.{key} and its user name and password"
    else:
        yield "ok", f"{key} answers", ""
    yield from certificate(key, seen.days_left)


def certificate(key: str, days_left: int | None) -> Iterator[_Said]:
    """Judge how long a certificate is good for."""
    if days_left is not None and days_left < CERTIFICATE_WARN_DAYS:
        yield (
            "warn",
            f"{key}: its certificate ends in {_count(days_left, 'day')}",
            "renew it, and let it be renewed by itself",
        )
