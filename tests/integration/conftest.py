"""Fixtures of the tests that run against a real server of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from hub.crm.audit.choices import AuditNoun, AuditVerb
from hub.crm.audit.details import AuditDetail
from hub.crm.base import registry
from hub.crm.models import audit
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import Box
from tests.testbed.site import Site, running_site


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        yield running
    assert await acts_without_words(db) == set()


async def acts_without_words(db: Database) -> set[str]:
    """Return the words of the audit that no label says in a language of people."""
    known = {
        "noun": (*AuditNoun.words(), *(one.plural for one in registry.kinds().values())),
        "verb": AuditVerb.words(),
        "detail": AuditDetail.words(),
    }
    found = set()
    async with db.read() as conn:
        for action, details in await conn.execute(sa.select(audit.c.action, audit.c.details)):
            noun, _dot, verb = action.partition(".")
            told = [("noun", noun), ("verb", verb), *(("detail", name) for name in details)]
            found |= {f"{action}: {what} {word}" for what, word in told if word not in known[what]}
    return found - {f"vault.dropped: {rest}" for rest in ("noun vault", "verb dropped")}


@pytest.fixture
async def box(db: Database, blobs: BlobStore) -> Box:
    one = Box(db, blobs)
    await one.open()
    return one
