"""Where the built scripts, styles and pictures are: from a plain name to the address with the hash in it.

The build (`assets/build.mjs`) writes `hub/web/static/` and its `manifest.json`; a changed file has a changed name,
so browsers may keep each one for ever. Invariant: only a name of the manifest becomes an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from hub.errors import ConfigError

PREFIX = "/static"
FOLDER = Path(__file__).resolve().parent / "static"


@dataclass(frozen=True, slots=True)
class Assets:
    """The manifest of one build."""

    folder: Path
    names: dict[str, str]

    def url(self, name: str) -> str:
        """Return the address of an asset. Raises KeyError: a template that asks for none of ours is a bug."""
        return f"{PREFIX}/{self.names[name]}"


def read_assets(folder: Path = FOLDER) -> Assets:
    """Read the manifest. Raises ConfigError where the assets have not been built."""
    try:
        names = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        raise ConfigError("assets_missing", "the pages' scripts and styles are not built: run `make assets`") from None
    return Assets(folder, names)
