"""The administrator's pages of call rules: teams and their ways, one team's rules with a trial, and blocked callers.

Invariant: a form that is refused comes back with what was typed and the one thing that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import blocking, directory, rules
from hub.crm.hours import DAYS, openness, read_zone, zone_names
from hub.errors import Conflict, HubError, NotFound, Refused
from hub.web import render, team_rules
from hub.web.form_version import form_version, refuse_older
from hub.web.i18n import N_
from hub.web.paging import PAGE, cut
from hub.web.request_context import RequestContext, read_cursor
from hub.web.routes import Route

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


async def teams(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        found = await directory.my_teams(conn, ctx.actor)
        of_teams = await rules.load_all(conn, [team.id for team in found])
    names = {team.id: team.name for team in found}
    rows = []
    for team in found:
        written = of_teams.get(team.id, rules.TeamRules())
        rows.append({"team": team, "rules": written, "now": _openness(ctx, written)})
    return render.page(ctx, "admin/teams.html", {"rows": rows, "names": names})


def _openness(ctx: RequestContext, written: rules.TeamRules) -> Any:
    try:
        zone = read_zone(written.time_zone)
    except Refused:
        zone = None
    return openness(written.hours, written.holidays, ctx.now, zone)


async def edit(ctx: RequestContext) -> web.StreamResponse:
    query = ctx.query(TrialQuery)
    async with ctx.db.read() as conn:
        return await _rules_page(conn, ctx, await _stored(conn, ctx), query=query)


async def _stored(conn: AsyncConnection, ctx: RequestContext) -> Mapping[str, str]:
    return team_rules.form_values(await rules.load(conn, ctx.id()))


async def save(ctx: RequestContext) -> web.StreamResponse:
    try:
        written = team_rules.read_form(ctx.form)
        async with ctx.db.begin() as conn:
            await rules.lock(conn, ctx.id())
            refuse_older(ctx.form, await _stored(conn, ctx))
            await team_rules.store(conn, ctx.actor, ctx.id(), written, now=ctx.now)
    except NotFound:
        raise
    except (Refused, Conflict) as error:
        async with ctx.db.read() as conn:
            return await _rules_page(conn, ctx, ctx.form.fields, error=error)
    return web.Response(status=303, headers={"Location": f"/admin/teams/{ctx.id()}/rules?saved=1"})


async def _rules_page(
    conn: AsyncConnection,
    ctx: RequestContext,
    values: Mapping[str, str],
    *,
    query: TrialQuery | None = None,
    error: HubError | None = None,
) -> web.StreamResponse:
    query = query or TrialQuery()
    team_id = ctx.id()
    name = await rules.find_team(conn, team_id)
    others = [team for team in await directory.my_teams(conn, ctx.actor) if team.id != team_id]
    trial, trial_error = None, None
    if query.number or query.hidden:
        try:
            trial = await team_rules.try_caller(
                conn,
                ctx.services,
                team_id=team_id,
                pbx=None,
                number="" if query.hidden else query.number,
                hidden=bool(query.hidden),
                now=ctx.now,
            )
        except Refused as refused:
            trial_error = refused
    context = {
        "team_id": team_id,
        "team_name": name,
        "others": [(team.id, team.name) for team in others],
        "values": values,
        "version": form_version(await _stored(conn, ctx)),
        "days": list(zip(DAYS, DAY_NAMES, strict=True)),
        "zones": zone_names(),
        "query": query,
        "trial": trial,
        "trial_error": trial_error,
        "error": error,
    }
    return render.page(ctx, "admin/rules.html", context, status=error.status if error else 200)


async def blocked(ctx: RequestContext) -> web.StreamResponse:
    return await _blocked_page(ctx, ctx.query(BlockedQuery))


async def block(ctx: RequestContext) -> web.StreamResponse:
    kinds: dict[str, Literal["number", "pattern", "hidden"]] = {"number": "number", "hidden": "hidden"}
    text = ctx.form.text("pattern", max_chars=60)
    kind = kinds.get(ctx.form.text("kind"), "number")
    if kind == "number" and ("*" in text or "?" in text):
        kind = "pattern"
    try:
        async with ctx.db.begin() as conn:
            await blocking.block(
                conn,
                ctx.actor,
                kind=kind,
                text=text,
                note=ctx.form.text("note", max_chars=300),
                region=ctx.services.linker.region,
                own_numbers=ctx.services.linker.own_phones,
                now=ctx.now,
            )
    except Refused as error:
        return await _blocked_page(ctx, BlockedQuery(), error=error)
    return web.Response(status=303, headers={"Location": "/admin/blocked"})


async def unblock(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await blocking.unblock(conn, ctx.actor, ctx.id(), now=ctx.now)
    return web.Response(status=303, headers={"Location": "/admin/blocked"})


async def _blocked_page(
    ctx: RequestContext, query: BlockedQuery, *, error: HubError | None = None
) -> web.StreamResponse:
    before = read_cursor(query.cursor)[1] if query.cursor else None
    async with ctx.db.read() as conn:
        rows = await blocking.listed(conn, ctx.actor, before=before, limit=PAGE + 1)
        hit = None
        if query.test:
            who = blocking.caller(query.test, ctx.services.linker.region)
            hit = blocking.blocked_by(who, await blocking.rules_for(conn, who))
    page = cut(rows)
    context = {
        "blocks": page.items,
        "query": query,
        "hit": hit,
        "error": error,
        "typed": ctx.form.fields,
        "next_cursor": page.next,
    }
    return render.page(ctx, "admin/blocked.html", context, status=error.status if error else 200)


ROUTES = (
    Route("GET", "/admin/teams", teams, "admin"),
    Route("GET", "/admin/teams/{id}/rules", edit, "admin"),
    Route("POST", "/admin/teams/{id}/rules", save, "admin"),
    Route("GET", "/admin/blocked", blocked, "admin"),
    Route("POST", "/admin/blocked", block, "admin"),
    Route("POST", "/admin/blocked/{id}/remove", unblock, "admin"),
)
