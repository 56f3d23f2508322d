"""A running Hub site for tests: the real server on a free loopback port, with people who can be signed in as."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import msgspec
from aiohttp import web

from hub.clock import utc_now
from hub.crm import people, tokens
from hub.crm.access import Actor, load_actor
from hub.crm.linking import Linker
from hub.settings import HubSection, Pbx, Settings, WebSection
from hub.store.blobs import BlobStore
from hub.store.engine import Database
from hub.web.listener import Limits, listening
from hub.web.server import Services, make_app

SETTINGS = Settings(hub=HubSection(language="en"), web=WebSection(), pbx=(Pbx(name="office", username="hub"),))


@dataclass(slots=True)
class Site:
    """The server under test. `actors` are the people made so far, by name."""

    db: Database
    blobs: BlobStore
    app: web.Application
    url: str
    actors: dict[str, Actor] = field(default_factory=dict)
    open: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def person(
        self,
        name: str,
        *,
        team: str | None = "sales",
        role: people.Role = "manager",
        extension: str | None = None,
        password_hash: str = "x",
    ) -> Actor:
        """Return the person of this name, making them at first."""
        if name not in self.actors:
            async with self.db.begin() as conn:
                user_id = await people.add_user(
                    conn,
                    email=f"{name}@hub.test",
                    name=name.title(),
                    role=role,
                    password_hash=password_hash,
                    team_names=[team] if team else [],
                    extension=extension,
                    now=utc_now(),
                )
                actor = await load_actor(conn, user_id)
            assert actor is not None
            self.actors[name] = actor
        return self.actors[name]

    async def browser(self, name: str | None) -> aiohttp.ClientSession:
        """Return a browser that this person (None: nobody) is signed in with; it sends CSRF token and Origin."""
        jar = aiohttp.CookieJar(unsafe=True)
        browser = aiohttp.ClientSession(self.url, cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=20))
        await self.open.enter_async_context(browser)
        if name is not None:
            actor = await self.person(name)
            async with self.db.begin() as conn:
                secret = await people.open_session(conn, actor.user_id, user_agent="test", now=utc_now())
                session = await people.find_session(conn, secret, now=utc_now())
            assert session is not None
            jar.update_cookies({"hub_session": secret})
            browser.headers.update({"X-CSRF-Token": session.csrf, "Origin": self.url})
        return browser

    async def api(self, name: str) -> aiohttp.ClientSession:
        """Return a client that bears a token of this person; paths begin at `/api/v1/`."""
        actor = await self.person(name)
        async with self.db.begin() as conn:
            token = await tokens.make(conn, actor.email, now=utc_now())
        headers = {"Authorization": f"Bearer {token}"}
        client = aiohttp.ClientSession(self.url + "/api/v1/", headers=headers, timeout=aiohttp.ClientTimeout(total=20))
        return await self.open.enter_async_context(client)


@contextlib.asynccontextmanager
async def running_site(
    db: Database, blobs: BlobStore, *, settings: Settings = SETTINGS, port: int = 0, limits: Limits | None = None
) -> AsyncIterator[Site]:
    """Start the server and stop it, with every client of `Site.browser` and `Site.api`.

    Its data lie beside the blobs, unless the settings name another folder.
    """
    if settings.hub.data_dir == HubSection().data_dir:
        hub = msgspec.structs.replace(settings.hub, data_dir=str(blobs.root.parent))
        settings = msgspec.structs.replace(settings, hub=hub)
    app = make_app(Services(db=db, blobs=blobs, settings=settings, linker=Linker("RU")))
    async with listening(app, "127.0.0.1", port, limits=limits, shutdown_s=5) as address:
        site = Site(db, blobs, app, f"http://127.0.0.1:{address[1]}")
        async with site.open:
            yield site
