"""`hub doctor` on a real Asterisk: each thing that can be wrong is made wrong, found, and told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from hub.settings import Pbx, PbxTeam, Secret
from hub.telephony.doctor.diagnosis import judge
from hub.telephony.doctor.doctor import look
from hub.telephony.doctor.seen import Finding
from tests.integration.test_link_asterisk import SOON, watching
from tests.testbed.asterisk import SHIPPED, Asterisk, running_asterisk
from tests.testbed.hub import run_command, running_hub
from tests.testbed.record import Ami
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.asterisk
ASKED_BY = "a word of sixteen letters"
OWNERS = {"101": "Anna", "102": "Boris"}


async def cli(asterisk: Asterisk, command: str) -> str:
    """Run a command on Asterisk's console, as an operator does."""
    inside = f"/tmp/{asterisk.home.name}/etc/asterisk.conf"
    process = await asyncio.create_subprocess_exec(
        "chroot", str(asterisk._root), "asterisk", "-C", inside, "-rx", command, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


@dataclass
class Patient:
    """An Asterisk whose files can be spoilt, and what the doctor says of it."""

    asterisk: Asterisk
    pbx: Pbx

    async def findings(self, pbx: Pbx | None = None, owners: dict[str, str] = OWNERS) -> list[Finding]:
        return judge(pbx or self.pbx, await look(pbx or self.pbx, owners))

    @asynccontextmanager
    async def spoilt(self, file: str, old: str, new: str, reload: str) -> AsyncIterator[None]:
        path = self.asterisk.home / "etc" / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new))
        try:
            await cli(self.asterisk, reload)
            yield
        finally:
            path.write_text(text)
            await cli(self.asterisk, reload)


@asynccontextmanager
async def patient() -> AsyncIterator[Patient]:
    async with running_asterisk() as asterisk:
        yield Patient(asterisk, asterisk.pbx_settings())


def wrong(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level != "ok"]


MANAGER = "manager_hub.conf"
WRITE = "write = call,agent,originate,reporting"
READ = "read = system,call,agent,user"
RELOAD = "manager reload"
QUEUES = "queues_hub.conf"


async def test_with_what_hub_ships_all_is_well_and_nothing_stays_behind_or_looks_like_a_call() -> None:
    async with patient() as one, watching(one.asterisk) as watch:
        findings = await one.findings()
        assert wrong(findings) == []
        told = "\n".join(finding.text for finding in findings)
        for words in (
            "signed in as hub",
            "its clock differs by 0.",
            "no more",
            "lives by reach it",
            "filter is in force",
        ):
            assert words in told
        assert "version 3" in told and "hub-sales, hub-support" in told and "2 phones of Hub's people are there" in told
        ami = await Ami.open(one.asterisk)
        await ami.send("QueueStatus", Queue="hub-sales")
        await ami.count(b"Event: QueueStatusComplete", 1)
        assert b"Event: QueueMember" not in ami.stream

        async def is_quiet() -> bool:
            return (await cli(one.asterisk, "core show channels count")).startswith("0 active channels")

        await wait_for(is_quiet, what="the doctor's own call is over", deadline_s=20)
        # An answer on the watching line says that it has heard all before it.
        await watch.link.action("Ping", {}, deadline=SOON)
        await asyncio.sleep(0)
        assert (watch.effects, watch.tracker.open_calls()) == ([], [])


async def test_rights_and_events_of_the_ami_user() -> None:
    cases = [
        # what is spoilt, from, to, level, what is said, the line that mends
        (MANAGER, WRITE, "write = call,agent", "bad", "lacks the right to write: originate, reporting", WRITE),
        (MANAGER, WRITE, "write = originate,reporting", "bad", "lacks the right to write: call, agent", WRITE),
        (MANAGER, WRITE, "write = all", "warn", "more than Hub needs: command (Command), config", WRITE),
        (MANAGER, WRITE, WRITE + ",system", "warn", "more than Hub needs: system (ModuleLoad)", WRITE),
        (MANAGER, WRITE, WRITE + ",agi", "ok", "may do what Hub does and no more", ""),  # res_agi is not loaded
        (MANAGER, READ, "read = call,agent,user", "bad", "do not reach Hub: system", READ),
        (MANAGER, READ, "read = system,agent,user", "bad", "do not reach Hub: call", READ),
        (MANAGER, READ, "read = system,call,user", "bad", "do not reach Hub: agent", READ),
        (MANAGER, READ, "read = system,call,agent", "bad", "do not reach Hub: user", READ),
        (MANAGER, "deny = 0.0.0.0/0.0.0.0", "", "warn", "may sign in from anywhere", "permit = 127.0.0.1/"),
        (MANAGER, "writetimeout = 1000", "", "warn", "cuts the line when it has waited", "writetimeout = 1000"),
        ("manager.conf", "timestampevents = yes", "timestampevents = no", "warn", "carry no time", "events = yes"),
    ]  # fmt: skip
    async with patient() as one:
        for file, old, new, level, text, mend in cases:
            async with one.spoilt(file, old, new, RELOAD):
                findings = await one.findings()
            found = [finding for finding in findings if text in finding.text]
            assert [finding.level for finding in found] == [level], (new, findings)
            assert mend in found[0].mend
        path = one.asterisk.home / "etc" / MANAGER
        unfiltered = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("eventfilter"))
        path.write_text(unfiltered.replace(READ, READ + ",dialplan"))
        await cli(one.asterisk, RELOAD)
        (found_one,) = wrong(await one.findings())
        assert "the event filter is not in force" in found_one.text
        assert "Newexten" in found_one.text and "VarSet" in found_one.text
        assert "eventfilter(action(exclude),name(VarSet)) =" in found_one.mend


