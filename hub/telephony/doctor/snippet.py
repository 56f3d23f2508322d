"""The configuration of an Asterisk for the names in Hub's, ready to be pasted. Pure.

Decides what goes into which file; the dialplan itself is config/asterisk/extensions_hub.conf, the same for everybody.
Invariant: no secret is in what it writes, and nothing of it needs an edit but where it says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hub.crm.addresses import parse_phone
from hub.settings import Pbx
from hub.telephony.control.dial_format import any_number, written
from hub.telephony.doctor.shipped import FILTER_LINES, OLD_FILTER_LINES, READ, WRITE

_QUEUE = """[hub-template](!)
joinempty = yes                 ; there are no members, and callers join all the same
leavewhenempty = no
retry = 1                       ; how often Asterisk looks whether somebody took the caller: at most a second
strategy = ringall
musicclass = default
announce-frequency = 0
announce-holdtime = no
announce-position = no
"""


def snippet(
    pbx: Pbx,
    *,
    our_address: str,
    region: str,
    trunk: str,
    fallback: Sequence[str],
    freepbx: bool,
    dialplan: str = "config/asterisk/extensions_hub.conf",
) -> str:
    """Return the text.

    `our_address`: where Hub connects from; `trunk`: the endpoint that leads outside; `fallback`: extensions that ring
    if nobody takes a caller; `dialplan`: the path of the shipped dialplan on this machine.
    """
    custom = "_custom" if freepbx else ""
    parts = [
        f"; Asterisk's side of Hub, PBX {pbx.name}. Each part goes to the end of the file that its line names, in\n"
        f"; /etc/asterisk. Copy {dialplan} there too; it is the same for everybody.\n",
        _part("manager_hub_secret.conf", _secret(), "a new file: chmod 640, owned by Asterisk"),
        *(
            [_part("hub_ask.conf", _ask_secret(), "a new file: chmod 640, owned by Asterisk")]
            if pbx.dialplan_secret
            else []
        ),
        _part(f"manager{custom}.conf", _manager(pbx, our_address, freepbx=freepbx)),
        _part(f"queues{custom}.conf", _queues(pbx)),
    ]
    if freepbx:
        parts.append(_part("globals_custom.conf", _globals(pbx, freepbx=freepbx)))
    parts.append(_part(f"extensions{custom}.conf", _dialplan(pbx, region, trunk, fallback, freepbx=freepbx)))
    parts.append(_last(pbx, region, our_address, freepbx=freepbx))
    return "\n".join(parts)


def _part(file: str, text: str, note: str = "") -> str:
    return f"; ==> {file}{' (' + note + ')' if note else ''}\n{text}"


def _secret() -> str:
    return "; one line, the word that pbx.secret_file holds:\n;secret = …\n"


def _ask_secret() -> str:
    return "[hub]\n; the word that pbx.dialplan_secret_file holds:\n;secret = …\n"


def _manager(pbx: Pbx, our_address: str, *, freepbx: bool) -> str:
    # FreePBX writes the rest of [general] itself.
    general = "[general](+)\n" + ("" if freepbx else "enabled = yes\n") + "timestampevents = yes\n\n"
    lines = [
        f"[{pbx.username}]",
        "#include manager_hub_secret.conf",
        "deny = 0.0.0.0/0.0.0.0",
        f"permit = {our_address or '127.0.0.1'}/255.255.255.255"
        + ("" if our_address else "      ; put the address of Hub's machine here: the host of the PBX is not known"),
        f"read = {','.join(READ)}",
        f"write = {','.join(WRITE)}",
        "writetimeout = 1000",
        # Which Asterisk a FreePBX has is not known here, and the older form is read by every one.
        *(OLD_FILTER_LINES if freepbx else FILTER_LINES),
    ]
    return general + "\n".join(lines) + "\n"


def _queues(pbx: Pbx) -> str:
    return _QUEUE + "\n" + "".join(f"[{name}](hub-template)\n" for name in dict.fromkeys(t.queue for t in pbx.team))


def _globals(pbx: Pbx, *, freepbx: bool) -> str:
    values = {"HUB_PHONE_TECH": pbx.phone_tech, "HUB_RING": "20", "HUB_WAIT": "300", "HUB_PBX": pbx.name}
    lines = [f"{name} = {value}" for name, value in values.items()]
    lines[1] += "   ; seconds that a manager's phone rings: 1 to 180"
    if freepbx:
        lines.append("HUB_SECOND_PREFIX = 99   ; the browser phone 99101 rings with 101")
    if pbx.dialplan_secret:
        lines += ["HUB_URL = http://127.0.0.1:8080   ; where Hub answers, as the PBX reaches it: an address, no name"]
    return "\n".join(lines) + "\n"


def _dialplan(pbx: Pbx, region: str, trunk: str, fallback: Sequence[str], *, freepbx: bool) -> str:
    rung = "&".join(f"{pbx.phone_tech}/{extension}" for extension in fallback)
    if freepbx:
        example = written(any_number(region), pbx.dial_format, region)
        out = (
            f"; Hub dials as pbx.dial_format says, now {pbx.dial_format}: {example}. It must be the form of your\n"
            "; Outbound Routes.\n"
            "exten => _[+0-9]!,1,Goto(from-internal,${FILTER(0-9,${EXTEN})},1)"
        )
    else:
        out = f"exten => _[+0-9]!,1,Dial({pbx.phone_tech}/${{FILTER(0-9,${{EXTEN}})}}@{trunk},60)"
    texts = [] if freepbx else ["[globals](+)", _globals(pbx, freepbx=freepbx)]
    if not freepbx:
        texts += [
            "; The context of your trunk's endpoint leads here (include => hub-numbers), or is this one.",
            "[hub-numbers]",
            *_numbers(pbx, region),
            "",
        ]
    texts += [
        "[hub-trunk]",
        out,
        " same => n,Hangup()",
        "",
        "; Who is rung when nobody took the caller. Keep the last line: who hangs up is not one more caller.",
        "[hub-fallback]",
        f"exten => _[a-zA-Z0-9]!,1,Dial({rung},60,m)",
        " same => n,Hangup()",
        "exten => h,1,Hangup()",
        "",
        "#include extensions_hub.conf",
        "",
    ]
    return "\n".join(texts)


def _numbers(pbx: Pbx, region: str) -> list[str]:
    """One line for each number of the company and way of writing it: to the first team, for the operator to change."""
    teams = [team.queue.removeprefix("hub-") for team in pbx.team] or ["sales"]
    lines: list[str] = []
    for raw in pbx.own_numbers:
        if phone := parse_phone(raw, region):
            for written in (phone.value, phone.value.removeprefix("+")):
                lines.append(f"exten => {written},1,Goto(hub-in,{teams[0]},1)")
    if not lines:
        lines.append(f";exten => 74950000100,1,Goto(hub-in,{teams[0]},1)   ; one line for each number of yours")
    if len(teams) > 1:
        lines.append(f"; the other teams: {', '.join(f'Goto(hub-in,{team},1)' for team in teams[1:])}")
    return lines


def _last(pbx: Pbx, region: str, our_address: str, *, freepbx: bool) -> str:
    teams = ", ".join(f"hub-in,{team.queue.removeprefix('hub-')},1" for team in pbx.team)
    reload = "fwconsole reload" if freepbx else "asterisk -rx 'core reload'"
    queue = pbx.team[0].queue if pbx.team else "hub-sales"
    steps: list[str] = []
    if freepbx:
        steps += [
            "; ==> before it: asterisk -rx 'core show version' says 16.30, 18.16, 20.1 or a newer one.",
            "; ==> Hub on another machine: Connectivity, Firewall, Networks: "
            f"{our_address or 'its address'} as Trusted",
            ";     (port 5038 in, and the port of HUB_URL out); permit above must name the address that FreePBX sees.",
            f"; ==> then: Admin, Custom Destinations: {teams}; choose them in your Inbound Routes.",
        ]
    steps += [
        f"; ==> then: {reload}. What to see:",
        f";     asterisk -rx 'manager show user {pbx.username}'     the user, with the rights above",
        f";     asterisk -rx 'queue show {queue}'    a queue without members",
        ";     asterisk -rx 'dialplan show hub-in'      the contexts of extensions_hub.conf",
        ";     asterisk -rx 'module show like curl'     func_curl and res_curl, for HUB_URL",
    ]
    if freepbx:
        number = re.sub("[^0-9]", "", written(any_number(region), pbx.dial_format, region))
        steps.append(
            f";     asterisk -rx 'dialplan show {number}@from-internal'   one of your outbound routes (outrt-…)"
        )
    return "\n".join([*steps, "; `hub doctor` says what is missing."]) + "\n"
