"""Locates the files that ship with Hub but are not Python: templates, example configuration, the user guide.

A wheel carries them inside the package (`setup.py` copies them there); a checkout has them at its top level.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTALLED = "_resources"


def folder(name: str) -> Path:
    """Return a shipped folder such as `templates` or `docs/guide`. Raises FileNotFoundError if there is none."""
    for root in (PACKAGE / INSTALLED, PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"{name}: not installed with Hub")
