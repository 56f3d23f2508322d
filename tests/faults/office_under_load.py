"""An office at full work for tests that break the database under it: callers, managers, customers' mail, answers.

`hub serve` with all roles as a process of its own; the scripted PBX and mail pair as its peers, which remember what
they played. `accounted_for` holds what Hub stored against that.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import aiohttp
import sqlalchemy as sa

from hub.crm.models import leads, queue_items
from hub.demo.mail import PASSWORD, DemoMail, running_mail
from hub.demo.pbx import Phone, ScriptedPbx
from hub.mail.models import messages, outbox
from hub.store.engine import Database, open_database
from hub.telephony.models import call_intents, calls
from tests.testbed.hub import Hub, running_hub
from tests.testbed.waiting import wait_for

BOX = "sales@hub.test"
ANNA = "anna@hub.test"
SAFE_TO_REPEAT = (502, 503)


@dataclass
class Office:
    """What the load did so far; `accepted` are subjects of messages that Hub said it would send."""

    hub: Hub
    pbx: ScriptedPbx
    mail: DemoMail
    db: Database
    chance: random.Random
    delivered: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    claims_won: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Work for as long as the block lasts, then let what is under way come to its end."""
        self._over.clear()
        async with asyncio.TaskGroup() as tasks:
            for work in (self._callers, self._customers, self._taker, self._writer):
                tasks.create_task(work())
            try:
                yield
            finally:
                self._over.set()
        for call in self.pbx.calls:
            if not call.talking.is_set():
                call.hang_up()
        async with asyncio.timeout(30):
            await asyncio.gather(*(call.over.wait() for call in self.pbx.calls))

    async def _rest(self, at_most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.chance.uniform(at_most_s / 2, at_most_s)):
                await self._over.wait()

    async def _callers(self) -> None:
        """People call: some reach a phone, some wait for a manager, some give up."""
        for number in range(100_000):
            if self._over.is_set():
                return
            caller = f"7916{number:07d}"
            if number % 3 == 0:
                self.pbx.call_phone(caller, "102")
            else:
                call = self.pbx.call_in(caller)
                asyncio.get_running_loop().call_later(self.chance.uniform(0.5, 6), _give_up, call)
            await self._rest(0.6)

    async def _customers(self) -> None:
        while not self._over.is_set():
            subject = f"Order {len(self.delivered)}"
            who = f"client{len(self.delivered)}@example.com"
            raw = f"From: {who}\r\nTo: {BOX}\r\nSubject: {subject}\r\nMessage-ID: <{who}>\r\n\r\nHello\r\n"
            await self.mail.deliver(raw.encode())
            self.delivered.append(subject)
            await self._rest(1.5)

    async def _taker(self) -> None:
        """Anna takes calls that wait, as they come."""
        async with self._api() as api:
            while not self._over.is_set():
                waiting = await self._ask(api, "GET", "queue?limit=50") or {"items": []}
                for item in waiting["items"]:
                    if item["kind"] == "call" and await self._ask(api, "POST", f"queue/{item['id']}/claim"):
                        self.claims_won += 1
                        break
                await self._rest(0.6)

    async def _writer(self) -> None:
        """Anna writes; a 503 is tried again under the same key, as every client of the API may."""
        async with self._api() as api:
            while not self._over.is_set():
                subject = f"Answer {len(self.accepted)}"
                letter = {"mailbox": BOX, "to": ["someone@example.com"], "subject": subject, "text": "Yes."}
                answer = None
                while answer is None and not self._over.is_set():
                    answer = await self._ask(api, "POST", "messages", letter, key=f"key-{len(self.accepted)}")
                    await self._rest(1)
                if answer is not None:
                    self.accepted.append(subject)

    @contextlib.asynccontextmanager
    async def _api(self) -> AsyncIterator[aiohttp.ClientSession]:
        headers = {"Authorization": f"Bearer {await self.hub.token(ANNA)}"}
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(f"{self.hub.url}/api/v1/", headers=headers, timeout=timeout) as api:
            yield api

    async def _ask(
        self, api: aiohttp.ClientSession, method: str, path: str, body: Any = None, *, key: str = ""
    ) -> Any | None:
        """Return what was answered, None where nothing was done or it is to be tried again."""
        headers = {"Idempotency-Key": key} if key else {}
        async with api.request(method, path, json=body, headers=headers) as answer:
            said = await answer.json()
            self.statuses[answer.status] += 1
            assert answer.status < 300 or answer.status in (404, 409, *SAFE_TO_REPEAT), (path, answer.status, said)
            if answer.status in SAFE_TO_REPEAT:
                assert int(answer.headers["Retry-After"]) > 0
            return said if answer.status < 300 else None

    # What came of it

    async def goes_on(self) -> None:
        """Wait until Hub is ready and has taken news from PBX and mailbox."""
        await wait_for(self.hub.is_ready, what=f"hub is ready again\n{self.log()}", deadline_s=30)
        played, come = len(self.pbx.calls), len(self.delivered)

        async def has_news() -> bool:
            assert self.hub.process is not None
            assert self.hub.process.returncode is None, self.log()
            async with self.db.read() as conn:
                calls_now = (await conn.execute(sa.select(sa.func.count()).select_from(calls))).scalar_one()
                inbound = sa.select(sa.func.count()).select_from(messages).where(messages.c.direction == "in")
                return calls_now >= played and (await conn.execute(inbound)).scalar_one() >= come

        await wait_for(has_news, what=f"calls and mail are stored\n{self.log()}", deadline_s=60)

    async def accounted_for(self) -> None:
        """Assert that nothing is lost, and nothing there twice. Waits until everything has come to its end."""

        async def at_rest() -> bool:
            return not await self._unfinished()

        try:
            await wait_for(at_rest, what="everything comes to its end", deadline_s=45)
        except AssertionError:
            raise AssertionError(f"unfinished: {await self._unfinished()}\n{self.log()}") from None
        async with self.db.read() as conn:
            stored = (await conn.execute(sa.select(calls))).mappings().all()
            incoming = sa.select(messages.c.subject).where(messages.c.direction == "in")
            subjects = Counter((await conn.execute(incoming)).scalars())
            lead_addresses = Counter((await conn.execute(sa.select(leads.c.address))).scalars())
            intents = Counter((await conn.execute(sa.select(call_intents.c.state))).scalars())
        seen = Counter((row["boot"], row["linked_id"]) for row in stored)
        assert len(seen) == len(stored) == len(self.pbx.calls), "each call that was played is stored once"
        assert all(row["ended_at"] for row in stored)
        # On a starved machine the line itself may go silent for too long; what ends meanwhile nobody can hear.
        if "hub.telephony.line.link" not in self.hub.log.read_text("utf-8", "replace"):
            estimated = [row["id"] for row in stored if row["estimated"]]
            assert not estimated, f"each end was heard, those in the gaps as well\n{self.log()}"
        assert subjects == Counter(self.delivered), "each letter once"
        assert max(lead_addresses.values()) == 1, "one lead for each stranger"
        assert set(intents) <= {"sent", "refused"}, intents
        sent = Counter(str(message_from_bytes(one.raw, policy=policy.default)["subject"]) for one in self.mail.journal)
        assert sent == Counter(self.accepted), "each message went out once"
        log = self.hub.log.read_text("utf-8", "replace")
        loud = [line for line in log.splitlines() if "Traceback" in line or " ERROR " in line or "bug " in line]
        assert not loud, loud

    async def _unfinished(self) -> dict[str, int]:
        """Count what has not come to its end."""
        open_items = (
            sa.select(queue_items.c.id)
            .join(calls, calls.c.id == queue_items.c.ref_id)
            .where(queue_items.c.kind == "call", queue_items.c.state != "done")
        )
        queries = {
            "calls to come": sa.select(len(self.pbx.calls) - sa.func.count()).select_from(calls),
            "mail to come": sa.select(len(self.delivered) - sa.func.count()).where(messages.c.direction == "in"),
            "calls": sa.select(sa.func.count()).select_from(calls).where(calls.c.state != "ended"),
            "calls in the queue": sa.select(sa.func.count()).select_from(open_items.subquery()),
            "intents": sa.select(sa.func.count()).where(call_intents.c.state.in_(("new", "sending"))),
            "outbox": sa.select(sa.func.count()).where(outbox.c.state != "sent"),
        }
        async with self.db.read() as conn:
            counts = {name: (await conn.execute(query)).scalar_one() for name, query in queries.items()}
        return {name: count for name, count in counts.items() if count}

    def log(self) -> str:
        return self.hub.log.read_text("utf-8", "replace")[-6000:]


