"""When an address gets, loses or changes its owner: the messages from and to it are asked anew whose they are.

`batch` is what the job of `hub.crm.relinking` does. A thread belongs to whom its newest surely linked message does, and
takes along those of its messages that nothing else links. Invariants: a link that a person made stays; a message is on
the card that its link names, in the same transaction; a batch that is done again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import queue, timeline
from hub.crm.linking import Linked, Linker
from hub.mail.audience import audience
from hub.mail.intake.authors import is_only_named
from hub.mail.models import messages, threads
from hub.mail.register import timeline_data
from hub.store.changes import publish

WINDOW, BATCH = 5_000, 100
"""How many ids one batch looks through, and how many messages it changes at most."""


@dataclass(frozen=True, slots=True)
class Link:
    """Whose a message is, as its row says it."""

    client_id: int | None = None
    contact_id: int | None = None
    link_reason: str | None = None
    link_confidence: str | None = None

    @classmethod
    def of(cls, row: Any) -> Link:
        return cls(*(row[name] for name in cls.__slots__))


async def batch(
    conn: AsyncConnection, linker: Linker, address: str, below_id: int | None, *, unlinks: bool, now: datetime
) -> int:
    """Ask anew about the next messages of an e-mail or a domain; return the next bound (`relinking.Batch`)."""
    if below_id is None:
        below_id = ((await conn.execute(sa.select(sa.func.max(messages.c.id)))).scalar() or 0) + 1
    oldest = max(below_id - WINDOW, 0)
    query = (
        sa.select(messages)
        .where(messages.c.id < below_id, messages.c.id >= oldest, _touches(address), messages.c.link_manual.is_(False))
        .order_by(messages.c.id.desc())
        .limit(BATCH)
    )
    rows = (await conn.execute(query)).mappings().all()
    known: dict[str, Linked] = {}
    for row in rows:
        await ask_anew(conn, linker, row, known=known, unlinks=unlinks, now=now)
    for thread_id in {row["thread_id"] for row in rows if row["thread_id"] is not None}:
        await follow(conn, linker, thread_id, now=now)
    return int(rows[-1]["id"]) if len(rows) == BATCH else oldest


async def ask_anew(
    conn: AsyncConnection,
    linker: Linker,
    row: Any,
    *,
    known: dict[str, Linked] | None = None,
    unlinks: bool = True,
    now: datetime,
) -> bool:
    """Ask whose a stored message is and put it there; False where that changes nothing. `known` saves asking twice.

    Without `unlinks`, a message that nobody owns any more stays where it is.
    """
    linked = await _whose(conn, linker, row, {} if known is None else known)
    best = linked.best
    if best is not None:
        # A sender whom only Reply-To names is likely, however well the address is known.
        is_likely = row["direction"] == "in" and is_only_named(row["about"] or {})
        link = Link(best.client_id, best.contact_id, best.reason, "likely" if is_likely else best.confidence)
    else:
        link = await _of_thread(conn, row, linked)
    if link.client_id is None and not unlinks:
        link = Link.of(row)
    candidates = [asdict(candidate) for candidate in linked.candidates]
    return await put(conn, row, link, candidates=candidates, now=now)


def _touches(address: str) -> sa.ColumnElement[bool]:
    """Messages from this e-mail or domain, and those of ours to it."""
    tail = address if "@" in address else f"@{address}"
    of_sender = messages.c.from_address == address if "@" in address else messages.c.from_address.endswith(tail)
    start = '"' if "@" in address else ""
    to_it = (
        sa.func.lower(sa.cast(messages.c[name], sa.Text)).contains(f'{start}{tail}"', autoescape=True)
        for name in ("to", "cc")
    )
    return sa.or_(of_sender, sa.and_(messages.c.direction == "out", sa.or_(*to_it)))


async def _whose(conn: AsyncConnection, linker: Linker, row: Any, known: dict[str, Linked]) -> Linked:
    """The same question that the intake asked: the sender's, or for our own mail the first recipient's."""
    asked = [row["from_address"]]
    if row["direction"] == "out":
        asked = [one.get("address", "") for one in (*row["to"], *row["cc"])][:20]
    linked = Linked(None, (), None)
    for address in asked:
        if address not in known:
            known[address] = await linker.by_email(conn, address)
        linked = known[address]
        if linked.best is not None:
            break
    return linked


async def _of_thread(conn: AsyncConnection, row: Any, linked: Linked) -> Link:
    """What the thread says where the address says nothing: as likely only, and never of our own address."""
    if linked.is_own or row["thread_id"] is None:
        return Link()
    owner = await _owner(conn, row["thread_id"], but=row["id"])
    return Link(owner.client_id, None, "thread", "likely") if owner.client_id is not None else Link()


async def _owner(conn: AsyncConnection, thread_id: int, *, but: int | None = None) -> Link:
    """Whose a thread is: its newest message's that is linked by more than the thread itself."""
    sure = sa.or_(messages.c.link_reason != "thread", messages.c.link_manual.is_(True))
    query = sa.select(*(messages.c[name] for name in Link.__slots__)).where(
        messages.c.thread_id == thread_id, messages.c.client_id.is_not(None), messages.c.state != "undone", sure
    )
    if but is not None:
        query = query.where(messages.c.id != but)
    row = (
        (await conn.execute(query.order_by(messages.c.received_at.desc(), messages.c.id.desc()).limit(1)))
        .mappings()
        .first()
    )
    return Link.of(row) if row else Link()


