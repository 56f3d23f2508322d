"""Who is parked: the clients of the actor's teams whom nobody speaks with at the moment. Writes nothing.

Known from what was asked here and the legs of the calls. Invariant: whoever is taken up, or hangs up, is gone from
this list with the leg that says so.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.errors import NotFound
from hub.telephony.control import intents
from hub.telephony.models import call_intents, calls
from hub.telephony.reading import progress, register
from hub.telephony.reading.call_kind import CallRow

AT_MOST = 20


async def parked_calls(conn: AsyncConnection, actor: Actor) -> list[CallRow]:
    """Return the parked calls that the actor may take up, the longest parked first."""
    asked = (
        sa.select(call_intents.c.call_id, sa.func.max(call_intents.c.id).label("latest"))
        .join(calls, calls.c.id == call_intents.c.call_id)
        .where(call_intents.c.kind == "park", call_intents.c.state.in_(("sent", "unknown")), calls.c.state != "ended")
        .group_by(call_intents.c.call_id)
        .order_by(sa.literal_column("latest"))
        .limit(AT_MOST)
    )
    found = []
    for row in (await conn.execute(asked)).all():
        try:
            call = await register.find(conn, actor, row.call_id)
        except NotFound:
            continue
        parked = progress.parked(await intents.of_call(conn, call.id), call)
        may = actor.is_admin or call.team_id in actor.team_ids or (parked and parked.user_id == actor.user_id)
        if parked is not None and may:
            found.append(call)
    return found
