"""An administrator has a message read again that could not be read."""

from __future__ import annotations

import sqlalchemy as sa

from hub.crm.models import audit
from hub.mail.models import messages
from tests.factories import got, mail, post
from tests.testbed import talk
from tests.testbed.site import Site


async def test_a_message_that_failed_is_read_again_by_an_administrator_and_by_nobody_else(site: Site) -> None:
    raw = mail(subject="At last", body="Readable after all")
    message_id = await talk.message(site.db, site.blobs)
    sha256 = await site.blobs.put(raw)
    async with site.db.begin() as conn:
        unread = {"parse_state": "failed", "subject": "", "text": "", "raw_sha256": sha256}
        await conn.execute(sa.update(messages).where(messages.c.id == message_id).values(**unread))
    await site.person("admin", role="admin", team=None)
    olga, admin = await site.api("olga"), await site.api("admin")
    assert (await post(olga, f"messages/{message_id}/parse"))[0] == 403
    status, answer = await post(admin, f"messages/{message_id}/parse")
    assert (status, answer["subject"]) == (200, "At last")
    message = await got(olga, f"messages/{message_id}")
    assert (message["subject"], message["text"].strip()) == ("At last", "Readable after all")
    assert [one["id"] for one in (await got(olga, "messages", q="readable"))["items"]] == [message_id]
    assert (await post(admin, f"messages/{message_id}/parse"))[0] == 409
    async with site.db.read() as conn:
        query = sa.select(audit.c.details).where(audit.c.action == "message.read_again")
        assert (await conn.execute(query)).scalars().all() == [{"is_read": True}]
