"""Templates are read by people: no line is longer than a screen."""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATES = Path(__file__).parents[2] / "templates"
MAX_CHARS = 160
TEXT = re.compile(r"""_\("[^"]*"\)""")
"""A text to translate stands in one piece, and counts for nothing here."""


def test_no_line_of_a_template_is_longer_than_160_characters() -> None:
    found = [
        f"{path.relative_to(TEMPLATES)}:{number}"
        for path in sorted(TEMPLATES.rglob("*.html"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(TEXT.sub('_("")', line)) > MAX_CHARS
    ]
    assert found == []
