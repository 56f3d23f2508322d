"""`hub record` and `hub replay`: how a user reports a call that was told wrong.

The files and the line are here, the deciding is in `hub/telephony` (recorder, masking, stream_file, replay, telling).
Invariants: a recording is readable by its owner alone, overwrites nothing and is bounded; reading a file takes
bounded memory, whatever it unpacks to.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import lzma
import os
import re
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from hub.clock import utc_now
from hub.errors import HubError, NotFound, Refused, Unavailable
from hub.settings import Pbx, Settings, load
from hub.telephony.line import link as link_module
from hub.telephony.line.link import Down, PbxLink, Timing, Up
from hub.telephony.line.snapshot import DETAILS
from hub.telephony.replay.masking import Mask
from hub.telephony.replay.recorder import Recorder
from hub.telephony.replay.replay import Replay, ToldCall
from hub.telephony.replay.stream_file import Head, Packet, StreamReader
from hub.telephony.replay.telling import as_json, paragraph, summary
from hub.telephony.service import rules_of
from hub.telephony.tracking.directions import PbxRules

CHUNK_BYTES = 65_536
MAX_UNPACKED_BYTES = 2_000_000_000
XZ_MEMORY_BYTES = 128 * 1024 * 1024
_HUB_QUEUE = re.compile(rb"\nQueue: (hub-[A-Za-z0-9_.-]{1,59})\r?\n")
SNAPSHOT_WITHIN = timedelta(seconds=10)


def chosen_pbx(settings: Settings, name: str | None) -> Pbx:
    """Return the PBX of this name, or the only one. Raises Refused."""
    if name is None and len(settings.pbx) == 1:
        return settings.pbx[0]
    known = ", ".join(pbx.name for pbx in settings.pbx) or "none"
    for pbx in settings.pbx:
        if pbx.name == name:
            return pbx
    if name is None:
        raise Refused("bad_pbx", f"--pbx: say which; the configuration has {known}")
    raise NotFound("bad_pbx", f"--pbx: there is no PBX {name!r}; the configuration has {known}")


# record


async def record(arguments: argparse.Namespace) -> int:
    """Record until Ctrl+C, `--seconds`, or the size is reached; what was seen is in the file in any case."""
    pbx = chosen_pbx(load(arguments.config), arguments.pbx)
    out: Path = arguments.out
    if arguments.max_mb < 1 or (arguments.seconds is not None and arguments.seconds <= 0):
        raise Refused("bad_bound", "--seconds and --max-mb must be above 0")
    # What the line's own log would say of it, this command says itself.
    logging.getLogger(link_module.__name__).setLevel(logging.ERROR)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    started_at = utc_now()
    masked = "secrets numbers" if arguments.mask_numbers else "secrets"
    head = Head(pbx=pbx.name, started_at=started_at, rules=rules_of(pbx), masked=masked)
    mask = Mask(secrets.token_bytes(32), hide_numbers=arguments.mask_numbers)
    recorder = Recorder(head, mask, max_bytes=arguments.max_mb * 1_000_000)
    with _OutFile(out) as file:
        file.write(recorder.head + recorder.mark("begin", at=started_at))
        session = _Session(recorder, file, stop, started_at, loop.time())
        try:
            async with asyncio.timeout(arguments.seconds), asyncio.TaskGroup() as tasks:
                link = PbxLink(pbx, timing=Timing(longest_pause=timedelta(seconds=5)), tap=session.take)
                running = [tasks.create_task(link.run()), tasks.create_task(session.follow(link))]
                await stop.wait()
                for task in running:
                    task.cancel()
        except TimeoutError:
            pass
        if session.trouble is not None:
            raise session.trouble
        file.write(recorder.mark("end", at=session.now()))
    if not session.was_up:
        await asyncio.to_thread(out.unlink)
        why = "" if session.has_said_why else f"{session.last_error or 'no answer'}; "
        raise Unavailable("pbx_down", f"PBX {pbx.name}: {why}nothing was recorded")
    why = f"; stopped at {arguments.max_mb} MB (--max-mb)" if recorder.is_full else ""
    sys.stderr.write(f"{out}: {recorder.packets} packets{why}; `hub replay {out}` tells its calls\n")
    return 0


@dataclass(slots=True)
class _Session:
    """One recording under way."""

    recorder: Recorder
    file: _OutFile
    stop: asyncio.Event
    started_at: datetime
    began_s: float
    was_up: bool = False
    last_error: str = ""
    has_said_why: bool = False
    """The last error has been shown: it is said once, however often the line is tried."""
    trouble: HubError | None = None

    def now(self) -> datetime:
        """Time by the monotonic clock: one that is set while a call is recorded would make it longer or shorter."""
        return self.started_at + timedelta(seconds=asyncio.get_running_loop().time() - self.began_s)

    def take(self, data: bytes) -> None:
        self._keep(self.recorder.feed(data, at=self.now()))

    async def follow(self, link: PbxLink) -> None:
        """Mark where the line came up and went down, and have the channels listed, which the tracker begins with."""
        async for item in link.incoming():
            if isinstance(item, Up):
                said = "the line is up again" if self.was_up else f"recording PBX {link.pbx.name}; Ctrl+C ends it"
                self.was_up, self.last_error, self.has_said_why = True, "", False
                self._keep(self.recorder.mark("up", at=self.now(), boot=item.boot, asterisk=item.version))
                await self._ask_state(link)
                sys.stderr.write(f"{said}\n")
            elif isinstance(item, Down):
                if item.reason != self.last_error:
                    self.last_error, self.has_said_why = item.reason, False
                self._keep(self.recorder.mark("down", at=self.now(), reason=item.reason))
                if item.auth_refused:
                    self.stop.set()
                elif not self.has_said_why:
                    self.has_said_why = True
                    sys.stderr.write(f"{item.reason}; trying again until Ctrl+C\n")

    async def _ask_state(self, link: PbxLink) -> None:
        """Have the PBX list what the service asks for after each sign-in; the tap writes the answers down."""
        for action in DETAILS.values():
            with contextlib.suppress(HubError):
                await link.list_action(action, {}, deadline=SNAPSHOT_WITHIN)
        try:
            await link.list_action("CoreShowChannels", {}, deadline=SNAPSHOT_WITHIN)
        except HubError as error:
            sys.stderr.write(f"no list of the calls that are up already: {error.message}\n")
            self._keep(self.recorder.mark("no-snapshot", at=self.now()))

    def _keep(self, raw: bytes) -> None:
        try:
            self.file.write(raw)
        except HubError as error:
            self.trouble = error
        if self.recorder.is_full or self.trouble:
            self.stop.set()


class _OutFile:
    """A new file that only its owner reads; compressed if its name ends in `.xz`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._packer = lzma.LZMACompressor() if path.suffix == ".xz" else None
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise Refused("file_exists", f"{path}: is there already, and is not overwritten") from None
        except OSError as error:
            raise Refused("file_unwritable", f"{path}: {error.strerror}") from error

    def __enter__(self) -> _OutFile:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._packer is not None:
                with contextlib.suppress(HubError):
                    self._put(self._packer.flush())
        finally:
            os.close(self._fd)

    def write(self, raw: bytes) -> None:
        """Write; a file that is not compressed is whole after each packet. Raises Unavailable when the disk is full."""
        if raw:
            self._put(self._packer.compress(raw) if self._packer else raw)

    def _put(self, raw: bytes) -> None:
        while raw:
            try:
                raw = raw[os.write(self._fd, raw) :]
            except OSError as error:
                raise Unavailable("disk", f"{self._path}: {error.strerror}; it holds what came before") from error


