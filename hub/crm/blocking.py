"""Callers nobody wants: numbers, patterns of numbers, and those who hide theirs.

Decides whether a caller is one of them; what happens to them is the dialplan's. A pattern is digits with `*` for any
digits and `?` for one, matched against the number in international form. Invariant: no pattern blocks every caller,
none blocks a number of the company's own, and every change has its audit row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm.access import Actor, require_admin
from hub.crm.addresses import parse_phone
from hub.crm.audit import record
from hub.crm.models import blocked_callers, users
from hub.errors import NotFound, Refused
from hub.store.upsert import insert

BlockKind = Literal["number", "pattern", "hidden"]
MAX_PATTERNS = 500
"""All patterns are looked through while a caller waits for the first ring."""
_PATTERN = re.compile(r"\+?[0-9*?]{1,30}")
_DECORATION = re.compile(r"[ \u00a0()./-]")


@dataclass(frozen=True, slots=True)
class Block:
    """A rule that keeps callers out. `pattern` is empty for hidden callers."""

    id: int
    kind: BlockKind
    pattern: str
    note: str
    created_at: datetime
    created_by: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller, by the PBX. `number` is E.164 or None; `raw` its digits; `is_hidden` where they withhold it."""

    raw: str
    number: str | None
    is_hidden: bool

    @property
    def ways(self) -> frozenset[str]:
        """The ways in which a rule may name this caller."""
        given = [way for way in (self.number, self.raw) if way]
        return frozenset((*given, *(way.removeprefix("+") for way in given)))


def caller(raw: str, region: str, *, presentation: str = "") -> Caller:
    """Read a caller. `presentation` is Asterisk's CALLERID(num-pres); one without a number hides it."""
    digits = re.sub(r"[^0-9+]", "", raw)[:40]
    phone = parse_phone(digits, region)
    return Caller(digits, phone.value if phone else None, not digits or presentation.startswith("prohib"))


def blocked_by(caller: Caller, rules: Iterable[Block]) -> Block | None:
    """Return the first rule that keeps this caller out, None where there is none."""
    ways = caller.ways
    for rule in rules:
        if rule.kind == "hidden":
            hit = caller.is_hidden
        elif rule.kind == "number":
            hit = rule.pattern in ways
        else:
            hit = any(_matches(rule.pattern, way) for way in ways)
        if hit:
            return rule
    return None


def _matches(pattern: str, number: str) -> bool:
    """Match without backtracking over more than one `*` at a time: linear in practice, whatever is written."""
    at, start, retry_at, retry_from = 0, 0, -1, 0
    while at < len(number):
        if start < len(pattern) and (pattern[start] == number[at] or (pattern[start] == "?" and number[at] != "+")):
            at, start = at + 1, start + 1
        elif start < len(pattern) and pattern[start] == "*":
            retry_at, retry_from = start, at
            start += 1
        elif retry_at >= 0 and number[retry_from] != "+":
            retry_from += 1
            at, start = retry_from, retry_at + 1
        else:
            return False
    return pattern[start:].strip("*") == ""


def normal_rule(kind: BlockKind, text: str, region: str, own_numbers: Set[str]) -> str:
    """Return a rule's pattern as it is stored. Raises Refused that says what is wrong with it."""
    if kind == "hidden":
        return ""
    bare = _DECORATION.sub("", text.strip())
    if kind == "number":
        phone = parse_phone(bare, region)
        pattern = phone.value if phone else bare
        if not re.fullmatch(r"\+?[0-9]{1,20}", pattern):
            raise Refused("bad_phone", f"{sanitize.shown(text, max_chars=40)!r} is not a phone number", field="pattern")
    else:
        pattern = re.sub(r"\*+", "*", bare)
        if not _PATTERN.fullmatch(pattern) or not re.search(r"[*?]", pattern):
            message = "a pattern is digits with * for any digits and ? for one"
            raise Refused("bad_pattern", message, field="pattern")
        if not re.search(r"[0-9]", pattern):
            raise Refused("pattern_too_wide", "this pattern would keep every caller out", field="pattern")
    rule = Block(0, kind, pattern, "", datetime.min)
    for own in sorted(own_numbers):
        if blocked_by(Caller(own, own, is_hidden=False), [rule]):
            raise Refused("pattern_too_wide", f"this would keep out {own}, a number of your own", field="pattern")
    return pattern


