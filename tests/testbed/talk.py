"""Calls and messages for tests of the pages: calls come in by the real intake, messages as rows of a mailbox."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people, timeline
from hub.crm.linking import Linker
from hub.crm.models import queue_items
from hub.mail import search
from hub.mail.audience import audience_of
from hub.mail.models import attachments, mailboxes, messages, threads
from hub.mail.register import timeline_data
from hub.store.blobs import BlobStore
from hub.store.changes import publish
from hub.store.engine import Database
from hub.telephony.intake.intake import CallIntake
from hub.telephony.models import calls
from hub.telephony.tracking.calls import Call, CallChanged, CallEnded, CallOffered, Channel, Leg

_numbers = itertools.count(1)


async def intake(db: Database, team: str) -> CallIntake:
    async with db.begin() as conn:
        team_id = await people.ensure_team(conn, team, now=utc_now())
    return CallIntake(db, Linker("RU"), {f"hub-{team}": team_id})


async def waiting_call(
    db: Database,
    *,
    number: str = "84951234567",
    name: str = "",
    team: str = "sales",
    started_at: datetime | None = None,
) -> tuple[int, int, Call]:
    """Have a caller stand in the team's queue; return the call's id, the queue item's, and the snapshot."""
    now = started_at or utc_now()
    n = next(_numbers)
    channel = Channel(f"PJSIP/trunk-{n:08x}")
    call = Call(
        pbx="office",
        boot="b1",
        linked_id=f"1795461316.{n}",
        direction="inbound",
        state="waiting",
        started_at=now,
        from_raw=number,
        from_name=name,
        to_raw="+74950000001",
        did="+74950000001",
        queue=f"hub-{team}",
        queue_channel=channel,
        legs=(Leg(channel, f"1795461316.{n}", None, number, "caller", now),),
    )
    await (await intake(db, team)).store([CallChanged(call), CallOffered(call, again=False)], now=utc_now())
    async with db.read() as conn:
        call_id = (await conn.execute(sa.select(calls.c.id).where(calls.c.linked_id == call.linked_id))).scalar_one()
        which = sa.select(queue_items.c.id).where(queue_items.c.kind == "call", queue_items.c.ref_id == call_id)
        return call_id, (await conn.execute(which)).scalar_one(), call


async def talking(db: Database, call: Call, *, extension: str, team: str = "sales") -> Call:
    """Have this extension answer a waiting call and speak."""
    at = call.started_at + timedelta(seconds=5)
    leg = Leg(
        Channel(f"PJSIP/{extension}-{next(_numbers):08x}"), f"{call.linked_id}1", extension, None, "callee", at, at
    )
    caller = replace(call.legs[0], answered_at=at)
    up = replace(call, state="talking", answered_at=at, wait_s=5.0, answered_extension=extension, legs=(caller, leg))
    await (await intake(db, team)).store([CallChanged(up)], now=utc_now())
    return up


async def changed(db: Database, call: Call, *, team: str = "sales") -> None:
    """Store a call as it is now."""
    await (await intake(db, team)).store([CallChanged(call)], now=utc_now())


async def answered(db: Database, call: Call, *, extension: str, team: str = "sales") -> Call:
    """End a waiting call as one that this extension answered and spoke for 65 s."""
    at = call.started_at + timedelta(seconds=5)
    end = at + timedelta(seconds=65)
    leg = Leg(Channel(f"PJSIP/{extension}-1"), f"{call.linked_id}1", extension, None, "callee", at, at, end, "answered")
    ended = replace(
        call,
        state="ended",
        outcome="answered",
        answered_at=at,
        ended_at=end,
        wait_s=5.0,
        talk_s=65.0,
        answered_extension=extension,
        legs=(*call.legs, leg),
    )
    await (await intake(db, team)).store([CallEnded(ended)], now=utc_now())
    return ended


async def message(
    db: Database,
    blobs: BlobStore,
    *,
    team: str = "sales",
    client_id: int | None = None,
    direction: str = "in",
    subject: str = "Счёт",
    text: str = "Добрый день",
    html: str | None = None,
    sender: str = "ivan@romashka.example",
    sender_name: str = "Иван",
    files: tuple[tuple[str, str, bytes], ...] = (),
    cid: str | None = None,
    owner_id: int | None = None,
    message_id: str | None = None,
    date: datetime | None = None,
) -> int:
    """Put a message into the team's mailbox, or the `owner_id`'s own; return its id.

    `files` are (name, type, bytes).
    """
    now = utc_now()
    n = next(_numbers)
    async with db.begin() as conn:
        team_id = await people.ensure_team(conn, team, now=now)
        address = f"{team}@hub.test" if owner_id is None else f"own{owner_id}@hub.test"
        box = (await conn.execute(sa.select(mailboxes.c.id).where(mailboxes.c.address == address))).scalar()
        if box is None:
            row = {"address": address, "team_id": team_id, "owner_id": owner_id, "created_at": now}
            box = (await conn.execute(mailboxes.insert().values(**row).returning(mailboxes.c.id))).scalar_one()
        thread = threads.insert().values(mailbox_id=box, subject=subject, client_id=client_id, last_at=now)
        thread_id = (await conn.execute(thread.returning(threads.c.id))).scalar_one()
        values: dict[str, Any] = {
            "mailbox_id": box,
            "thread_id": thread_id,
            "direction": direction,
            "state": "received" if direction == "in" else "sent",
            "message_id": message_id or f"<{n}@romashka.example>",
            "references": [],
            "subject": subject,
            "from_name": sender_name,
            "from_address": sender,
            "to": [{"name": "", "address": address}],
            "cc": [],
            "bcc": [],
            "reply_to": [],
            "date": date or now,
            "received_at": now,
            "text": text,
            "html": html,
            "snippet": text[:300],
            "auto": "none",
            "raw_sha256": await blobs.put(f"Subject: {n}\r\n\r\n{text}".encode()),
            "size": len(text),
            "parse_state": "parsed",
            "defects": [],
            "flags": [],
            "client_id": client_id,
            "link_manual": False,
            "candidates": [],
        }
        made = await conn.execute(messages.insert().values(**values).returning(messages))
        row_made = made.mappings().one()
        made_id: int = row_made["id"]
        for name, kind, content in files:
            sha256 = await blobs.put(content)
            one = {"name": name, "type": kind, "size": len(content), "sha256": sha256, "inline": cid is not None}
            await conn.execute(attachments.insert().values(message_id=made_id, cid=cid, **one))
        await search.add_stored(conn, [made_id])
        if client_id is not None:
            await timeline.put(
                conn,
                "message",
                made_id,
                client_id=client_id,
                contact_id=None,
                at=now,
                data=timeline_data(row_made),
                now=now,
            )
        to = audience_of(team_id=team_id, owner_id=owner_id)
        await publish(conn, "message", made_id, at=now, **to, client_id=client_id)
    return made_id
