"""Anything that touches many records: a row with its state, its progress, a result per record, and an undo.

`queued → running → done`, or `cancelled`, or `failed`; one that is over can be undone once: `queued → running →
undone` with `is_undoing`. What an operation does to a record is a function of its kind (`Work`); who runs it is
`operation_runs`. Invariants: a batch, its results and the place behind it are one transaction, so an operation that
is killed anywhere goes on and ends the same; a record has one result, the last; nobody but the person who began an
operation and the administrators sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.clock import rfc3339
from hub.crm.audit import record
from hub.crm.base import permissions, reasons
from hub.crm.base.history import Edit
from hub.crm.base.keyset import Page
from hub.crm.base.reasons import Reason, in_english
from hub.errors import Conflict, NotFound, Refused
from hub.store.changes import publish
from hub.store.engine import hint_after_commit
from hub.store.schema import Json, id_column, link, metadata, moment
from hub.store.upsert import insert

State = Literal["queued", "running", "done", "cancelled", "failed", "undone"]
Outcome = Literal["created", "updated", "skipped", "refused", "reversed", "kept", "failed"]
STATES: tuple[State, ...] = get_args(State)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
TOPIC = "operations"
CHANGE = "operation"
UNDONE_BY = "undone_by"
"""The parameter with the person who asked for the undo."""
_OVER = ("done", "cancelled", "failed")
_NOT_DONE = ("refused", "failed")
_FRESH: dict[str, Any] = {"error": "", "error_reasons": None, "finished_at": None}
"""The values of an operation that goes on again."""

operations = sa.Table(
    "operations",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("object_kind", sa.String(40), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    link("user_id", "users"),
    sa.Column("params", Json, nullable=False),
    sa.Column("position", sa.BigInteger(), nullable=False),
    sa.Column("total", sa.Integer(), nullable=False),
    sa.Column("done", sa.Integer(), nullable=False),
    sa.Column("failed", sa.Integer(), nullable=False),
    sa.Column("is_undoing", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("error", sa.String(300), nullable=False, server_default=""),
    sa.Column("error_reasons", Json, nullable=True),
    moment("created_at", nullable=False),
    moment("changed_at", nullable=False),
    moment("finished_at"),
    sa.Index("ix_operations_state", "state", "id"),
    sa.CheckConstraint("state IN ('queued', 'running', 'done', 'cancelled', 'failed', 'undone')", name="state"),
)

operation_rows = sa.Table(
    "operation_rows",
    metadata,
    sa.Column("operation_id", sa.BigInteger(), sa.ForeignKey("operations.id"), primary_key=True),
    sa.Column("record_id", sa.BigInteger(), primary_key=True),
    sa.Column("outcome", sa.String(10), nullable=False),
    sa.Column("reason", sa.String(300), nullable=False, server_default=""),
    sa.Column("reasons", Json, nullable=True),
    sa.Index("ix_operation_rows_outcome", "operation_id", "outcome", "record_id"),
)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as its row has it. `total` is capped where it was counted; `failed` counts refused ones too."""

    id: int
    kind: str
    object_kind: str
    state: State
    user_id: int | None
    params: Mapping[str, Any]
    position: int
    total: int
    done: int
    failed: int
    is_undoing: bool
    error: str
    error_reasons: Sequence[Mapping[str, Any]] | None
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None

    @property
    def why_failed(self) -> tuple[Reason, ...]:
        """The reasons for which it stopped, for a page; `error` is their English."""
        return reasons.load(self.error_reasons)

    @property
    def runs_as(self) -> int | None:
        """The person whose rights and name its writes have: who began it; of an undo, who asked for that."""
        return self.params.get(UNDONE_BY) if self.is_undoing and UNDONE_BY in self.params else self.user_id


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one record, with the reasons where it was not simply done."""

    record_id: int
    outcome: Outcome
    why: tuple[Reason, ...] = ()
    told: str = ""
    """The English text of a row that was stored without its reasons."""

    @property
    def reason(self) -> str:
        return in_english(self.why) if self.why else self.told


class Work(Protocol):
    """The work of an operation of one kind."""

    @property
    def can_undo(self) -> bool: ...

    async def targets(
        self, conn: AsyncConnection, operation: Operation, person: permissions.Asker | None, *, limit: int
    ) -> Sequence[int]:
        """Return the next records behind `operation.position`, ascending; none: it is over."""

    async def apply(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        """Do it to one record, and say what became of it. A Refused or Conflict becomes `refused`."""

    async def reverse(self, conn: AsyncConnection, operation: Operation, record_id: int, *, edit: Edit) -> Result:
        """Take back what was done to one record, as far as it still stands."""


_COLUMNS = [operations.c[name] for name in Operation.__slots__]


async def begin(
    conn: AsyncConnection, kind: str, object_kind: str, *, params: Mapping[str, Any], total: int, edit: Edit
) -> int:
    """Queue an operation; return its id. Its rights and parameters were checked by the caller."""
    row = {"kind": kind, "object_kind": object_kind, "state": "queued", "params": dict(params), "position": 0}
    row |= {"total": total, "done": 0, "failed": 0, "created_at": edit.now, "changed_at": edit.now}
    row["user_id"] = edit.actor.user_id if edit.actor else None
    made = operations.insert().values(row).returning(operations.c.id)
    operation_id: int = (await conn.execute(made)).scalar_one()
    details = {"kind": kind, "object_kind": object_kind, "total": total}
    await _record(conn, "operation.begun", operation_id, edit, details)
    await _wake(conn, operation_id, edit)
    return operation_id


def _visible(person: permissions.Asker | None, *, is_admin: bool) -> sa.ColumnElement[bool]:
    return sa.true() if person is None or is_admin else operations.c.user_id == person.user_id


async def get(
    conn: AsyncConnection, person: permissions.Asker | None, operation_id: int, *, is_admin: bool = False
) -> Operation:
    """Return an operation. Raises NotFound where it is another's."""
    query = sa.select(*_COLUMNS).where(operations.c.id == operation_id, _visible(person, is_admin=is_admin))
    if (row := (await conn.execute(query)).mappings().first()) is None:
        raise NotFound("operation_missing", "no such operation")
    return Operation(**row)


