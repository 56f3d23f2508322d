"""The full-text search of messages: SQLite by FTS5, PostgreSQL by tsvector, both over the terms of `reading.terms`.

Decides how the index is written and how a question (`mail.query`) is asked of it; who may see what is found is the
register's. On SQLite a row's number is the second a message came in and its id, so that the newest are found first
without sorting. Invariants: a message's terms are written in the transaction that stores it; both databases find the
same; no text of a person is ever part of a statement's syntax.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.models import attachments, messages
from hub.mail.query import Phrase, Term, parse
from hub.mail.reading import terms
from hub.store.schema import BigId

ID_BITS = 30
LAST_PLACE = 16_383
"""PostgreSQL knows no place behind this one."""

# Of a metadata of its own: migrations write these tables by hand, each in the form of its database.
_fts = sa.Table("message_search", sa.MetaData(), sa.Column("rowid", BigId, nullable=False))
_vectors = sa.Table("message_search", sa.MetaData(), sa.Column("message_id", BigId), sa.Column("terms", sa.Text))
NEWEST_KEY = _fts.c.rowid
"""SQLite's key of the index: in its order messages come by `received_at`, to the second."""
_ROW_OF = f"(CAST(strftime('%s', substr(received_at, 1, 19)) AS INTEGER) << {ID_BITS} | id)"
_ADD = {
    "sqlite": sa.text(
        f"INSERT OR REPLACE INTO message_search (rowid, terms) SELECT {_ROW_OF}, :terms FROM messages WHERE id = :id"
    ),
    "postgresql": sa.text(
        "INSERT INTO message_search (message_id, terms) VALUES (:id, CAST(:terms AS tsvector)) "
        "ON CONFLICT (message_id) DO UPDATE SET terms = excluded.terms"
    ),
}


async def add(conn: AsyncConnection, found: Mapping[int, str]) -> None:
    """Write or renew the terms (`reading.terms.terms`) of stored messages, by their ids."""
    if found:
        dialect = conn.dialect.name
        kept = _literal if dialect == "postgresql" else str
        await conn.execute(
            _ADD[dialect], [{"id": message_id, "terms": kept(text)} for message_id, text in found.items()]
        )


def _literal(text: str) -> str:
    """Write terms as a tsvector with their places: PostgreSQL's own parser would cut words its own way."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, term in enumerate(text.split(" "), 1):
        if term != terms.GAP:
            places[term].append(min(place, LAST_PLACE))
    return " ".join(f"'{term}':{','.join(map(str, where))}" for term, where in places.items())


async def add_stored(conn: AsyncConnection, message_ids: Sequence[int]) -> None:
    """Write or renew the terms of messages from what is stored of them, without reading their bytes again."""
    names = ("id", "subject", "from_name", "from_address", "to", "cc", "bcc", "text")
    query = sa.select(*(messages.c[name] for name in names)).where(messages.c.id.in_(message_ids))
    rows = (await conn.execute(query)).mappings().all()
    files: defaultdict[int, list[str]] = defaultdict(list)
    of_these = sa.select(attachments.c.message_id, attachments.c.name).where(attachments.c.message_id.in_(message_ids))
    for row in await conn.execute(of_these):
        files[row.message_id].append(row.name)
    await add(conn, {row["id"]: terms_of_row(row, files[row["id"]]) for row in rows})


def terms_of_row(row: Mapping[Any, Any], files: Iterable[str]) -> str:
    """Return the terms of a stored message."""
    people = [*row["to"], *row["cc"], *row["bcc"]]
    return terms.terms(
        subject=row["subject"],
        sender=f"{row['from_name']} {row['from_address']}",
        recipients=" ".join(f"{one.get('name', '')} {one.get('address', '')}" for one in people),
        files=" ".join(files),
        text=row["text"],
    )


# Asking


def found(text: str, dialect: str, *, few: sa.ColumnElement[bool] | None = None) -> sa.ColumnElement[bool]:
    """Return the condition on `messages` of what a person typed. It joins the index where a word is wanted.

    `few`: see `among`.
    """
    query = parse(text)
    if query.is_nothing:
        return sa.false()
    asked: list[sa.ColumnElement[bool]] = []
    here = _fts.c.rowid.op("&")((1 << ID_BITS) - 1) if dialect == "sqlite" else _vectors.c.message_id
    if query.wanted:
        asked += [messages.c.id == here, _matches(query.wanted, query.unwanted, dialect)]
        if few is not None:
            asked.append(among(text, dialect, few))
    elif query.unwanted:
        any_of = (Term(tuple(way for term in query.unwanted for way in term.ways)),)
        unwanted = sa.select(here).where(_matches(any_of, (), dialect))
        asked.append(messages.c.id.not_in(unwanted) if dialect == "sqlite" else ~_has(unwanted, here))
    if query.has_file is not None:
        has_file = sa.exists().where(attachments.c.message_id == messages.c.id, attachments.c.inline.is_(False))
        asked.append(has_file if query.has_file else ~has_file)
    if query.since is not None:
        asked.append(messages.c.received_at >= _beginning(query.since))
    if query.until is not None:
        asked.append(messages.c.received_at < _beginning(query.until))
    return sa.and_(sa.true(), *asked)


def _has(found: sa.Select[Any], here: sa.ColumnElement[int]) -> sa.Exists:
    return found.where(here == messages.c.id).correlate(messages).exists()


def among(text: str, dialect: str, few: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return a condition that lets a question be asked of few messages alone; it changes nothing of what is found.

    `few` is a condition on `messages` that an index answers with few rows, such as one client: SQLite then asks the
    search of each of them, where it would else look through all that a common word finds (105 ms of 100,000: 2 ms).
    """
    if dialect != "sqlite" or not parse(text).wanted:
        return sa.true()
    rows = sa.select(sa.text(_ROW_OF)).select_from(messages).where(few).correlate(None)
    return _fts.c.rowid.in_(rows)


def _beginning(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _matches(wanted: Sequence[Term], unwanted: Sequence[Term], dialect: str) -> sa.ColumnElement[bool]:
    if dialect == "sqlite":
        asked = _said(wanted, _fts5, " OR ", " AND ")
        if unwanted:
            asked = f"({asked}) NOT ({_said(unwanted, _fts5, ' OR ', ' OR ')})"
        return sa.literal_column("message_search").op("MATCH", is_comparison=True)(asked)
    asked = _said(wanted, _tsquery, " | ", " & ")
    if unwanted:
        asked = f"({asked}) & !({_said(unwanted, _tsquery, ' | ', ' | ')})"
    # Written into the statement, quoted, and not bound: a plan that is made for any question at all suits none
    # (measured: a common word among 40,000 messages 270 ms, planned for itself 3 ms).
    question = sa.bindparam(None, asked, sa.String(), literal_execute=True)
    return _vectors.c.terms.op("@@", is_comparison=True)(sa.cast(question, postgresql.TSQUERY))


def _said(of_terms: Sequence[Term], write: Callable[[Phrase], str], either: str, both: str) -> str:
    return both.join("(" + either.join(map(write, term.ways)) + ")" for term in of_terms)


def _fts5(way: Phrase) -> str:
    return '"' + " ".join(way.stems) + '"' + (" *" if way.is_open else "")


def _tsquery(way: Phrase) -> str:
    return "(" + " <-> ".join(f"'{stem}'" for stem in way.stems) + (":*" if way.is_open else "") + ")"
