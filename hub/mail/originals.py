"""A letter that a colleague forwarded belongs to whom it came from, once a person says so.

Decides whether that is suggested, and what follows when it is accepted: the original sender stands as the sender, is
linked or made a lead, and the conversation waits in the team's queue. Invariants: nothing follows without a click;
the colleague's address is kept in `about["via"]`; sender, link, queue and the audit row change together; accepting
twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.addresses import parse_email
from hub.crm.audit import record
from hub.crm.base import records
from hub.crm.linking import Candidate, Linker, seen_by
from hub.errors import Refused
from hub.mail import register, relink
from hub.mail.intake import offering
from hub.mail.intake.authors import OwnAddresses, named
from hub.mail.message_kind import MESSAGES
from hub.mail.models import mailboxes, messages
from hub.mail.register import MessageRow
from hub.mail.thread import own_addresses


@dataclass(frozen=True, slots=True)
class Original:
    """Who wrote the forwarded letter, and whose that address is, where it is known."""

    name: str
    address: str
    whose: Candidate | None


async def suggested(conn: AsyncConnection, actor: Actor | None, linker: Linker, message: MessageRow) -> Original | None:
    """Return the original sender of a letter that a colleague forwarded; None where there is nothing to suggest.

    `whose` is only a client or contact that the actor may see.
    """
    told = _forwarded(message.about)
    if told is None or message.direction != "in" or message.about.get("via"):
        return None
    name, address = told
    own = OwnAddresses.of(linker.own_emails | await own_addresses(conn))
    is_colleague = own.has(message.from_address) or own.has_domain_of(message.from_address)
    if not is_colleague or own.has(address) or own.has_domain_of(address):
        return None
    linked = await linker.by_email(conn, address)
    if linked.best is None and await _is_personal(conn, message.mailbox_id):
        # Of a person's own mailbox nobody becomes a lead, so a click would do nothing.
        return None
    return Original(name, address, (await seen_by(conn, actor, linked)).best)


async def _is_personal(conn: AsyncConnection, mailbox_id: int) -> bool:
    query = sa.select(mailboxes.c.owner_id).where(mailboxes.c.id == mailbox_id)
    return (await conn.execute(query)).scalar() is not None


def _forwarded(about: Mapping[str, Any]) -> tuple[str, str] | None:
    told = about.get("forwarded")
    if not isinstance(told, Mapping) or not isinstance(told.get("address"), str):
        return None
    address = parse_email(told["address"])
    return (str(told.get("name") or ""), address) if address else None


async def accept(conn: AsyncConnection, actor: Actor, linker: Linker, message_id: int, *, now: datetime) -> None:
    """Make the original sender the sender. Raises NotFound; Refused where nothing is suggested."""
    message = await register.find(conn, actor, message_id)
    await records.require_on(conn, MESSAGES, message_id, ["edit"], actor)
    if (message.about.get("via") or {}).get("by") == "forward":
        return
    original = await suggested(conn, actor, linker, message)
    if original is None:
        raise Refused("no_original", "this message forwards nobody's letter")
    via = {"name": message.from_name, "address": message.from_address, "by": "forward"}
    values = named(original.name, original.address, message.about, via)
    renewed = sa.update(messages).where(messages.c.id == message_id).values(**values).returning(messages)
    row = (await conn.execute(renewed)).mappings().one()
    if not row["link_manual"]:
        await relink.ask_anew(conn, linker, row, now=now)
        if row["thread_id"] is not None:
            await relink.follow(conn, linker, row["thread_id"], now=now)
        row = (await conn.execute(sa.select(messages).where(messages.c.id == message_id))).mappings().one()
    box = (await conn.execute(sa.select(mailboxes).where(mailboxes.c.id == row["mailbox_id"]))).mappings().one()
    linked = await linker.by_email(conn, original.address)
    await offering.offer_all(conn, [(row, linked)], team_id=box["team_id"], owner_id=box["owner_id"], now=now)
    await record(
        conn,
        "message.original_accepted",
        at=now,
        user_id=actor.user_id,
        object_kind="message",
        object_id=message_id,
        details={"original": original.address, "forwarded_by": message.from_address, "client": row["client_id"]},
    )