async def test_dialplan_queues_music_and_phones() -> None:
    dialplan, queues, moh, phones = (
        "dialplan reload",
        "queue reload all",
        "module reload res_musiconhold",
        "module reload res_pjsip.so",
    )
    ours, site = "extensions_hub.conf", "extensions.conf"
    team, three = "[hub-support](hub-template)", "exten => 3,1,NoOp()"
    cases = [
        (site, f"#include {ours}", "", dialplan, "bad", "Hub's dialplan is not there", f"#include {ours}"),
        (ours, three, "exten => 1,1,NoOp()", dialplan, "bad", "is of version 1, and this Hub needs 3", ours),
        (ours, three, "", dialplan, "bad", "is of version 1", ours),
        (ours, "[hub-out]", "[hub-gone]", dialplan, "bad", "there is no context hub-out", "pbx.dial_context"),
        (site, "[hub-trunk]", "[gone]", dialplan, "bad", "no number outside can be called", "[hub-trunk] · exten"),
        (site, "[hub-fallback]", "[gone]", dialplan, "bad", "whom nobody takes is dropped", "[hub-fallback] · exten"),
        (site, "HUB_RING", "HUB_PHONE_TECH = SIP\nHUB_RING", dialplan, "bad", "rings phones as SIP/", "TECH = PJSIP"),
        (QUEUES, team, "", queues, "bad", "there is no queue hub-support", team),
        (QUEUES, team, f"{team}\nmember = PJSIP/101", queues, "bad", "queue hub-support has 1 member", "queue remove"),
        (QUEUES, "joinempty = yes ", "joinempty = no ", queues, "bad", "does not let callers in", "joinempty = yes"),
        (QUEUES, "retry = 1 ", "maxlen = 5\nretry = 1 ", queues, "warn", "turns callers away past 5", "maxlen = 0"),
        ("musiconhold.conf", "/usr/share/asterisk/moh", "/nowhere", moh, "bad", "no music on hold", "mode = files"),
        ("pjsip.conf", "context = internal", "context = from-desks", phones, "bad",
         "PJSIP/101 (Anna) dials from the context from-desks", 'internal_contexts = ["from-desks", "internal"]'),
    ]  # fmt: skip
    async with patient() as one:
        for file, old, new, reload, level, text, mend in cases:
            async with one.spoilt(file, old, new, reload):
                findings = await one.findings()
            found = [finding for finding in findings if text in finding.text]
            assert found and {finding.level for finding in found} == {level}, (new, findings)
            assert mend in found[0].mend
        # A global variable stays through a reload.
        await cli(one.asterisk, "dialplan set global HUB_PHONE_TECH PJSIP")
        (unknown,) = wrong(await one.findings(owners={"199": "Nobody"}))
        assert (unknown.level, unknown.text) == ("bad", "there is no phone PJSIP/199 (Nobody)")
        stray = one.asterisk.pbx_settings()
        (renamed,) = wrong(await one.findings(with_(stray, team=(PbxTeam(queue="hub-nowhere", team="x"),))))
        assert renamed.text == "there is no queue hub-nowhere"
        assert wrong(await one.findings()) == []


def with_(pbx: Pbx, **changes: object) -> Pbx:
    values = {name: getattr(pbx, name) for name in pbx.__struct_fields__}
    return Pbx(**{**values, **changes})  # type: ignore[arg-type]


