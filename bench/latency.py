"""From the AMI event on the socket to the row a manager sees: `python -m bench.latency [CALLS]`.

A scripted PBX writes the events, `hub serve` runs as its own process on SQLite, and a real Chromium with a signed-in
manager notes when the row stands in the document. Both ends read the same machine's clock. Prints p50 and p99 in ms.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from hub.demo.pbx import ScriptedPbx
from tests.e2e.desk import pbx_toml
from tests.testbed.chromium import new_person, running_chromium, sign_in
from tests.testbed.hub import running_hub

WATCH = """
() => {
    window.seen = [];
    const note = (node) => {
        if (node.nodeType === 1 && (node.id || '').startsWith('queue-item-')) {
            requestAnimationFrame(() => {});
            window.seen.push([node.id, performance.timeOrigin + performance.now()]);
        }
    };
    new MutationObserver((changes) => changes.forEach((one) => one.addedNodes.forEach((node) => {
        note(node);
        if (node.querySelectorAll) node.querySelectorAll('[id^="queue-item-"]').forEach(note);
    }))).observe(document.body, {childList: true, subtree: true});
}
"""


async def measure(calls: int) -> list[float]:
    """Return one latency in ms for each call."""
    found: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with ScriptedPbx() as pbx, running_hub(Path(folder), pbx_toml(pbx.settings())) as hub:
            await hub.add_user("anna@hub.test", "Anna", "manager", ["sales"], "101")
            await hub.start()
            async with running_chromium() as browser:
                page = await sign_in(await new_person(browser), hub, "anna@hub.test")
                await page.wait_for_selector("html[data-connection=live]", timeout=10_000)
                await page.evaluate(WATCH)
                for n in range(calls + 5):
                    began_ms = time.time() * 1000
                    call = pbx.call_in("anonymous", name=f"Caller {n}")
                    await page.wait_for_function("(n) => window.seen.length > n", arg=n, timeout=10_000)
                    seen = await page.evaluate("window.seen.at(-1)[1]")
                    call.hang_up()
                    await page.wait_for_function(
                        "() => !document.querySelector('[id^=\"queue-item-\"]')", timeout=10_000
                    )
                    if n >= 5:
                        found.append(seen - began_ms)
    return found


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    found = sorted(asyncio.run(measure(calls)))
    p99 = found[min(len(found) - 1, round(len(found) * 0.99) - 1)]
    print(f"AMI event to visible row, {len(found)} calls: p50 {statistics.median(found):.1f} ms, p99 {p99:.1f} ms, "
          f"max {found[-1]:.1f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
