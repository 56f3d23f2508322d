"""Setting up a mailbox as a person does: find, test, add, pause; and with a provider there and back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import sqlalchemy as sa

from hub.clock import utc_now
from hub.crm import privileges
from hub.mail.accounts import secrets
from hub.mail.models import mailboxes
from hub.settings import HubSection, Settings
from hub.store.blobs import BlobStore
from hub.store.encryption import Vault
from hub.store.engine import Database
from hub.web.authentication import SERVICES
from tests.fakes.imap_server import FakeImapServer, fake_imap
from tests.fakes.oauth_server import FakeProvider, fake_provider
from tests.testbed.site import Site, running_site
from tests.testbed.smtp import running_peer

pytestmark = pytest.mark.either_database


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with fake_provider() as running:
        yield running


@pytest.fixture
async def site(db: Database, blobs: BlobStore, tmp_path: Path, provider: FakeProvider) -> AsyncIterator[Site]:
    section = HubSection(language="en", data_dir=str(tmp_path), page_networks=("127.0.0.0/8",))
    async with running_site(db, blobs, settings=Settings(hub=section, oauth=provider.section)) as running:
        await running.person("admin", role="admin")
        yield running


def fields(imap: FakeImapServer, smtp_port: int, **changes: str) -> dict[str, str]:
    typed = {"address": "info@hub.test", "name": "Info", "team": "1", "username": "u", "password": "s3cret p"}
    typed |= {"imap_host": "127.0.0.1", "imap_port": str(imap.port), "imap_tls": "none"}
    return typed | {"smtp_host": "127.0.0.1", "smtp_port": str(smtp_port), "smtp_tls": "none"} | changes


async def posted(browser: aiohttp.ClientSession, path: str, form: dict[str, str]) -> tuple[int, str, str]:
    async with browser.post(path, data=form, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def got(browser: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with browser.get(path, allow_redirects=False) as answer:
        return answer.status, await answer.text()


AUTH = "250-peer\r\n250 AUTH PLAIN"


async def test_a_mailbox_is_tested_added_changed_and_paused_and_its_password_never_comes_back(site: Site) -> None:
    browser = await site.browser("admin")
    async with fake_imap() as imap, running_peer(EHLO=AUTH, AUTH="235 ok") as smtp:
        form = fields(imap, smtp.port)
        status, page, _ = await posted(browser, "/mailboxes/test", form)
        assert status == 200 and "Reading: signed in" in page and "Sending: signed in" in page
        assert 'name="folder:Sent"' in page and not any(line.startswith("MAIL") for line in smtp.heard)
        status, _, place = await posted(browser, "/mailboxes", form | {"folder:Sent": "yes"})
        assert (status, bool(re.fullmatch(r"/mailboxes/\d+/settings\?said=added", place))) == (303, True)
        status, page = await got(browser, place)
        assert status == 200 and "s3cret" not in page and "info@hub.test" in page and 'name="folder:Sent"' in page
        # Tested again with nothing typed: the kept password goes to the host it was meant for, and to no other.
        known = place.split("?")[0].replace("settings", "test")
        _, page, _ = await posted(browser, known, fields(imap, smtp.port, password=""))
        assert "Reading: signed in" in page and imap.heard[-4:].count(b'LOGIN "u" "s3cret p"') == 1
        async with fake_imap() as other:
            await posted(browser, known, fields(other, smtp.port, password="", imap_host="localhost"))
            assert not any(b"s3cret" in line for line in other.heard)
        status, _, _ = await posted(browser, place, fields(imap, smtp.port, password="", name="Other"))
        assert status == 303
        for side in ("imap", "smtp"):
            # … nor does saving send it elsewhere.
            status, page, _ = await posted(
                browser, place, fields(imap, smtp.port, password="", **{f"{side}_host": "localhost"})
            )
            assert status == 400 and "type the password again" in page, side
            status, page, _ = await posted(
                browser, place, fields(imap, smtp.port, password="", **{f"{side}_tls": "starttls"})
            )
            assert status == 400 and "type the password again" in page, side
        status, _, _ = await posted(browser, place.split("?")[0].replace("settings", "switch"), {})
        assert status == 303
        async with site.db.read() as conn:
            row = (await conn.execute(sa.select(mailboxes).where(mailboxes.c.address == "info@hub.test"))).one()
            told = (await conn.execute(sa.text("SELECT action, details FROM audit ORDER BY id"))).all()
            vault = Vault.of(site.app[SERVICES].settings)
            assert (await secrets.read(conn, vault, row.id))["imap"].reveal() == "s3cret p"
        assert (row.is_enabled, row.name) == (False, "Other")
        told = [one for one in told if one.action.startswith("mailbox.")]
        assert [one.action for one in told] == ["mailbox.added", "mailbox.changed", "mailbox.paused"]
        assert "s3cret" not in str(told) + str(row)


async def test_what_is_wrong_with_a_server_is_said_step_by_step(site: Site) -> None:
    browser = await site.browser("admin")
    async with fake_imap() as imap, running_peer(EHLO=AUTH, AUTH="535 5.7.8 no such password") as smtp:
        imap.instead = lambda tag, command: tag + b" NO wrong\r\n" if command.startswith(b"LOGIN") else None
        _, page, _ = await posted(browser, "/mailboxes/test", fields(imap, smtp.port))
        assert "Reading: no sign-in" in page and "refused the sign-in: wrong" in page
        assert "Sending: no sign-in" in page and "535 5.7.8 no such password" in page
        assert "s3cret" not in page
        status, page, _ = await posted(browser, "/mailboxes", fields(imap, smtp.port, imap_port="99999"))
        assert status == 400 and 'value="info@hub.test"' in page and "s3cret" not in page


async def test_a_person_adds_their_own_mailbox_once_they_may_and_names_no_server_of_the_lan(site: Site) -> None:
    olga = await site.person("olga")
    browser = await site.browser("olga")
    async with fake_imap() as imap:
        form = fields(imap, 1, address="olga@hub.test")
        assert (await got(browser, "/me/mailbox"))[0] == 403
        assert (await posted(browser, "/me/mailbox", form))[0] == 403
        async with site.db.begin() as conn:
            await privileges.grant(conn, olga.user_id, "own_mailbox", by=None, now=utc_now())
        assert (await got(browser, "/me/mailbox/new"))[0] == 200
        status, _, place = await posted(browser, "/me/mailbox", form)
        assert status == 303
        assert "olga@hub.test" in (await got(browser, "/me/mailbox"))[1]
        lan = form | {"imap_host": "10.1.2.3", "smtp_host": "169.254.169.254"}
        _, page, _ = await posted(browser, place.split("?")[0].replace("settings", "test"), lan)
        assert "private network" in page and "never connects" in page
    stranger = await site.browser("pavel")
    assert (await got(stranger, place))[0] == 404


async def test_signing_in_with_a_provider_goes_there_and_back_and_holds_for_this_browser_only(
    site: Site, provider: FakeProvider
) -> None:
    browser = await site.browser("admin")
    async with fake_imap() as imap:
        form = fields(imap, 1, oauth="google", password="", imap_tls="tls", smtp_tls="tls")
        _, _, place = await posted(browser, "/mailboxes", form)
        settings = place.split("?")[0]
        assert "Sign in with Google" in (await got(browser, settings))[1]
        async with browser.get(settings.replace("settings", "sign-in"), allow_redirects=False) as answer:
            there = answer.headers["Location"]
        asked = {name: value[0] for name, value in parse_qs(urlsplit(there).query).items()}
        assert there.startswith(provider.url) and asked["scope"] == "https://mail.google.com/"
        async with aiohttp.ClientSession() as http, http.get(there, allow_redirects=False) as answer:
            back = answer.headers["Location"]
        assert back.startswith(f"{site.url}/oauth/callback?")
        path = back.removeprefix(site.url)
        await site.person("other", role="admin")
        assert (await got(await site.browser("other"), path))[0] == 400
        assert (await got(browser, path.replace("state=", "state=x")))[0] == 400
        assert provider.asked == []
        status, _ = await got(browser, path)
        assert status == 303 and len(provider.asked) == 1
        assert (await got(browser, path))[0] >= 400  # a code is good once
        async with site.db.read() as conn:
            row = (await conn.execute(sa.select(mailboxes))).one()
            assert await secrets.kinds_of(conn, row.id) == {"access", "refresh"}
        denied = path.split("code=")[0] + "error=access_denied&" + path[path.index("state=") :]
        async with browser.get(denied, allow_redirects=False) as answer:
            assert answer.headers["Location"].endswith("said=not_signed_in")


async def test_the_api_takes_secrets_and_gives_none_back(site: Site) -> None:
    api = await site.api("admin")
    async with fake_imap() as imap, running_peer(EHLO=AUTH, AUTH="235 ok") as smtp:
        side = {"host": "127.0.0.1", "port": imap.port, "tls": "none", "username": "u"}
        body = {"address": "info@hub.test", "team": 1, "imap": side, "smtp": side | {"port": smtp.port}}
        async with api.post("mailboxes", json=body | {"password": "s3cret"}) as answer:
            told = await answer.json()
            assert answer.status == 201, told
        path = f"mailboxes/{told['id']}"
        assert (told["secrets"], told["enabled"], "s3cret" in str(told)) == (["imap"], True, False)
        async with api.post(f"{path}/test", json={}) as answer:
            tried = await answer.json()
        assert tried["ok"] and [step["name"] for step in tried["steps"]] == ["imap", "folders", "smtp"]
        assert tried["folders"] == ["INBOX", "Sent"]
        async with api.post(path, json={"name": "New", "enabled": False}) as answer:
            told = await answer.json()
        assert (told["name"], told["enabled"], told["settings"]["imap"]["port"]) == ("New", False, imap.port)
        async with api.post("mailboxes", json=body) as answer:
            assert answer.status == 409
        async with api.get("mailboxes") as answer:
            assert [one["id"] for one in (await answer.json())["items"]] == [told["id"]]
