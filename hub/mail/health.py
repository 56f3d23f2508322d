"""How each mailbox is: what is read, how far behind, what waits to go out, and what is wrong in a word.

Reads only. Decides what a server's complaint means (`Trouble`), so that a page can say what to do about it; the
server's own words are for administrators. Invariant: a mailbox that nobody has heard of for `LATE_AFTER` is never
shown as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.models import teams, users
from hub.errors import NotFound
from hub.mail.imap.refusals import Advice, advice
from hub.mail.models import folders, mailboxes, messages, outbox
from hub.mail.sync import places
from hub.mail.sync.choice import ProblemKind
from hub.mail.sync.places import Epoch

LATE_AFTER = timedelta(minutes=5)
"""A reader looks at least every minute; this much later something is wrong, whatever the last state was."""
COUNTED = 1000
"""Unreadable messages are counted no further."""
GAPS_SHOWN = 50
WAITING = ("queued", "sending", "deferred", "unknown", "refused")

Trouble = Literal[
    "",
    "off",
    "connecting",
    "auth",
    "sign_in",
    "tls",
    "unreachable",
    "quota",
    "throttled",
    "busy",
    "folder",
    "silent",
    "other",
]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)

_SAID: tuple[tuple[Trouble, str], ...] = (
    ("sign_in", r"in words that Hub does not know"),
    ("busy", r"turns us away|too many .*connections|number of connections|connection limit"),
    ("throttled", r"asks for a pause|lets nobody in for now"),
    ("tls", r"\btls\b|starttls|certificate|ca_file|before the line is encrypted"),
    ("quota", r"no space|disk full|mailbox (is )?full|mailbox for \S+ is full"),
    ("busy", r"too many|rate limit|throttl|in use|quota"),
    ("unreachable", r"does not answer|host name|refused|unreachable|timed out|hung up|goodbye|reset|network"),
    ("folder", r"cannot be fetched|no such mailbox|folder"),
)


@dataclass(frozen=True, slots=True)
class FolderHealth:
    """One folder that is read: `stored` of `on_server` messages; `gaps` are UIDs that the server did not give.

    `on_server` 0: not looked at yet. `is_complete`: all of it is here. `missing` counts all gaps, which are asked for
    again at `retry_at`; None where Hub does not want them, being too large.
    """

    name: str
    role: str
    stored: int
    on_server: int
    is_complete: bool
    gaps: tuple[int, ...]
    compared_at: datetime | None
    missing: int = 0
    retry_at: datetime | None = None

    @property
    def percent(self) -> int:
        """Of the history that is here, 100 only when it all is."""
        if self.is_complete:
            return 100
        return min(99, self.stored * 100 // self.on_server) if self.on_server else 0


@dataclass(frozen=True, slots=True)
class FolderProblem:
    """What is wrong with a folder; `said` are the server's words, or ours."""

    folder: str
    kind: ProblemKind
    said: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What of the outbox is in a state, and since when the oldest is waiting."""

    state: str
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """A mailbox as its card shows it. `late` is how long new mail may have been missed, None while all is well."""

    id: int
    address: str
    name: str
    team_id: int
    team_name: str
    owner_id: int | None
    owner_name: str | None
    is_enabled: bool
    state: str
    error: str
    error_at: datetime | None
    seen_at: datetime | None
    last_mail_at: datetime | None
    send_state: str
    send_error: str
    trouble: Trouble
    late: timedelta | None
    folders: tuple[FolderHealth, ...] = ()
    backlog: tuple[Backlog, ...] = ()
    unreadable: int = 0
    retry_at: datetime | None = None
    """When the next connection is tried, while there is none."""
    problems: tuple[FolderProblem, ...] = ()

    @property
    def advice(self) -> Advice:
        """Advice after a refused sign-in at this provider."""
        return advice(self.error) if self.trouble in ("auth", "sign_in") else ""

    @property
    def is_well(self) -> bool:
        return not self.trouble and self.late is None and self.send_state == "ok"

    @property
    def stored(self) -> int:
        return sum(one.stored for one in self.folders)

    @property
    def on_server(self) -> int:
        return sum(max(one.on_server, one.stored) for one in self.folders)

    @property
    def is_complete(self) -> bool:
        return all(one.is_complete for one in self.folders)

    @property
    def percent(self) -> int:
        if self.is_complete:
            return 100
        return min(99, self.stored * 100 // self.on_server) if self.on_server else 0

    @property
    def waiting(self) -> int:
        """What should have gone out and has not, or needs a person."""
        return sum(one.count for one in self.backlog)


def trouble_of(state: str, error: str, *, is_enabled: bool, is_late: bool) -> Trouble:
    """Say in a word what is wrong: from the state, and from what the server said."""
    if not is_enabled:
        return "off"
    if state == "auth_refused":
        return "auth"
    if state == "up":
        if is_late:
            return "silent"
        return "folder" if error else ""
    if state == "connecting" and not error:
        return "silent" if is_late else "connecting"
    for trouble, pattern in _SAID:
        if re.search(pattern, error, re.IGNORECASE):
            return trouble
    return "other"


def lateness(state: str, seen_at: datetime | None, since: datetime, *, now: datetime) -> timedelta | None:
    """Return since when new mail may be missing: None while the mailbox was seen in step just now."""
    behind = now - (seen_at or since)
    return behind if behind > LATE_AFTER or state in ("down", "auth_refused") else None


async def of_all(conn: AsyncConnection, actor: Actor, *, now: datetime) -> list[Health]:
    """Return the mailboxes the actor may look into, by address."""
    return await _read(conn, _open_to(actor), now=now)


async def of_one(conn: AsyncConnection, actor: Actor, mailbox_id: int, *, now: datetime) -> Health:
    """Return one mailbox. Raises NotFound, also for what may not be seen."""
    found = await _read(conn, sa.and_(mailboxes.c.id == mailbox_id, _open_to(actor)), now=now)
    if not found:
        raise NotFound("mailbox_missing", "no such mailbox, or not one of yours")
    return found[0]


async def for_machines(conn: AsyncConnection, *, now: datetime) -> list[Health]:
    """Return every mailbox, for `/metrics`, which names none of them."""
    return await _read(conn, sa.true(), now=now)


async def longest_due(conn: AsyncConnection, *, now: datetime) -> timedelta:
    """Return for how long the oldest message of the outbox has been due and has not gone."""
    due = sa.select(sa.func.min(outbox.c.not_before)).where(
        outbox.c.state.in_(("queued", "deferred")), outbox.c.not_before <= now
    )
    oldest = (await conn.execute(due)).scalar()
    return now - oldest if oldest is not None else timedelta(0)


def _open_to(actor: Actor) -> sa.ColumnElement[bool]:
    return access.mailbox_open(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)


async def _read(conn: AsyncConnection, which: sa.ColumnElement[bool], *, now: datetime) -> list[Health]:
    owner = users.alias("owner")
    query = (
        sa.select(mailboxes, teams.c.name.label("team_name"), owner.c.name.label("owner_name"))
        .join(teams, teams.c.id == mailboxes.c.team_id)
        .outerjoin(owner, owner.c.id == mailboxes.c.owner_id)
        .where(which)
        .order_by(mailboxes.c.address)
    )
    rows = (await conn.execute(query)).mappings().all()
    ids = [row["id"] for row in rows]
    of_folders, backlog, unreadable = (
        await folders_of(conn, ids),
        await _backlog(conn, ids),
        await _unreadable(conn, ids),
    )
    found = []
    for row in rows:
        late = lateness(row["state"], row["seen_at"], row["created_at"], now=now) if row["is_enabled"] else None
        is_late = late is not None and late > LATE_AFTER
        names = ("id", "address", "name", "team_id", "team_name", "owner_id", "owner_name", "is_enabled", "state")
        times = ("error", "error_at", "seen_at", "last_mail_at", "send_state", "send_error")
        found.append(
            Health(
                **{name: row[name] for name in (*names, *times)},
                trouble=trouble_of(row["state"], row["error"], is_enabled=row["is_enabled"], is_late=is_late),
                late=late,
                folders=tuple(of_folders.get(row["id"], ())),
                backlog=tuple(backlog.get(row["id"], ())),
                unreadable=unreadable.get(row["id"], 0),
                retry_at=row["retry_at"] if row["state"] == "down" else None,
                problems=tuple(FolderProblem(**one) for one in row["problems"] or ()),
            )
        )
    return found


async def folders_of(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, list[FolderHealth]]:
    """Return the folders that are read, by mailbox: how much of each is here. Asks for no rights."""
    query = sa.select(folders).where(folders.c.mailbox_id.in_(ids), folders.c.is_chosen.is_(True))
    found: dict[int, list[FolderHealth]] = {}
    for row in (await conn.execute(query.order_by(folders.c.id))).mappings().all():
        missing = len(row["gaps"])
        is_loaded = row["uidvalidity"] is not None and (row["low_uid"] or 1) <= 1
        stored = row["on_server"] if is_loaded and not missing else await _stored(conn, row)
        folder = FolderHealth(
            row["name"],
            row["role"],
            stored,
            row["on_server"],
            is_loaded and not missing,
            tuple(row["gaps"][:GAPS_SHOWN]),
            row["compared_at"],
            missing,
            row["retry_at"],
        )
        found.setdefault(row["mailbox_id"], []).append(folder)
    return found


async def _stored(conn: AsyncConnection, row: Any) -> int:
    """Count what is here of a folder that is not all here: by the index alone."""
    if row["uidvalidity"] is None:
        return 0
    return await places.how_many(conn, Epoch(row["id"], row["uidvalidity"]))


async def _backlog(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, list[Backlog]]:
    query = (
        sa.select(outbox.c.mailbox_id, outbox.c.state, sa.func.count(), sa.func.min(messages.c.received_at))
        .join(messages, messages.c.id == outbox.c.message_id)
        .where(outbox.c.state.in_(WAITING), outbox.c.mailbox_id.in_(ids))
        .group_by(outbox.c.mailbox_id, outbox.c.state)
    )
    found: dict[int, list[Backlog]] = {}
    for mailbox_id, state, count, oldest in sorted(await conn.execute(query), key=lambda row: WAITING.index(row[1])):
        found.setdefault(mailbox_id, []).append(Backlog(state, count, oldest))
    return found


async def _unreadable(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, int]:
    found = {}
    for mailbox_id in ids:
        some = sa.select(messages.c.id).where(messages.c.mailbox_id == mailbox_id, messages.c.parse_state == "failed")
        counted = sa.select(sa.func.count()).select_from(some.limit(COUNTED).subquery())
        if count := (await conn.execute(counted)).scalar_one():
            found[mailbox_id] = int(count)
    return found
