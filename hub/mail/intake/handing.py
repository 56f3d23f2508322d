"""A batch handed to the workers, and found again whatever becomes of them.

Decides how a batch is cut and how a worker's death is narrowed down to the message that it died of: its chunk goes
again message by message, and one that has killed `STRIKES` workers is stored unread. Invariant: each message of the
batch comes back, its bytes on the disk, or Unavailable is raised and nothing is acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta

from hub.errors import HubError
from hub.mail.intake.preparing import Prepared, prepare, unread
from hub.store.blobs import BlobStore

log = logging.getLogger(__name__)

CHUNK, CHUNK_BYTES = 50, 4 * 1024 * 1024
"""What a worker takes at a time: enough to share the flushes of the disk, few enough to keep every worker busy."""
STRIKES = 3
PREPARE_WITHIN = timedelta(minutes=5)
"""Includes waiting for a worker; the worker itself is ended long before."""


def warm_up(parsers: Executor, blobs: BlobStore) -> None:
    """Have a worker start and import all that it needs, so that the first message does not wait for that."""
    parsers.submit(prepare, blobs.root, [])


async def prepare_all(parsers: Executor, blobs: BlobStore, raws: Sequence[bytes]) -> list[Prepared]:
    """Store and read messages in the workers. Raises Unavailable where the disk does not take them."""
    chunks = [_prepare_chunk(parsers, blobs, chunk) for chunk in _cut(raws)]
    # All are waited for, so that nothing of a batch that failed is still under way when it is tried again.
    done = await asyncio.gather(*chunks, return_exceptions=True)
    prepared: list[Prepared] = []
    for one in done:
        if isinstance(one, BaseException):
            raise one
        prepared += one
    return prepared


def _cut(raws: Sequence[bytes]) -> list[list[bytes]]:
    chunks: list[list[bytes]] = []
    total = 0
    for raw in raws:
        if not chunks or len(chunks[-1]) >= CHUNK or total + len(raw) > CHUNK_BYTES:
            chunks.append([])
            total = 0
        chunks[-1].append(raw)
        total += len(raw)
    return chunks


async def _prepare_chunk(parsers: Executor, blobs: BlobStore, raws: list[bytes]) -> list[Prepared]:
    try:
        return await _in_worker(parsers, blobs, raws)
    except HubError:
        raise
    except Exception as error:  # noqa: BLE001 - each message is tried by itself below, and that is told
        log.warning("a worker was lost to one of %d messages: %r", len(raws), error)
    strikes = 1 if len(raws) == 1 else 0
    return [await _prepare_alone(parsers, blobs, raw, strikes) for raw in raws]


async def _prepare_alone(parsers: Executor, blobs: BlobStore, raw: bytes, strikes: int) -> Prepared:
    """Try one message until it has killed its share of workers; then its bytes are stored here, to be shown raw."""
    while strikes < STRIKES:
        try:
            return (await _in_worker(parsers, blobs, [raw]))[0]
        except HubError:
            raise
        except (BrokenProcessPool, TimeoutError):
            strikes += 1
        except Exception:
            log.exception("a message of %d bytes was not read", len(raw))
            break
    sha256 = await blobs.put(raw)
    log.error("message %s is stored unread: it has cost %d workers", sha256, strikes)
    return unread(raw, sha256, attempts=strikes)


async def _in_worker(parsers: Executor, blobs: BlobStore, raws: list[bytes]) -> list[Prepared]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PREPARE_WITHIN.total_seconds()):
        return await loop.run_in_executor(parsers, prepare, blobs.root, raws)
