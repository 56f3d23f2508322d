"""Which new messages wait for somebody, and under what name: a queue item for a thread, a lead for a stranger.

Decides what a machine wrote or we ourselves make nothing to do. Runs in the transaction that stores the messages.
Invariants: one item for a thread and one open lead for an address, however many messages; a letter to several
mailboxes is one item for each team, which says where else it lies, and one lead; of a personal mailbox nothing is
offered to the team.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import leads, queue
from hub.crm.linking import Linked
from hub.crm.models import clients
from hub.mail.intake import twins
from hub.mail.intake.twins import Twin
from hub.mail.models import mailboxes

Message = tuple[Mapping[str, Any], Linked]
"""The columns of a stored message, and whose its sender's address is."""


async def offer_all(
    conn: AsyncConnection, found: Sequence[Message], *, team_id: int, owner_id: int | None, now: datetime
) -> None:
    """Put messages of persons into the team's queue, those of a personal mailbox straight into its owner's hands."""
    wanted = [(row, linked) for row, linked in found if row["auto"] == "none" and not linked.is_own]
    if owner_id is not None:
        # A team sees what is in its queue, so a person's own mail goes there only from a client's card.
        wanted = [(row, linked) for row, linked in wanted if row["client_id"] is not None]
    held = await twins.find(conn, [row for row, _ in wanted]) if owner_id is None else {}
    theirs = {row["client_id"] for row, _ in wanted} - {None}
    named = sa.select(clients.c.id, clients.c.name).where(clients.c.id.in_(theirs))
    names = {row.id: row.name for row in await conn.execute(named)} if theirs else {}
    own = await queue.of_things(conn, "message", {row["thread_id"] for row, _ in wanted}) if held else {}
    here = await _address_of(conn, wanted[0][0]["mailbox_id"]) if held else ""
    for row, linked in wanted:
        elsewhere = held.get(row["id"], [])
        await twins.say_also_in(conn, elsewhere, here, now=now)
        if same := [one for one in elsewhere if one.team_id == team_id]:
            if not (item := own.get(row["thread_id"])) or item.state == "done":
                continue
            # A colleague is at this conversation: the letter is theirs, and not another's by the other mailbox.
            for one in same:
                if one.is_waiting and await twins.is_part(conn, one.thread_id, of=row["thread_id"]):
                    await queue.close(conn, "message", one.thread_id, now=now)
        await _offer(conn, row, linked, names.get(row["client_id"]), team_id=team_id, elsewhere=elsewhere, now=now)
        if owner_id is not None:
            await queue.assign(conn, "message", row["thread_id"], owner_id, now=now)


async def _address_of(conn: AsyncConnection, mailbox_id: int) -> str:
    address: str = (await conn.execute(sa.select(mailboxes.c.address).where(mailboxes.c.id == mailbox_id))).scalar_one()
    return address


async def _offer(
    conn: AsyncConnection,
    row: Mapping[str, Any],
    linked: Linked,
    client_name: str | None,
    *,
    team_id: int,
    elsewhere: Sequence[Twin],
    now: datetime,
) -> None:
    lead_id = None
    # The sender of a letter to two teams is the lead of the one that had it first.
    if row["client_id"] is None and linked.address and not any(one.lead_id for one in elsewhere):
        lead_id = await leads.join_or_open(
            conn,
            team_id=team_id,
            reason="new",
            name=row["from_name"] or linked.address,
            address_kind="email",
            address=linked.address,
            now=now,
        )
    data = {"subject": row["subject"], "snippet": row["snippet"], "message_id": row["id"], "lead_id": lead_id}
    if elsewhere:
        data["also_in"] = sorted({one.mailbox for one in elsewhere})
    await queue.enqueue(
        conn,
        team_id=team_id,
        kind="message",
        ref_id=row["thread_id"],
        title=client_name or row["from_name"] or row["from_address"] or "—",
        address=row["from_address"],
        client_id=row["client_id"],
        data=data | {"from_name": row["from_name"]},
        now=now,
    )
