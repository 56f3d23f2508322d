"""Two people who save one form: the later is told, keeps what they typed, and saves it by sending it once more."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from tests.factories import got
from tests.testbed.site import Site


async def form_of(browser: aiohttp.ClientSession, path: str) -> dict[str, str]:
    """Return the fields of the form at a path that a script would send as they are."""
    async with browser.get(path) as answer:
        assert answer.status == 200
        return hidden(await answer.text())


def hidden(text: str) -> dict[str, str]:
    found = re.search(r'name="version" value="([0-9a-f]+)"', text)
    assert found
    return {"version": found[1]}


async def test_the_form_of_a_template_is_not_saved_over_a_newer_one_unseen(site: Site) -> None:
    await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    new = {"name": "Цены", "language": "ru", "subject": "", "html": "Наши цены"}
    async with browser.post("/templates", data=new, allow_redirects=False) as answer:
        assert answer.status == 303
    (template,) = (await got(api, "templates"))["items"]
    path = f"/templates/{template['id']}"
    version = await form_of(browser, f"{path}/edit")
    async with browser.post(path, data=new | version | {"html": "Первый"}, allow_redirects=False) as answer:
        assert answer.status == 303
    async with browser.post(path, data=new | version | {"html": "Второй"}, allow_redirects=False) as answer:
        text = await answer.text()
        assert answer.status == 409
    assert "Второй" in text and "Первый" in text and "Наши цены" in text
    assert "save again to keep them" in text
    async with browser.post(path, data=new | hidden(text) | {"html": "Второй"}, allow_redirects=False) as answer:
        assert answer.status == 303
    async with browser.get(path) as answer:
        assert "Второй" in await answer.text()


async def test_the_form_of_a_teams_call_rules_is_not_saved_over_a_newer_one_unseen(site: Site) -> None:
    boss = await site.person("boss", role="admin")
    browser = await site.browser("boss")
    (team,) = boss.team_ids
    path = f"/admin/teams/{team}/rules"
    version = await form_of(browser, path)
    for seconds, sent, status in (("30", version, 303), ("40", version, 409)):
        form = sent | {"open": "always", "overflow_s": seconds}
        async with browser.post(path, data=form, allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status == status
    assert 'value="40"' in text
    assert "save again to keep it" in text
    again = hidden(text) | {"open": "always", "overflow_s": "40"}
    async with browser.post(path, data=again, allow_redirects=False) as answer:
        assert answer.status == 303


@pytest.mark.parametrize("address", ["sales@hub.test"])
async def test_the_form_of_a_mailbox_is_not_saved_over_a_newer_one_unseen(site: Site, address: str) -> None:
    await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    server = {"host": "127.0.0.1", "port": 993, "tls": "tls", "username": "sales"}
    body = {"address": address, "team": 1, "imap": server, "smtp": server | {"port": 465}}
    async with api.post("mailboxes", json=body) as answer:
        made = await answer.json()
        assert answer.status == 201, made
    path = f"/mailboxes/{made['id']}/settings"
    version = await form_of(browser, path)
    fields = {"address": address, "team": "1"}
    fields |= {f"{side}_{name}": str(value) for side in ("imap", "smtp") for name, value in body[side].items()}  # type: ignore[attr-defined]
    for name, status in (("Первый", 303), ("Второй", 409)):
        async with browser.post(path, data=fields | version | {"name": name}, allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status == status, text
    assert 'value="Второй"' in text
    assert "save again to keep it" in text
    assert "Changed by: Boss" in text and "<dd>Первый</dd>" in text


async def test_of_two_who_save_a_teams_call_rules_in_the_same_instant_one_is_told(site: Site) -> None:
    boss = await site.person("boss", role="admin")
    browser, api = await site.browser("boss"), await site.api("boss")
    (team,) = boss.team_ids
    path = f"/admin/teams/{team}/rules"
    version = await form_of(browser, path)

    async def save(seconds: int) -> int:
        form = version | {"open": "always", "overflow_s": str(seconds)}
        async with browser.post(path, data=form, allow_redirects=False) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*(save(10 + place) for place in range(6)))) == [303] + [409] * 5

    async def change(**sent: int) -> int:
        async with api.post(f"teams/{team}/rules", json=sent) as answer:
            return answer.status

    assert await asyncio.gather(change(service_level_s=45), change(after_call_s=15)) == [200, 200]
    told = await got(api, f"teams/{team}/rules")
    assert (told["service_level_s"], told["after_call_s"]) == (45, 15)
