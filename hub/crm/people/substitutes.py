"""The rules of a person's substitute: who may be one, for which term, and who is told of it.

Who stands in for whom at a moment is `crm.substitution`'s. Invariants: whatever is stored leads nobody's work back to
themselves, and no term stands without a substitute.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import substitution
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.people.table import UserInput, UserRecord
from hub.crm.substitution import Absence
from hub.store.changes import publish

_FIELDS = ("substitute", "substitute_from", "substitute_until")


async def checked(conn: AsyncConnection, before: UserRecord | None, given: UserInput, *, now: datetime) -> UserInput:
    """Return what was given with a whole absence in it. Raises Invalid at the field.

    Without a substitute there is no term; a term that says no beginning begins now.
    """
    if all(getattr(given, name) is UNSET for name in _FIELDS):
        return given
    # Two changes at once could make a circle that neither of them sees.
    await substitution.lock(conn)
    held = (None, None, None) if before is None else _term(before)
    sent = (given.substitute, given.substitute_from, given.substitute_until)
    substitute_id, since, until = (old if new is UNSET else new for old, new in zip(held, sent, strict=True))
    if substitute_id is None:
        lacking = {name for name in _FIELDS[1:] if getattr(given, name) not in (UNSET, None)}
        if lacking:
            raise Invalid({"substitute": Problem("required", _("Choose who substitutes this person"))})
        return msgspec.structs.replace(given, substitute=None, substitute_from=None, substitute_until=None)
    assert isinstance(substitute_id, int)
    since = (since if isinstance(since, datetime) else now).astimezone(UTC)
    until = until.astimezone(UTC) if isinstance(until, datetime) else None
    if until is not None and until <= since:
        raise Invalid({"substitute_until": Problem("too_early", _("Must be later than the beginning"))})
    if before is not None:
        if substitute_id == before.id:
            raise Invalid({"substitute": Problem("oneself", _("Nobody substitutes themselves: choose a colleague"))})
        if await substitution.goes_round(conn, Absence(before.id, substitute_id, since, until)):
            text = _("This colleague is absent then, and substituted by this person")
            raise Invalid({"substitute": Problem("substitute_cycle", text)})
    return msgspec.structs.replace(given, substitute=substitute_id, substitute_from=since, substitute_until=until)


async def publish_change(conn: AsyncConnection, before: UserRecord | None, after: UserRecord, *, now: datetime) -> None:
    """Tell the streams of everybody whose rights follow from a changed absence."""
    old = (None, None, None) if before is None else _term(before)
    if old == _term(after):
        return
    people = {one for one in (old[0], after.substitute_id) if one is not None}
    for user_id in sorted(await substitution.reached_from(conn, people) - {after.id}):
        await publish(conn, "user", user_id, at=now, data={"owners": [user_id]})


def _term(row: UserRecord) -> tuple[int | None, datetime | None, datetime | None]:
    return row.substitute_id, row.substitute_from, row.substitute_until
