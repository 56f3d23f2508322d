"""A provider of tokens on a real loopback socket: the authorisation page, the token endpoint with PKCE, rotation.

Speaks what RFC 6749 and 7636 ask of a provider; misbehaves where a test says so. And a gate that has a fake IMAP server
take its tokens and no others.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from hub.settings import OauthClient, OauthSection, Secret
from tests.fakes.imap_server import FakeImapServer

CLIENT_ID, CLIENT_SECRET = "hub-client", "hub-client-secret"


@dataclass
class FakeProvider:
    """`answer` is given instead of a token where it is set; `gate`, where set, is waited for before answering."""

    port: int = 0
    lasts_s: int = 3600
    rotates: bool = True
    answer: tuple[int, Any] | None = None
    gate: asyncio.Event | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: set[str] = field(default_factory=set)
    access_tokens: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def section(self) -> OauthSection:
        client = OauthClient(
            client_id=CLIENT_ID,
            secret=Secret(CLIENT_SECRET),
            authorize_url=f"{self.url}/authorize",
            token_url=f"{self.url}/token",
        )
        return OauthSection(google=client, microsoft=client)

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """The person presses "Allow" at once."""
        query = dict(request.query)
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT_ID and "offline" in str(query)
        code = secrets.token_hex(8)
        self.codes[code] = query
        back = urlencode({"code": code, "state": query["state"]})
        return web.Response(status=303, headers={"Location": f"{query['redirect_uri']}?{back}"})

    async def token(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        if self.gate is not None:
            await self.gate.wait()
        if self.answer is not None:
            return web.json_response(self.answer[1], status=self.answer[0])
        if (form["client_id"], form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        if form["grant_type"] == "authorization_code":
            query = self.codes.pop(form["code"], None)
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if query is None or query["code_challenge"] != challenge or query["redirect_uri"] != form["redirect_uri"]:
                return web.json_response({"error": "invalid_grant"}, status=400)
            return web.json_response(self._given(with_refresh=True))
        if form["refresh_token"] not in self.refresh_tokens:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if self.rotates:
            # The old one is of no more use: who does not keep the new one is out.
            self.refresh_tokens.discard(form["refresh_token"])
        return web.json_response(self._given(with_refresh=self.rotates))

    def _given(self, *, with_refresh: bool) -> dict[str, Any]:
        access = f"access-{secrets.token_hex(8)}"
        self.access_tokens.add(access)
        told: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.lasts_s}
        if with_refresh:
            told["refresh_token"] = f"refresh-{secrets.token_hex(8)}"
            self.refresh_tokens.add(told["refresh_token"])
        return told

    def guard(self, imap: FakeImapServer) -> None:
        """Have an IMAP server take this provider's tokens only, and wait for the empty answer to a refusal."""
        imap.capabilities = b"IMAP4rev1 IDLE UIDPLUS SASL-IR AUTH=XOAUTH2"
        waiting: list[bytes] = []

        def instead(tag: bytes, command: bytes) -> bytes | None:
            if not tag and waiting:
                return waiting.pop() + b" NO [AUTHENTICATIONFAILED] Invalid credentials\r\n"
            if command.startswith(b"LOGIN"):
                return tag + b" NO passwords are not taken here\r\n"
            if command.startswith(b"AUTHENTICATE XOAUTH2 "):
                said = base64.b64decode(command.split(b" ")[2]).decode()
                token = said.partition("Bearer ")[2].rstrip("\x01")
                if token not in self.access_tokens:
                    waiting.append(tag)
                    return b"+ " + base64.b64encode(b'{"status":"400","schemes":"Bearer"}') + b"\r\n"
            return None

        imap.instead = instead


@asynccontextmanager
async def fake_provider() -> AsyncIterator[FakeProvider]:
    provider = FakeProvider()
    app = web.Application()
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_post("/token", provider.token)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address: Any = runner.addresses[0]
    provider.port = address[1]
    try:
        yield provider
    finally:
        await runner.cleanup()
