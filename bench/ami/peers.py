"""One peer reads one whole stream: `python -m bench.ami.peers NAME PORT`, in a process of its own.

Prints a JSON line: CPU seconds from before the connection to the end of the stream (imports left out), and how many
calls were told to have ended, where the peer tells calls. All of them run on asyncio's own event loop.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Peer = Callable[[int], Awaitable[tuple[float, int]]]
"""Given the port; returns the CPU seconds it took and the calls that ended."""


async def hub(port: int) -> tuple[float, int]:
    """PbxLink and CallTracker, joined as `telephony/service` joins them."""
    from hub.settings import Pbx, Secret
    from hub.telephony.line.link import Down, FrameReceived, PbxLink
    from hub.telephony.tracking.calls import CallEnded
    from hub.telephony.tracking.directions import PbxRules
    from hub.telephony.tracking.tracker import CallTracker

    began = time.process_time()
    link = PbxLink(Pbx(name="office", port=port, username="hub", secret=Secret("x")))
    tracker = CallTracker(PbxRules(pbx="office"))
    running = asyncio.ensure_future(link.run())
    ended = 0
    try:
        async for incoming in link.incoming():
            match incoming:
                case FrameReceived(frame=frame, at=at):
                    for effect in tracker.handle(frame, now=at):
                        ended += isinstance(effect, CallEnded)
                case Down(reason=reason):
                    if reason != "the PBX hung up":
                        raise SystemExit(f"the line was lost: {reason}")
                    return time.process_time() - began, ended
    finally:
        running.cancel()
    raise AssertionError("the stream of a link has no end")


async def _until_hung_up(manager: Any) -> float:
    began = time.process_time()
    over = asyncio.Event()
    manager.connection_lost = lambda _exception: over.set()
    await manager.connect()
    await over.wait()
    return time.process_time() - began


async def panoramisk(port: int) -> tuple[float, int]:
    """panoramisk alone, with a callback that does nothing."""
    from panoramisk import Manager

    manager = Manager(
        host="127.0.0.1", port=port, username="hub", secret="x", loop=asyncio.get_running_loop(), ping_delay=3600
    )
    manager.register_event("*", lambda _manager, _event: None)
    return await _until_hung_up(manager), 0


async def cacofonisk(port: int) -> tuple[float, int]:
    """cacofonisk's channel tracker on panoramisk, wired as its own AmiRunner does, with a reporter that counts."""
    from cacofonisk import BaseReporter, EventHandler  # type: ignore[import-not-found]
    from panoramisk import Manager

    class Reporter(BaseReporter):  # type: ignore[misc]
        ended = 0

        def on_hangup(self, *_args: object, **_kwargs: object) -> None:
            self.ended += 1

    reporter = Reporter()
    handler = EventHandler(reporter=reporter, hostname="127.0.0.1")
    manager = Manager(
        host="127.0.0.1", port=port, username="hub", secret="x", loop=asyncio.get_running_loop(), ping_delay=3600
    )
    for name in handler.event_handlers():
        manager.register_event(name, lambda _manager, event: handler.on_event(event))
    return await _until_hung_up(manager), reporter.ended


PEERS: dict[str, Peer] = {"hub": hub, "panoramisk": panoramisk, "cacofonisk": cacofonisk}


async def _measure(name: str, port: int) -> None:
    cpu_s, ended = await PEERS[name](port)
    print(json.dumps({"cpu_s": cpu_s, "ended": ended}), flush=True)


if __name__ == "__main__":
    asyncio.run(_measure(sys.argv[1], int(sys.argv[2])))
