"""The configuration of an Asterisk for the names in Hub's, ready to be pasted. Pure.

Decides what goes into which file; the dialplan itself is config/asterisk/extensions_hub.conf, the same for everybody.
Invariant: no secret is in what it writes, and nothing of it needs an edit but where it says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from hub.crm.addresses import parse_phone
from hub.settings import Pbx
from hub.telephony.doctor.shipped import FILTER_LINES, READ, WRITE

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


def snippet(pbx: Pbx, *, our_address: str, region: str, trunk: str, fallback: Sequence[str], freepbx: bool) -> str:
    """Return the text. `our_address`: where Hub connects from; `trunk`: the endpoint that leads outside; `fallback`:
    extensions that are rung when nobody takes a caller.
    """
    custom = "_custom" if freepbx else ""
    parts = [
        f"; Asterisk's side of Hub, PBX {pbx.name}. Each part goes to the end of the file that its line names, in\n"
        "; /etc/asterisk. Copy config/asterisk/extensions_hub.conf there too; it is the same for everybody.\n",
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
        parts.append(_part("globals_custom.conf", _globals(pbx)))
    parts.append(_part(f"extensions{custom}.conf", _dialplan(pbx, region, trunk, fallback, freepbx=freepbx)))
    parts.append(_last(pbx, freepbx=freepbx))
    return "\n".join(parts)


def _part(file: str, text: str, note: str = "") -> str:
    return f"; ==> {file}{' (' + note + ')' if note else ''}\n{text}"


def _secret() -> str:
    return "; one line, the word that pbx.secret_file holds:\n;secret = …\n"


def _ask_secret() -> str:
    return "[hub]\n; the word that pbx.dialplan_secret_file holds:\n;secret = …\n"


def _manager(pbx: Pbx, our_address: str, *, freepbx: bool) -> str:
    general = "[general](+)\nenabled = yes\ntimestampevents = yes\n\n"
    lines = [
        f"[{pbx.username}]",
        "#include manager_hub_secret.conf",
        "deny = 0.0.0.0/0.0.0.0",
        f"permit = {our_address or '127.0.0.1'}/255.255.255.255"
        + ("" if our_address else "      ; put the address of Hub's machine here: the host of the PBX is not known"),
        f"read = {','.join(READ)}",
        f"write = {','.join(WRITE)}",
        "writetimeout = 1000",
        *FILTER_LINES,
    ]
    # FreePBX writes [general] itself: Settings, Asterisk Manager.
    return ("" if freepbx else general) + "\n".join(lines) + "\n"


def _queues(pbx: Pbx) -> str:
    return _QUEUE + "\n" + "".join(f"[{name}](hub-template)\n" for name in dict.fromkeys(t.queue for t in pbx.team))


def _globals(pbx: Pbx) -> str:
    values = {"HUB_PHONE_TECH": pbx.phone_tech, "HUB_RING": "20", "HUB_WAIT": "300", "HUB_PBX": pbx.name}
    lines = [f"{name} = {value}" for name, value in values.items()]
    if pbx.dialplan_secret:
        lines += ["HUB_URL = http://127.0.0.1:8080   ; where Hub answers, as the PBX reaches it: an address, no name"]
    return "\n".join(lines) + "\n"


def _dialplan(pbx: Pbx, region: str, trunk: str, fallback: Sequence[str], *, freepbx: bool) -> str:
    rung = "&".join(f"{pbx.phone_tech}/{extension}" for extension in fallback)
    if freepbx:
        out = "exten => _[+0-9]!,1,Goto(from-internal,${FILTER(0-9,${EXTEN})},1)"
    else:
        out = f"exten => _[+0-9]!,1,Dial({pbx.phone_tech}/${{FILTER(0-9,${{EXTEN}})}}@{trunk},60)"
    texts = [] if freepbx else ["[globals](+)", _globals(pbx)]
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


def _last(pbx: Pbx, *, freepbx: bool) -> str:
    teams = ", ".join(f"hub-in,{team.queue.removeprefix('hub-')},1" for team in pbx.team)
    if freepbx:
        return (
            f"; ==> then: Admin, Custom Destinations: {teams}; choose them in your Inbound Routes.\n"
            "; `fwconsole reload`, and `hub doctor` says what is missing.\n"
        )
    return "; ==> then: asterisk -rx 'core reload', and `hub doctor` says what is missing.\n"
