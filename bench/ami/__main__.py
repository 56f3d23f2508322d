"""Events a second on one core, Hub and its peers side by side: `python -m bench.ami [CAPTURE] [ROUNDS]`.

A process of its own writes the recorded stream to a loopback socket; each peer reads it whole in a process of its
own, in alternating rounds of one run, and its CPU seconds are what counts. Prints medians, spread and ratios.
cacofonisk is installed for this alone, by requirements/bench.txt, into a virtual environment under build/.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
CAPTURE = ROOT / ".." / "shared" / "data" / "ami-asterisk22-500-calls.raw.xz"
SMALL = ROOT / "tests" / "data" / "ami" / "two-party-calls.txt.xz"
LOCK = ROOT / "requirements" / "bench.txt"
AT_LEAST = 40_000
PEERS = {"hub": "coresettings", "panoramisk": "login", "cacofonisk": "login"}
"""Each peer, and the action that its sign-in ends with."""


def bench_python() -> Path:
    """Return the Python of the peers' own environment, made where it is not there or its lock has changed."""
    home = ROOT / "build" / "bench-venv"
    python, stamp = home / "bin" / "python", home / "installed"
    wanted = LOCK.read_text("utf-8")
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        venv.EnvBuilder(with_pip=True, clear=True).create(home)
        install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)]
        subprocess.run(install, check=True)
        stamp.write_text(wanted, "utf-8")
    return python


def one_round(name: str, python: str, port: int) -> dict[str, float]:
    """Have one peer read the stream and return what it says."""
    command = [python, "-m", "bench.ami.peers", name, str(port)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if ran.returncode != 0:
        raise SystemExit(f"{name}: {ran.stderr.strip()[-2000:]}")
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def main() -> None:
    arguments = sys.argv[1:]
    rounds = int(arguments.pop()) if arguments and arguments[-1].isdigit() else 7
    capture = Path(arguments[0]) if arguments else CAPTURE if CAPTURE.exists() else SMALL
    peers_python = str(bench_python())
    pythons = {"hub": sys.executable, "panoramisk": peers_python, "cacofonisk": peers_python}
    feed = subprocess.Popen(
        [sys.executable, "-m", "bench.ami.feed", str(capture), str(AT_LEAST)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert feed.stdin and feed.stdout
    try:
        port, events = map(int, feed.stdout.readline().split())
        print(
            f"{capture.name}: {events} events, {rounds} rounds, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        speeds: dict[str, list[float]] = {name: [] for name in PEERS}
        ended: dict[str, float] = {}
        for _ in range(rounds):
            for name, until in PEERS.items():
                print(until, file=feed.stdin, flush=True)
                feed.stdout.readline()
                found = one_round(name, pythons[name], port)
                speeds[name].append(events / found["cpu_s"])
                ended[name] = found["ended"]
    finally:
        feed.stdin.close()
        feed.wait(10)
    for name, each in speeds.items():
        told = f", {ended[name]:.0f} calls told to their end" if ended[name] else ""
        print(f"{name:11} {statistics.median(each):9,.0f} events/s/core ({min(each):,.0f} to {max(each):,.0f}){told}")
    for name, wanted in (("panoramisk", 2.5), ("cacofonisk", 3.0)):
        ratios = [ours / theirs for ours, theirs in zip(speeds["hub"], speeds[name], strict=True)]
        print(f"hub / {name}: {statistics.median(ratios):.2f} x (wanted: {wanted:g} x), {min(ratios):.2f} at worst")


if __name__ == "__main__":
    main()
