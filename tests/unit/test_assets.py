"""The names of built files: only what the build wrote has an address, and every icon that is drawn is in the sprite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.errors import ConfigError
from hub.web.assets import read_assets

ROOT = Path(__file__).parents[2]


def test_a_plain_name_becomes_the_hashed_address(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"app.css": "app-1A2B.css"}')
    assert read_assets(tmp_path).url("app.css") == "/static/app-1A2B.css"


def test_a_name_that_nobody_built_is_a_bug(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(KeyError):
        read_assets(tmp_path).url("app.css")


def test_assets_that_are_not_built_are_said_with_the_command_that_builds_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make assets"):
        read_assets(tmp_path)


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    listed = set((ROOT / "assets/icons.txt").read_text().split()) | {"hub"}
    for path in sorted(ROOT.glob("templates/**/*.html")):
        named = set(re.findall(r"""icon\(["']([a-z0-9-]+)["']""", path.read_text("utf-8")))
        assert named <= listed, path.name


def test_the_lock_file_names_no_download_address() -> None:
    assert '"resolved"' not in (ROOT / "assets/package-lock.json").read_text()


# WCAG 2.2, 1.4.3: text on what it stands on. Each pair is (text, ground) by the tokens' names.
TEXT_ON = [
    *((text, ground) for text in ("text", "text-2") for ground in ("canvas", "surface", "raised", "hover", "pressed")),
    *(("text-3", ground) for ground in ("canvas", "surface", "raised", "hover")),
    *((text, "surface") for text in ("accent-text", "good", "bad", "warn")),
    *((tone, f"{tone}-soft") for tone in ("good", "bad", "warn")),
    ("accent-text", "accent-soft"),
    *(("on-accent", ground) for ground in ("accent", "accent-strong", "good-solid", "bad-solid")),
    *((f"hue-{n}", f"hue-{n}-bg") for n in range(8)),
]
# 1.4.11: the edge of a field and the ring of focus.
EDGE_ON = [("control-line", "surface"), ("focus", "surface"), ("focus", "canvas")]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("pair", "at_least"), [*((pair, 4.5) for pair in TEXT_ON), *((pair, 3.0) for pair in EDGE_ON)], ids=str
)
def test_colours_can_be_told_apart(pair: tuple[str, str], at_least: float, scheme: int) -> None:
    one, other = (_luminance(_tokens()[name][scheme]) for name in pair)
    assert (max(one, other) + 0.05) / (min(one, other) + 0.05) >= at_least


def _tokens() -> dict[str, tuple[str, str]]:
    css = (ROOT / "assets/css/tokens.css").read_text()
    pairs = re.findall(r"--([\w-]+): (?:light-dark\((#\w{6}), (#\w{6})\)|(#\w{6}));", css)
    return {name: (light or both, dark or both) for name, light, dark, both in pairs}


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_each_variable_of_the_styles_is_defined_somewhere() -> None:
    """`var(--x)` without a definition draws nothing, in silence. A script may set one too."""
    styles = "".join(path.read_text() for path in sorted((ROOT / "assets/css").glob("*.css")))
    scripts = "".join(path.read_text() for path in sorted((ROOT / "assets/js").glob("*.js")))
    pages = "".join(path.read_text() for path in sorted((ROOT / "templates").rglob("*.html")))
    defined = set(re.findall(r"(--[\w-]+)\s*:", styles + pages))
    defined |= set(re.findall(r"setProperty\(\s*[\"'`](--[\w-]+)", scripts))
    assert set(re.findall(r"var\((--[\w-]+)", styles + pages)) - defined == set()