def _row(row: sa.RowMapping) -> Block:
    return Block(row["id"], row["kind"], row["pattern"], row["note"], row["created_at"], row["created_by_name"])


def _query() -> sa.Select[tuple[object, ...]]:
    return sa.select(blocked_callers, users.c.name.label("created_by_name")).outerjoin(
        users, users.c.id == blocked_callers.c.created_by
    )


async def rules_for(conn: AsyncConnection, caller: Caller) -> list[Block]:
    """Return the rules that could keep this caller out: those of the very number, and all that are no number."""
    number = sa.and_(blocked_callers.c.kind == "number", blocked_callers.c.pattern.in_(sorted(caller.ways)))
    wide = blocked_callers.c.kind.in_(["pattern", "hidden"])
    plain = [blocked_callers.c[name] for name in ("id", "kind", "pattern", "note", "created_at")]
    query = sa.select(*plain).where(sa.or_(number, wide)).order_by(blocked_callers.c.id).limit(MAX_PATTERNS + 10)
    return [Block(*row) for row in await conn.execute(query)]


async def listed(conn: AsyncConnection, actor: Actor, *, before: int | None = None, limit: int = 50) -> list[Block]:
    """Return the rules, the newest first; `before` is the id of the last one of the page before. Raises Forbidden."""
    require_admin(actor)
    query = _query().order_by(blocked_callers.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(blocked_callers.c.id < before)
    return [_row(row) for row in (await conn.execute(query)).mappings()]


async def block(
    conn: AsyncConnection,
    actor: Actor,
    *,
    kind: BlockKind,
    text: str,
    note: str = "",
    region: str,
    own_numbers: Set[str] = frozenset(),
    now: datetime,
) -> Block:
    """Keep callers out from now on; a rule that is there already is answered again. Raises Refused, Forbidden."""
    require_admin(actor)
    pattern = normal_rule(kind, text, region, own_numbers)
    if kind == "pattern":
        count = sa.select(sa.func.count()).where(blocked_callers.c.kind == "pattern")
        if (await conn.execute(count)).scalar_one() >= MAX_PATTERNS:
            raise Refused("too_many_patterns", f"at most {MAX_PATTERNS} patterns; write wider ones", field="pattern")
    values = {"note": sanitize.shown(note, max_chars=300), "created_by": actor.user_id, "created_at": now}
    fresh = insert(conn, blocked_callers).values(kind=kind, pattern=pattern, **values)
    made = (await conn.execute(fresh.on_conflict_do_nothing().returning(blocked_callers.c.id))).scalar()
    if made is not None:
        await _record(conn, actor, "blocked_caller.added", made, kind, pattern, now=now)
    where = (blocked_callers.c.kind == kind, blocked_callers.c.pattern == pattern)
    return _row((await conn.execute(_query().where(*where))).mappings().one())


async def unblock(conn: AsyncConnection, actor: Actor, block_id: int, *, now: datetime) -> None:
    """Let callers in again. Raises NotFound, Forbidden."""
    require_admin(actor)
    gone = sa.delete(blocked_callers).where(blocked_callers.c.id == block_id).returning(blocked_callers)
    row = (await conn.execute(gone)).first()
    if row is None:
        raise NotFound("block_missing", "this caller is not blocked")
    await _record(conn, actor, "blocked_caller.removed", block_id, row.kind, row.pattern, now=now)


async def _record(
    conn: AsyncConnection, actor: Actor, action: str, block_id: int, kind: str, pattern: str, *, now: datetime
) -> None:
    who = {"user_id": actor.user_id, "object_kind": "blocked_caller", "object_id": block_id}
    await record(conn, action, at=now, **who, details={"kind": kind, "pattern": pattern})  # type: ignore[arg-type]
