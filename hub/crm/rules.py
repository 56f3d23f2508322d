"""Call rules of a team, set by an administrator: hours, whom to ring first, where to go on, what is recorded.

Reads, checks and stores; what follows for a caller is decided in `telephony/routing`. A team without a row has the
rules of `TeamRules()`. Invariant: rules that were stored passed every check, and each change has its audit row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor, require_admin
from hub.crm.audit import record
from hub.crm.hours import Holiday, Shift, check_holidays, check_hours, read_zone
from hub.crm.models import team_rules, teams
from hub.errors import NotFound, Refused
from hub.store.upsert import insert

Last = Literal["fallback", "callback", "voicemail"]
"""Where a caller goes whom nobody takes: the site's own dialplan, the offer of a call-back, a voicemail."""


def _seconds(most: int) -> msgspec.Meta:
    return msgspec.Meta(ge=0, le=most)


class TeamRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rules of one team. Durations are whole seconds; 0 switches a step off."""

    time_zone: Annotated[str, msgspec.Meta(max_length=40)] = ""
    """IANA name; empty is the zone of the machine that Hub runs on."""
    hours: dict[str, tuple[Shift, ...]] = {}
    holidays: tuple[Holiday, ...] = ()
    personal_s: Annotated[int, _seconds(120)] = 0
    """How long the client's own manager is rung before the team."""
    overflow_team_id: int | None = None
    overflow_s: Annotated[int, _seconds(3600)] = 0
    """How long the caller waits for this team before the other one."""
    when_closed: Last = "fallback"
    when_tired: Last = "fallback"
    record_calls: bool = False
    keep_recordings_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
    """None keeps them for ever."""
    service_level_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 20
    after_call_s: Annotated[int, _seconds(3600)] = 0


NAMES = TeamRules.__struct_fields__


async def find_team(conn: AsyncConnection, team_id: int) -> str:
    """Return the team's name. Raises NotFound."""
    name = (await conn.execute(sa.select(teams.c.name).where(teams.c.id == team_id))).scalar()
    if name is None:
        raise NotFound("team_missing", "no such team")
    return str(name)


async def lock(conn: AsyncConnection, team_id: int) -> None:
    """Keep others from writing a team's rules until this transaction ends. Raises NotFound.

    The team is locked: its rules have no row before somebody says any.
    """
    query = sa.select(teams.c.id).where(teams.c.id == team_id)
    if (await conn.execute(query.with_for_update(key_share=True))).first() is None:
        raise NotFound("team_missing", "no such team")


async def load(conn: AsyncConnection, team_id: int) -> TeamRules:
    """Return the rules of a team: those of `TeamRules()` where nobody has said any."""
    return (await load_all(conn, [team_id])).get(team_id, TeamRules())


async def load_all(conn: AsyncConnection, team_ids: list[int]) -> dict[int, TeamRules]:
    """Return the rules of those teams that have some."""
    rows = await conn.execute(sa.select(team_rules).where(team_rules.c.team_id.in_(team_ids)))
    return {row["team_id"]: read(row) for row in rows.mappings()}


def read(row: sa.RowMapping) -> TeamRules:
    """Read a row of `team_rules`."""
    return msgspec.convert({name: row[name] for name in NAMES}, TeamRules)


async def save(conn: AsyncConnection, actor: Actor, team_id: int, rules: TeamRules, *, now: datetime) -> frozenset[str]:
    """Store a team's rules; return the names of what changed. Raises Forbidden, NotFound, Refused."""
    require_admin(actor)
    await find_team(conn, team_id)
    values = await _checked(conn, team_id, rules)
    before = msgspec.to_builtins(await load(conn, team_id))
    after = msgspec.to_builtins(msgspec.convert(values, TeamRules))
    changed = {name: [before[name], after[name]] for name in NAMES if before[name] != after[name]}
    statement = insert(conn, team_rules).values(team_id=team_id, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["team_id"], set_=values))
    if changed:
        await record(
            conn,
            "team_rules.changed",
            at=now,
            user_id=actor.user_id,
            object_kind="team",
            object_id=team_id,
            details=changed,
        )
    return frozenset(changed)


async def _checked(conn: AsyncConnection, team_id: int, rules: TeamRules) -> dict[str, Any]:
    """Return the row. What the types cannot say is checked here."""
    read_zone(rules.time_zone)
    values: dict[str, Any] = {name: getattr(rules, name) for name in NAMES}
    values["hours"] = check_hours(rules.hours)
    values["holidays"] = check_holidays(rules.holidays)
    if rules.overflow_team_id == team_id:
        raise Refused("overflow_to_itself", "overflow_team_id: a team cannot overflow to itself", field="overflow_team")
    if rules.overflow_team_id is not None:
        await find_team(conn, rules.overflow_team_id)
        if rules.overflow_s == 0:
            text = "overflow_s: say after how many seconds callers go to the other team"
            raise Refused("overflow_seconds_missing", text, field="overflow_s")
    return values
