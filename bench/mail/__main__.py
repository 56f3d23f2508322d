"""Mail in, messages a second, Hub and its peers side by side: `python -m bench.mail [N] [ROUNDS] [sqlite|postgresql]`.

N messages (10,000; the corpus is `corpus`) lie in a local Dovecot. Hub takes them until each is parsed, threaded,
linked, searchable and on its card; mbsync (Debian isync) and offlineimap3 merely download them, in the same run.
Each is a process of its own and begins with nothing; rounds alternate, offlineimap3 has one. Prints the best of each
and the ratios.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.mail.corpus import messages
from tests.testbed.dovecot import PASSWORD, Dovecot, running_dovecot
from tests.testbed.packages import ensure_packages
from tests.testbed.postgres import running_postgres

ROOT = Path(__file__).parents[2]
WORKERS = int(os.environ.get("BENCH_WORKERS", "0")) or min(4, os.cpu_count() or 1)


def filled(dovecot: Dovecot, count: int) -> int:
    """Deliver the corpus; return its bytes."""
    total = 0
    for made in messages(count):
        dovecot.deliver("sales", made.raw)
        total += len(made.raw)
    return total


def timed(command: list[str], **more: Any) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    """Run a command; return its seconds, its CPU seconds, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800, cwd=ROOT, **more)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode != 0:
        raise SystemExit(f"{command[0]}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ran


def hub(folder: Path, port: int, count: int, url: str) -> float:
    command = [sys.executable, "-m", "bench.mail.hub", url, str(folder), str(port), str(count), str(WORKERS)]
    _, cpu, ran = timed(command, input=PASSWORD)
    found = json.loads(ran.stdout.splitlines()[-1])
    held = found["held_kb"]
    spent = f"{found['cpu']:.1f} in the main process, {found['workers_cpu']:.1f} in the workers, the rest to begin"
    took = f"{count / found['seconds']:6.0f} messages/s, {found['seconds']:.1f} s"
    print(
        f"hub          {took}, {cpu:.1f} s of CPU ({spent})",
        f"held at most {sum(held.values()) / 1024:.0f} MB"
        f" ({', '.join(f'{name} {kb / 1024:.0f}' for name, kb in held.items())})",
        f"event loop late by {found['stall_p99_ms']:.0f} ms (p99), {found['stall_ms']:.0f} ms (max)",
        ", ".join(f"{number} {name}" for name, number in found["counts"].items()),
        sep="\n             ",
        flush=True,
    )
    return count / float(found["seconds"])


def mbsync(folder: Path, port: int, count: int) -> float:
    (folder / "password").write_text(PASSWORD)
    (folder / "mail").mkdir()
    (folder / "mbsyncrc").write_text(
        f"""IMAPStore far
Host 127.0.0.1
Port {port}
User sales
PassCmd "cat {folder}/password"
SSLType None
AuthMechs LOGIN

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX

Channel all
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
"""
    )
    seconds, cpu, _ = timed(["mbsync", "-q", "-c", str(folder / "mbsyncrc"), "all"])
    return said("mbsync", folder / "mail", count, seconds, cpu)


def offlineimap(folder: Path, port: int, count: int) -> float:
    (folder / "password").write_text(PASSWORD)
    (folder / "offlineimaprc").write_text(
        f"""[general]
accounts = a
metadata = {folder}/meta
ui = quiet
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {folder}/mail
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {port}
ssl = no
starttls = no
remoteuser = sales
remotepassfile = {folder}/password
folderfilter = lambda name: name == "INBOX"
readonly = True
"""
    )
    command = ["offlineimap", "-c", str(folder / "offlineimaprc"), "-o"]
    seconds, cpu, _ = timed(command, env=os.environ | {"HOME": str(folder)})
    return said("offlineimap3", folder / "mail", count, seconds, cpu)


def said(name: str, mail: Path, count: int, seconds: float, cpu: float) -> float:
    there = sum(1 for path in mail.rglob("*") if path.is_file() and path.parent.name in ("cur", "new"))
    assert there == count, f"{name} took {there} of {count}"
    print(f"{name:12} {count / seconds:6.0f} messages/s, {seconds:.1f} s, {cpu:.1f} s of CPU", flush=True)
    return count / seconds


def compare(port: int, count: int, rounds: int, *, database: str) -> None:
    best: dict[str, float] = {}
    peers = {"mbsync": mbsync, "offlineimap3": offlineimap}
    # In the checkout, not in a temporary folder that may be memory: the flush to disk is part of what is measured.
    (ROOT / "build").mkdir(exist_ok=True)
    for number in range(rounds):
        names = [
            "hub",
            *(name for name in peers if shutil.which(name.rstrip("3")) and (name == "mbsync" or not number)),
        ]
        for name in names:
            with contextlib.ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=ROOT / "build")))
                if name != "hub":
                    rate = peers[name](folder, port, count)
                elif database == "sqlite":
                    rate = hub(folder, port, count, f"sqlite:///{folder / 'hub.db'}")
                else:
                    rate = hub_on_postgres(folder, port, count)
            best[name] = max(rate, best.get(name, 0))
    for name in peers:
        if name in best:
            print(f"hub / {name}: {best['hub'] / best[name]:.2f}")
    print(f"{os.cpu_count()} cores, {WORKERS} workers, load {os.getloadavg()[0]:.1f}")


def hub_on_postgres(folder: Path, port: int, count: int) -> float:
    with running_postgres() as server:
        return hub(folder, port, count, asyncio.run(server.new_database()))


async def main() -> None:
    words = sys.argv[1:]
    numbers = [int(word) for word in words if word.isdigit()]
    count, rounds = (*numbers, *(10_000, 2)[len(numbers) :])[:2]
    database = "postgresql" if "postgresql" in words else "sqlite"
    if "alone" not in words and (reason := ensure_packages(["isync", "offlineimap3"])):
        print(f"no peers: {reason}")
    async with running_dovecot("sales") as dovecot:
        total = await asyncio.to_thread(filled, dovecot, count)
        print(f"{count} messages, {total / 1e6:.0f} MB, {database}", flush=True)
        if "alone" in words:
            with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
                await asyncio.to_thread(hub, Path(folder), dovecot.port, count, f"sqlite:///{folder}/hub.db")
            return
        await asyncio.to_thread(compare, dovecot.port, count, rounds, database=database)


if __name__ == "__main__":
    asyncio.run(main())
