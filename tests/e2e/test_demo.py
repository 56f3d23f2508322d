"""`hub demo` as a newcomer meets it: says that it is a demo, and there is a call to take and a mail to answer."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import expect

from hub.demo.sample import PASSWORD
from tests.testbed.chromium import new_person, running_chromium, sign_in_by_form
from tests.testbed.hub import HUB, Hub, clean_environment
from tests.testbed.valkey import free_port


@pytest.mark.browser
async def test_a_newcomer_takes_a_call_and_reads_a_mail(tmp_path: Path) -> None:
    port = free_port()
    demo = Hub(tmp_path, tmp_path / "none.toml", port, tmp_path / "demo.log")
    with demo.log.open("wb") as log:
        demo.process = await asyncio.create_subprocess_exec(
            *HUB,
            "demo",
            "--port",
            str(port),
            "--data-dir",
            str(tmp_path / "demo"),
            stdout=log,
            stderr=log,
            env=clean_environment(),
        )
    try:
        await demo.ready()
        assert "boris@hub.example" in demo.log.read_text()
        async with running_chromium() as browser:
            page = await sign_in_by_form(await new_person(browser), demo, "boris@hub.example", PASSWORD)
            await expect(page.get_by_text(re.compile("This is a demo|Это демонстрация"))).to_be_visible()
            call = page.locator("#queue-waiting .row--call [data-take]").first
            await expect(call).to_be_visible(timeout=40_000)
            await call.click()
            await expect(page.locator("#current-call .call--talking")).to_be_visible(timeout=15_000)
            mail = page.locator("#queue-waiting .row--message a").first
            await expect(mail).to_be_visible(timeout=40_000)
    finally:
        await demo.stop()


async def test_the_demo_does_not_empty_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    process = await asyncio.create_subprocess_exec(
        *HUB,
        "demo",
        "--port",
        str(free_port()),
        "--data-dir",
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    async with asyncio.timeout(30):
        _, err = await process.communicate()
    assert process.returncode == 2
    assert "not a demo" in err.decode()
    assert (tmp_path / "precious.txt").exists()


async def test_ctrl_c_ends_the_demo_cleanly(tmp_path: Path) -> None:
    port = free_port()
    demo = Hub(tmp_path, tmp_path / "none.toml", port, tmp_path / "demo.log")
    with demo.log.open("wb") as log:
        demo.process = await asyncio.create_subprocess_exec(
            *HUB, "demo", "--port", str(port), "--data-dir", str(tmp_path / "demo"), stdout=log, stderr=log,
            env=clean_environment(),
        )  # fmt: skip
    await demo.ready()
    await demo.stop(signal.SIGINT)
    assert "Traceback" not in demo.log.read_text()
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"{demo.url}/readyz")
