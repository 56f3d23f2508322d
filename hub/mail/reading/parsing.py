"""Parsing apart from the event loop: in worker processes that may die of a message without taking the next one along.

Decides where a message is read and what happens to a worker that does not come back. Knows no database. Invariants:
a worker that is stuck ends itself, also inside of C code; a dead worker is replaced before the next message; what
comes back is plain data, the HTML safe already.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from threading import Lock
from typing import Any, TypeVar

from hub.mail.reading import mime
from hub.mail.reading.mime import ParsedMessage
from hub.mail.reading.sanitize import html_to_text, safe_html
from hub.mail.reading.terms import terms

T = TypeVar("T")

READ_WITHIN_S = 30
"""Measured: 4 MB of hostile HTML are read in under 1 s. What takes longer will not end."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A message as it will be stored. `html` is safe; its attached pictures go by `mark` until they have ids."""

    parsed: ParsedMessage
    text: str
    html: str | None
    mark: str
    terms: str = ""
    """What the search keeps of it: subject, text, addresses, names of files."""

    def html_with(self, attachment_ids: Mapping[int, int]) -> str | None:
        """Return the HTML with its pictures' addresses; `attachment_ids` goes by the place among the attachments."""
        if self.html is None:
            return None
        known = re.compile(re.escape(_picture(self.mark, "")) + r"(\d{1,6})")
        return known.sub(lambda found: f"/attachments/{attachment_ids.get(int(found[1]), 0)}", self.html)


def read(raw: bytes, *, mark: str) -> Reading:
    """Parse a message, find its text, make its HTML safe. `mark` is a word that the sender cannot know."""
    parsed = mime.parse(raw)
    text = parsed.text if parsed.text is not None else html_to_text(parsed.html or "")
    kept = _terms(parsed, text)
    if parsed.html is None:
        return Reading(parsed, text, None, mark, kept)
    place_of = {file.cid: place for place, file in enumerate(parsed.attachments) if file.cid}

    def picture(cid: str) -> str | None:
        return _picture(mark, place_of[cid]) if cid in place_of else None

    return Reading(parsed, text, safe_html(parsed.html, cid_url=picture, allow_remote=False), mark, kept)


def _terms(parsed: ParsedMessage, text: str) -> str:
    senders = (parsed.from_,) if parsed.from_ else ()
    people = (*senders, *parsed.to, *parsed.cc)
    named = " ".join(f"{one.name} {one.address}" for one in people)
    return terms(parsed.subject, named, " ".join(file.name for file in parsed.attachments), text, parsed.also)


def _picture(mark: str, place: int | str) -> str:
    return f"/attachments/{mark}-{place}"


class ParserPool(Executor):
    """Worker processes for `read`. A broken pool raises BrokenProcessPool for what was under way, once."""

    def __init__(self, workers: int, *, within_s: int = READ_WITHIN_S) -> None:
        self._workers, self._within_s = workers, within_s
        self._lock = Lock()
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        with self._lock:
            with contextlib.suppress(BrokenProcessPool):
                return self._pool.submit(_within, self._within_s, fn, *args, **kwargs)
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._new_pool()
            return self._pool.submit(_within, self._within_s, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def _within(seconds: int, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run `fn`; the kernel ends this worker when it does not return in time, whatever it is doing."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        return fn(*args, **kwargs)
    finally:
        signal.alarm(0)
