"""Who is on, with a real Asterisk: phones come and go, a line is cut, a PBX dies, and the wallboard shows it live."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Page, expect

from tests.e2e.desk import ANNA, BORIS, listed, one_waiting, pbx_toml, staff
from tests.e2e.test_pages import until_live
from tests.testbed import sipp
from tests.testbed.asterisk import Asterisk, running_asterisk
from tests.testbed.chromium import new_person, running_chromium, shoot, sign_in
from tests.testbed.hub import Hub, running_hub
from tests.testbed.proxy import Gate, running_gate
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.asterisk


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[tuple[Asterisk, Gate, Hub]]:
    """Asterisk whose phone 103 registers by itself, a line that can be cut, and Hub at its other end."""
    async with running_asterisk() as asterisk:
        _let_103_register(asterisk)
        await asterisk.restart()
        async with running_gate(asterisk.ami_port) as line:
            pbx = msgspec.structs.replace(asterisk.pbx_settings(), port=line.port)
            async with running_hub(folder, pbx_toml(pbx)) as hub:
                await staff(hub)
                for who in (ANNA, BORIS):
                    await hub.token(who)
                await hub.start()
                yield asterisk, line, hub


def _let_103_register(asterisk: Asterisk) -> None:
    path = asterisk.home / "etc" / "pjsip.conf"
    static = re.compile(r"(\[103\]\ntype = aor\n(?:(?!contact)\w+ = [^\n]*\n)*)(?:contact = [^\n]*\n)+")
    text, changed = static.subn(r"\1", path.read_text())
    assert changed == 1
    path.write_text(text)


def register(asterisk: Asterisk, extension: str, *, expires_s: int, number: int) -> None:
    """Say where a phone is, as it does when it is plugged in; with `expires_s=0` that it goes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        port = phone.getsockname()[1]
        lines = [f"REGISTER sip:127.0.0.1:{asterisk.sip_port} SIP/2.0"]
        lines += [f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{number}", "Max-Forwards: 70"]
        lines += [f"From: <sip:{extension}@127.0.0.1>;tag=t{number}", f"To: <sip:{extension}@127.0.0.1>"]
        lines += [f"Call-ID: register-{number}", f"CSeq: {number} REGISTER", f"Expires: {expires_s}"]
        contact = f"<sip:{extension}@127.0.0.1:{asterisk.phone_ports[extension]}>" if expires_s else "*"
        phone.sendto("\r\n".join([*lines, f"Contact: {contact}", "Content-Length: 0", "", ""]).encode(),
                     ("127.0.0.1", asterisk.sip_port))  # fmt: skip


async def until_device(hub: Hub, device: str, **wanted: Any) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        rows = {row["device"]: row for row in await listed(hub, "admin@hub.test", "/devices")}
        row = rows.get(device, {})
        return row if row and wanted.items() <= row.items() else None

    return await wait_for(found, what=f"{device} is {wanted}", deadline_s=20)  # type: ignore[return-value]


async def until_person(hub: Hub, name: str, **wanted: Any) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        rows = {row["user"]["name"]: row for row in await listed(hub, BORIS, "/presence")}
        return rows[name] if wanted.items() <= rows[name].items() else None

    return await wait_for(found, what=f"{name} is {wanted}", deadline_s=20)  # type: ignore[return-value]


async def test_no_phone_stays_busy_through_a_cut_line_and_a_dead_pbx(tmp_path: Path) -> None:
    async with office(tmp_path) as (asterisk, line, hub):
        name = "Анна Иванова"
        await until_device(hub, "PJSIP/101", state="idle", extension="101")
        await until_device(hub, "PJSIP/103", state="unavailable")
        register(asterisk, "103", expires_s=60, number=1)
        await until_device(hub, "PJSIP/103", state="idle", contact="registered")
        register(asterisk, "103", expires_s=0, number=2)
        await until_device(hub, "PJSIP/103", state="unavailable", contact="none")

        # The line is cut in mid-call, and the call ends unseen.
        async with (
            sipp.phone(asterisk, "101"),
            sipp.caller(asterisk, "84951234567", did="74950000101") as caller,
        ):
            await until_device(hub, "PJSIP/101", state="in_use")
            await until_person(hub, name, state="in_call", phone="in_use")
            line.close()
            await until_person(hub, name, state="offline", phone="unknown")
            await caller.hang_up()
            await caller.ended()
        line.open()
        await until_device(hub, "PJSIP/101", state="idle")
        await until_person(hub, name, state="offline", phone="idle")

        # The PBX dies in mid-call, and comes back without it.
        async with (
            sipp.phone(asterisk, "101"),
            sipp.caller(asterisk, "84951234567", did="74950000101"),
        ):
            await until_person(hub, name, state="in_call", phone="in_use")
            await asterisk.stop(signal.SIGKILL)
            await until_person(hub, name, state="offline", phone="unknown")
            await until_device(hub, "PJSIP/101", state="unknown")
        asterisk.log.write_bytes(b"")
        await asterisk.start()
        await until_device(hub, "PJSIP/101", state="idle")
        await until_person(hub, name, state="offline", phone="idle")


async def figure(page: Page, name: str, value: str | re.Pattern[str]) -> None:
    await expect(page.locator(f"#figure-{name} .figure__value")).to_have_text(value, timeout=15_000)


@pytest.mark.browser
async def test_the_wallboards_figures_follow_a_call_without_a_reload(tmp_path: Path) -> None:
    async with office(tmp_path) as (asterisk, _line, hub), running_chromium() as browser:
        _, teams = await hub.api(ANNA, "GET", "/teams")
        assert isinstance(teams, dict)
        team_id = teams["items"][0]["id"]
        wall = await sign_in(
            await new_person(browser, width=1920, height=1080), hub, BORIS, to=f"/wallboard/{team_id}?screen=true"
        )
        await until_live(wall)
        await wall.evaluate("() => { window.sameWindow = true }")
        await figure(wall, "waiting", "0")
        await figure(wall, "free", "1")
        anna = await sign_in(await new_person(browser), hub, ANNA)
        await until_live(anna)
        await figure(wall, "free", "2")
        line = wall.locator(".mate", has_text="Анна Иванова")
        await expect(line).to_contain_text("Free")

        # Her own word, by keyboard alone.
        await expect(anna.locator("#my-presence summary")).to_be_visible()
        await anna.locator("#my-presence summary").focus()
        await anna.keyboard.press("Enter")
        await anna.get_by_role("button", name="Do not disturb").focus()
        await anna.keyboard.press("Enter")
        await expect(line).to_contain_text("Do not disturb")
        await figure(wall, "free", "1")
        await expect(anna.locator("#my-presence summary")).to_be_focused()
        await anna.keyboard.press("Enter")
        await anna.get_by_role("button", name="Available").click()
        await figure(wall, "free", "2")

        async with (
            sipp.phone(asterisk, "101", talk_ms=60_000),
            sipp.caller(asterisk, "84951234567", name="ROMASHKA") as caller,
        ):
            await figure(wall, "waiting", "1")
            await figure(wall, "longest", re.compile(r"0:0[1-9]"))
            await shoot(wall, "wallboard-waiting")
            item = await one_waiting(hub, ANNA)
            status, _ = await hub.api(ANNA, "POST", f"/queue/{item['id']}/claim")
            assert status == 200
            await figure(wall, "talking", "1")
            await figure(wall, "waiting", "0")
            await figure(wall, "free", "1")
            await expect(line).to_contain_text("In a call")
            await expect(anna.locator("#team-now .mate", has_text="Анна")).to_contain_text("In a call")
            await figure(wall, "answered", "1")
            await figure(wall, "level", "100%")
            await shoot(wall, "wallboard-talking")
            await caller.hang_up()
            await figure(wall, "talking", "0")
            await figure(wall, "free", "2")
        await asterisk.stop(signal.SIGKILL)
        await expect(wall.get_by_text("PBX office does not answer")).to_be_visible(timeout=15_000)
        assert await wall.evaluate("() => window.sameWindow"), "nobody loaded the page again"
