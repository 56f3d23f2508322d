"""Docstrings say what a thing is; a riddle that opens with "What" or "Whose" has to be read twice."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HUB = Path(__file__).resolve().parents[2] / "hub"
RIDDLES = ("What ", "Who ", "Whose ")
FOLDERS = ("crm", "web", "store")


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_docstring_opens_with_a_riddle(folder: str) -> None:
    found = []
    for path in sorted((HUB / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            # A text that stands alone describes the line above it, as of an attribute.
            text = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else None
            if isinstance(text, str) and text.startswith(RIDDLES):
                found.append(f"{path.relative_to(HUB)}:{node.lineno}: {text.splitlines()[0]}")
    assert not found, "\n".join(found)