# replay


async def replay(arguments: argparse.Namespace) -> int:
    """Print the calls of a file, each as it ends. Exit code 0 also where there is none."""
    # Files are read and calls are told in one thread: there is nothing else for this process to do meanwhile.
    path: Path = arguments.file
    settings = load(arguments.config) if arguments.config else Settings()
    region = settings.hub.default_region
    rules = _rules(arguments, settings, path)
    out = sys.stdout
    outcomes: Counter[str | None] = Counter()
    try:
        for number, told in enumerate(_told(path, rules), 1):
            outcomes[told.call.outcome] += 1
            if arguments.json:
                out.write(json.dumps(as_json(told, number=number, region=region), ensure_ascii=True) + "\n")
            else:
                out.write(paragraph(told) + "\n")
        if not arguments.json:
            out.write(summary(outcomes) + "\n")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    return 0


def _told(path: Path, rules: PbxRules) -> Iterator[ToldCall]:
    machine, is_stream = Replay(rules), False
    for packet in packets_of(path):
        is_stream = is_stream or any(key in ("Event", "Hub-Mark") for key, _ in packet.headers)
        yield from machine.feed(packet)
    if not is_stream:
        raise Refused("stream_invalid", f"{path}: is no recording: there is not one AMI event in it")
    yield from machine.close()