async def page(
    conn: AsyncConnection,
    person: permissions.Asker | None,
    *,
    is_admin: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> Page[Operation]:
    """Return operations, newest first; `before` is the last id of the page before."""
    query = sa.select(*_COLUMNS).where(_visible(person, is_admin=is_admin)).order_by(operations.c.id.desc())
    if before is not None:
        query = query.where(operations.c.id < before)
    rows = [Operation(**row) for row in (await conn.execute(query.limit(limit + 1))).mappings()]
    return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)


async def results(
    conn: AsyncConnection, operation_id: int, *, outcome: Outcome | None = None, after: int = 0, limit: int = 50
) -> Page[Result]:
    """Return what became of the records, by id; `after` is the last id of the page before."""
    rows = operation_rows
    query = sa.select(rows.c.record_id, rows.c.outcome, rows.c.reasons, rows.c.reason)
    query = query.where(rows.c.operation_id == operation_id, rows.c.record_id > after).order_by(rows.c.record_id)
    if outcome is not None:
        query = query.where(rows.c.outcome == outcome)
    found = [Result(row[0], row[1], reasons.load(row[2]), row[3]) for row in await conn.execute(query.limit(limit + 1))]
    return Page(found[:limit], str(found[limit - 1].record_id) if len(found) > limit else None)


async def counts(conn: AsyncConnection, operation_id: int) -> dict[Outcome, int]:
    """Return the number of records by what became of them."""
    rows = operation_rows
    query = sa.select(rows.c.outcome, sa.func.count()).where(rows.c.operation_id == operation_id)
    return {row[0]: row[1] for row in await conn.execute(query.group_by(rows.c.outcome))}


async def cancel(conn: AsyncConnection, operation: Operation, *, edit: Edit) -> None:
    """Stop an operation behind its present batch; what was done stays, and can be undone. Raises Conflict."""
    open_ = sa.and_(operations.c.id == operation.id, operations.c.state.in_(("queued", "running")))
    stopped = sa.update(operations).where(open_).values(state="cancelled", changed_at=edit.now, finished_at=edit.now)
    if (await conn.execute(stopped)).rowcount == 0:
        raise Conflict("operation_over", "the operation is over already", state=operation.state)
    await _record(conn, "operation.cancelled", operation.id, edit, {})
    await _wake(conn, operation.id, edit)


async def resume(conn: AsyncConnection, operation: Operation, *, edit: Edit) -> None:
    """Let a cancelled or failed operation go on where it stopped. Raises Conflict."""
    stopped = sa.and_(operations.c.id == operation.id, operations.c.state.in_(("cancelled", "failed")))
    again = sa.update(operations).where(stopped).values(state="queued", changed_at=edit.now, **_FRESH)
    if (await conn.execute(again)).rowcount == 0:
        raise Conflict("operation_not_stopped", "only a cancelled or failed operation can be resumed")
    await _record(conn, "operation.resumed", operation.id, edit, {})
    await _wake(conn, operation.id, edit)


