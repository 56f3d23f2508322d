"""What the operator's machines ask."""

from __future__ import annotations

from hub.settings import Settings
from hub.store.blobs import BlobStore
from hub.store.engine import open_database
from tests.testbed import talk
from tests.testbed.events import listening
from tests.testbed.site import Site, running_site


async def test_the_counters_are_prometheus_text(site: Site) -> None:
    await talk.waiting_call(site.db)
    browser = await site.browser("olga")
    async with listening(browser, "/live"), browser.get("/nothing") as missing, browser.get("/metrics") as answer:
        assert missing.status == 404
        lines = (await answer.text()).splitlines()
    assert 'hub_http_requests_total{status="4xx"} 1' in lines
    assert "hub_live_streams 1" in lines
    assert "hub_queue_waiting 1" in lines


async def test_a_database_that_is_gone_is_not_ready_but_alive(blobs: BlobStore) -> None:
    db = open_database("postgresql://nobody@127.0.0.1:1/none")
    try:
        async with running_site(db, blobs, settings=Settings()) as site:
            browser = await site.browser(None)
            for path, status in (("/healthz", 200), ("/readyz", 503), ("/api/v1/openapi.json", 200)):
                async with browser.get(path) as answer:
                    assert answer.status == status, path
            browser.cookie_jar.update_cookies({"hub_session": "x"})
            async with browser.get("/live") as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"]
    finally:
        await db.close()