async def test_a_line_that_cannot_be_had_and_what_can_be_seen_without_it(tmp_path: Path) -> None:
    async with patient() as one:
        pbx = one.pbx
        (finding,) = await one.findings(with_(pbx, secret=Secret("not the word")))
        assert finding.level == "bad"
        assert "refused the sign-in of hub from 127.0.0.1" in finding.text
        assert "not the word" not in finding.text + finding.mend
        assert "[hub] · secret = the word in pbx.secret_file · permit = 127.0.0.1/255.255.255.255" in finding.mend
        async with one.spoilt(MANAGER, "permit = 127.0.0.1", "permit = 192.0.2.1", RELOAD):
            (finding,) = await one.findings()
            assert "permit = 127.0.0.1/255.255.255.255" in finding.mend
        (finding,) = await one.findings(with_(pbx, port=one.asterisk.sip_port))
        assert "connection refused" in finding.text
        assert "enabled = yes" in finding.mend
        (finding,) = await one.findings(with_(pbx, host="no-such-host.invalid"))
        assert "pbx.host: a name that resolves" in finding.mend
        await one.asterisk.stop()
        (finding,) = await one.findings()
        assert (finding.level, "enabled = yes" in finding.mend) == ("bad", True)


async def test_asterisks_own_web_server(tmp_path: Path) -> None:
    async with patient() as one:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        asked = with_(one.pbx, http_url=url)
        (finding,) = wrong(await one.findings(asked))
        assert finding.text.startswith("http_url: Cannot connect")
        assert "http.conf, [general]:  enabled = yes · enable_status = yes" in finding.mend
        conf = one.asterisk.home / "etc" / "http.conf"
        lines = f"[general]\nenabled = yes\nbindaddr = 127.0.0.1\nbindport = {port}\n"
        conf.write_text(lines + "enable_status = no\n")
        await cli(one.asterisk, "module reload http")
        (finding,) = wrong(await one.findings(asked))
        assert f"{url}/httpstatus: 404" in finding.text and "enable_status = yes" in finding.mend
        conf.write_text(lines + "enable_status = yes\n")
        await cli(one.asterisk, "module reload http")
        findings = await one.findings(asked)
        assert wrong(findings) == []
        assert "http_url answers" in [finding.text for finding in findings]


async def test_whether_the_dialplan_reaches_hub() -> None:
    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async with patient() as one:
        (one.asterisk.home / "etc" / "hub_ask.conf").write_text(f"[hub]\nsecret = {ASKED_BY}\n")
        asking = with_(one.pbx, dialplan_secret=Secret(ASKED_BY), name="branch")
        (finding,) = wrong(await one.findings(asking))
        assert "does not know where Hub answers" in finding.text
        assert "HUB_URL = " in finding.mend
        port = free_port()
        await cli(one.asterisk, f"dialplan set global HUB_URL http://127.0.0.1:{port}")
        (finding,) = wrong(await one.findings(asking))
        assert (finding.level, finding.mend) == ("bad", "extensions.conf, [globals]:  HUB_PBX = branch")
        await cli(one.asterisk, "dialplan set global HUB_PBX branch")
        (finding,) = wrong(await one.findings(asking))
        assert (finding.level, "nothing answers there" in finding.text) == ("warn", True)
        (one.asterisk.home / "etc" / "hub_ask.conf").write_text("[hub]\nsecret = another word of sixteen\n")
        (finding,) = wrong(await one.findings(asking))
        assert (finding.level, "[hub] · secret = the word in pbx.dialplan_secret_file" in finding.mend) == ("bad", True)
        assert "sixteen" not in finding.text + finding.mend
        (one.asterisk.home / "etc" / "hub_ask.conf").write_text(f"[hub]\nsecret = {ASKED_BY}\n")
        app = web.Application()
        app.router.add_get("/healthz", healthz)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            findings = await one.findings(asking)
            assert wrong(findings) == []
            assert "the dialplan reaches Hub" in [finding.text for finding in findings]
        finally:
            await runner.cleanup()


