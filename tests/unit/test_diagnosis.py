"""What the doctor says of what was seen; and what a PBX that lies, hangs or floods cannot make it say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from hub.settings import Pbx, PbxTeam, Secret
from hub.telephony.doctor.diagnosis import judge
from hub.telephony.doctor.doctor import look, sent_on
from hub.telephony.doctor.seen import (
    Finding,
    HttpSeen,
    PhoneSeen,
    ProbeSeen,
    QueueSeen,
    Seen,
    Trouble,
    exit_code,
    in_words,
)
from hub.telephony.doctor.shipped import DIALPLAN_VERSION, FILTERED
from hub.telephony.doctor.snippet import snippet
from tests.fakes.ami_server import AmiServer, ami_server, packet
from tests.testbed.asterisk import SHIPPED
from tests.testbed.smtp import self_signed

SECRET = "open sesame"
TEAMS = (PbxTeam(queue="hub-sales", team="sales"), PbxTeam(queue="hub-support", team="support"))
PBX = Pbx(name="office", username="hub", secret=Secret(SECRET), own_numbers=("+7 495 000-01-00",), team=TEAMS)
ALLOWED = frozenset("Redirect QueueAdd Originate CoreShowChannels QueueWithdrawCaller".split())


def healthy() -> Seen:
    contexts = dict.fromkeys(("hub-version", "hub-in", "hub-out", "hub-doctor"), frozenset({DIALPLAN_VERSION}))
    return Seen(
        version="22.10.0",
        peer_address="127.0.0.1",
        clock_off_s=0.2,
        commands=ALLOWED,
        has_booted_event=True,
        has_queue_events=True,
        probe=ProbeSeen(answered=True, said_so=True, music=True, has_timestamps=True),
        contexts=contexts,
        reached={("hub-trunk", "+74950000000"): True, ("hub-fallback", "sales"): True},
        queues={team.queue: QueueSeen(members=0, max_callers=0, join_empty="yes") for team in TEAMS},
        phones={"101": PhoneSeen("Anna", "NOT_INUSE", "internal")},
    )


def wrong(seen: Seen, pbx: Pbx = PBX) -> list[Finding]:
    return [finding for finding in judge(pbx, seen) if finding.level != "ok"]


def test_nothing_is_wrong_with_a_healthy_pbx() -> None:
    assert wrong(healthy()) == []


@pytest.mark.parametrize(
    ("field", "value", "level", "text"),
    [
        ("clock_off_s", 2.1, "warn", "2 s ahead of this machine's"),
        ("clock_off_s", -75.0, "bad", "75 s behind this machine's"),
        ("peer_address", "10.0.0.5", "warn", "cross the network to 10.0.0.5 in clear"),
        ("commands", None, "warn", "does not say which actions are allowed"),
        ("commands", ALLOWED - {"QueueWithdrawCaller"}, "bad", "no action QueueWithdrawCaller"),
        ("commands", ALLOWED | {"AGI"}, "warn", "more than Hub needs: agi (AGI)"),
        ("commands", ALLOWED | {"UpdateConfig", "Command"}, "warn", "command (Command), config (UpdateConfig)"),
        ("has_booted_event", False, "bad", "do not reach Hub: system"),
        ("has_queue_events", None, "warn", "could not be tried: agent"),
        (
            "probe",
            ProbeSeen(refusal="Originate: Permission denied"),
            "warn",
            "(Originate: Permission denied): call, user",
        ),
        ("phones", {"101": PhoneSeen("Anna", "UNAVAILABLE", "")}, "warn", "PJSIP/101 (Anna) is not registered"),
        ("queues", None, "bad", "does not list its queues"),
        ("http", HttpSeen(error="no route"), "bad", "http_url: no route"),
        ("http", HttpSeen(status=403), "bad", "httpstatus: 403"),
        ("http", HttpSeen(status=502), "bad", "http_url: answered 502"),
        ("http", HttpSeen(status=200, days_left=13), "warn", "its certificate ends in 13 days"),
    ],
)
def test_each_thing_that_is_wrong_is_said_with_what_mends_it(field: str, value: object, level: str, text: str) -> None:
    seen = healthy()
    setattr(seen, field, value)
    (finding,) = wrong(seen)
    assert (finding.level, finding.place) == (level, "pbx office")
    assert text in finding.text
    assert finding.mend
    assert exit_code([finding]) == (level == "bad")


def test_where_the_pbx_lets_its_file_be_read_what_could_not_be_tried_is_judged_by_that() -> None:
    seen = healthy()
    seen.probe = ProbeSeen(refusal="no right")
    seen.manager = {"read": "system, call,agent", "deny": "0.0.0.0/0.0.0.0", "writetimeout": "1000"}
    (finding,) = wrong(seen)
    assert (finding.level, finding.text) == ("bad", "events of these classes do not reach Hub: user")
    seen.manager["read"] = "all"
    assert wrong(seen) == []


def test_a_queue_that_the_dialplan_never_leads_to_is_named() -> None:
    pbx = Pbx(name="office", username="hub", team=(PbxTeam(queue="sales", team="sales"),))
    seen = healthy()
    seen.queues = {"sales": QueueSeen(members=0, max_callers=0)}
    (finding,) = wrong(seen, pbx)
    assert "queues named hub-… only" in finding.text
    assert 'queue = "hub-sales"' in finding.mend
    (finding,) = wrong(healthy(), Pbx(name="office", username="hub"))
    assert "has no team" in finding.text


def test_words_are_one_line_a_finding_and_steer_no_terminal() -> None:
    evil = "\x1b[2Jowned\x9b\r\nok    pbx office: all is well"
    seen = healthy()
    seen.version = evil
    seen.phones = {"101": PhoneSeen(evil, "INVALID", evil)}
    text = in_words(judge(PBX, seen))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert not any(line.startswith("ok    pbx office: all is well") for line in text.splitlines())
    assert text.splitlines()[-1] == "1 bad, 0 to look at, 7 well"


# What is shipped, and what is printed


def test_the_doctor_looks_for_the_dialplan_that_is_shipped() -> None:
    for name in ("extensions_hub.conf", "manager_hub.conf", "queues_hub.conf"):
        assert (SHIPPED / name).read_text().startswith(f"; hub-dialplan {DIALPLAN_VERSION}\n"), name
    dialplan = (SHIPPED / "extensions_hub.conf").read_text()
    contexts = re.findall(r"^\[(.+)\]", dialplan, re.MULTILINE)
    assert len(contexts) == len(set(contexts)), contexts
    assert re.search(rf"\[hub-version\]\n(;.*\n)*exten => {DIALPLAN_VERSION},1,", dialplan)


def settings_of(text: str) -> dict[str, list[str]]:
    """The lines of each section, comments and spaces left out; templates by their use."""
    sections: dict[str, list[str]] = {}
    for raw in text.splitlines():
        line = re.sub(r"\s*;.*", "", raw).strip()
        if section := re.match(r"\[([^]]+)\]", line):
            sections[section[1]] = []
        elif line and sections:
            sections[next(reversed(sections))].append(re.sub(r"\s*=\s*", "=", line))
    return sections


def test_the_snippet_gives_the_names_of_the_shipped_files_what_the_shipped_files_give_them() -> None:
    words = {"our_address": "127.0.0.1", "region": "RU", "trunk": "trunk", "fallback": ["101"], "freepbx": False}
    printed = settings_of(snippet(PBX, **words))  # type: ignore[arg-type]
    manager = settings_of((SHIPPED / "manager_hub.conf").read_text())["hub"]
    assert sorted(printed["hub"]) == sorted(manager)
    assert {name for name in FILTERED if f"name({name}))" in " ".join(manager)} == set(FILTERED)
    queues = settings_of((SHIPPED / "queues_hub.conf").read_text())
    assert {name: printed[name] for name in queues} == queues


def test_the_snippet_for_freepbx_goes_into_the_files_that_freepbx_leaves_alone() -> None:
    pbx = Pbx(name="branch", username="hub-branch", phone_tech="SIP", secret=Secret("s3cret-word"), team=TEAMS)
    pbx = msgspec.structs.replace(pbx, dialplan_secret=Secret("s3cret-word of sixteen"))
    text = snippet(pbx, our_address="10.0.0.2", region="RU", trunk="trunk", fallback=["200", "201"], freepbx=True)
    files = re.findall(r"^; ==> (\S+\.conf)", text, re.MULTILINE)
    assert files == [
        "manager_hub_secret.conf", "hub_ask.conf", "manager_custom.conf", "queues_custom.conf", "globals_custom.conf",
        "extensions_custom.conf",
    ]  # fmt: skip
    assert "HUB_URL = http://127.0.0.1:8080" in text
    assert "[general](+)\ntimestampevents = yes\n" in text and "[globals]" not in text
    assert "eventfilter = !Event: VarSet" in text and "eventfilter(" not in text, "the form that every version reads"
    assert "s3cret-word" not in text
    assert "HUB_PHONE_TECH = SIP" in text and "HUB_PBX = branch" in text
    assert "permit = 10.0.0.2/255.255.255.255" in text
    assert "Goto(from-internal,${FILTER(0-9,${EXTEN})},1)" in text
    assert "Dial(SIP/200&SIP/201,60,m)" in text
    assert "Custom Destinations: hub-in,sales,1, hub-in,support,1" in text


def test_the_snippet_for_freepbx_says_what_its_operator_must_know_and_what_to_see() -> None:
    pbx = msgspec.structs.replace(PBX, dial_format="national")
    text = snippet(pbx, our_address="10.0.0.2", region="RU", trunk="trunk", fallback=["101"], freepbx=True)
    for words in (
        "core show version",
        "Connectivity, Firewall, Networks: 10.0.0.2 as Trusted",
        "now national: 84950000000",
        "HUB_SECOND_PREFIX = 99",
        "HUB_RING = 20   ; seconds that a manager's phone rings: 1 to 180",
        "fwconsole reload",
        "manager show user hub",
        "queue show hub-sales",
        "dialplan show hub-in",
        "module show like curl",
        "dialplan show 84950000000@from-internal",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("version", "is_new"),
    [
        ("22.10.1+dfsg", True),
        ("22.1.0", True),
        ("22.0.0", False),
        ("21.6.0", True),
        ("21.5.0", False),
        ("20.11.0", True),
        ("20.9.3", False),
        ("18.26.1", False),
        ("16.30.0", False),
        ("certified/20.7-cert4", False),
        ("23.0.0", True),
        ("AMI ?", False),
        ("", False),
    ],
)
def test_the_event_filter_is_told_in_the_form_that_the_version_reads(version: str, is_new: bool) -> None:
    seen = healthy()
    seen.version, seen.probe = (
        version,
        ProbeSeen(answered=True, said_so=True, music=True, has_timestamps=True, unwanted={"VarSet": 3}),
    )
    (finding,) = wrong(seen)
    line = "eventfilter(action(exclude),name(VarSet)) =" if is_new else "eventfilter = !Event: VarSet"
    assert finding.mend.endswith(f"· {line}")


@pytest.mark.parametrize(
    ("ring", "level", "text"),
    [
        ("20", "ok", "rings for 20 s"),
        ("90", "ok", "rings for 90 s"),
        ("600", "warn", "phones ring for 180 s, which is the most"),
        ("2", "warn", "within 2 s"),
        ("soon", "warn", "is no number of seconds: phones ring for 20"),
        ("0", "warn", "is no number of seconds"),
        ("²", "warn", "is no number of seconds"),
    ],
)
def test_how_long_a_phone_rings_is_judged(ring: str, level: str, text: str) -> None:
    seen = healthy()
    seen.variables["HUB_RING"] = ring
    (finding,) = [one for one in judge(PBX, seen) if "ring" in one.text.lower()]
    assert (finding.level, text in finding.text) == (level, True), finding


def test_a_long_ring_under_a_former_dialplan_is_told_for_what_it_does() -> None:
    seen = healthy()
    seen.contexts["hub-version"] = frozenset({"2"})
    seen.variables["HUB_RING"] = "60"
    assert any("after 45 s a call is offered again" in one.text for one in wrong(seen) if one.level == "bad")
    seen.variables["HUB_RING"] = "30"
    assert not any("offered again" in one.text for one in wrong(seen))


def test_a_number_without_a_route_is_told_with_the_command_that_shows_it() -> None:
    seen = healthy()
    seen.dialled = "+74950000000"
    seen.route = ("from-internal", "74950000000", False)
    (finding,) = wrong(seen)
    assert finding.text == "a number outside is dialled as 74950000000, and from-internal has no route for that"
    assert "pbx.dial_format" in finding.mend and "dialplan show 74950000000@from-internal" in finding.mend


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("${FILTER(0-9,${EXTEN})}", "74950000000"),
        ("${EXTEN}", "+74950000000"),
        ("8${EXTEN:2}", "84950000000"),
        ("810${EXTEN:1}", "81074950000000"),
        ("9${FILTER(0-9,${EXTEN:2})}", "94950000000"),
        ("${SHELL(rm)}", None),
        ("${EXTEN:-4}", None),
        ("s", None),
    ],
)
def test_what_a_route_makes_of_a_number_is_worked_out_where_it_is_plain(written: str, sent: str | None) -> None:
    assert sent_on(written, "+74950000000") == sent


@pytest.mark.parametrize(
    ("trouble", "hint"),
    [
        ("sign_in", "(FreePBX: in manager_custom.conf)"),
        ("refused", "(FreePBX: in manager_custom.conf)"),
        ("silent", "(FreePBX: Connectivity, Firewall, Networks: 10.0.0.2 as Trusted)"),
    ],
)
def test_without_a_line_the_mend_says_where_freepbx_has_it(trouble: Trouble, hint: str) -> None:
    seen = Seen(trouble=trouble, our_address="10.0.0.2")
    (finding,) = judge(PBX, seen)
    assert finding.mend.endswith(hint), finding.mend


def test_on_freepbx_every_line_goes_into_a_file_that_is_the_operators() -> None:
    seen = healthy()
    seen.is_freepbx = True
    seen.contexts = {}
    seen.queues = {}
    seen.probe = ProbeSeen(answered=True, said_so=True)
    seen.manager = {"read": "all"}
    mends = " ".join(one.mend for one in wrong(seen))
    assert not re.search(r"(?<!_custom)(?<!_hub)\b(manager|extensions|queues|musiconhold)\.conf", mends), mends
    for words in (
        "manager_custom.conf, [general](+):  timestampevents = yes",
        "extensions_custom.conf",
        "queues_custom",
    ):
        assert words in mends


# Peers that are no PBX, or a bad one


def pbx_at(server: AmiServer, **changes: object) -> Pbx:
    return Pbx(**{"name": "office", "port": server.port, "username": "hub", "secret": Secret(SECRET), **changes})  # type: ignore[arg-type]


@asynccontextmanager
async def listening(serve: object, **words: object) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, **words)  # type: ignore[arg-type]
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def of(port: int) -> Finding:
    pbx = Pbx(name="office", port=port, username="hub", secret=Secret(SECRET))
    (finding,) = judge(pbx, await look(pbx, {}))
    assert SECRET not in finding.text + finding.mend
    return finding


async def test_a_web_server_at_the_port_is_told_as_one() -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(serve) as port:
        finding = await of(port)
    assert "is not an Asterisk manager interface" in finding.text
    assert "manager.conf" in finding.mend


async def test_a_port_with_tls_is_told_as_one(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    context, _ = self_signed(tmp_path)
    async with listening(serve, ssl=context, ssl_handshake_timeout=1) as port:
        finding = await of(port)
    assert "speaks TLS, and Hub speaks AMI without" in finding.text
    assert "pbx.port: the port without TLS" in finding.mend


async def test_a_peer_that_hangs_up_is_told_as_one() -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(serve) as port:
        assert (await of(port)).level == "bad"


async def test_a_pbx_that_answers_anything_with_done_is_found_wrong_and_breaks_nothing() -> None:
    async with ami_server(password=SECRET) as server:
        server.answers["Ping"] = lambda a: packet(Response="Success", ActionID=a["ActionID"], Timestamp="nan")
        findings = judge(PBX, await look(pbx_at(server, team=TEAMS), {"101": "Anna"}))
        assert {"Hub's dialplan is not there", "there is no queue hub-sales"} <= {f.text for f in findings}
        assert not any("clock" in finding.text for finding in findings)


async def test_a_pbx_an_hour_off_is_told() -> None:
    async with ami_server(password=SECRET) as server:
        # The fake's Ping tells a moment of 2026-11-24.
        findings = judge(PBX, await look(pbx_at(server), {}))
    assert any("its clock is" in finding.text and "set-ntp" in finding.mend for finding in findings)


async def test_a_member_that_the_pbx_took_in_is_taken_out_also_when_nothing_is_told_of_it() -> None:
    def commands(action: dict[str, str]) -> str:
        return packet(Response="Success", ActionID=action["ActionID"], QueueAdd="", QueueWithdrawCaller="")

    def queues(action: dict[str, str]) -> str:
        head = packet(Response="Success", ActionID=action["ActionID"], EventList="start")
        row = packet(Event="QueueParams", ActionID=action["ActionID"], Queue=action["Queue"], Max="9" * 50)
        return head + row + packet(Event="QueueStatusComplete", ActionID=action["ActionID"], EventList="Complete")

    async with ami_server(password=SECRET) as server:
        server.answers |= {"ListCommands": commands, "QueueStatus": queues}
        findings = judge(PBX, await look(pbx_at(server, team=TEAMS), {}))
        assert any("do not reach Hub: agent" in finding.text for finding in findings)
        (added,), (removed,) = server.named("QueueAdd"), server.named("QueueRemove")
        assert added["Paused"] == "true"
        assert (added["Queue"], added["Interface"]) == (removed["Queue"], removed["Interface"])


@pytest.mark.parametrize("username", ["hub)", "hub,secret", "${SHELL(id)}"])
async def test_a_user_name_is_never_part_of_an_expression_it_could_break_out_of(username: str) -> None:
    async with ami_server(password=SECRET) as server:
        await look(pbx_at(server, username=username), {})
        asked = [action["Variable"] for action in server.named("Getvar")]
        assert asked
        assert not any("AST_CONFIG(manager.conf" in expression for expression in asked)
