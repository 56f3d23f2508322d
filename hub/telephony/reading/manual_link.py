"""A person says whose call it is. Nothing overwrites that later: intake, relinking and merging leave it alone.

Invariant: the call's row, its place on a card, its history and the audit row change together.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import clients, contacts, timeline
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.base import history, records
from hub.crm.base.history import Edit, Way
from hub.errors import Refused
from hub.store.changes import publish
from hub.telephony.models import call_legs, calls
from hub.telephony.reading import register
from hub.telephony.reading.call_kind import CALLS
from hub.telephony.reading.register import timeline_data


async def link(
    conn: AsyncConnection,
    actor: Actor,
    call_id: int,
    *,
    client_id: int | None,
    contact_id: int | None,
    way: Way = "hub",
    now: datetime,
) -> None:
    """Put a call on a client's card by hand, or (neither named) take it off every card. Raises NotFound, Refused."""
    call = await register.find(conn, actor, call_id)
    await records.require_on(conn, CALLS, call_id, ["edit"], actor)
    if contact_id is not None:
        owner = (await contacts.find(conn, actor, contact_id)).client_id
        if client_id is not None and owner != client_id:
            raise Refused("not_their_contact", "this contact is another client's", field="contact")
        client_id = owner
    if client_id is not None:
        await clients.find(conn, actor, client_id)
    values: dict[str, Any] = {"client_id": client_id, "contact_id": contact_id, "link_manual": True}
    values |= {"link_reason": "manual", "link_confidence": "exact"}
    row = (await conn.execute(sa.update(calls).where(calls.c.id == call_id).values(**values).returning(calls))).one()
    await timeline.remove(conn, "call", call_id, now=now)
    if client_id is not None:
        of_call = sa.select(call_legs).where(call_legs.c.call_id == call_id).order_by(call_legs.c.id)
        legs = (await conn.execute(of_call)).mappings().all()
        data = timeline_data(row._mapping, legs, call.answered_user_name)
        about = {"client_id": client_id, "contact_id": contact_id, "at": call.started_at}
        await timeline.put(conn, "call", call_id, **about, data=data, now=now)  # type: ignore[arg-type]
    await record(
        conn,
        "call.linked",
        at=now,
        user_id=actor.user_id,
        object_kind="call",
        object_id=call_id,
        details={"client": client_id, "contact": contact_id, "before": call.client_id},
    )
    changes = {"client": [call.client_id, client_id], "contact": [call.contact_id, contact_id]}
    await history.write(conn, "call", call_id, version=0, changes=changes, edit=Edit(actor, way, now))
    shown = {"team_id": row.team_id, "user_id": row.answered_user_id, "client_id": client_id}
    await publish(conn, "call", call_id, at=now, **shown, data={"state": row.state})