async def test_what_the_snippet_prints_makes_an_asterisk_that_the_doctor_finds_nothing_wrong_with(
    tmp_path: Path,
) -> None:
    async with running_asterisk() as asterisk:
        names = (
            f'[[pbx]]\nname = "office"\nport = {asterisk.ami_port}\nusername = "crm-hub"\n'
            f'secret = "{asterisk.SECRET}"\n'
            'own_numbers = ["+7 495 000-01-00"]\ninternal_contexts = ["internal"]\n'
            '[[pbx.team]]\nqueue = "hub-after-sales"\nteam = "after-sales"\n'
            '[[pbx.team]]\nqueue = "hub-vip"\nteam = "vip"\n'
        )
        async with running_hub(tmp_path, names) as hub:
            hub.config.chmod(0o600)
            code, text, err = await run_command("pbx", "snippet", "--config", str(hub.config), "--fallback", "101,102")
            assert code == 0, err
            assert asterisk.SECRET not in text
            etc = asterisk.home / "etc"
            (etc / "manager_hub.conf").unlink()
            (etc / "queues_hub.conf").unlink()
            phones = "[internal]\nexten => _1XX,1,Dial(PJSIP/${EXTEN},20)\n[from-trunk]\ninclude => hub-numbers\n"
            stock = {
                "manager.conf": f"[general]\nenabled = no\nport = {asterisk.ami_port}\nbindaddr = 127.0.0.1\n",
                "queues.conf": "[general]\n",
                "extensions.conf": f"[general]\n[globals]\n{phones}",
                "manager_hub_secret.conf": f"secret = {asterisk.SECRET}\n",
            }
            for part in text.split("; ==> ")[1:]:
                file, _, lines = part.partition("\n")
                if (name := file.split(" ")[0]) in stock and name != "manager_hub_secret.conf":
                    stock[name] += lines
            for name, content in stock.items():
                (etc / name).write_text(content)
            await asterisk.restart()
            await hub.add_user("anna@hub.test", "Анна", "manager", ["vip"], "101")
            code, out, err = await run_command("doctor", "--config", str(hub.config), "--json")
            told = json.loads(out)
            assert (code, told["ok"], {one["level"] for one in told["findings"]}) == (0, True, {"ok"}), out + err
        assert (await cli(asterisk, "dialplan show 74950000100@from-trunk")).count("Goto(hub-in,after-sales,1)") == 1
        assert (SHIPPED / "extensions_hub.conf").read_text() == (etc / "extensions_hub.conf").read_text()


async def test_a_freepbx_set_up_by_the_snippet_is_well_and_a_route_in_another_form_is_told(tmp_path: Path) -> None:
    async with running_asterisk(is_freepbx=True) as asterisk:
        names = (
            f'[[pbx]]\nname = "office"\nport = {asterisk.ami_port}\nusername = "hub"\nsecret = "{asterisk.SECRET}"\n'
            'dial_format = "national"\nown_numbers = ["+7 495 000-01-00"]\n'
            '[[pbx.team]]\nqueue = "hub-sales"\nteam = "sales"\n'
        )
        async with running_hub(tmp_path, names) as hub:
            hub.config.chmod(0o600)
            words = ("--config", str(hub.config), "--fallback", "101,102", "--freepbx")
            code, text, err = await run_command("pbx", "snippet", *words)
            assert code == 0, err
            etc = asterisk.home / "etc"
            for name in ("manager_hub.conf", "queues_hub.conf"):
                (etc / name).unlink()
            routes = etc / "extensions_freepbx.conf"
            only_eight = routes.read_text().replace("exten => _[78]XXXXXXXXXX,1,", "exten => _8XXXXXXXXXX,1,")
            routes.write_text(only_eight)
            # What FreePBX writes itself, and an operator leaves alone.
            main = {
                "manager.conf": f"[general]\nenabled = yes\nport = {asterisk.ami_port}\nbindaddr = 127.0.0.1\n"
                "#include manager_custom.conf\n",
                "queues.conf": "[general]\n#include queues_custom.conf\n",
                "extensions.conf": "[general]\n[globals]\nTESTBED_RING = 4\n#include globals_custom.conf\n"
                "#include extensions_freepbx.conf\n#include extensions_custom.conf\n",
                "manager_hub_secret.conf": f"secret = {asterisk.SECRET}\n",
            }
            for name, content in main.items():
                (etc / name).write_text(content)
            for part in text.split("; ==> ")[1:]:
                file, _, lines = part.partition("\n")
                if (name := file.split(" ")[0]).endswith("_custom.conf"):
                    (etc / name).write_text(lines)
            await asterisk.restart()
            await hub.add_user("anna@hub.test", "Анна", "manager", ["sales"], "101")
            code, out, err = await run_command("doctor", "--config", str(hub.config), "--json")
            told = json.loads(out)
            assert (code, {one["level"] for one in told["findings"]}) == (0, {"ok"}), out + err
            route = "a number outside is dialled as 84950000000, and from-internal has a route for that"
            assert route in [one["text"] for one in told["findings"]]

            hub.config.write_text(hub.config.read_text().replace('"national"', '"e164"'))
            code, out, err = await run_command("doctor", "--config", str(hub.config), "--json")
            (bad,) = [one for one in json.loads(out)["findings"] if one["level"] != "ok"]
            assert bad["text"] == "a number outside is dialled as 74950000000, and from-internal has no route for that"