def _rules(arguments: argparse.Namespace, settings: Settings, path: Path) -> PbxRules:
    """What the operator says, else what the file says of itself, else what it looks like."""
    rules = rules_of(chosen_pbx(settings, arguments.pbx)) if arguments.config else _looked_up(path)
    contexts = frozenset(arguments.internal_context) or rules.internal_contexts
    queues = frozenset(arguments.queue) or rules.hub_queues
    return replace(rules, pbx=arguments.pbx or rules.pbx, internal_contexts=contexts, hub_queues=queues)


def _looked_up(path: Path) -> PbxRules:
    """Read the head, or, in a capture that has none, take for Hub's the queues that are named as Hub's are."""
    reader, queues = StreamReader(), set[str]()
    for _first in packets_of(path, reader):
        break
    if reader.head is not None:
        return reader.head.rules
    before = b""
    with contextlib.suppress(Refused, OSError):  # the reading that follows says what is wrong
        for chunk in _chunks(path, say=False):
            queues.update(name.decode() for name in _HUB_QUEUE.findall(before + chunk)[:1_000] if len(queues) < 1_000)
            before = chunk[-100:]
    return PbxRules(pbx="recorded", hub_queues=frozenset(queues))


def packets_of(path: Path, reader: StreamReader | None = None) -> Iterator[Packet]:
    """Yield the packets of a file, packed by xz or not. Raises Refused that names the file and the line."""
    reader = reader or StreamReader()
    try:
        for chunk in _chunks(path):
            yield from reader.feed(chunk)
        yield from reader.close()
    except Refused as error:
        raise Refused(error.code, f"{path}: {error.message}") from None
    except OSError as error:
        raise Refused("file_unreadable", f"{path}: {error.strerror}") from error


def _chunks(path: Path, *, say: bool = True) -> Iterator[bytes]:
    unpacked = 0
    with path.open("rb") as file:
        is_packed = file.read(6) == b"\xfd7zXZ\x00"
        file.seek(0)
        if not is_packed:
            yield from iter(lambda: file.read(CHUNK_BYTES), b"")
            return
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
        rest = b""
        try:
            while True:
                if unpacker.eof:
                    rest = unpacker.unused_data.lstrip(b"\0") or file.read(CHUNK_BYTES)
                    if not rest:
                        return
                    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
                elif unpacker.needs_input and not (rest := file.read(CHUNK_BYTES)):
                    if say:
                        sys.stderr.write(f"{path}: ends in the middle of a packed block; what came before is told\n")
                    return
                chunk = unpacker.decompress(rest, max_length=CHUNK_BYTES)
                rest = b""
                unpacked += len(chunk)
                if unpacked > MAX_UNPACKED_BYTES:
                    raise Refused("file_too_big", f"unpacks to over {MAX_UNPACKED_BYTES} bytes")
                yield chunk
        except lzma.LZMAError as error:
            raise Refused("file_damaged", f"cannot be unpacked: {error}") from None
