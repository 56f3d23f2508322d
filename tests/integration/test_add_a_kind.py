"""The tutorial works: its very code, put into a copy of the project, is a whole kind, within the lines it promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_FILES, MOST_LINES = 6, 200
COPIED = ("hub", "templates", "config", "docs", "tests", "pyproject.toml")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "corpus", "data", "e2e", "load", "images")
BLOCK = re.compile(r"^```\w+ (?P<path>\S+)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    path: str
    text: str

    @property
    def is_change(self) -> bool:
        return (ROOT / self.path).exists()

    @property
    def lines(self) -> int:
        """What of it somebody has to write."""
        lines = self.text.splitlines()
        return sum(line.startswith("+") for line in lines) if self.is_change else len(lines)


def read_tutorial() -> list[Block]:
    text = (ROOT / "docs" / "add-a-kind.md").read_text()
    return [Block(found["path"], found["text"]) for found in BLOCK.finditer(text)]


def newest_migration(root: Path) -> str:
    names = [path.name for path in (root / "hub/store/migrations/versions").glob("[0-9]*.py")]
    return max(name[:4] for name in names if not name.startswith("0099"))


def put(block: Block, root: Path) -> None:
    target = root / block.path
    if not block.is_change:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block.text.replace("NEWEST", newest_migration(root)))
        return
    above = ""
    text = target.read_text()
    for line in block.text.splitlines(keepends=True):
        if line.startswith("+"):
            assert text.count(above) == 1, f"{block.path}: {above!r} is not one line of it"
            text = text.replace(above, above + line[1:])
            above += line[1:]
        else:
            above = line[1:]
    target.write_text(text)


def test_a_kind_takes_no_more_files_and_lines_than_promised() -> None:
    blocks = read_tutorial()
    new = [block for block in blocks if not block.is_change]
    assert len(new) <= MOST_FILES, [block.path for block in new]
    assert sum(block.lines for block in blocks) <= MOST_LINES
    assert all(max(map(len, block.text.splitlines())) <= 120 for block in blocks)


@pytest.mark.timeout(300)
def test_the_kind_of_the_tutorial_has_all_that_a_kind_has(tmp_path: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    blocks = read_tutorial()
    for block in blocks:
        put(block, tmp_path)
    shutil.copy(ROOT / "tests/kind_checks.py", tmp_path / "tests/integration/test_kind_checks.py")
    written = [block.path for block in blocks if block.path.startswith("tests/")]
    known = ["tests/unit/test_i18n.py", "tests/unit/test_menu.py", "tests/integration/test_migrations.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    run = subprocess.run(
        [*command, "tests/integration/test_kind_checks.py", *written, *known],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-8_000:] + run.stderr[-2_000:]
