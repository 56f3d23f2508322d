"""Templates, senders and signatures: whose they are, and what a letter gets of them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.models import audit, team_members
from hub.mail.models import mailboxes
from hub.mail.sending import identities
from hub.mail.sending.models import drafts, signatures
from hub.mail.sending.phrases import Facts
from tests.factories import got
from tests.testbed import talk
from tests.testbed.site import Site

pytestmark = pytest.mark.either_database


async def post(api: object, path: str, status: int = 200, **body: object) -> dict[str, object]:
    async with api.post(path, json=body) as answer:  # type: ignore[attr-defined]
        assert answer.status == status, await answer.text()
        return await answer.json()  # type: ignore[no-any-return]


async def test_a_template_is_its_teams_and_everybodys_is_the_administrators(site: Site) -> None:
    await site.person("olga")
    await site.person("stranger", team="support")
    await site.person("chief", role="admin", team=None)
    olga, stranger, chief = await site.api("olga"), await site.api("stranger"), await site.api("chief")
    team = min(site.actors["olga"].team_ids)
    mine = await post(olga, "templates", 201, name="Счёт", team=team, text="{{имя|коллеги}}, счёт во вложении.")
    everybodys = await post(chief, "templates", 201, name="Привет", html="<p>Hi</p><script>x()</script>")
    assert everybodys["html"] == "<p>Hi</p>"
    assert [one["name"] for one in (await got(olga, "templates"))["items"]] == ["Привет", "Счёт"]
    assert [one["name"] for one in (await got(stranger, "templates"))["items"]] == ["Привет"]
    await post(stranger, f"templates/{mine['id']}", 404, name="x", team=team, text="x")
    await post(stranger, f"templates/{mine['id']}/fill", 404)
    await post(olga, f"templates/{everybodys['id']}", 403, name="x", text="x")
    await post(olga, "templates", 403, name="x", text="x")
    refused = await post(olga, "templates", 400, name="y", team=team, text="{{client.__class__}}")
    assert refused["error"]["code"] == "no_such_field"  # type: ignore[index]
    await post(olga, "templates", 409, name="Счёт", team=team, text="again")
    await post(olga, f"templates/{mine['id']}/archive")
    assert [one["name"] for one in (await got(olga, "templates"))["items"]] == ["Привет"]
    await post(olga, "templates", 201, name="Счёт", team=team, text="again")
    async with site.db.read() as conn:
        actions = (await conn.execute(sa.select(audit.c.action).where(audit.c.object_kind == "template"))).scalars()
        assert sorted(actions) == ["template.archived", "template.made", "template.made", "template.made"]


async def test_a_template_is_filled_for_the_letter(site: Site) -> None:
    await site.person("olga", extension="101")
    olga = await site.api("olga")
    team = min(site.actors["olga"].team_ids)
    await talk.message(site.db, site.blobs)
    async with site.db.read() as conn:
        box = (await conn.execute(sa.select(mailboxes))).one()
    client = await post(olga, "clients", 201, name="R&D <b>", contacts=[{"name": "Иванова Анна Петровна"}])
    text = "{{имя|коллеги}}, для {{client.name}} отвечаю с {{ящик}}, доб. {{добавочный}}"
    made = await post(olga, "templates", 201, name="a", team=team, subject="Для {{клиент}}", text=text)
    known = {"client": client["id"], "contact": client["contacts"][0]["id"], "mailbox": box.id}  # type: ignore[index]
    filled = await post(olga, f"templates/{made['id']}/fill", **known)
    assert filled["subject"] == "Для R&D <b>"
    assert filled["text"] == f"Анна Петровна, для R&D <b> отвечаю с {box.address}, доб. 101"
    assert "<b>" not in str(filled["html"])
    nobody = await post(olga, f"templates/{made['id']}/fill")
    assert str(nobody["text"]).startswith("коллеги, для")


async def test_one_writes_under_ones_own_names_and_nobody_as_somebody_else(site: Site) -> None:
    await site.person("olga")
    await site.person("chief", role="admin", team=None)
    await site.person("stranger", team="support")
    olga, chief, stranger = await site.api("olga"), await site.api("chief"), await site.api("stranger")
    await talk.message(site.db, site.blobs)
    async with site.db.read() as conn:
        box = (await conn.execute(sa.select(mailboxes))).one()
    own = (await got(olga, "senders"))["items"]
    assert {one["address"] for one in own} == {box.address}
    assert "Olga" in [one["name"] for one in own]
    await post(stranger, "senders", 404, mailbox=box.id, name="x")
    await post(olga, "senders", 403, mailbox=box.id, name="Ольга", address="director@hub.test")
    await post(olga, "senders", 400, mailbox=box.id, name="Ольга\r\nBcc: x@y.example", address="не адрес")
    await post(olga, "senders", 201, mailbox=box.id, name="Ольга из продаж", default=True)
    await post(olga, "senders", 409, mailbox=box.id, name="Ольга из продаж")
    olga_id = site.actors["olga"].user_id
    await post(chief, "senders", 201, mailbox=box.id, name="Отдел", address="info@hub.test", user=olga_id)
    now = (await got(olga, "senders"))["items"]
    assert now[0] | {"id": 0} == {
        "id": 0,
        "mailbox": box.address,
        "name": "Ольга из продаж",
        "address": box.address,
        "default": True,
    }
    assert "info@hub.test" in [one["address"] for one in now]
    await post(stranger, f"senders/{now[0]['id']}/remove", 404)
    await post(olga, f"senders/{now[0]['id']}/remove")
    assert "Ольга из продаж" not in [one["name"] for one in (await got(olga, "senders"))["items"]]


async def test_a_draft_under_a_name_that_is_taken_away_stays(site: Site) -> None:
    actor = await site.person("olga")
    await talk.message(site.db, site.blobs)
    now = utc_now()
    async with site.db.begin() as conn:
        box = (await conn.execute(sa.select(mailboxes))).one()
        identity_id = await identities.add(conn, actor, mailbox_id=box.id, name="О.", now=now)
        row = {"author_id": actor.user_id, "mailbox_id": box.id, "identity_id": identity_id, "to": [], "cc": []}
        await conn.execute(drafts.insert().values(**row, bcc=[], created_at=now, saved_at=now))
        await identities.remove(conn, actor, identity_id, now=now)
        assert (await conn.execute(sa.select(drafts.c.identity_id))).scalar_one() is None


async def test_the_narrowest_signature_goes_below(site: Site) -> None:
    await site.person("olga")
    await site.person("chief", role="admin", team=None)
    olga, chief = await site.api("olga"), await site.api("chief")
    await talk.message(site.db, site.blobs)
    async with site.db.read() as conn:
        box = (await conn.execute(sa.select(mailboxes))).one()

    async def below(language: str = "ru") -> str:
        async with site.db.read() as conn:
            html = await identities.signature_for(conn, site.actors["olga"], box.id, language=language)
        return identities.signed(html, Facts(manager="Ольга <i>"))

    assert await below() == ""
    await post(olga, "signatures", 403, mailbox=box.id, for_everybody=True, html="x")
    await post(chief, "signatures", mailbox=box.id, for_everybody=True, html="<p>Компания</p>")
    assert await below() == "<p>Компания</p>"
    await post(olga, "signatures", html="<p>{{manager.name}}</p><script>1</script>")
    assert await below() == "<p>Ольга &lt;i&gt;</p>"
    await post(olga, "signatures", html="<p>Best</p>", language="en")
    assert await below("en") == "<p>Best</p>"
    await post(olga, "signatures", mailbox=box.id, html="<p>для ящика</p>")
    assert await below() == "<p>для ящика</p>"
    await post(olga, "signatures", 400, html="{{client.name}}")
    await post(olga, "signatures", mailbox=box.id, html="")
    assert await below() == "<p>Ольга &lt;i&gt;</p>"
    async with site.db.read() as conn:
        assert len((await conn.execute(sa.select(signatures))).all()) == 3


@pytest.mark.parametrize("page", ["/templates", "/templates/new", "/me/writing"])
async def test_the_pages_come_up(site: Site, page: str) -> None:
    await site.person("olga")
    await talk.message(site.db, site.blobs)
    browser = await site.browser("olga")
    async with browser.get(page) as answer:
        assert answer.status == 200, await answer.text()


async def test_a_refused_form_comes_back_with_what_was_typed(site: Site) -> None:
    await site.person("olga")
    browser = await site.browser("olga")
    async with site.db.read() as conn:
        team = (await conn.execute(sa.select(team_members.c.team_id))).scalars().first()
    form = {"name": "Счёт", "language": "ru", "team": str(team), "subject": "s", "text": "{{client.secret}} текст"}
    async with browser.post("/templates", data=form, allow_redirects=False) as answer:
        text = await answer.text()
        assert answer.status == 400
        assert "{{client.secret}} текст" in text
        assert "There is no such field" in text
    async with browser.post("/templates", data=form | {"text": "чисто"}, allow_redirects=False) as answer:
        assert answer.status == 303
