"""What the OpenAPI document promises and what is answered agree: schemathesis asks, with a fixed seed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from hub.clock import utc_now
from hub.crm.linking import Linker
from hub.demo import sample
from hub.settings import HubSection, Mailbox, MailServer, Pbx, PbxTeam, Settings
from hub.store.blobs import BlobStore
from hub.store.engine import open_database
from hub.telephony.intake.intake import CallIntake
from tests.testbed import talk
from tests.testbed.site import Site, running_site

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tests" / "data" / "openapi" / "schemathesis.toml"
SEED = 20261130
CLI = (
    sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run",
    "--seed", str(SEED), "--generation-database", "none", "--phases", "examples,coverage,fuzzing", "--no-shrink",
    "--continue-on-failure", "--request-timeout", "20", "--suppress-health-check", "all",
    "--exclude-path", "/api/v1/events", "--exclude-path", "/api/v1/tokens/{id}/revoke",  # of the one that asks
    "--exclude-path", "/api/v1/users/{id}/tokens/revoke",  # … also by whose it is
    "--no-color", "--warnings", "off", "--workers", "1",
)  # fmt: skip
_NOWHERE = MailServer(host="127.0.0.1", port=9, tls="none")
SETTINGS = Settings(
    hub=HubSection(language="en"),
    pbx=(Pbx(name="office", username="hub", team=(PbxTeam(queue="hub-sales", team="sales"),)),),
    mailbox=(Mailbox(address="sales@hub.test", team="sales", imap=_NOWHERE, smtp=_NOWHERE),),
)


async def company(site: Site) -> str:
    """Fill the site with the sample company, calls and letters; return a token of its administrator."""
    now = utc_now()
    await sample.seed(site.db, CallIntake(site.db, Linker("RU"), {}), now=now)
    for n in range(3):
        await talk.waiting_call(site.db, number=f"8495123450{n}")
        await talk.message(site.db, site.blobs, subject=f"Letter {n}", files=(("a.txt", "text/plain", b"text"),))
        await talk.message(site.db, site.blobs, sender="boss@other.example", direction="out", date=now)
    await site.person("boss", role="admin")
    api = await site.api("boss")
    return api.headers["Authorization"].removeprefix("Bearer ")


@pytest.mark.timeout(240)
async def test_what_the_document_promises_is_what_is_answered(
    sqlite_template: Path, tmp_path: Path, blobs: BlobStore
) -> None:
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    db = open_database(f"sqlite:///{tmp_path}/hub.db")
    async with running_site(db, blobs, settings=SETTINGS) as site:
        token = await company(site)
        words = (f"{site.url}/api/v1/openapi.json", "-H", f"Authorization: Bearer {token}", "--max-time", "120")
        asking = await asyncio.create_subprocess_exec(
            *CLI, *words, "--max-examples", "10", cwd=ROOT, stdout=PIPE, stderr=STDOUT, env=dict(os.environ)
        )
        told = (await asking.communicate())[0].decode("utf-8", "replace")
    await db.close()
    assert asking.returncode == 0, told
    cases = re.search(r"(\d+) generated, (\d+) passed", told)
    assert cases is not None, told
    assert cases[1] == cases[2]
    assert int(cases[1]) > 1500, "the time went by before much was asked"
