"""Fixtures of the tests that run against a real server of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hub.store.blobs import BlobStore
from hub.store.engine import Database
from tests.factories import Box
from tests.testbed.site import Site, running_site


@pytest.fixture
async def site(db: Database, blobs: BlobStore) -> AsyncIterator[Site]:
    async with running_site(db, blobs) as running:
        yield running


@pytest.fixture
async def box(db: Database, blobs: BlobStore) -> Box:
    one = Box(db, blobs)
    await one.open()
    return one
