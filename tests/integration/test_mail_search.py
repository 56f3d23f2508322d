"""The search in the database: both kinds find what a plain reading of the terms finds, newest first, page by page."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.crm.base import records
from hub.mail import register, search
from hub.mail.filters import MessageFilters
from hub.mail.message_kind import MESSAGES
from hub.mail.models import messages
from hub.mail.query import Phrase, Query, Term, parse
from hub.mail.reading import terms
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import got, made
from tests.testbed import talk
from tests.testbed.site import Site

WORDS = (
    "счёт счета оплата оплатить договор договора поставка invoice invoices payment 1С 1234-5 ivanov@firma.ru "
    "www.firma.ru +7(495)123-45-67 84951234567 Ёлка ёлки и на в по quick_brown Счёт 2025-01-02 "
    "интернет-магазин naïve 漢字 😀 ﬁn straße İstanbul"
).split()


def says(kept: list[str], way: Phrase) -> bool:
    """Tell whether these terms say it so: the definition that both databases must meet."""
    size = len(way.stems)
    for at in range(len(kept) - size + 1):
        here = tuple(kept[at : at + size])
        if here == way.stems or (way.is_open and here[:-1] == way.stems[:-1] and here[-1].startswith(way.stems[-1])):
            return True
    return False


def answers(kept: list[str], query: Query) -> bool:
    def has(term: Term) -> bool:
        return any(says(kept, way) for way in term.ways)

    return not query.is_nothing and all(map(has, query.wanted)) and not any(map(has, query.unwanted))


async def fill(db: Database, blobs: BlobStore, rng: random.Random, *, count: int) -> dict[int, list[str]]:
    """Store messages of random words at random times; return the terms of each."""
    first = await talk.message(db, blobs)
    kept: dict[int, list[str]] = {}
    async with db.begin() as conn:
        row: dict[str, Any] = dict((await conn.execute(sa.select(messages))).mappings().one())
        del row["id"]
        await conn.execute(sa.text("DELETE FROM message_search"))
        await conn.execute(sa.update(messages).where(messages.c.id == first).values(subject="", text="", from_name=""))
        for n in range(count):
            some = [" ".join(rng.choices(WORDS, k=rng.randrange(1, k))) for k in (6, 3, 15)]
            row |= {
                "subject": some[0],
                "from_name": some[1],
                "text": some[2],
                "raw_sha256": str(n),
                "message_id": f"{n}",
            }
            row["received_at"] = datetime.fromisoformat("2025-01-01T00:00:00+00:00") + timedelta(
                seconds=rng.randrange(20), microseconds=rng.randrange(1_000_000)
            )
            made = await conn.execute(messages.insert().values(**row).returning(messages.c.id))
            kept[made.scalar_one()] = search.terms_of_row(row, []).split(" ")
        await search.add_stored(conn, list(kept))
    return kept


def questions(rng: random.Random, count: int) -> list[str]:
    def one() -> str:
        words = rng.choices(WORDS, k=rng.randrange(1, 4))
        mark = rng.choice(["", "", "", "-", "from:", "тема:", "-тема:"])
        shape = rng.randrange(5)
        if shape == 0:
            return f'{mark}"{" ".join(words)}"'
        if shape == 1:
            return mark + words[0][: rng.randrange(1, 6)] + rng.choice(["", "*"])
        return " ".join(mark + word for word in words)

    return [" ".join(one() for _ in range(rng.randrange(1, 4))) + rng.choice(["", " "]) for _ in range(count)]


async def test_both_databases_find_what_a_plain_reading_finds(db: Database, blobs: BlobStore, site: Site) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    olga = await site.person("olga")
    kept = await fill(db, blobs, rng, count=120)
    some = 0
    async with db.read() as conn:
        for text in questions(rng, 400):
            query = parse(text)
            expected = {one for one, of_it in kept.items() if answers(of_it, query)}
            found = {one.id for one in await register.listed(conn, olga, MessageFilters(text=text), limit=1000)}
            if not query.wanted:  # without a wanted word, what the index does not hold is found too
                found &= set(kept)
            assert found == expected, (seed, text, query)
            some += bool(expected) and len(expected) < len(kept)
    assert some > 100, seed


async def test_pages_by_key_give_each_message_once_newest_first(db: Database, blobs: BlobStore, site: Site) -> None:
    seed = random.randrange(2**32)
    olga = await site.person("olga")
    kept = await fill(db, blobs, random.Random(seed), count=120)
    filters = MessageFilters(text='"sales"')
    async with db.read() as conn:
        whole = await register.listed(conn, olga, filters, limit=1000)
        assert {one.id for one in whole} == set(kept), seed
        seconds = [one.received_at.replace(microsecond=0) for one in whole]
        assert seconds == sorted(seconds, reverse=True), seed
        where = search.found('"sales"', conn.dialect.name)
        paged, back, cursor = [], [], None
        while True:
            page = await records.page(conn, olga, MESSAGES, where=where, cursor=cursor, limit=7)
            paged += [one.id for one in page.items]
            if (cursor := page.next) is None:
                break
        assert paged == [one.id for one in whole], seed
        while (cursor := page.previous) is not None:
            page = await records.page(conn, olga, MESSAGES, where=where, cursor=cursor, limit=7)
            back = [one.id for one in page.items] + back
        assert back == paged[:119], "17 pages of 7 lead back from the last one, which holds one message"


async def test_a_question_within_one_client_finds_that_clients_mail_only(
    db: Database, blobs: BlobStore, site: Site
) -> None:
    api = await site.api("olga")
    mine, other = [(await made(api, {"name": name}))["id"] for name in ("Ромашка", "Лютик")]
    wanted = await talk.message(db, blobs, client_id=mine, subject="Договор")
    await talk.message(db, blobs, client_id=mine, subject="Другое")
    await talk.message(db, blobs, client_id=other, subject="Договор")
    found = await got(api, "messages", q="договоры ", client=str(mine))
    assert [one["id"] for one in found["items"]] == [wanted]


@pytest.mark.parametrize(
    "text",
    [
        "\"'; DROP TABLE messages; --",
        "' | 'x' & !( <->",
        'NEAR("a" "b", 10) AND rowid:1 OR {terms} : x*',
        "a\\' \\\\ ':* ",
        "\ud7ff\uffff 'с' <-> \"d\"*",
        "(" * 400,
        '"' * 500,
        "а* б* в* г* " * 40,
        " ".join(f"-слово{n}" for n in range(100)),
    ],
)
async def test_hostile_text_is_only_ever_text(site: Site, text: str) -> None:
    api = await site.api("olga")
    await talk.message(site.db, site.blobs)
    async with api.get("messages", params={"q": text}) as answer:
        assert answer.status == 200, await answer.text()


async def test_a_bomb_is_kept_by_both(db: Database, blobs: BlobStore) -> None:
    message_id = await talk.message(db, blobs)
    for text in (
        "".join(chr(0x20000 + n % 40_000) * 40 + " " for n in range(9_000)),
        "".join(f"слово{n} " for n in range(60_000)),
        "я " * 200_000,
    ):
        async with db.begin() as conn:
            await search.add(conn, {message_id: terms.terms(subject=text, recipients=text, files=text, text=text)})


async def test_renewed_terms_take_the_place_of_the_old(db: Database, blobs: BlobStore, site: Site) -> None:
    olga = await site.person("olga")
    message_id = await talk.message(db, blobs, subject="старое")
    async with db.begin() as conn:
        came_at = (await conn.execute(sa.select(messages.c.received_at))).scalar_one()
        # Within its second: when a message came in never changes, and SQLite numbers its terms by that second.
        at = came_at.replace(microsecond=999_999)
        await conn.execute(sa.update(messages).values(subject="новое", received_at=at))
        await search.add_stored(conn, [message_id])
        await search.add_stored(conn, [message_id])
    async with db.read() as conn:
        new = await register.listed(conn, olga, MessageFilters(text="новое"), limit=9)
        assert [one.id for one in new] == [message_id]
        assert await register.listed(conn, olga, MessageFilters(text="старое"), limit=9) == []
