"""Templates, senders and signatures: whose they are, and what a letter gets of them."""

from __future__ import annotations

import re

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm.base import records
from hub.crm.base.history import Edit
from hub.crm.models import audit, team_members
from hub.mail.models import mailboxes
from hub.mail.sending import identities
from hub.mail.sending.models import drafts, signatures
from hub.mail.sending.phrases import Facts
from hub.mail.sending.template_kind import TEMPLATES, TemplateInput
from tests.factories import got
from tests.testbed import talk
from tests.testbed.events import listening
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
    team, others = min(site.actors["olga"].team_ids), min(site.actors["stranger"].team_ids)
    mine = await post(olga, "templates", 201, name="Счёт", team=team, text="{{имя|коллеги}}, счёт во вложении.")
    everybodys = await post(chief, "templates", 201, name="Привет", html="<p>Hi</p><script>x()</script>")
    assert everybodys["html"] == "<p>Hi</p>"
    assert [one["name"] for one in (await got(olga, "templates"))["items"]] == ["Привет", "Счёт"]
    assert [one["name"] for one in (await got(stranger, "templates"))["items"]] == ["Привет"]
    assert await changed(stranger, mine, name="x") == 404
    await post(stranger, f"templates/{mine['id']}/fill", 404)
    assert await changed(olga, everybodys, name="x") == 403
    assert await changed(olga, mine, team=None) == 403
    assert await changed(olga, mine, team=others) == 403
    await post(olga, "templates", 403, name="x", text="x")
    await post(olga, "templates", 403, name="x", team=others, text="x")
    refused = await post(olga, "templates", 422, name="y", team=team, text="{{client.__class__}}")
    assert refused["error"]["details"]["fields"]["html"]["code"] == "no_such_field"  # type: ignore[index]
    twin = await post(olga, "templates", 422, name="Счёт", team=team, text="again")
    assert twin["error"]["details"]["fields"]["name"]["code"] == "taken"  # type: ignore[index]
    await archived(olga, mine)
    assert [one["name"] for one in (await got(olga, "templates"))["items"]] == ["Привет"]
    await post(olga, f"templates/{mine['id']}/fill", 404)
    await post(olga, "templates", 201, name="Счёт", team=team, text="again")
    await post(olga, f"templates/{mine['id']}/restore", 422)
    async with site.db.read() as conn:
        actions = (await conn.execute(sa.select(audit.c.action).where(audit.c.object_kind == "template"))).scalars()
        assert sorted(actions) == ["template.archived", "template.made", "template.made", "template.made"]


async def changed(api: aiohttp.ClientSession, template: dict[str, object], **values: object) -> int:
    async with api.patch(f"templates/{template['id']}", json=values) as answer:
        return answer.status


async def archived(api: aiohttp.ClientSession, template: dict[str, object]) -> None:
    async with api.delete(f"templates/{template['id']}") as answer:
        assert answer.status == 200 and (await answer.json())["archived_at"], await answer.text()


async def test_a_template_is_edited_by_version_archived_and_brought_back(site: Site) -> None:
    await site.person("olga")
    await site.person("boris")
    olga, boris = await site.api("olga"), await site.api("boris")
    team = min(site.actors["olga"].team_ids)
    made = await post(olga, "templates", 201, name="Цены", team=team, html="<p>Было</p>")
    assert (made["version"], made["team"]) == (1, {"id": team, "name": "sales"})
    assert await changed(olga, made, version=1, text="Стало") == 200
    late = {"version": 1, "html": "<p>Иначе</p>"}
    async with boris.patch(f"templates/{made['id']}", json=late) as answer:
        details = (await answer.json())["error"]["details"]
        assert (answer.status, details["changed_by"]["name"]) == (409, "Olga")
    await archived(boris, made)
    assert await changed(olga, made, name="x") == 409
    back = await post(olga, f"templates/{made['id']}/restore")
    assert (back["archived_at"], back["html"]) == (None, "Стало")
    edits = (await got(olga, f"templates/{made['id']}/history"))["items"]
    assert edits[2]["changes"] == {"html": ["<p>Было</p>", "Стало"]}
    assert [one["by"]["name"] for one in edits] == ["Olga", "Boris", "Olga", "Olga"]


