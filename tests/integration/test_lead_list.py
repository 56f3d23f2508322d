"""Leads as a kind: who sees which, the tabs by state, the search, and that a list of many is read by an index."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.crm import leads
from hub.crm.base import permissions
from hub.crm.leads import LEADS
from hub.crm.models import leads as table
from hub.errors import Forbidden
from hub.store.engine import Database
from tests.factories import T0, got
from tests.testbed.site import Site


def row(number: int, team_id: int, **values: Any) -> dict[str, Any]:
    """An open lead of a phone."""
    usual = {
        "team_id": team_id, "state": "open", "reason": "new", "name": f"Зуева {number}", "address_kind": "phone",
        "address": f"+7916200{number:04}", "times": 1, "created_at": T0, "last_at": T0 + timedelta(minutes=number),
    }  # fmt: skip
    return usual | values


async def test_a_lead_is_seen_by_its_team_and_by_its_owner_on_page_and_api(site: Site) -> None:
    olga, pavel = await site.person("olga"), await site.person("pavel", team="support")
    (sales,), (support,) = olga.team_ids, pavel.team_ids
    async with site.db.begin() as conn:
        rows = [row(1, sales), row(2, support), row(3, support, owner_id=olga.user_id), row(4, sales, state="closed")]
        await conn.execute(sa.insert(table), [row(0, sales) | {"owner_id": None} | one for one in rows])
    for name, wanted in (("olga", ["Зуева 3", "Зуева 1"]), ("pavel", ["Зуева 3", "Зуева 2"])):
        api, browser = await site.api(name), await site.browser(name)
        assert [one["name"] for one in (await got(api, "leads"))["items"]] == wanted
        assert await got(api, "leads/count") == {"count": 2, "capped": False}
        async with browser.get("/leads") as page:
            assert (await page.text()).count('id="lead-') == 2
    api = await site.api("olga")
    (first, _second) = (await got(api, "leads"))["items"]
    assert (first["team"], first["owner"]) == ({"id": support, "name": "support"}, {"id": olga.user_id, "name": "Olga"})
    assert [one["name"] for one in (await got(api, "leads", state="any"))["items"]] == ["Зуева 4", "Зуева 3", "Зуева 1"]
    assert [one["name"] for one in (await got(api, "leads", state="closed"))["items"]] == ["Зуева 4"]
    assert [one["name"] for one in (await got(api, "leads", q="8 916 200 0001"))["items"]] == ["Зуева 1"]
    where = json.dumps({"field": "manager", "op": "is", "value": ["me"]})
    assert [one["name"] for one in (await got(api, "leads", where=where))["items"]] == ["Зуева 3"]
    await got(api, "leads", 400, state="shut")


async def test_who_neither_calls_nor_writes_closes_no_lead(site: Site) -> None:
    olga, observer = await site.person("olga"), await site.person("ivan", role="observer", team=None)
    (sales,) = olga.team_ids
    async with site.db.begin() as conn:
        lead_id = await conn.scalar(sa.insert(table).values(row(1, sales)).returning(table.c.id))
    async with site.db.begin() as conn:
        assert permissions.scope(observer, "lead", "see") == "all"
        with pytest.raises(Forbidden):
            await leads.close(conn, observer, lead_id, now=T0)
        assert (await leads.find(conn, lead_id, actor=olga)).state == "open"
        await leads.close(conn, olga, lead_id, now=T0)
        assert (await leads.find(conn, lead_id, actor=olga)).state == "closed"


async def test_the_pages_of_many_leads_and_calls_are_read_by_an_index(db: Database) -> None:
    async with db.read() as conn:
        if conn.dialect.name != "sqlite":
            pytest.skip("PostgreSQL plans by what is in the tables, and these are empty")
        query = sa.select(LEADS.id).where(table.c.state == "open").order_by(table.c.last_at.desc(), LEADS.id.desc())
        text = str(query.limit(51).compile(dialect=conn.dialect, compile_kwargs={"literal_binds": True}))
        plan = [one[3] for one in await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert any("ix_leads_last" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


async def test_a_saved_view_of_leads_keeps_its_tab_and_is_counted_by_it(site: Site) -> None:
    olga = await site.person("olga")
    (sales,) = olga.team_ids
    states = ("open", "open", "closed", "converted", "closed", "closed")
    async with site.db.begin() as conn:
        await conn.execute(sa.insert(table), [row(n, sales, state=state) for n, state in enumerate(states)])
    api, browser = await site.api("olga"), await site.browser("olga")
    views: dict[str, int] = {}
    for state in ("closed", "any", ""):
        query = f"state={state}" if state else ""
        form = {"name": f"Вид {state}", "shared": "me", "pinned": "on"}
        async with browser.post(f"/leads/views?{query}", data=form, allow_redirects=False) as answer:
            assert answer.status == 303
            views[state] = int(answer.headers["Location"].partition("view=")[2])
    wanted = {"closed": 3, "any": 6, "": 2}
    for state, number in views.items():
        listed = await got(api, "leads", view=str(number))
        assert len(listed["items"]) == wanted[state]
        assert (await got(api, "leads/count", view=str(number)))["count"] == wanted[state]
    async with browser.get("/views/pinned") as answer:
        counted = re.findall(r'nav__text">Вид ?(\w*)</span><span class="nav__number num">(\d+)<', await answer.text())
    assert {name: int(number) for name, number in counted} == wanted
    # Another tab of an open view: what the view says of the state goes, the rest of it stays.
    async with browser.get(f"/leads?view={views['closed']}") as answer:
        text = await answer.text()
    tabs = re.findall(r'<a[^>]* href="([^"]+)"([^>]*)>(?:Open leads|Became clients|Closed|All leads)<', text)
    assert ["aria-current" in rest for _, rest in tabs] == [False, False, True, False]
    for (href, _), number in zip(tabs, (2, 1, 3, 6), strict=True):
        async with browser.get(html.unescape(href)) as answer:
            text = await answer.text()
        assert text.count('id="lead-') == number
        assert "Save the view" in text
    where = json.dumps({"field": "state", "op": "is", "value": ["converted"]})
    assert len((await got(api, "leads", where=where))["items"]) == 1, "a condition on the state stands for the tab"
