"""As whom one writes: the composer's choice of senders, the signature below, and what the header says in the end."""

from __future__ import annotations

import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.base.history import Edit
from hub.mail.models import mailboxes, messages
from hub.mail.sending import identities, template_rules
from hub.mail.sending.template_kind import TemplateInput
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import post
from tests.testbed import talk
from tests.testbed.site import running_site

FORM = {"to": "ivan@romashka.example", "subject": "Счёт", "text": "Да"}


async def test_the_form_offers_senders_signs_and_sends_under_the_chosen_name_only(
    db: Database, blobs: BlobStore
) -> None:
    async with running_site(db, blobs) as site:
        await talk.message(db, blobs)
        olga, boris, now = await site.person("olga"), await site.person("boris"), utc_now()
        async with db.begin() as conn:
            box = (await conn.execute(sa.select(mailboxes.c.id))).scalar_one()
            mine = await identities.add(conn, olga, mailbox_id=box, name="Ольга из продаж", now=now)
            his = await identities.add(conn, boris, mailbox_id=box, name="Борис", now=now)
            html = "<p>С уважением, {{manager.name}}</p>"
            await identities.sign(conn, olga, mailbox_id=None, language="en", html=html, now=now)
            team = (await conn.execute(sa.select(mailboxes.c.team_id))).scalar_one()
            text = TemplateInput(name="Приветствие", language="ru", team=team, subject="Счёт", html="<p>Привет</p>")
            await template_rules.create(conn, text, edit=Edit(olga, "api", now))
        browser = await site.browser("olga")
        async with browser.get("/compose") as answer:
            page = await answer.text()
        assert f'value="sales@hub.test#{mine}"' in page
        assert f"#{his}" not in page
        assert "С уважением, Olga</textarea>" in page
        assert "Приветствие" in page

        async def sent(choice: str, request: str) -> tuple[str, str]:
            form = FORM | {"mailbox": choice, "request_id": request * 32}
            async with browser.post("/compose", data=form, allow_redirects=False) as answer:
                assert answer.status == 303
            async with db.read() as conn:
                query = sa.select(messages.c.from_name, messages.c.from_address).order_by(messages.c.id.desc())
                row = (await conn.execute(query.limit(1))).one()
            return row.from_name, row.from_address

        assert await sent(f"sales@hub.test#{mine}", "a") == ("Ольга из продаж", "sales@hub.test")
        assert await sent(f"sales@hub.test#{his}", "b") == ("Olga", "sales@hub.test"), "never as a colleague"
        api = await site.api("olga")
        body = {"mailbox": "sales@hub.test", "to": "ivan@romashka.example", "text": "Да"}
        status, made = await post(api, "messages", json=body | {"identity": mine})
        assert (status, made["from"]["name"]) == (202, "Ольга из продаж")
        assert (await post(api, "messages", json=body | {"identity": his}))[0] == 404