async def undo(conn: AsyncConnection, operation: Operation, work: Work, *, edit: Edit) -> None:
    """Queue the undo of an operation that is over. Raises Refused for a kind without undo, Conflict."""
    if not work.can_undo:
        raise Refused("no_undo", "this kind of operation cannot be undone")
    over = sa.and_(operations.c.id == operation.id, operations.c.state.in_(_OVER), operations.c.is_undoing.is_(False))
    values = {"state": "queued", "is_undoing": True, "position": 0, "done": 0, "failed": 0, **_FRESH}
    values["params"] = {**operation.params, UNDONE_BY: edit.actor.user_id if edit.actor else None}
    values |= {"total": sum((await counts(conn, operation.id)).values()), "changed_at": edit.now}
    if (await conn.execute(sa.update(operations).where(over).values(values))).rowcount == 0:
        raise Conflict("operation_open", "only an operation that is over can be undone, and once")
    await _record(conn, "operation.undone", operation.id, edit, {})
    await _wake(conn, operation.id, edit)


async def hold_next(conn: AsyncConnection) -> Operation | None:
    """Return the first open operation and keep it for this transaction; None where there is none, or all are held."""
    open_ = operations.c.state.in_(("queued", "running"))
    query = sa.select(*_COLUMNS).where(open_).order_by(operations.c.id).limit(1)
    if conn.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    row = (await conn.execute(query)).mappings().first()
    return Operation(**row) if row else None


async def keep(
    conn: AsyncConnection, operation: Operation, found: Sequence[Result], *, is_over: bool, now: datetime
) -> None:
    """Write a batch's results and the place behind it, and publish the progress. The operation is held."""
    if found:
        rows = [
            {"operation_id": operation.id, "record_id": one.record_id, "outcome": one.outcome}
            | {"reason": one.reason[:300], "reasons": reasons.dump(one.why) or None}
            for one in found
        ]
        statement = insert(conn, operation_rows)
        new = {name: statement.excluded[name] for name in ("outcome", "reason", "reasons")}
        keys = ["operation_id", "record_id"]
        await conn.execute(statement.on_conflict_do_update(index_elements=keys, set_=new), rows)
    values: dict[str, Any] = {"state": "running", "changed_at": now}
    values["done"] = operation.done + len(found)
    values["failed"] = operation.failed + sum(one.outcome in _NOT_DONE for one in found)
    values["total"] = max(operation.total, values["done"])
    if found:
        values["position"] = found[-1].record_id
    if is_over:
        values |= {"state": "undone" if operation.is_undoing else "done", "finished_at": now, "total": values["done"]}
    await conn.execute(sa.update(operations).where(operations.c.id == operation.id).values(values))
    data = {name: values[name] for name in ("state", "done", "failed", "total")}
    data |= {"object_kind": operation.object_kind}
    await publish(conn, CHANGE, operation.id, at=now, user_id=operation.user_id, data=data)


async def fail(conn: AsyncConnection, operation: Operation, why: tuple[Reason, ...], *, now: datetime) -> None:
    """Stop an operation that cannot go on; a person sees why, and may resume or undo it."""
    values: dict[str, Any] = {"state": "failed", "changed_at": now, "finished_at": now}
    values |= {"error": in_english(why)[:300], "error_reasons": reasons.dump(why)}
    await conn.execute(sa.update(operations).where(operations.c.id == operation.id).values(values))
    await publish(conn, CHANGE, operation.id, at=now, user_id=operation.user_id, data={"state": "failed"})


def answer(operation: Operation) -> dict[str, Any]:
    """Return an operation as the API answers it."""
    names = ("id", "kind", "object_kind", "state", "total", "done", "failed", "is_undoing", "error")
    moments = {name: rfc3339(getattr(operation, name)) for name in ("created_at", "changed_at", "finished_at")}
    return {name: getattr(operation, name) for name in names} | moments | {"user": operation.user_id}


async def _record(conn: AsyncConnection, act: str, operation_id: int, edit: Edit, details: dict[str, Any]) -> None:
    user_id = edit.actor.user_id if edit.actor else None
    await record(
        conn, act, at=edit.now, user_id=user_id, object_kind="operation", object_id=operation_id, details=details
    )


async def _wake(conn: AsyncConnection, operation_id: int, edit: Edit) -> None:
    """Have whoever runs operations look, and the pages of who began it draw anew."""
    hint_after_commit(conn, TOPIC)
    user_id = edit.actor.user_id if edit.actor else None
    await publish(conn, CHANGE, operation_id, at=edit.now, user_id=user_id)
