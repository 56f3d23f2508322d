"""How long a search takes in a house with 100,000 messages: p50 and p99 of typical questions, on SQLite.

    .venv/bin/python -m bench.mail_search [--messages 100000] [--database FILE]

The messages are made with a fixed seed: words drawn as they are in speech (few often, many rarely), 20 mailboxes of 10
teams, a third of the messages on the cards of 3,000 clients. With `--database` the file is kept and used again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.access import Actor
from hub.crm.models import clients, teams
from hub.mail import register, search
from hub.mail.filters import MessageFilters
from hub.mail.models import mailboxes, messages
from hub.store.engine import Database, open_database
from hub.store.migrate import upgrade

SEED = 4
TEAMS, MAILBOXES, CLIENTS = 10, 20, 3_000
ROUNDS = 40
COMMON = "счёт договор оплата поставка документы клиент заказ товар срок письмо".split()


def vocabulary(rng: random.Random) -> list[str]:
    syllables = "ба ве ги до жу за ки ле мо ну по ра си та ух фо це ша эр юн ся".split()
    made = {"".join(rng.choices(syllables, k=rng.randrange(2, 5))) for _ in range(60_000)}
    return [*COMMON, *sorted(made)]


async def fill(db: Database, count: int) -> None:
    rng = random.Random(SEED)
    words = vocabulary(rng)
    weights = [1 / (n + 3) for n in range(len(words))]
    now = utc_now()
    start = datetime(2024, 1, 1, tzinfo=UTC)
    async with db.begin() as conn:
        await conn.execute(teams.insert(), [{"name": f"team{n}", "created_at": now} for n in range(TEAMS)])
        boxes = [{"address": f"box{n}@hub.test", "team_id": n % TEAMS + 1, "created_at": now} for n in range(MAILBOXES)]
        await conn.execute(mailboxes.insert(), boxes)
        some = [{"kind": "person", "name": f"c{n}", "name_folded": f"c{n}", "created_at": now} for n in range(CLIENTS)]
        await conn.execute(clients.insert(), some)
    spent = 0.0
    for first in range(0, count, 1000):
        rows = []
        for n in range(first, min(first + 1000, count)):
            text = " ".join(rng.choices(words, weights, k=rng.randrange(40, 260)))
            rows.append(row_of(rng, n, text, words, start + timedelta(seconds=n * 600 + rng.randrange(600))))
        async with db.begin() as conn:
            await conn.execute(messages.insert(), rows)
            began = time.perf_counter()
            await search.add_stored(conn, range(first + 1, first + len(rows) + 1))
            spent += time.perf_counter() - began
    print(f"{count} messages indexed from their rows: {count / spent:.0f}/s")


def row_of(rng: random.Random, n: int, text: str, words: list[str], at: datetime) -> dict[str, object]:
    sender = f"{rng.choice(words[:2000])}@firma{rng.randrange(500)}.example"
    client = rng.randrange(1, CLIENTS + 1) if rng.random() < 1 / 3 else None
    return {
        "mailbox_id": rng.randrange(1, MAILBOXES + 1),
        "direction": "in" if rng.random() < 0.6 else "out",
        "state": "received",
        "message_id": f"<{n}@firma.example>",
        "references": [],
        "subject": " ".join(rng.choices(words[:3000], k=5)) + f" № {n}",
        "from_name": rng.choice(words),
        "from_address": sender,
        **{name: [] for name in ("cc", "bcc", "reply_to", "defects", "flags", "candidates")},
        "to": [{"name": "", "address": "box@hub.test"}],
        "received_at": at,
        "text": text,
        "snippet": text[:200],
        "auto": "none",
        "raw_sha256": f"{n:064d}",
        "size": len(text),
        "parse_state": "parsed",
        "client_id": client,
        "link_manual": False,
    }


async def measure(db: Database) -> None:
    admin = Actor(1, "A", "a@hub.test", "admin", frozenset(), None, None)
    manager = Actor(2, "M", "m@hub.test", "manager", frozenset({1}), None, None)
    rare = str(97_531)
    questions: list[tuple[str, Actor, MessageFilters]] = [
        ("a rare word", admin, MessageFilters(text=f"{rare} ")),
        ("a common word", admin, MessageFilters(text="счёт ")),
        ("three common words", admin, MessageFilters(text="счёт договор оплата ")),
        ("a beginning", admin, MessageFilters(text="дог")),
        ("a phrase", admin, MessageFilters(text='"счёт договор"')),
        ("from: part of an address", admin, MessageFilters(text="from:firma77 ")),
        ("common, without another", admin, MessageFilters(text="счёт -договор ")),
        ("only without", admin, MessageFilters(text="-счёт ")),
        ("common, one client", admin, MessageFilters(text="счёт ", client_id=17)),
        ("common, a manager of one team", manager, MessageFilters(text="счёт ")),
        ("rare, a manager of one team", manager, MessageFilters(text=f"{rare} ")),
        ("common, one mailbox, with a file (none)", admin, MessageFilters(text="счёт ", mailbox_id=3, has_file=True)),
        ("the register without a question", admin, MessageFilters()),
        ("the register of a manager", manager, MessageFilters()),
    ]
    print(f"{'':44} {'found':>5} {'p50 ms':>8} {'p99 ms':>8}")
    for name, actor, filters in questions:
        times = []
        async with db.read() as conn:
            for _ in range(ROUNDS):
                began = time.perf_counter()
                rows = await register.listed(conn, actor, filters, limit=51, grouped=True)
                await register.heads(conn, [one.id for one in rows])
                times.append((time.perf_counter() - began) * 1000)
        p99 = statistics.quantiles(times, n=100, method="inclusive")[98]
        print(f"{name:44} {len(rows):5} {statistics.median(times):8.1f} {p99:8.1f}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--database", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.database or Path(folder) / "hub.db"
        db = open_database(f"sqlite:///{path}")
        try:
            await upgrade(db)
            async with db.read() as conn:
                is_filled = (await conn.execute(sa.select(messages.c.id).limit(1))).first() is not None
            if not is_filled:
                await fill(db, given.messages)
            await measure(db)
        finally:
            await db.close()


if __name__ == "__main__":
    asyncio.run(main())
