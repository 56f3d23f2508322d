"""Where a person sits in a live call: their own line, and who else is on it.

Read from the call's legs, which the tracker keeps true, so that what is asked of a PBX names channels that were
there a moment ago. Decides whose call it is. Invariant: nobody but an administrator gets a seat in a call that
their phone is not in.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.errors import Conflict, Forbidden
from hub.telephony.reading import register
from hub.telephony.reading.call_kind import CallRow, LegRow


@dataclass(frozen=True, slots=True)
class Seat:
    """A phone in a live call. `others` are the lines open beside it, the client's first."""

    call: CallRow
    own: LegRow
    others: tuple[LegRow, ...]

    @property
    def only_other(self) -> LegRow:
        """The one other side. Raises Refused where there are several, or none."""
        if len(self.others) != 1:
            raise Conflict("not_two", "this needs exactly two on the line", on_the_line=len(self.others) + 1)
        return self.others[0]


def open_legs(call: CallRow) -> list[LegRow]:
    """The lines of a call that are up, callers first."""
    up = [leg for leg in call.legs if leg.left_at is None and (leg.answered_at is not None or leg.role == "caller")]
    return sorted(up, key=lambda leg: leg.extension is not None)


async def seat_of(conn: AsyncConnection, actor: Actor, call_id: int) -> Seat:
    """Return where the actor sits; for an administrator elsewhere, where the manager of the call sits.

    Raises NotFound for a call the actor may not see, Conflict for one that is over, Forbidden for another's.
    """
    call = await live_call(conn, actor, call_id)
    up = open_legs(call)
    mine = actor.extension_on(call.pbx)
    own = next((leg for leg in up if mine and leg.extension == mine), None)
    if own is None and actor.is_admin:
        own = managers_leg(call)
    if own is None:
        raise Forbidden("not_your_call", "your phone is not in this call")
    return Seat(call, own, tuple(leg for leg in up if leg is not own))


async def live_call(conn: AsyncConnection, actor: Actor, call_id: int) -> CallRow:
    """Return a call the actor may see and that lives. Raises NotFound, Conflict."""
    call = await register.find(conn, actor, call_id)
    if call.state == "ended":
        raise Conflict("call_ended", "the call is over")
    return call


def managers_leg(call: CallRow) -> LegRow | None:
    """The line of the phone of the house that speaks: of who answered, else the latest one up."""
    phones = [leg for leg in open_legs(call) if leg.extension is not None]
    answered = [leg for leg in phones if leg.extension == call.answered_extension]
    return next(reversed(answered or phones), None)
