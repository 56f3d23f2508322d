"""How mailboxes are told to be: what is wrong in a word, how far behind, what waits; to whom, and in which detail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.models import users
from hub.mail import health
from hub.mail.models import folders, locations, mailboxes, messages, outbox
from tests.factories import got
from tests.testbed import talk
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


@pytest.mark.parametrize(
    ("state", "error", "trouble"),
    [
        ("up", "", ""),
        ("up", "Архив: 3 messages cannot be fetched", "folder"),
        ("auth_refused", "mail.example refused the sign-in: Invalid credentials", "auth"),
        ("down", "mail.example: TLS: certificate verify failed", "tls"),
        ("down", "mail.example offers no STARTTLS; nothing goes in clear", "tls"),
        ("down", "mail.example:993: Connection refused", "unreachable"),
        ("down", "'mail.exmaple' is no host name", "unreachable"),
        ("down", "the mail server hung up: without a word", "unreachable"),
        ("down", "[OVERQUOTA] Quota exceeded (mailbox for user is full)", "quota"),
        ("down", "the mail server turns us away: Maximum number of connections", "busy"),
        ("down", "the mail server asks for a pause: [OVERQUOTA] Account exceeded bandwidth limits", "throttled"),
        ("down", "the mail server asks for a pause: Suggested Backoff Time: 3000 ms", "throttled"),
        ("down", "the mail server asks for a pause: [ALERT] Too many simultaneous connections", "busy"),
        ("down", "mail.example lets nobody in for now: [UNAVAILABLE] backend", "throttled"),
        ("down", "mail.example refused the sign-in in words that Hub does not know: nope", "sign_in"),
        ("connecting", "", "connecting"),
        ("down", "", "other"),
    ],
)
def test_what_a_server_said_is_told_in_a_word(state: str, error: str, trouble: str) -> None:
    assert health.trouble_of(state, error, is_enabled=True, is_late=False) == trouble
    assert health.trouble_of(state, error, is_enabled=False, is_late=True) == "off"


async def in_state(site: Site, **values: Any) -> int:
    """Have a mailbox of the team sales with one message, in this state; return its id."""
    await talk.message(site.db, site.blobs)
    async with site.db.begin() as conn:
        await conn.execute(sa.update(mailboxes).values(**values))
        return int((await conn.execute(sa.select(mailboxes.c.id))).scalar_one())


async def page_of(site: Site, mailbox_id: int, language: str) -> str:
    """The mailbox's page as Olga, who is no administrator, sees it."""
    await site.person("olga")
    async with site.db.begin() as conn:
        await conn.execute(sa.update(users).where(users.c.name == "Olga").values(language=language))
    async with (await site.browser("olga")).get(f"/mailboxes/{mailbox_id}") as answer:
        return await answer.text()


async def test_a_mailbox_that_nobody_reads_any_more_is_never_shown_as_well(site: Site) -> None:
    seen = utc_now() - timedelta(hours=3)
    mailbox_id = await in_state(site, state="up", seen_at=seen)
    told = await got(await site.api("olga"), f"mailboxes/{mailbox_id}/health")
    assert told["trouble"] == "silent"
    assert 3 * 3600 <= told["lag_s"] < 3 * 3600 + 60
    await in_state(site, state="up", seen_at=utc_now())
    told = await got(await site.api("olga"), f"mailboxes/{mailbox_id}/health")
    assert (told["trouble"], told["lag_s"]) == ("", 0)


async def test_history_says_how_much_of_how_much_and_which_messages_are_not_given(site: Site) -> None:
    mailbox_id = await in_state(site, state="up", seen_at=utc_now())
    async with site.db.begin() as conn:
        about = {"mailbox_id": mailbox_id, "uidvalidity": 7, "is_chosen": True}
        rows = [
            {"name": "INBOX", "role": "inbox", "high_uid": 40, "low_uid": 39, "on_server": 40, "gaps": [39], **about},
            {"name": "Sent", "role": "sent", "high_uid": 9, "low_uid": 1, "on_server": 8, "gaps": [], **about},
            {"name": "Spam", "role": "other", "high_uid": 9, "low_uid": 1, "on_server": 8, "gaps": [], **about}
            | {"is_chosen": False},
        ]
        await conn.execute(folders.insert(), rows)
        place = {"folder_id": 1, "uidvalidity": 7, "uid": 40, "message_id": 1, "flags": []}
        await conn.execute(locations.insert(), [place])
    told = await got(await site.api("olga"), f"mailboxes/{mailbox_id}/health")
    assert [(one["name"], one["stored"], one["on_server"], one["complete"]) for one in told["folders"]] == [
        ("INBOX", 1, 40, False),
        ("Sent", 8, 8, True),
    ]
    assert told["folders"][0]["gaps"] == [39]
    assert (told["stored"], told["on_server"], told["percent"], told["complete"]) == (9, 48, 18, False)
    async with (await site.browser("olga")).get(f"/mailboxes/{mailbox_id}") as answer:
        page = await answer.text()
    assert 'value="2"' in page
    assert "1 of 40" in page