def _give_up(call: Any) -> None:
    if not call.talking.is_set() and not call.over.is_set():
        call.hang_up()


def _toml(pbx: ScriptedPbx, mail: DemoMail) -> str:
    teams = "".join(f'[[pbx.team]]\nqueue = "{team.queue}"\nteam = "{team.team}"\n' for team in pbx.settings().team)
    servers = "".join(
        f'{name} = {{ host = "127.0.0.1", port = {port}, tls = "none", username = "{BOX}", password = "{PASSWORD}" }}\n'
        for name, port in (("imap", mail.imap_port), ("smtp", mail.smtp_port))
    )
    return (
        f'[[pbx]]\nname = "office"\nport = {pbx.port}\nusername = "hub"\nsecret = "{ScriptedPbx.SECRET}"\n{teams}'
        f'[[mailbox]]\naddress = "{BOX}"\nteam = "sales"\n{servers}'
    )


@contextlib.asynccontextmanager
async def running_office(folder: Path, *, database: str = "") -> AsyncIterator[Office]:
    """Start everything; `database` is PostgreSQL's address at its head, else a SQLite file is made in `folder`."""
    async with contextlib.AsyncExitStack() as stack:
        pbx = await stack.enter_async_context(ScriptedPbx(speed=4))
        pbx.phones["101"] = Phone(answers_after_s=1, hangs_up_after_s=4)
        pbx.phones["102"] = Phone(answers_after_s=1, hangs_up_after_s=6)
        mail = await stack.enter_async_context(running_mail([BOX]))
        hub = await stack.enter_async_context(running_hub(folder, _toml(pbx, mail), database=database))
        await hub.add_user(ANNA, "Anna", "manager", ["sales", "support"], "101")
        await hub.token(ANNA)
        db = open_database(database or f"sqlite:///{folder}/hub.db")
        stack.push_async_callback(db.close)
        await hub.start()
        yield Office(hub, pbx, mail, db, random.Random(7))