async def test_templates_are_listed_by_name_language_and_team_and_exported(site: Site) -> None:
    await site.person("boss", role="admin")
    boss = await site.api("boss")
    team = min(site.actors["boss"].team_ids)
    for name, language, of in (("яблоки", "ru", team), ("Apples", "en", None), ("Ёлки", "ru", None)):
        await post(boss, "templates", 201, name=name, language=language, team=of, text="x")

    async def names(**params: str) -> list[str]:
        return [one["name"] for one in (await got(boss, "templates", **params))["items"]]

    assert await names() == ["Apples", "Ёлки", "яблоки"]
    assert await names(sort="-name") == ["яблоки", "Ёлки", "Apples"]
    assert await names(q="ЁЛК") == await names(q="елк") == ["Ёлки"]
    assert await names(language="ru") == ["Ёлки", "яблоки"]
    assert await names(team=str(team + 1000), language="ru") == ["Ёлки"]
    assert await names(where='{"field": "team", "op": "is_empty"}') == ["Apples", "Ёлки"]
    assert (await got(boss, "templates/count", language="ru"))["count"] == 2
    page = await got(boss, "templates", limit="2")
    assert [one["name"] for one in (await got(boss, "templates", limit="2", cursor=page["next"]))["items"]] == [
        "яблоки"
    ]
    async with boss.get("templates/export", params={"format": "csv", "columns": "name,team"}) as answer:
        assert answer.status == 200 and "Ёлки" in await answer.text()


async def test_an_open_list_hears_of_the_templates_that_it_shows(site: Site) -> None:
    await site.person("olga")
    await site.person("stranger", team="support")
    await site.person("boss", role="admin", team=None)
    olga, boss = await site.api("olga"), await site.api("boss")
    team = min(site.actors["olga"].team_ids)
    async with listening(await site.api("stranger"), "events") as events:
        await post(olga, "templates", 201, name="theirs", team=team, text="x")
        everybodys = await post(boss, "templates", 201, name="everybody's", text="x")
        assert (await events.until("template")).data["id"] == everybodys["id"]


async def test_markup_that_comes_by_a_bulk_edit_is_made_safe(site: Site) -> None:
    """Whichever way a template is written, what is stored may stand in a letter."""
    boss = await site.person("boss", role="admin")
    api = await site.api("boss")
    made = await post(api, "templates", 201, name="a", text="x")
    edit = Edit(boss, "bulk", utc_now())
    async with site.db.begin() as conn:
        update = records.writers(TEMPLATES).update
        assert update is not None
        given = TemplateInput(html="<p>y</p><script>1</script>")
        await update(conn, int(str(made["id"])), given, edit=edit)
    assert (await got(api, f"templates/{made['id']}"))["html"] == "<p>y</p>"


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
    form = {"name": "Счёт", "language": "ru", "team": str(team), "subject": "s", "html": "{{client.secret}} текст"}
    async with browser.post("/templates", data=form, allow_redirects=False) as answer:
        text = await answer.text()
        assert answer.status == 422
        assert "{{client.secret}} текст" in text
        assert "There is no such field: {{client.secret}}" in text
    for team_of_another in ("", "999"):
        async with browser.post(
            "/templates", data=form | {"html": "чисто", "team": team_of_another}, allow_redirects=False
        ) as answer:
            assert (answer.status, "Choose one of your teams" in await answer.text()) == (422, True)
    async with browser.post("/templates", data=form | {"html": "чисто"}, allow_redirects=False) as answer:
        assert answer.status == 303


async def test_a_text_that_nobody_touched_in_the_form_keeps_its_markup(site: Site) -> None:
    await site.person("olga")
    browser, api = await site.browser("olga"), await site.api("olga")
    team = min(site.actors["olga"].team_ids)
    made = await post(api, "templates", 201, name="a", team=team, html="<p>Смотрите <b>цены</b></p><p>Пока</p>")
    path = f"/templates/{made['id']}"
    async with browser.get(f"{path}/edit") as answer:
        shown = re.search(r"<textarea[^>]*>([^<]*)</textarea>", await answer.text())
        assert shown and "<b>" not in shown[1]
    form = {"name": "b", "language": "ru", "team": str(team), "subject": "", "html": shown[1]}
    async with browser.post(path, data=form, allow_redirects=False) as answer:
        assert answer.status == 303
    kept = await got(api, path[1:])
    assert (kept["name"], kept["html"]) == ("b", made["html"])
    async with browser.post(path, data=form | {"html": "Новое"}, allow_redirects=False) as answer:
        assert answer.status == 303
    async with browser.get(path) as answer:
        text = await answer.text()
        assert "Новое" in text and "Смотрите" not in text
