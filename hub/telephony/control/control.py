"""What a person asks of a PBX for themselves: take, dial, hang up. Written as intents in the asker's transaction.

An intent says what, for whom and until when; `sender` carries it out, at most once. Decides nothing about races (the
queue has done that) and speaks to nobody. Handing a call on is `handing`'s, hearing another's is `supervision`'s.
Invariant: one click is one row, since a page's `request_id` makes the dial's channel id, which is unique here and
at the PBX.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.queue import Item
from hub.errors import Conflict, Forbidden, NotFound, Refused
from hub.store.engine import hint_after_commit
from hub.telephony.control import intents, limits
from hub.telephony.control.intents import TOPIC
from hub.telephony.control.numbers import DialRules, number_and_keys, require_no_emergency
from hub.telephony.models import call_intents, calls
from hub.telephony.reading import colleagues, register
from hub.telephony.recordings import recordings

__all__ = ["TOPIC", "dial", "hang_up", "require_extension", "take"]

_EXTENSION = re.compile(r"[0-9]{2,6}")
TAKE_WITHIN = timedelta(seconds=5)
DIAL_WITHIN = timedelta(seconds=10)


def require_extension(actor: Actor, pbx: str) -> str:
    """Return the actor's phone on one PBX. Raises Refused where the administrator has given them none."""
    access.require(actor, "telephony")
    extension = actor.extension_on(pbx)
    if not extension:
        raise Refused("no_extension", "you have no phone extension: ask the administrator for one")
    return sanitize.extension(extension)


async def take(conn: AsyncConnection, actor: Actor, item: Item, *, now: datetime) -> int:
    """Have the call of a claimed queue item brought to the actor's phone; return the intent's id.

    Repeated for the same claim it returns the same intent. Raises Conflict where the caller has gone.
    """
    call = (await conn.execute(sa.select(calls).where(calls.c.id == item.ref_id))).first()
    extension = require_extension(actor, call.pbx if call else "")
    if call is None or call.state == "ended" or not call.queue or not call.queue_channel:
        raise Conflict("not_waiting", "the caller is no longer waiting")
    assert item.claim_id is not None
    return await intents.write(
        conn,
        "claim_id",
        pbx=call.pbx,
        kind="take",
        user_id=actor.user_id,
        call_id=call.id,
        queue_item_id=item.id,
        claim_id=item.claim_id,
        extension=extension,
        channel=call.queue_channel,
        queue=call.queue,
        created_at=now,
        deadline=now + TAKE_WITHIN,
    )


async def dial(
    conn: AsyncConnection,
    actor: Actor,
    *,
    to: str | int,
    client_id: int | None,
    contact_id: int | None,
    request_id: str,
    pbx: str,
    rules: DialRules,
    now: datetime,
) -> int:
    """Have the actor's phone rung and then `to` called: a number outside, a colleague's extension, or their id.

    Returns the intent's id.
    `request_id` comes with the page (or the API's Idempotency-Key): the same one never dials twice.
    Raises Refused, Forbidden for what is no number or may not be called, TooMany over a limit.
    """
    extension = require_extension(actor, pbx)
    target = await _colleague(conn, extension, to, pbx=pbx, rules=rules, now=now)
    dialled = number_and_keys(str(to), rules) if target is None else None
    channel_id = intents.channel_id("hub", actor.user_id, request_id)
    if (twin := await intents.find_twin(conn, "channel_id", channel_id)) is not None:
        return twin.id
    if dialled is not None:
        await limits.require_room(conn, actor.user_id, rules, now=now)
    intent_id = await intents.write(
        conn,
        "channel_id",
        pbx=pbx,
        kind="dial",
        user_id=actor.user_id,
        client_id=client_id,
        contact_id=contact_id,
        channel_id=channel_id,
        extension=extension,
        number=dialled.number if dialled else None,
        keys=(dialled.keys or None) if dialled else None,
        target=target,
        record_team_id=await recordings.team_that_records(conn, actor),
        created_at=now,
        deadline=now + DIAL_WITHIN,
    )
    await record(
        conn,
        "call.dialled",
        at=now,
        user_id=actor.user_id,
        object_kind="call_intent",
        object_id=intent_id,
        details={"number": dialled.number} if dialled else {"target": target},
    )
    return intent_id


async def _colleague(
    conn: AsyncConnection, own: str, to: str | int, *, pbx: str, rules: DialRules, now: datetime
) -> str | None:
    """Return the extension that `to` means, where it is a colleague's; None for what is to be read as a number outside.

    An extension that is called like an emergency number, 101 or 112, is the colleague's: no trunk is used.
    """
    if isinstance(to, str):
        to = to.strip()
        if not _EXTENSION.fullmatch(to):
            return None
        if await colleagues.name_of(conn, to, pbx=pbx) is None:
            require_no_emergency(to, rules)
            return None
    target = await colleagues.find_target(conn, to, pbx=pbx, now=now)
    if target == own:
        raise Refused("own_extension", "this is your own phone", field="to")
    return target


async def hang_up(conn: AsyncConnection, actor: Actor, call_id: int, *, now: datetime) -> int:
    """Have a call that the actor is in hung up; return the intent's id. Raises Forbidden, Conflict, NotFound."""
    seen = await register.find(conn, actor, call_id)
    if seen.state == "ended":
        raise Conflict("call_ended", "the call is over")
    held = sa.select(calls.c.queue_channel, calls.c.manager_channel, calls.c.pbx, calls.c.dial_id).where(
        calls.c.id == call_id
    )
    call = (await conn.execute(held)).one()
    extension = actor.extension_on(call.pbx)
    open_legs = [leg for leg in seen.legs if extension and leg.extension == extension and not leg.left_at]
    # Several devices of one phone ring at once; the one that was picked up is the phone.
    own_legs = [leg for leg in open_legs if leg.answered_at] or open_legs
    own = sa.select(call_intents.c.id).where(
        call_intents.c.user_id == actor.user_id,
        call_intents.c.kind.in_(("take", "dial")),
        sa.or_(call_intents.c.call_id == call_id, call_intents.c.channel_id == call.dial_id),
    )
    mine = own_legs or seen.answered_user_id == actor.user_id or (await conn.execute(own)).first()
    if not mine and not actor.is_admin:
        raise Forbidden("forbidden", "this is not your call")
    channels = [leg.channel for leg in own_legs] or [call.manager_channel or call.queue_channel]
    values: dict[str, Any] = {"pbx": call.pbx, "kind": "hangup", "user_id": actor.user_id, "call_id": call_id}
    values |= {"created_at": now, "deadline": now + TAKE_WITHIN, "state": "new"}
    intent_id = 0
    for channel in channels:
        if channel is None:
            raise NotFound("channel_missing", "the call has no channel to hang up")
        made = call_intents.insert().values(**values, channel=channel).returning(call_intents.c.id)
        intent_id = int((await conn.execute(made)).scalar_one())
    hint_after_commit(conn, TOPIC)
    return intent_id
