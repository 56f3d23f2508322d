"""The outbox as people see it: what waits, what is stuck, whose it is, and what they may do."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.linking import Linker
from hub.mail.models import mailboxes, messages, outbox, outbox_recipients
from hub.mail.reading.headers import Address
from hub.mail.sending import outbox as decisions
from hub.mail.sending import submit
from hub.mail.sending.submit import NewMessage
from tests.factories import got
from tests.testbed import talk
from tests.testbed.site import Site


async def letter(site: Site, author: str, subject: str, state: str = "queued", **values: object) -> int:
    """Write a mail as `author` from the team's mailbox and put its outbox row into a state."""
    actor = await site.person(author)
    now = utc_now()
    new = NewMessage(mailbox="sales@hub.test", to=(Address("", "a@x.test"),), subject=subject, text="x")
    frozen = await submit.freeze(site.db, site.blobs, actor, new, now=now)
    async with site.db.begin() as conn:
        message_id = await submit.queue_message(conn, actor, frozen, linker=Linker("RU"), now=now)
        which = outbox.c.message_id == message_id
        given = {"state": state, **values}
        row_id = (
            await conn.execute(sa.update(outbox).where(which).values(**given).returning(outbox.c.id))
        ).scalar_one()
        person = {"state": state, "code": 550 if state == "refused" else None, "reply": "5.1.1 no"}
        await conn.execute(sa.update(outbox_recipients).where(outbox_recipients.c.outbox_id == row_id).values(**person))
        await conn.execute(sa.update(messages).where(messages.c.id == message_id).values(state=state))
    return message_id


@pytest.fixture
async def mailbox(site: Site) -> int:
    await site.person("anna")
    await talk.message(site.db, site.blobs)
    async with site.db.read() as conn:
        return int((await conn.execute(sa.select(mailboxes.c.id))).scalar_one())


async def page(browser: aiohttp.ClientSession, path: str = "/outbox") -> str:
    async with browser.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


def shown_as(message_id: int) -> str:
    """Return what a page has where it shows this message."""
    return f'href="/messages/{message_id}"'


async def act(browser: aiohttp.ClientSession, path: str) -> int:
    async with browser.post(path, allow_redirects=False) as answer:
        return answer.status


@pytest.mark.usefixtures("mailbox")
async def test_each_message_says_how_it_stands_and_offers_what_can_be_done(site: Site) -> None:
    later = utc_now() + timedelta(hours=2)
    waits = await letter(site, "anna", "waits", not_before=later)
    unknown = await letter(site, "anna", "unknown", "unknown", reason="interrupted")
    refused = await letter(site, "anna", "refused", "refused", reason="550 5.1.1 no")
    deferred = await letter(site, "anna", "deferred", "deferred", reason="451 later", not_before=later, attempts=2)
    await letter(site, "anna", "gone", "sent")
    anna = await site.browser("anna")
    shown = await page(anna)
    for message_id, deed in (
        (waits, "cancel"),
        (unknown, "accept-as-sent"),
        (unknown, "send-again"),
        (refused, "send-again"),
        (deferred, "send-again"),
        (deferred, "cancel"),
    ):
        assert f'action="/outbox/{message_id}/{deed}"' in shown, deed
    assert "Hub was stopped while it was sending." in shown and "no such address" in shown and "gone" not in shown
    only = await page(anna, "/outbox?state=refused")
    assert shown_as(refused) in only and shown_as(waits) not in only
    assert await act(anna, f"/outbox/{waits}/cancel") == 303
    assert await act(anna, f"/outbox/{unknown}/accept-as-sent") == 303
    assert await act(anna, f"/outbox/{deferred}/send-again") == 303
    assert await act(anna, f"/outbox/{waits}/cancel") == 409
    shown = await page(anna)
    assert shown_as(waits) not in shown and shown_as(unknown) not in shown
    assert shown_as(waits) in await page(anna, "/outbox?state=cancelled")


@pytest.mark.usefixtures("mailbox")
async def test_a_manager_sees_the_teams_and_nobody_elses_and_the_desk_counts_ones_own(site: Site) -> None:
    stuck = await letter(site, "anna", "stuck", "unknown")
    await site.person("eve", team="support")
    await site.person("boris")
    anna, boris, eve, olga = [await site.browser(name) for name in ("anna", "boris", "eve", "olga")]
    assert shown_as(stuck) in await page(anna) and shown_as(stuck) in await page(boris)
    assert shown_as(stuck) not in await page(eve)
    assert "1 mail of yours" in await page(anna, "/outbox/stuck")
    assert "of yours" not in await page(boris, "/outbox/stuck")
    assert shown_as(stuck) not in await page(boris, "/outbox?mine=true")
    assert await act(eve, f"/outbox/{stuck}/send-again") == 404
    async with site.db.begin() as conn:
        await conn.execute(sa.update(mailboxes).values(owner_id=site.actors["anna"].user_id))
    assert shown_as(stuck) not in await page(boris), "a person's own mailbox is their own"
    assert shown_as(stuck) in await page(anna)
    assert olga is not None


