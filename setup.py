"""The build step that pyproject.toml cannot express: a wheel carries the top-level folders that Hub reads."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

FOLDERS = ("templates", "config", "docs/guide")
MANIFEST = Path("hub/web/static/manifest.json")


class BuildWithResources(build_py):
    """Copy `FOLDERS` into `hub/_resources`, where `hub/resources.py` looks first."""

    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        if not MANIFEST.is_file():
            raise SetupError("the pages' scripts and styles are not built: run `make assets` first")
        # An earlier build may hold modules that are gone since.
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        for name in FOLDERS:
            if Path(name).is_dir():
                shutil.copytree(name, Path(self.build_lib, "hub/_resources", name))


setup(cmdclass={"build_py": BuildWithResources})
