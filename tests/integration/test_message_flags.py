"""Marking a message over the API and by the page's buttons: the same wish, shown at once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import people
from hub.mail.models import flag_wishes, folders, locations, mailboxes, messages
from hub.mail.sync import flags, places
from hub.store.blobs import BlobStore
from hub.store.changes import Position, read_after
from hub.store.engine import Database
from tests.testbed import talk
from tests.testbed.site import running_site

pytestmark = pytest.mark.either_database


async def placed(db: Database, blobs: BlobStore) -> int:
    """A message that lies in INBOX of its mailbox."""
    message_id = await talk.message(db, blobs)
    async with db.begin() as conn:
        box = (await conn.execute(sa.select(mailboxes.c.id))).scalar_one()
        folder = folders.insert().values(mailbox_id=box, name="INBOX", role="inbox", gaps=[])
        folder_id = (await conn.execute(folder.returning(folders.c.id))).scalar_one()
        await conn.execute(locations.insert().values(folder_id=folder_id, uidvalidity=1, uid=1, message_id=message_id))
        await conn.execute(sa.update(messages).values(flags=[]))
    return message_id


async def wished(db: Database) -> dict[str, bool]:
    async with db.read() as conn:
        return {row.flag: row.wanted for row in await conn.execute(sa.select(flag_wishes))}


async def test_the_api_marks_what_is_named_and_leaves_the_rest(db: Database, blobs: BlobStore) -> None:
    async with running_site(db, blobs) as site:
        message_id = await placed(db, blobs)
        api = await site.api("olga")
        async with api.post(f"messages/{message_id}/flags", json={"seen": True, "flagged": True}) as answer:
            assert (answer.status, (await answer.json())["flags"]) == (200, ["flagged", "seen"])
        async with api.post(f"messages/{message_id}/flags", json={"flagged": False}) as answer:
            assert (await answer.json())["flags"] == ["seen"]
        assert await wished(db) == {"seen": True}, "what every place shows already need not be wished for"
        async with api.post(f"messages/{message_id}/flags", json={"deleted": True}) as answer:
            assert answer.status == 400


async def test_a_button_of_the_page_marks_too_and_a_strange_value_is_refused(db: Database, blobs: BlobStore) -> None:
    async with running_site(db, blobs) as site:
        message_id = await placed(db, blobs)
        browser = await site.browser("olga")
        form = {"seen": "1", "answered": "1"}
        async with browser.post(f"/messages/{message_id}/flags", data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, f"/messages/{message_id}")
        assert await wished(db) == {"seen": True, "answered": True}
        async with browser.post(f"/messages/{message_id}/flags", data={"seen": "2"}) as answer:
            assert answer.status == 400


async def test_a_wish_that_the_server_never_heeds_is_given_up_and_its_own_flags_are_shown_again(
    db: Database, blobs: BlobStore
) -> None:
    message_id = await placed(db, blobs)
    async with db.begin() as conn:
        box = (await conn.execute(sa.select(mailboxes.c.id))).scalar_one()
        await flags.wish_answered(conn, box, message_id, utc_now())
    for attempt in range(flags.ATTEMPTS_AT_MOST):
        async with db.begin() as conn:
            assert (await conn.execute(sa.select(messages.c.flags))).scalar() == ["answered", "seen"], attempt
            await conn.execute(sa.update(flag_wishes).values(not_before=utc_now()))
            await flags.rest(conn, [message_id], now=utc_now())
    async with db.read() as conn:
        assert (await conn.execute(sa.select(messages.c.flags))).scalar() == []
    assert await wished(db) == {}


async def test_a_wish_made_while_the_one_before_is_carried_out_is_not_put_to_rest_with_it(
    db: Database, blobs: BlobStore
) -> None:
    message_id = await placed(db, blobs)
    async with db.begin() as conn:
        box = (await conn.execute(sa.select(mailboxes.c.id))).scalar_one()
        await flags.wish_answered(conn, box, message_id, utc_now())
    tried_at = utc_now()
    async with db.begin() as conn:
        await flags._write(conn, box, message_id, "seen", True, now=utc_now())
        await flags.rest(conn, [message_id], now=tried_at)
    async with db.read() as conn:
        due = await flags.due(conn, box, now=utc_now())
    assert [one.flag for one in due] == ["seen"]


@pytest.mark.parametrize("flag", ["seen", "flagged"])
async def test_a_message_that_lies_nowhere_shows_what_was_wished_and_waits_for_nobody(
    db: Database, blobs: BlobStore, flag: str
) -> None:
    message_id = await placed(db, blobs)
    async with db.begin() as conn:
        row = (await conn.execute(sa.select(locations))).one()
        epoch = places.Epoch(row.folder_id, 1)
        await places.apply(conn, epoch, places.Delta({}, vanished=((1, 2**32 - 1),)), columns={}, now=utc_now())
        box = (await conn.execute(sa.select(mailboxes.c.id))).scalar_one()
        await flags._write(conn, box, message_id, flag, True, now=utc_now())
    async with db.read() as conn:
        shown = (await conn.execute(sa.select(messages.c.flags, messages.c.deleted_at))).one()
    assert shown.flags == [flag]
    assert shown.deleted_at is not None
    assert await wished(db) == {}


async def test_the_owner_of_a_personal_mailbox_marks_it_and_no_team_hears_of_it(db: Database, blobs: BlobStore) -> None:
    async with running_site(db, blobs) as site:
        message_id = await placed(db, blobs)
        olga = await site.person("olga")
        async with db.begin() as conn:
            # Of a team that its owner is not in.
            apart = await people.ensure_team(conn, "apart", now=utc_now())
            await conn.execute(sa.update(mailboxes).values(owner_id=olga.user_id, team_id=apart))
            await conn.execute(sa.update(messages).values(client_id=None))
        async with (await site.api("olga")).post(f"messages/{message_id}/flags", json={"flagged": True}) as answer:
            assert (answer.status, (await answer.json())["flags"]) == (200, ["flagged"])
        async with (await site.api("boris")).post(f"messages/{message_id}/flags", json={"seen": True}) as answer:
            assert answer.status in {403, 404}
        async with db.read() as conn:
            told = [one for one in await read_after(conn, Position(0, 0)) if one.data.get("flags") == ["flagged"]]
        assert [(one.team_id, one.user_id) for one in told] == [(None, olga.user_id)]