async def test_what_is_stuck_is_counted_by_state_with_the_oldest_and_the_unreadable_too(site: Site) -> None:
    mailbox_id = await in_state(site, state="up", seen_at=utc_now())
    stuck = [await talk.message(site.db, site.blobs, direction="out") for _ in range(3)]
    async with site.db.begin() as conn:
        await conn.execute(sa.update(messages).where(messages.c.id == 1).values(parse_state="failed"))
        for message_id, state in zip(stuck, ("deferred", "deferred", "sent"), strict=True):
            row = {"message_id": message_id, "mailbox_id": mailbox_id, "state": state, "not_before": utc_now()}
            await conn.execute(outbox.insert().values(**row))
    told = await got(await site.api("olga"), f"mailboxes/{mailbox_id}/health")
    assert [(one["state"], one["count"]) for one in told["outbox"]] == [("deferred", 2)]
    assert told["unreadable"] == 1
    assert told["outbox"][0]["oldest"] == (await got(await site.api("olga"), f"messages/{stuck[0]}"))["received_at"]


async def test_the_servers_words_are_for_administrators_and_the_owner_alone(site: Site) -> None:
    said = "mail.example refused the sign-in: secret detail"
    mailbox_id = await in_state(site, state="auth_refused", error=said, error_at=utc_now(), seen_at=utc_now())
    await site.person("root", role="admin", team=None)
    for who, is_told in (("root", True), ("olga", False)):
        async with (await site.browser(who)).get(f"/mailboxes/{mailbox_id}") as answer:
            page = await answer.text()
        assert ("secret detail" in page) is is_told, who
        assert "Sign-in refused" in page
        told = await got(await site.api(who), f"mailboxes/{mailbox_id}/health")
        assert told["error"] == (said if is_told else None)
        assert told["trouble"] == "auth"


async def test_a_refused_sign_in_says_what_the_provider_wants_to_everybody(site: Site) -> None:
    said = "imap.yandex.ru refused the sign-in: [AUTHENTICATIONFAILED] invalid credentials or IMAP is disabled"
    mailbox_id = await in_state(site, state="auth_refused", error=said, error_at=utc_now(), seen_at=utc_now())
    told = await got(await site.api("olga"), f"mailboxes/{mailbox_id}/health")
    assert (told["trouble"], told["advice"], told["error"]) == ("auth", "app_password_or_imap_off", None)
    for language, words in (("en", "create an app password there"), ("ru", "создайте там пароль приложения")):
        assert words in await page_of(site, mailbox_id, language)


async def test_a_foreign_own_mailbox_is_on_no_page_of_health(site: Site) -> None:
    olga, pavel = await site.person("olga"), await site.person("pavel")
    await talk.message(site.db, site.blobs, owner_id=olga.user_id)
    async with site.db.read() as conn:
        (own,) = await health.of_all(conn, olga, now=utc_now())
        assert await health.of_all(conn, pavel, now=utc_now()) == []
    await got(await site.api("pavel"), f"mailboxes/{own.id}/health", 404)
    async with (await site.browser("pavel")).get("/mailboxes/health") as answer:
        assert own.address not in await answer.text()


async def test_machines_are_told_of_each_mailbox_and_of_no_address(site: Site) -> None:
    mailbox_id = await in_state(site, state="down", error="x", seen_at=utc_now() - timedelta(minutes=10))
    async with (await site.browser(None)).get("/metrics") as answer:
        text = await answer.text()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines[f'hub_mailbox_up{{mailbox="{mailbox_id}"}}'] == "0"
    assert 600 <= int(lines[f'hub_mailbox_lag_seconds{{mailbox="{mailbox_id}"}}']) < 700
    assert lines[f'hub_outbox_waiting{{mailbox="{mailbox_id}",state="unknown"}}'] == "0"
    assert "@" not in text
    async with (await site.browser(None)).get("/readyz") as answer:
        assert answer.status == 200, "one mailbox that is down does not take Hub out of service"
