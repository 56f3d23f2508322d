"""A mail through the running service: in from a real Dovecot, answered through the outbox by a real Postfix."""

from __future__ import annotations

import email
import email.policy
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hub.demo.letters import raw_letter
from hub.demo.sample import Letter
from tests.e2e.desk import ADMIN, ANNA, listed, staff
from tests.testbed.dovecot import PASSWORD, Dovecot, running_dovecot
from tests.testbed.hub import Hub, running_hub
from tests.testbed.postfix import Postfix, running_postfix
from tests.testbed.waiting import wait_for

pytestmark = pytest.mark.dovecot
BOX, IRINA = "sales@hub.test", "irina@romashka.test"


def mailbox_toml(imap_port: int, smtp_port: int) -> str:
    """The configuration of one mailbox, as an operator writes it."""
    return (
        f'[[mailbox]]\naddress = "{BOX}"\nteam = "sales"\nname = "Отдел продаж"\n'
        f'imap = {{ host = "127.0.0.1", port = {imap_port}, tls = "none", username = "{BOX}", password_file = "pw" }}\n'
        f'smtp = {{ host = "127.0.0.1", port = {smtp_port}, tls = "none" }}\n'
    )


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[tuple[Dovecot, Postfix, Hub]]:
    async with running_dovecot(BOX) as dovecot, running_postfix("romashka.test") as postfix:
        (folder / "pw").write_text(PASSWORD + "\n")
        async with running_hub(folder, mailbox_toml(dovecot.port, postfix.port)) as hub:
            await staff(hub)
            await hub.start()
            await wait_for(lambda: _is_up(hub), what="the mailbox is read", deadline_s=20)
            yield dovecot, postfix, hub


async def _is_up(hub: Hub) -> bool:
    return [box["state"] for box in await listed(hub, ADMIN, "/mailboxes")] == ["up"]


def letter(subject: str = "Счёт на ноябрь", *, sender: str = IRINA, name: str = "Ирина", file: str = "") -> bytes:
    words = Letter(name, sender, subject, "Добрый день!\n\nПришлите, пожалуйста, счёт.", file)
    return raw_letter(words, to=BOX, at=datetime.now(UTC), number=uuid4())


async def one_message(hub: Hub, **wanted: Any) -> dict[str, Any]:
    async def found() -> list[dict[str, Any]]:
        return [m for m in await listed(hub, ADMIN, "/messages") if wanted.items() <= m.items()]

    (message,) = await wait_for(found, what=f"a message with {wanted}", deadline_s=15)
    return message


async def test_a_known_clients_mail_is_answered_from_the_card_and_threads_at_the_clients(tmp_path: Path) -> None:
    async with office(tmp_path) as (dovecot, postfix, hub):
        body = {"kind": "organisation", "name": "ООО «Ромашка»", "emails": [IRINA.upper()]}
        status, client = await hub.api(ADMIN, "POST", "/clients", json=body)
        assert status == 201, client
        assert isinstance(client, dict)

        raw = letter(file="смета на ноябрь.pdf")
        began = time.monotonic()
        dovecot.deliver(BOX, raw)
        message = await one_message(hub, direction="in")
        assert time.monotonic() - began < 2, "on the card within two seconds"
        assert message["client"]["id"] == client["id"]
        assert [a["name"] for a in message["attachments"]] == ["смета на ноябрь.pdf"]
        entries = await listed(hub, ANNA, f"/clients/{client['id']}/timeline")
        assert [(e["kind"], e["data"]["subject"]) for e in entries] == [("message", "Счёт на ноябрь")]

        answer = {
            "mailbox": BOX,
            "to": IRINA,
            "subject": "Re: Счёт на ноябрь",
            "text": "Добрый день! Счёт во вложении.",
            "in_reply_to": message["id"],
        }
        status, queued = await hub.api(ANNA, "POST", "/messages", json=answer)
        assert status == 202, queued
        sent = await one_message(hub, direction="out", state="sent")
        assert sent["thread"] == message["thread"]

        (delivered,) = await wait_for(lambda: _delivered(postfix, IRINA), what="it reached the client", deadline_s=10)
        original = email.message_from_bytes(raw, policy=email.policy.default)
        arrived = email.message_from_bytes(delivered, policy=email.policy.default)
        assert arrived["In-Reply-To"] == original["Message-ID"]
        assert original["Message-ID"] in arrived["References"]
        assert "Счёт во вложении" in arrived.get_body(("plain",)).get_content()

        (copy,) = await wait_for(lambda: _sent(dovecot), what="its copy is in Sent", deadline_s=15)
        assert email.message_from_bytes(copy)["Message-ID"] == arrived["Message-ID"]

        back = raw_letter(
            Letter("Ирина", IRINA, "Re: Счёт на ноябрь", "Спасибо!"), to=BOX, at=datetime.now(UTC), number=uuid4()
        )
        reply = back.replace(b"MIME-Version", f"In-Reply-To: {arrived['Message-ID']}\r\nMIME-Version".encode(), 1)
        dovecot.deliver(BOX, reply)
        third = await one_message(hub, direction="in", subject="Re: Счёт на ноябрь")
        assert third["thread"] == message["thread"]
        assert len(await listed(hub, ADMIN, "/messages")) == 3, "the copy in Sent is the message that Hub sent"


async def _delivered(postfix: Postfix, address: str) -> list[bytes]:
    return postfix.delivered(address)


async def _sent(dovecot: Dovecot) -> list[bytes]:
    return dovecot.stored(BOX, "Sent")


async def test_a_mail_of_an_unknown_sender_becomes_a_lead_of_the_mailboxs_team_once(tmp_path: Path) -> None:
    async with office(tmp_path) as (dovecot, _, hub):
        for subject in ("Вопрос", "Ещё вопрос"):
            dovecot.deliver(BOX, letter(subject, sender="new@stranger.test", name="Пётр"))
            await one_message(hub, subject=subject)

        async def twice() -> bool:
            (lead,) = await listed(hub, ANNA, "/leads")
            return (lead["address"], lead["name"], lead["times"]) == ("new@stranger.test", "Пётр", 2)

        await wait_for(twice, what="one lead that has written twice")
        items = await listed(hub, ANNA, "/queue")
        assert {i["kind"] for i in items} == {"message"}
