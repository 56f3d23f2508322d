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

pytestmark = pytest.mark.either_database


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
    assert f"outbox-{refused}" in only and f"outbox-{waits}" not in only
    assert await act(anna, f"/outbox/{waits}/cancel") == 303
    assert await act(anna, f"/outbox/{unknown}/accept-as-sent") == 303
    assert await act(anna, f"/outbox/{deferred}/send-again") == 303
    assert await act(anna, f"/outbox/{waits}/cancel") == 409
    shown = await page(anna)
    assert f"outbox-{waits}" not in shown and f"outbox-{unknown}" not in shown
    assert f"outbox-{waits}" in await page(anna, "/outbox?state=cancelled")


@pytest.mark.usefixtures("mailbox")
async def test_a_manager_sees_the_teams_and_nobody_elses_and_the_desk_counts_ones_own(site: Site) -> None:
    stuck = await letter(site, "anna", "stuck", "unknown")
    await site.person("eve", team="support")
    await site.person("boris")
    anna, boris, eve, olga = [await site.browser(name) for name in ("anna", "boris", "eve", "olga")]
    assert f"outbox-{stuck}" in await page(anna) and f"outbox-{stuck}" in await page(boris)
    assert f"outbox-{stuck}" not in await page(eve)
    assert "1 mail of yours" in await page(anna, "/outbox/stuck")
    assert "of yours" not in await page(boris, "/outbox/stuck")
    assert f"outbox-{stuck}" not in await page(boris, "/outbox?mine=true")
    assert await act(eve, f"/outbox/{stuck}/send-again") == 404
    async with site.db.begin() as conn:
        await conn.execute(sa.update(mailboxes).values(owner_id=site.actors["anna"].user_id))
    assert f"outbox-{stuck}" not in await page(boris), "a person's own mailbox is their own"
    assert f"outbox-{stuck}" in await page(anna)
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
    assert found["counts"]["waiting"] == 5 and len(found["items"]) == 5
    moments = sorted(one["goes_at"] for one in found["items"])
    assert moments[0][:16] < moments[4][:16], "the fifth waits two minutes at the least"
    first = await got(api, "outbox", limit="2")
    rest = await got(api, "outbox", limit="200", cursor=first["next"])
    assert len(rest["items"]) == 3 and rest["next"] is None
    shown = await page(await site.browser("anna"))
    assert "refuses the sign-in" in shown and "535 5.7.8 no" in shown and "5 wait" in shown
    async with api.get("outbox", params={"cursor": "x"}) as answer:
        assert answer.status == 400


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
