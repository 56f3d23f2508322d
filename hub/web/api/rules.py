"""Call rules over the API, for administrators: a team's rules, blocked callers, and where a caller would go now."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm import blocking, rules
from hub.crm.blocking import Block, BlockKind
from hub.crm.rules import TeamRules
from hub.web import team_rules
from hub.web.api.endpoint import Endpoint, Id, Nothing, Page, Query
from hub.web.api.shapes import Cursor, Moment, Shape, at, one_of
from hub.web.paging import cut
from hub.web.request_context import RequestContext, read_cursor

TeamRulesChange = msgspec.defstruct(
    "TeamRulesChange",
    [(field.name, field.type | msgspec.UnsetType, msgspec.UNSET) for field in msgspec.structs.fields(TeamRules)],
    forbid_unknown_fields=True,
    kw_only=True,
)
"""A field that is not named stays as it is."""

Kind = Annotated[str, one_of("number", "pattern", "hidden")]


class BlockedCaller(Shape, frozen=True, kw_only=True):
    """A rule that keeps callers out; `pattern` is empty for hidden callers."""

    id: int
    kind: Kind
    pattern: str
    note: str
    created_at: Moment
    created_by: str | None


class BlockedCallers(Shape, frozen=True, kw_only=True):
    items: list[BlockedCaller]
    next: Cursor | None


class NewBlockedCaller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`pattern` is a number, or digits with `*` and `?`; it is left out for hidden callers."""

    kind: BlockKind
    pattern: Annotated[str, msgspec.Meta(max_length=60)] = ""
    note: Annotated[str, msgspec.Meta(max_length=300)] = ""


class RouteQuery(Query, frozen=True, kw_only=True, rename={"from_": "from"}):
    """`pbx` is the first one that has a queue for the team, where it is not named."""

    team: Id
    from_: Annotated[str, msgspec.Meta(max_length=60)] = ""
    hidden: bool = False
    pbx: str | None = None


class RouteStep(Shape, frozen=True, kw_only=True):
    """One step: whether the caller passes through it, and why or why not."""

    name: Annotated[str, one_of("blacklist", "hours", "personal", "team", "overflow", "last")]
    taken: bool
    why: str
    who: str
    seconds: int
    until: Moment | None


class Personal(Shape, frozen=True, kw_only=True):
    extension: str
    seconds: int


class Overflow(Shape, frozen=True, kw_only=True):
    queue: str
    after_s: int


class CallerRoute(Shape, frozen=True, kw_only=True):
    """The route of this caller at this moment. `answer` is the line that the dialplan would read."""

    pbx: str
    queue: str
    number: str | None
    client: str
    verdict: Annotated[str, one_of("open", "closed", "blocked")]
    personal: Personal | None
    overflow: Overflow | None
    last: Annotated[str, one_of("fallback", "callback", "voicemail")]
    record: bool
    steps: list[RouteStep]
    answer: str


def _blocked(row: Block) -> BlockedCaller:
    created = at(row.created_at)
    return BlockedCaller(
        id=row.id, kind=row.kind, pattern=row.pattern, note=row.note, created_at=created, created_by=row.created_by
    )


async def team(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> TeamRules:
    await rules.find_team(conn, ctx.id())
    return await rules.load(conn, ctx.id())


async def change_team(conn: AsyncConnection, ctx: RequestContext, body: Any) -> TeamRules:
    await rules.lock(conn, ctx.id())
    before = await rules.load(conn, ctx.id())
    said = {name: value for name in rules.NAMES if (value := getattr(body, name)) is not msgspec.UNSET}
    await team_rules.store(conn, ctx.actor, ctx.id(), msgspec.structs.replace(before, **said), now=ctx.now)
    return await rules.load(conn, ctx.id())


async def blocked(conn: AsyncConnection, ctx: RequestContext, query: Page) -> BlockedCallers:
    before = read_cursor(query.cursor)[1] if query.cursor else None
    rows = await blocking.listed(conn, ctx.actor, before=before, limit=query.limit + 1)
    page = cut(rows, limit=query.limit)
    return BlockedCallers(items=[_blocked(row) for row in page.items], next=page.next)


async def block(conn: AsyncConnection, ctx: RequestContext, body: NewBlockedCaller) -> BlockedCaller:
    linker = ctx.services.linker
    who = {"region": linker.region, "own_numbers": linker.own_phones, "now": ctx.now}
    row = await blocking.block(conn, ctx.actor, kind=body.kind, text=body.pattern, note=body.note, **who)  # type: ignore[arg-type]
    return _blocked(row)


async def unblock(conn: AsyncConnection, ctx: RequestContext, _body: Nothing) -> Any:
    await blocking.unblock(conn, ctx.actor, ctx.id(), now=ctx.now)
    return {}


async def route(conn: AsyncConnection, ctx: RequestContext, query: RouteQuery) -> CallerRoute:
    trial = await team_rules.try_caller(
        conn,
        ctx.services,
        team_id=query.team,
        pbx=query.pbx,
        number=query.from_,
        hidden=query.hidden,
        now=ctx.now,
    )
    decision, facts = trial.decision, trial.facts
    steps = [
        RouteStep(name=s.name, taken=s.is_taken, why=s.why, who=s.who, seconds=s.seconds, until=rfc3339(s.until))
        for s in decision.steps
    ]
    return CallerRoute(
        pbx=trial.pbx,
        queue=facts.team.queue,
        number=facts.caller.number,
        client=facts.client,
        verdict=decision.verdict,
        personal=Personal(extension=decision.personal[0], seconds=decision.personal[1]) if decision.personal else None,
        overflow=Overflow(queue=decision.overflow[0], after_s=decision.overflow[1]) if decision.overflow else None,
        last=decision.last,
        record=decision.record,
        steps=steps,
        answer=trial.line,
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/teams/{id}/rules",
        summary="A team's call rules",
        reads=team,
        answer=TeamRules,
        who="admin",
    ),
    Endpoint(
        method="POST",
        path="/teams/{id}/rules",
        summary="Change a team's call rules; what is not named stays as it is",
        writes=change_team,
        body=TeamRulesChange,
        answer=TeamRules,
        who="admin",
    ),
    Endpoint(
        method="GET",
        path="/blocked",
        summary="Callers who are kept out",
        reads=blocked,
        query=Page,
        answer=BlockedCallers,
        who="admin",
    ),
    Endpoint(
        method="POST",
        path="/blocked",
        summary="Keep callers out from now on",
        writes=block,
        body=NewBlockedCaller,
        answer=BlockedCaller,
        status=201,
        who="admin",
    ),
    Endpoint(method="POST", path="/blocked/{id}/remove", summary="Let callers in again", writes=unblock, who="admin"),
    Endpoint(
        method="GET",
        path="/route",
        summary="What would happen to this caller of a team now, and why",
        reads=route,
        query=RouteQuery,
        answer=CallerRoute,
        who="admin",
    ),
)
