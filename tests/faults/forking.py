"""Runs a module again and again, each time in a fork of this process, which has imported all that it needs.

`python -m tests.faults.forking MODULE`: each line of stdin is JSON, the number of the fault point to be killed at and
the arguments; the answer is a line of JSON, the exit code as `subprocess` tells it and what was written to stderr. A
fork is a fresh process but for the imports, which cost a second or two: nothing has run in this one, no thread, no
loop.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback
from typing import BinaryIO

from hub import crash_points


def main(module: str) -> None:
    importlib.import_module(module)
    del sys.modules[module]
    for line in sys.stdin:
        at, *arguments = json.loads(line)
        with tempfile.TemporaryFile() as told:
            pid = os.fork()
            if pid == 0:
                _run(module, arguments, at=str(at), told=told)
            _, status = os.waitpid(pid, 0)
            told.seek(0)
            code = os.waitstatus_to_exitcode(status)
            print(json.dumps([code, told.read().decode("utf-8", "replace")]), flush=True)


def _run(module: str, arguments: list[str], *, at: str, told: BinaryIO) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(told.fileno(), 1)
    os.dup2(told.fileno(), 2)
    code = 1
    try:
        os.environ["HUBFAULT_AT"] = at
        importlib.reload(crash_points)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
