"""Hub's command as a fork of a process that has imported it: a start costs the imports no more, 2 s of processor time.

`start` asks a process of its own (`main`) for each; the fork goes on as `hub WORDS…` and ends as any interpreter does.
It is a fresh process but for the imports and the compiled templates: in the process that forks no thread and no loop
ever ran. Invariant: whatever was started ends with the test run, also one that was killed.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import BinaryIO

LONGEST_ORDER = 2**17


class Forked:
    """A running command: what `asyncio.subprocess.Process` has, as far as the tests use it."""

    def __init__(self, told: int) -> None:
        self._told = told
        self._code: int | None = None
        self._text = b""
        while b"\n" not in self._text:
            if not (some := os.read(told, 32)):
                raise ChildProcessError("the process that forks is gone")
            self._text += some
        os.set_blocking(told, False)
        pid, _, self._text = self._text.partition(b"\n")
        self.pid = int(pid)

    @property
    def returncode(self) -> int | None:
        """The exit code as `subprocess` tells it, None while it runs."""
        if self._code is None:
            try:
                self._text = self._text or os.read(self._told, 32)
            except BlockingIOError:
                return None
            self._code = int(self._text or -signal.SIGKILL)
            os.close(self._told)
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        while (code := self.returncode) is None:
            await asyncio.sleep(0.01)
        return code


async def start(words: Sequence[str], *, log: BinaryIO, env: Mapping[str, str]) -> Forked:
    """Start `hub WORDS…` without input; both of its outputs go to `log`."""
    with open(os.devnull, "rb") as nothing:
        return await start_with(words, files=(nothing, log, log), env=env)


async def start_with(
    words: Sequence[str], *, files: tuple[BinaryIO, BinaryIO, BinaryIO], env: Mapping[str, str]
) -> Forked:
    """Start `hub WORDS…` with these files as its input, output and error output."""
    order = json.dumps([list(words), dict(env)]).encode()
    return await asyncio.to_thread(_start, order, [file.fileno() for file in files])


def _start(order: bytes, files: list[int]) -> Forked:
    told, tells = os.pipe()
    try:
        socket.send_fds(_forking(), [order], [*files, tells])
    finally:
        os.close(tells)
    return Forked(told)


@functools.cache
def _forking() -> socket.socket:
    """Start the process that forks, at the first use in this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.testbed.forked", str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


def main(line: socket.socket) -> None:
    """Fork for each order until the other side of `line` is gone; returns in a fork only, which is then the command."""
    from hub import app, cli  # noqa: F401 - what every fork has
    from hub.commands import doctor, pbx, streams  # noqa: F401
    from hub.demo import day  # noqa: F401

    _compile_templates()
    gc.freeze()
    assert threading.active_count() == 1
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        order, files, _, _ = socket.recv_fds(line, LONGEST_ORDER, 4)
        if not order:
            os.killpg(0, signal.SIGKILL)
        if os.fork() == 0:
            line.close()
            words, env = json.loads(order)
            _become(words, env, files[:3], tells=files[3])
            return
        for file in files:
            os.close(file)


def _compile_templates() -> None:
    """Leave the code of every template in the cache of the process."""
    from hub.resources import folder
    from hub.web.assets import read_assets
    from hub.web.jinja_env import make_environment

    env = make_environment(folder("templates"), "en", read_assets())
    for name in env.list_templates():
        env.get_template(name)


def _become(words: list[str], env: dict[str, str], files: list[int], *, tells: int) -> None:
    """Return in a child that has the words, the environment and the files; stay with it and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (pid := os.fork()) == 0:
        os.close(tells)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["hub", *words]
        return
    os.write(tells, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(tells, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
    from hub.cli import main as hub

    sys.exit(hub())