async def follow(conn: AsyncConnection, linker: Linker, thread_id: int, *, now: datetime) -> int:
    """Give a thread, and those of its messages that nothing else links, to whom its own messages say."""
    owner = await _owner(conn, thread_id)
    values = {"client_id": owner.client_id, "contact_id": owner.contact_id}
    await conn.execute(sa.update(threads).where(threads.c.id == thread_id).values(**values))
    await queue.set_client(conn, "message", thread_id, client_id=owner.client_id, now=now)
    followers = sa.or_(messages.c.link_reason == "thread", messages.c.client_id.is_(None))
    query = sa.select(messages).where(messages.c.thread_id == thread_id, messages.c.link_manual.is_(False), followers)
    link = Link(owner.client_id, None, "thread", "likely") if owner.client_id is not None else Link()
    changed = 0
    for row in (await conn.execute(query)).mappings().all():
        is_own = row["direction"] == "in" and row["from_address"] in linker.own_emails
        changed += await put(conn, row, Link() if is_own else link, now=now)
    return changed


async def put(
    conn: AsyncConnection,
    row: Any,
    link: Link,
    *,
    manual: bool = False,
    candidates: Collection[dict[str, Any]] | None = None,
    now: datetime,
) -> bool:
    """Write whose a message is; move it to that card, or off every card, and tell. False where nothing changed.

    What was taken back is on no card, whosever it is.
    """
    is_new = Link.of(row) != link or manual is not row["link_manual"]
    others = {} if candidates is None or list(candidates) == row["candidates"] else {"candidates": list(candidates)}
    if not is_new and not others:
        return False
    values = {**asdict(link), "link_manual": manual, **others}
    renewed = sa.update(messages).where(messages.c.id == row["id"]).values(**values).returning(messages)
    message = (await conn.execute(renewed)).mappings().one()
    if not is_new:
        return False
    if row["client_id"] is not None and row["client_id"] != link.client_id:
        await timeline.remove(conn, "message", row["id"], now=now)
    if link.client_id is not None and message["state"] != "undone":
        about: dict[str, Any] = {"client_id": link.client_id, "contact_id": link.contact_id}
        about |= {"at": message["received_at"], "data": timeline_data(message)}
        await timeline.put(conn, "message", row["id"], **about, now=now)
    to = await audience(conn, row["mailbox_id"], author_id=row["author_id"])
    data = {"direction": message["direction"], "state": message["state"]}
    await publish(conn, "message", row["id"], at=now, **to, client_id=link.client_id, data=data)
    return True
