"""Worker processes that may die of a message without taking the next one along.

Decides what happens to a worker that does not come back: whatever was in its hands, and nothing else, gets
BrokenProcessPool, and the next piece of work gets a new one. Knows nothing of mail. Invariants: a worker has one piece
of work at a time, so it is known what it died of; one that is stuck is ended by the kernel, also inside of C code; one
that has grown is replaced, so memory does not depend on the biggest message there ever was; none outlives its parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

WITHIN_S = 30
"""Measured: 4 MB of hostile HTML are read in under 1 s. What takes longer will not end."""
MAX_BYTES = 2 * 1024**3
"""Address space of a worker: what wants more fails by itself, before the machine has to choose whom to end."""
GROWN_KB = 150 * 1024
"""Resident memory from which a worker is replaced: one that reads ordinary mail stays below 80 MB."""


class ParserPool(Executor):
    """As many worker processes as asked for, begun when there is work. Work and results must pickle."""

    def __init__(self, workers: int, *, within_s: int = WITHIN_S) -> None:
        self._within_s = within_s
        self._waiting: SimpleQueue[tuple[Future[Any], _Call] | None] = SimpleQueue()
        self._threads = [Thread(target=self._serve, daemon=True, name=f"parser-{n}") for n in range(workers)]
        self._is_closed = False
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        if self._is_closed:
            raise RuntimeError("the workers were sent home")
        future: Future[T] = Future()
        self._waiting.put((future, _Call(fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers once they are done; with `cancel_futures` what waits is cancelled."""
        self._is_closed = True
        while cancel_futures and not self._waiting.empty():
            if (one := self._waiting.get()) is not None:
                one[0].cancel()
        for _ in self._threads:
            self._waiting.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _serve(self) -> None:
        """Hand work to one worker, and to the next where that one is gone."""
        worker: _Worker | None = None
        while (one := self._waiting.get()) is not None:
            future, call = one
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker = worker or _Worker(self._within_s)
                is_well, result, is_grown = worker.ask(call)
            except (EOFError, OSError) as error:
                future.set_exception(BrokenProcessPool(f"the worker is gone: {error!r}"))
                is_grown = True
            except Exception as error:  # noqa: BLE001 - what cannot be pickled is the asker's to hear of
                future.set_exception(error)
                is_grown = True
            else:
                if is_well:
                    future.set_result(result)
                else:
                    future.set_exception(result)
            if is_grown and worker is not None:
                worker.end()
                worker = None
            # Nothing of it is held while the next is waited for.
            del one, future, call
            result = None
        if worker is not None:
            worker.end()


class _Call:
    """A function with its arguments, as it travels."""

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.fn, self.args, self.kwargs = fn, args, kwargs

    def __call__(self) -> Any:
        return self.fn(*self.args, **self.kwargs)


class _Worker:
    def __init__(self, within_s: int) -> None:
        # Not by multiprocessing, which has each worker import what the parent's main module does: 80 MB of it.
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", _BEGIN, json.dumps(sys.path), str(theirs.fileno()), str(within_s)]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own words
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        self._line: Connection[Any, Any] = Connection(ours.detach())

    def ask(self, call: _Call) -> tuple[bool, Any, bool]:
        """Return whether it went well, the result or the exception, and whether the worker has grown."""
        _send(self._line, call)
        answer: tuple[bool, Any, bool] = self._line.recv()
        return answer

    def end(self) -> None:
        self._line.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


LARGE_BYTES = 1024 * 1024
"""Bytes of this size and more travel beside the call."""
_COUNT_BYTES = 4


def _send(line: Connection[Any, Any], call: _Call) -> None:
    """Send a call, its large bytes beside it and uncopied: pickling 100 MB would hold up every thread of this
    process, while the kernel takes bytes from a buffer with the interpreter free."""
    beside: list[pickle.PickleBuffer] = []
    lean = _Call(call.fn, _with_buffers(call.args), call.kwargs)
    packed = pickle.dumps(lean, protocol=5, buffer_callback=beside.append)
    line.send_bytes(len(beside).to_bytes(_COUNT_BYTES, "big") + packed)
    for buffer in beside:
        line.send_bytes(buffer.raw())


def _with_buffers(value: Any) -> Any:
    """Return arguments with their large bytes, also those in lists and tuples, as buffers: they arrive as bytes."""
    if type(value) is bytes and len(value) >= LARGE_BYTES:
        return pickle.PickleBuffer(value)
    return type(value)(map(_with_buffers, value)) if type(value) in (list, tuple) else value


def _receive(line: Connection[Any, Any]) -> tuple[bytes, list[bytes]]:
    """Return what `_send` sent, still packed."""
    packed = line.recv_bytes()
    return packed[_COUNT_BYTES:], [line.recv_bytes() for _ in range(int.from_bytes(packed[:_COUNT_BYTES], "big"))]


_BEGIN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from hub.mail.reading.workers import work
work(int(sys.argv[2]), int(sys.argv[3]))
"""


def work(handle: int, within_s: int) -> None:
    """Live as a worker does, until the line to its parent (a socket by its number) ends."""
    line: Connection[Any, Any] = Connection(handle)
    # A call that rings is answered before a mail is read.
    os.nice(5)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    while True:
        try:
            packed, beside = _receive(line)
        except (EOFError, OSError, MemoryError):
            # After half of it nothing may be read on: a message's bytes would be taken for a call.
            return
        try:
            call: _Call = pickle.loads(packed, buffers=beside)  # noqa: S301 - from our own parent
        except Exception as error:  # noqa: BLE001 - what does not unpickle here is told
            call = _Call(_raise, (RuntimeError(repr(error)),), {})
        signal.alarm(within_s)
        try:
            answer: tuple[bool, Any] = True, call()
        except Exception as error:  # noqa: BLE001 - it is told to whoever asked
            answer = False, error
        signal.alarm(0)
        is_grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > GROWN_KB
        try:
            line.send((*answer, is_grown))
        except (EOFError, OSError):
            return
        except Exception as error:  # noqa: BLE001 - a result that does not pickle is told as one
            with contextlib.suppress(OSError):
                line.send((False, RuntimeError(repr(error)), is_grown))
        del call, answer, packed, beside


def _raise(error: Exception) -> None:
    raise error