@pytest.mark.usefixtures("mailbox")
async def test_the_rest_of_a_burst_says_when_it_goes_and_a_mailbox_what_ails_it(site: Site) -> None:
    for number in range(5):
        await letter(site, "anna", f"burst {number}")
    async with site.db.begin() as conn:
        ails = {"sends_per_min": 2, "send_state": "auth_refused", "send_error": "535 5.7.8 no"}
        await conn.execute(sa.update(mailboxes).values(**ails))
    api = await site.api("anna")
    found = await got(api, "outbox")
    assert (await got(api, "outbox/count", state="waiting"))["count"] == 5 and len(found["items"]) == 5
    moments = sorted(one["goes_at"] for one in found["items"])
    assert moments[0][:16] < moments[4][:16], "the fifth waits two minutes at the least"
    first = await got(api, "outbox", limit="2")
    rest = await got(api, "outbox", limit="200", cursor=first["next"])
    assert len(rest["items"]) == 3 and rest["next"] is None
    shown = await page(await site.browser("anna"))
    assert "refuses the sign-in" in shown and "535 5.7.8 no" in shown and "5 wait" in shown
    async with api.get("outbox", params={"cursor": "x"}) as answer:
        assert answer.status == 400


async def test_the_outbox_is_asked_by_state_author_recipient_and_moment_and_exported(site: Site, mailbox: int) -> None:
    later = utc_now() + timedelta(hours=2)
    soon = await letter(site, "anna", "soon Ёлка", "deferred", not_before=utc_now())
    late = await letter(site, "boris", "late", not_before=later)
    bounced = await letter(site, "anna", "back", "sent", bounced=True)
    uncopied = await letter(site, "anna", "uncopied", "sent", copy_state="failed")
    await letter(site, "anna", "gone", "sent")
    called_off = await letter(site, "anna", "called off", "cancelled")
    api = await site.api("anna")

    async def ids(**params: str) -> list[int]:
        return [one["id"] for one in (await got(api, "outbox", **params))["items"]]

    assert await ids() == [uncopied, bounced, late, soon]
    assert await ids(sort="not_before") == [*[one for one in await ids(sort="not_before") if one != late], late]
    assert await ids(state="cancelled") == [called_off]
    assert await ids(where='{"field": "stand", "op": "is", "value": ["bounced", "no_copy"]}') == [uncopied, bounced]
    boris = site.actors["boris"].user_id
    assert await ids(where=f'{{"field": "author", "op": "is", "value": [{boris}]}}') == [late]
    assert await ids(mailbox=str(mailbox), sort="id") == [soon, late, bounced, uncopied]
    assert await ids(where=f'{{"field": "mailbox", "op": "is", "value": [{mailbox + 1000}]}}') == []
    assert await ids(mine="true") == [uncopied, bounced, soon]
    assert await ids(q="Soon") == [soon] and len(await ids(q="a@x.test")) == 4
    assert await ids(where='{"field": "written", "op": "within", "value": "yesterday"}') == []
    assert (await got(api, "outbox/count"))["count"] == 4
    assert (await got(api, f"outbox/{late}"))["subject"] == "late"
    assert (await got(api, f"outbox/{late}/history"))["items"] == []
    stranger = await site.api((await site.person("eve", team="support")).name.lower())
    await got(stranger, f"outbox/{late}", 404)
    await site.person("boss", role="admin")
    async with (await site.api("boss")).get("outbox/export", params={"format": "csv"}) as answer:
        text = await answer.text()
        assert answer.status == 200 and "late" in text and "called off" not in text


@pytest.mark.usefixtures("mailbox")
async def test_the_api_takes_the_same_decisions(site: Site) -> None:
    api = await site.api("anna")
    waits = await letter(site, "anna", "waits")
    unknown = await letter(site, "anna", "unknown", "unknown")
    async with site.db.begin() as conn:
        await decisions.cancel(conn, site.actors["anna"], waits, now=utc_now())
    for message_id, deed, state in (
        (unknown, "accept-as-sent", "sent"),
        (waits, "send-again", "queued"),
    ):
        async with api.post(f"messages/{message_id}/{deed}", json={}) as answer:
            assert (answer.status, (await answer.json())["state"]) == (200, state)
    async with api.post(f"messages/{unknown}/cancel", json={}) as answer:
        assert answer.status == 409 and (await answer.json())["error"]["code"] == "gone"


@pytest.mark.usefixtures("mailbox")
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("550 not local sender", "address is refused"),
        ("550 no", "550 no"),
        ("this mail server takes no address with letters outside ASCII", "takes no address with letters outside ASCII"),
    ],
)
async def test_an_answer_to_the_whole_message_is_no_fault_of_its_recipient(site: Site, reply: str, words: str) -> None:
    await letter(site, "anna", "refused", "refused", reason="x")
    async with site.db.begin() as conn:
        await conn.execute(sa.update(outbox_recipients).values(code=None, reply=reply))
    shown = await page(await site.browser("anna"))
    assert words in shown and "no such address" not in shown
