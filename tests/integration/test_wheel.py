"""The wheel as a customer installs it: built from the sources, put into an empty environment, run away from them."""

from __future__ import annotations

import asyncio
import re
import shutil
import site
import sys
import venv
from pathlib import Path

import aiohttp
import pytest

from tests.testbed.hub import clean_environment
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for

ROOT = Path(__file__).parents[2]
SOURCES = ("hub", "templates", "config", "docs", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
CONFIG = """
[hub]
data_dir = "var"
[[pbx]]
name = "office"
username = "hub"
secret = "ami-secret-word"
[[pbx.team]]
queue = "hub-sales"
team = "sales"
"""


async def run(*words: str | Path, folder: Path) -> str:
    """Run a command to its end; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, words),
        cwd=folder,
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture
async def installed(tmp_path: Path) -> Path:
    """The `bin` folder of a fresh environment that holds the built wheel, and borrows its dependencies."""
    sources, wheels, fresh = tmp_path / "sources", tmp_path / "wheels", tmp_path / "fresh"
    for name in SOURCES:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif place.exists():
            sources.mkdir(exist_ok=True)
            shutil.copy(place, sources)
    # A module that is gone from the sources must not come back from an earlier build.
    (sources / "build/lib/hub").mkdir(parents=True)
    (sources / "build/lib/hub/left_over.py").touch()
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    await run(*pip, "wheel", *offline, "--no-build-isolation", "-w", wheels, sources, folder=tmp_path)
    venv.create(fresh, with_pip=False, symlinks=True)
    (wheel,) = wheels.iterdir()
    await run(*pip, "--python", fresh / "bin/python", "install", *offline, wheel, folder=tmp_path)
    (packages,) = fresh.glob("lib/python*/site-packages")
    # The .pth files of the borrowed folders are not read, so the checkout that one of them names stays out of reach.
    borrowed = {str(Path(one).resolve()) for one in (*site.getsitepackages(), Path(aiohttp.__file__).parents[1])}
    (packages / "borrowed.pth").write_text("".join(f"{one}\n" for one in sorted(borrowed)))
    return fresh / "bin"


@pytest.mark.timeout(180)
async def test_the_wheel_runs_in_an_empty_environment(installed: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    find = "import hub, hub.resources as r; print(hub.__file__, r.folder('templates'), r.folder('config'))"
    for place in (await run(installed / "python", "-c", find, folder=away)).split():
        assert Path(place).is_relative_to(installed.parent), place
    assert not list(installed.parent.rglob("left_over.py"))

    (away / "hub.toml").write_text(CONFIG)
    printed = await run(installed / "hub", "pbx", "snippet", "--config", "hub.toml", folder=away)
    assert "[hub-sales]" in printed
    (dialplan,) = re.findall(r"(\S+extensions_hub\.conf)", printed)
    assert "[hub-version]" in Path(dialplan).read_text()

    port, log = free_port(), away / "demo.log"
    with log.open("wb") as out:
        demo = await asyncio.create_subprocess_exec(
            installed / "hub", "demo", "--port", str(port), cwd=away, env=clean_environment(), stdout=out, stderr=out
        )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as browser:

            async def login_page() -> str | None:
                assert demo.returncode is None, log.read_text()
                try:
                    async with browser.get("/login") as answer:
                        return await answer.text() if answer.status == 200 else None
                except aiohttp.ClientError:
                    return None

            page = await wait_for(login_page, what="the demo answers", deadline_s=60)
            assert 'name="password"' in page
            linked = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', page))
            assert linked
            for address in linked:
                async with browser.get(address) as answer:
                    assert answer.status == 200, address
    finally:
        if demo.returncode is None:
            demo.terminate()
        await demo.wait()
