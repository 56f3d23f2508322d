"""How long the dialplan waits for its answer: `python -m bench.route [QUESTIONS]`.

`hub serve` runs as its own process, idle but for the questions, on SQLite and on PostgreSQL, with 10,000 clients,
5,000 blocked numbers and 200 patterns; every question goes the longest way (a client with a manager of their own).
Each question is a connection of its own, as Asterisk makes it. Prints p50 and p99 in ms, and how
many were refused because the machine was too busy to answer within 280 ms.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import rules
from hub.crm.access import load_actor
from hub.crm.models import addresses, blocked_callers, clients, users
from hub.crm.rules import TeamRules
from hub.store.engine import open_database
from tests.testbed.hub import Hub, run_command, running_hub
from tests.testbed.postgres import running_postgres

SECRET = "a word that only the bench knows"
TOML = (
    f'[[pbx]]\nname = "office"\nport = 9\nusername = "hub"\nsecret = "x"\ndialplan_secret = "{SECRET}"\n'
    '[[pbx.team]]\nqueue = "hub-sales"\nteam = "sales"\n[[pbx.team]]\nqueue = "hub-support"\nteam = "support"\n'
)
CLIENTS, BLOCKED, PATTERNS = 10_000, 5_000, 200


async def fill(url: str) -> None:
    """Put the company in."""
    db, now = open_database(url), utc_now()
    async with db.begin() as conn:
        people = {row.role: row.id for row in await conn.execute(sa.select(users))}
        plain = {"kind": "organisation", "created_at": now, "owner_id": people["manager"]}
        names = [{"name": f"Client {n}", "name_folded": f"client {n}", **plain} for n in range(CLIENTS)]
        await conn.execute(clients.insert(), names)
        ids = list((await conn.execute(sa.select(clients.c.id).order_by(clients.c.id))).scalars())
        phones = [
            {"kind": "phone", "value": f"+749512{n:05}", "raw": "", "extension": "", "client_id": i, "created_at": now}
            for n, i in enumerate(ids)
        ]
        await conn.execute(addresses.insert(), phones)
        blocks = [{"kind": "number", "pattern": f"+749919{n:05}", "created_at": now} for n in range(BLOCKED)]
        blocks += [{"kind": "pattern", "pattern": f"+44*{n:04}*7?", "created_at": now} for n in range(PATTERNS)]
        await conn.execute(blocked_callers.insert(), blocks)
        admin = await load_actor(conn, people["admin"])
        assert admin
        plan = TeamRules(
            personal_s=15, overflow_team_id=2, overflow_s=60, hours=dict.fromkeys(_DAYS, (("00:00", "24:00"),))
        )
        await rules.save(conn, admin, 1, plan, now=now)
    await db.close()


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


async def ask(hub: Hub, n: int) -> tuple[float, bytes]:
    """Ask once; return ms and the answer."""
    fields = {
        "secret": SECRET,
        "pbx": "office",
        "queue": "hub-sales",
        "from": f"849512{n % CLIENTS:05}",
        "pres": "allowed",
    }
    body = urlencode(fields).encode()
    head = f"POST /pbx/route HTTP/1.1\r\nHost: 127.0.0.1:{hub.port}\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n"
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    writer.write(head.encode() + body)
    answer = await reader.read()
    took = (time.perf_counter() - begun) * 1000
    writer.close()
    return took, answer


async def measure(database: str, questions: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_hub(Path(folder), TOML, database=database) as hub:
            hub.roles = "web"
            if database:
                code, _, err = await run_command("migrate", "--config", str(hub.config))
                assert code == 0, err
            await hub.add_user("boss@hub.test", "Boss", "admin", ["sales", "support"])
            await hub.add_user("anna@hub.test", "Anna", "manager", ["sales"], "101")
            await fill(database or f"sqlite:///{folder}/hub.db")
            await hub.start()
            found = []
            for n in range(questions + 20):
                took, answer = await ask(hub, n * 7919)
                if answer.endswith(b"not now\n"):
                    took = math.inf  # shed: the dialplan goes on without it
                else:
                    assert answer.endswith(b"hub:open:101:15:hub-support:60:fallback:no:end\n"), answer
                if n >= 20:
                    found.append(took)
            show("PostgreSQL" if database else "SQLite", "one after another", found)
            found = []
            for n in range(questions // 10):
                found += [took for took, _ in await asyncio.gather(*(ask(hub, n * 10 + k) for k in range(10)))]
            show("PostgreSQL" if database else "SQLite", "ten at once", found)


def show(database: str, how: str, found: list[float]) -> None:
    p99 = sorted(found)[len(found) * 99 // 100]
    print(
        f"{database}, {how}: p50 {statistics.median(found):.1f} ms, p99 {p99:.1f} ms, refused {found.count(math.inf)}"
    )


async def main(questions: int) -> None:
    await measure("", questions)
    with running_postgres() as server:
        await measure(await server.new_database(), questions)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
