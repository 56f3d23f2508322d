"""Debian packages that the tests need: there already, or installed now, or a reason why not."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def cache_folder() -> Path:
    """Where heavy test peers are kept between runs: outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "hub-testbed"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ensure_packages(names: Sequence[str]) -> str | None:
    """Install what is missing of `names`; return None, or the reason why a test must be skipped."""
    missing = [name for name in names if not _is_installed(name)]
    if not missing:
        return None
    wanted = " ".join(missing)
    if shutil.which("apt-get") is None:
        return f"not Debian: {wanted} cannot be installed"
    if os.geteuid() != 0:
        return f"not root: install {wanted} with apt-get to run this"
    with (cache_folder() / "apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return f"{' '.join(command)}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    return None


def _is_installed(name: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    status = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", name], capture_output=True, text=True, check=False
    )
    return status.stdout == "installed"


def debian_mirror() -> str | None:
    """Return the mirror that apt is configured with, read from apt's own settings."""
    if shutil.which("apt-get") is None:
        return None
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listing.stdout.splitlines():
        uri, _, origin = line.partition(" ")
        if origin.strip() == "Debian Debian":
            return uri
    return None
