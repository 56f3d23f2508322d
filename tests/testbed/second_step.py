"""A second step of the sign-in for tests: given to a person, and read from the pages that show its secrets once."""

from __future__ import annotations

import re
from datetime import timedelta

import aiohttp
from argon2 import PasswordHasher

from hub.clock import utc_now
from hub.crm import totp, two_factor
from hub.store.encryption import Vault
from hub.web.authentication import SERVICES
from tests.testbed.site import Site

PASSWORD = "correct horse battery"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
HERE = "/me/two-factor"


def vault_of(site: Site) -> Vault:
    return Vault.of(site.app[SERVICES].settings)


async def post(browser: aiohttp.ClientSession, path: str, **form: str) -> tuple[int, str, str]:
    """Post a form; return the status, where it leads and the page."""
    async with browser.post(path, data=form, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", ""), await answer.text()


def secret_in(page: str) -> bytes:
    found = re.search(r'<code class="qr-key">([A-Z2-7]+)</code>', page)
    assert found, page
    return totp.read(found[1])


def codes_in(page: str) -> list[str]:
    return re.findall(r"<li><code>([0-9a-z-]{19})</code></li>", page)


def code(secret: bytes, *, steps: int = 0) -> str:
    return totp.code_at(secret, totp.step_at(utc_now()) + steps)


async def with_second_step(site: Site, name: str) -> tuple[bytes, list[str]]:
    """Give a person a second step as their page does; return the secret and the recovery codes.

    The step of the present code is used up by it.
    """
    user_id = (await site.person(name, password_hash=QUICK)).user_id
    async with site.db.begin() as conn:
        secret = await two_factor.begin(conn, vault_of(site), user_id, now=utc_now())
        now = utc_now() - timedelta(seconds=totp.STEP_S)
        codes = await two_factor.confirm(
            conn, vault_of(site), user_id, totp.code_at(secret, totp.step_at(now)), session_id=0, now=utc_now()
        )
    return secret, codes
