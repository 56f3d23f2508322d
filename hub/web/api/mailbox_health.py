"""How a mailbox is, over the API: its state, how far it is read, what waits to go out."""

from __future__ import annotations

from typing import Annotated, get_args

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.mail import health
from hub.mail.imap.refusals import Advice
from hub.mail.sync.choice import ProblemKind
from hub.web.api.endpoint import Endpoint, Query
from hub.web.api.shapes import Moment, Shape, at, one_of
from hub.web.request_context import RequestContext


class FolderHealth(Shape, frozen=True, kw_only=True):
    """A folder that is read. `gaps` are UIDs that the server did not give, the first 50 of `missing`; they are asked
    for again at `retry_at`."""

    name: str
    role: str
    stored: int
    on_server: int
    complete: bool
    gaps: list[int]
    missing: int
    retry_at: Moment | None
    compared_at: Moment | None


class FolderProblem(Shape, frozen=True, kw_only=True):
    """The fault of a folder; `said` is for administrators and the mailbox's own person."""

    folder: str
    kind: Annotated[str, one_of(*get_args(ProblemKind))]
    said: str | None


class BacklogShape(Shape, frozen=True, kw_only=True):
    state: Annotated[str, one_of(*health.WAITING)]
    count: int
    oldest: Moment


class MailboxHealth(Shape, frozen=True, kw_only=True):
    """`trouble` is empty where all is well; `lag_s` how long new mail may have been missed; `error` is what the server
    said, for administrators and whose own mailbox it is; `advice` is what the provider wants at a refused sign-in.
    `retry_at`: when the next connection is tried, while there is none. `unreadable` is counted up to 1000."""

    id: int
    address: str
    state: str
    trouble: Annotated[str, one_of(*health.TROUBLES)]
    advice: Annotated[str, one_of(*get_args(Advice))]
    error: str | None
    error_at: Moment | None
    seen_at: Moment | None
    last_mail_at: Moment | None
    lag_s: int
    complete: bool
    percent: int
    stored: int
    on_server: int
    unreadable: int
    retry_at: Moment | None
    folders: list[FolderHealth]
    problems: list[FolderProblem]
    outbox: list[BacklogShape]


async def found(conn: AsyncConnection, ctx: RequestContext, _query: Query) -> MailboxHealth:
    box = await health.of_one(conn, ctx.actor, ctx.id(), now=ctx.now)
    may_read = ctx.actor.is_admin or box.owner_id == ctx.actor.user_id
    return MailboxHealth(
        id=box.id,
        address=box.address,
        state=box.state,
        trouble=box.trouble,
        advice=box.advice,
        error=box.error if may_read else None,
        error_at=rfc3339(box.error_at),
        seen_at=rfc3339(box.seen_at),
        last_mail_at=rfc3339(box.last_mail_at),
        lag_s=int(box.late.total_seconds()) if box.late else 0,
        complete=box.is_complete,
        percent=box.percent,
        stored=box.stored,
        on_server=box.on_server,
        unreadable=box.unreadable,
        folders=[
            FolderHealth(
                name=one.name,
                role=one.role,
                stored=one.stored,
                on_server=one.on_server,
                complete=one.is_complete,
                gaps=list(one.gaps),
                missing=one.missing,
                retry_at=rfc3339(one.retry_at),
                compared_at=rfc3339(one.compared_at),
            )
            for one in box.folders
        ],
        retry_at=rfc3339(box.retry_at),
        problems=[
            FolderProblem(folder=one.folder, kind=one.kind, said=one.said if may_read else None) for one in box.problems
        ],
        outbox=[BacklogShape(state=one.state, count=one.count, oldest=at(one.oldest)) for one in box.backlog],
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/mailboxes/{id}/health",
        summary="How a mailbox is",
        reads=found,
        answer=MailboxHealth,
    ),
)
