"""The administrator's pages of call rules: teams and their ways, one team's rules with a trial, and blocked callers.

Invariant: a form that is refused comes back with what was typed and the one thing that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from zoneinfo import available_timezones

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import blocking, directory, rules
from hub.crm.hours import DAYS, openness, read_zone
from hub.errors import HubError, NotFound, Refused
from hub.web import render, team_rules
from hub.web.i18n import N_
from hub.web.routes import Route
from hub.web.visit import Visit, read_cursor, write_cursor

PAGE = 50
DAY_NAMES = (
    N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"), N_("Saturday"), N_("Sunday"),
)  # fmt: skip


class TrialQuery(msgspec.Struct, frozen=True, kw_only=True):
    number: str = ""
    hidden: str = ""
    saved: str = ""


class BlockedQuery(msgspec.Struct, frozen=True, kw_only=True):
    test: str = ""
    number: str = ""
    cursor: str | None = None


async def teams(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        found = await directory.my_teams(conn, visit.actor)
        of_teams = await rules.load_all(conn, [team.id for team in found])
    names = {team.id: team.name for team in found}
    rows = []
    for team in found:
        written = of_teams.get(team.id, rules.TeamRules())
        rows.append({"team": team, "rules": written, "now": _openness(visit, written)})
    return render.page(visit, "admin/teams.html", {"rows": rows, "names": names})


def _openness(visit: Visit, written: rules.TeamRules) -> Any:
    try:
        zone = read_zone(written.time_zone)
    except Refused:
        zone = None
    return openness(written.hours, written.holidays, visit.now, zone)


async def edit(visit: Visit) -> web.StreamResponse:
    query = visit.query(TrialQuery)
    async with visit.db.read() as conn:
        written = await rules.load(conn, visit.id())
        return await _rules_page(conn, visit, team_rules.form_values(written), query=query)


async def save(visit: Visit) -> web.StreamResponse:
    try:
        written = team_rules.read_form(visit.form)
        async with visit.db.begin() as conn:
            await team_rules.store(conn, visit.actor, visit.id(), written, now=visit.now)
    except NotFound:
        raise
    except Refused as error:
        async with visit.db.read() as conn:
            return await _rules_page(conn, visit, visit.form.fields, error=error)
    return web.Response(status=303, headers={"Location": f"/admin/teams/{visit.id()}/rules?saved=1"})


async def _rules_page(
    conn: AsyncConnection,
    visit: Visit,
    values: Mapping[str, str],
    *,
    query: TrialQuery | None = None,
    error: HubError | None = None,
) -> web.StreamResponse:
    query = query or TrialQuery()
    team_id = visit.id()
    name = await rules.find_team(conn, team_id)
    others = [team for team in await directory.my_teams(conn, visit.actor) if team.id != team_id]
    trial, trial_error = None, None
    if query.number or query.hidden:
        try:
            trial = await team_rules.try_caller(
                conn,
                visit.services,
                team_id=team_id,
                pbx=None,
                number="" if query.hidden else query.number,
                hidden=bool(query.hidden),
                now=visit.now,
            )
        except Refused as refused:
            trial_error = refused
    context = {
        "team_id": team_id,
        "team_name": name,
        "others": [(team.id, team.name) for team in others],
        "values": values,
        "days": list(zip(DAYS, DAY_NAMES, strict=True)),
        "zones": sorted(zone for zone in available_timezones() if "/" in zone),
        "query": query,
        "trial": trial,
        "trial_error": trial_error,
        "error": error,
    }
    return render.page(visit, "admin/rules.html", context, status=error.status if error else 200)


async def blocked(visit: Visit) -> web.StreamResponse:
    return await _blocked_page(visit, visit.query(BlockedQuery))


async def block(visit: Visit) -> web.StreamResponse:
    kinds: dict[str, Literal["number", "pattern", "hidden"]] = {"number": "number", "hidden": "hidden"}
    text = visit.form.text("pattern", max_chars=60)
    kind = kinds.get(visit.form.text("kind"), "number")
    if kind == "number" and ("*" in text or "?" in text):
        kind = "pattern"
    try:
        async with visit.db.begin() as conn:
            await blocking.block(
                conn,
                visit.actor,
                kind=kind,
                text=text,
                note=visit.form.text("note", max_chars=300),
                region=visit.services.linker.region,
                own_numbers=visit.services.linker.own_phones,
                now=visit.now,
            )
    except Refused as error:
        return await _blocked_page(visit, BlockedQuery(), error=error)
    return web.Response(status=303, headers={"Location": "/admin/blocked"})


async def unblock(visit: Visit) -> web.StreamResponse:
    async with visit.db.begin() as conn:
        await blocking.unblock(conn, visit.actor, visit.id(), now=visit.now)
    return web.Response(status=303, headers={"Location": "/admin/blocked"})


async def _blocked_page(visit: Visit, query: BlockedQuery, *, error: HubError | None = None) -> web.StreamResponse:
    before = read_cursor(query.cursor)[1] if query.cursor else None
    async with visit.db.read() as conn:
        rows = await blocking.listed(conn, visit.actor, before=before, limit=PAGE + 1)
        hit = None
        if query.test:
            who = blocking.caller(query.test, visit.services.linker.region)
            hit = blocking.blocked_by(who, await blocking.rules_for(conn, who))
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    context = {
        "blocks": rows[:PAGE],
        "query": query,
        "hit": hit,
        "error": error,
        "typed": visit.form.fields,
        "next_cursor": write_cursor("", last.id) if last else None,
    }
    return render.page(visit, "admin/blocked.html", context, status=error.status if error else 200)


ROUTES = (
    Route("GET", "/admin/teams", teams, "admin"),
    Route("GET", "/admin/teams/{id}/rules", edit, "admin"),
    Route("POST", "/admin/teams/{id}/rules", save, "admin"),
    Route("GET", "/admin/blocked", blocked, "admin"),
    Route("POST", "/admin/blocked", block, "admin"),
    Route("POST", "/admin/blocked/{id}/remove", unblock, "admin"),
)
