"""Tokens instead of passwords: "Sign in with Google" or Microsoft, and the renewing of tokens for ever after.

Decides when a token is renewed and what a refusal means. Invariants: one renewal at a time for a mailbox, whatever
process asks; a renewed refresh token is written with the access token in one transaction; no token, code or secret is
in a log or an error. Source: RFC 6749, 7636 (PKCE), 9700; the providers' pages on IMAP and SMTP.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import secrets as chance
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import crash_points, sanitize
from hub.clock import monotonic_s, utc_now
from hub.errors import Refused, Unavailable
from hub.mail.accounts import secrets
from hub.settings import OauthClient, OauthSection, Secret
from hub.store import leases
from hub.store.encryption import Vault
from hub.store.engine import Database

log = logging.getLogger(__name__)

ProviderName = Literal["google", "microsoft"]
SKEW = timedelta(minutes=3)
"""A token is renewed so long before it ends: clocks differ, and a sign-in takes its time."""
ANSWER_WITHIN_S = 20.0
MAX_ANSWER_BYTES = 64 * 1024
RENEW_LEASE = timedelta(seconds=40)
WAIT_FOR_RENEWAL_S = 45.0
STATE_WITHIN = timedelta(minutes=15)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 900.0


@dataclass(frozen=True, slots=True)
class Provider:
    """Who gives out tokens, and the servers that take them."""

    name: ProviderName
    title: str
    authorize_url: str
    token_url: str
    scopes: tuple[str, ...]
    extra: tuple[tuple[str, str], ...] = ()


PROVIDERS: dict[str, Provider] = {
    "google": Provider(
        "google",
        "Google",
        "https://accounts.google.com/o/oauth2/v2/auth",
        "https://oauth2.googleapis.com/token",
        ("https://mail.google.com/",),
        # Without both, Google gives a refresh token only the first time.
        (("access_type", "offline"), ("prompt", "consent")),
    ),
    "microsoft": Provider(
        "microsoft",
        "Microsoft",
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        (
            "https://outlook.office.com/IMAP.AccessAsUser.All",
            "https://outlook.office.com/SMTP.Send",
            "offline_access",
        ),
        (("prompt", "select_account"),),
    ),
}


@dataclass(frozen=True, slots=True)
class Client:
    """A provider together with what the company registered there."""

    provider: Provider
    client_id: str
    secret: Secret
    authorize_url: str
    token_url: str

    @classmethod
    def of(cls, section: OauthSection, name: str) -> Client:
        """Raises Refused where nothing is registered, naming the key."""
        provider = PROVIDERS.get(name)
        given: OauthClient | None = getattr(section, name, None) if provider else None
        if provider is None or given is None or not given.client_id:
            text = f"oauth.{name}.client_id: the administrator has to register Hub there first (docs/mailboxes.md)"
            raise Refused("oauth_unknown", text)
        urls = [
            given.authorize_url or provider.authorize_url.format(tenant=given.tenant),
            given.token_url or provider.token_url.format(tenant=given.tenant),
        ]
        return cls(provider, given.client_id, given.secret, *urls)


def registered(section: OauthSection) -> list[Provider]:
    """The providers that this configuration has a client for."""
    return [provider for name, provider in PROVIDERS.items() if getattr(section, name).client_id]


# The person's way: to the provider and back


@dataclass(frozen=True, slots=True)
class Journey:
    """What must come back from the provider: for which mailbox, by whom, until when, and PKCE's verifier."""

    mailbox_id: int
    provider: str
    verifier: str
    until: datetime

    def seal(self, vault: Vault, session: str) -> str:
        """Write it into a `state` that only this browser's session can use."""
        text = json.dumps([self.mailbox_id, self.provider, self.verifier, self.until.isoformat()])
        key_id, sealed = vault.seal_in_passing(text, place=f"oauth/{session}")
        return base64.urlsafe_b64encode(key_id.encode() + sealed).decode().rstrip("=")

    @classmethod
    def open(cls, vault: Vault, state: str, session: str, *, now: datetime) -> Journey:
        """Read a `state` that came back. Raises Refused for one that is old, foreign or made up."""
        refusal = Refused("oauth_state", "this sign-in was begun elsewhere or too long ago; begin it again")
        try:
            raw = base64.urlsafe_b64decode(state + "=" * (-len(state) % 4))
            text = vault.open(raw[:8].decode(), raw[8:], place=f"oauth/{session}").reveal()
            mailbox_id, provider, verifier, until = json.loads(text)
            journey = cls(mailbox_id, provider, verifier, datetime.fromisoformat(until))
        except (ValueError, Unavailable):
            raise refusal from None
        if journey.until < now:
            raise refusal
        return journey


def begin(
    client: Client, vault: Vault, *, mailbox_id: int, address: str, session: str, redirect_uri: str, now: datetime
) -> str:
    """Return the provider's address that the person is sent to."""
    verifier = chance.token_urlsafe(48)
    journey = Journey(mailbox_id, client.provider.name, verifier, now + STATE_WITHIN)
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(client.provider.scopes),
        "state": journey.seal(vault, session),
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        "login_hint": address,
    } | dict(client.provider.extra)
    return f"{client.authorize_url}{'&' if '?' in client.authorize_url else '?'}{urlencode(query)}"


# Tokens


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider gave. `refresh` is empty where the one before stays."""

    access: Secret
    refresh: Secret
    until: datetime


async def exchange(client: Client, *, code: str, verifier: str, redirect_uri: str, now: datetime) -> Tokens:
    """Turn the code that a person brought back into tokens. Raises Refused, Unavailable."""
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    tokens = await _ask(client, fields, now)
    if not tokens.refresh:
        title = client.provider.title
        raise Refused(
            "oauth_no_refresh", f"{title} gave no lasting permission; take Hub's access away there, begin anew"
        )
    return tokens


async def renew(client: Client, refresh: Secret, *, now: datetime) -> Tokens:
    """Get a new access token. Raises Refused `auth_refused` where the permission is gone, Unavailable for the rest."""
    return await _ask(client, {"grant_type": "refresh_token", "refresh_token": refresh.reveal()}, now)


async def _ask(client: Client, fields: dict[str, str], now: datetime) -> Tokens:
    title = client.provider.title
    form = fields | {"client_id": client.client_id}
    if client.secret:
        form["client_secret"] = client.secret.reveal()
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(client.token_url, data=form, allow_redirects=False) as answer,
        ):
            told = _read(await _bounded(answer))
            status = answer.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unavailable("oauth_unreachable", f"{title} does not answer: {type(error).__name__}") from None
    if status == 200 and isinstance(told.get("access_token"), str):
        try:
            lasts = timedelta(seconds=min(max(float(told.get("expires_in", 3600)), 0), 7 * 86400))
            access = Secret(sanitize.one_line(told["access_token"], field="access_token", max_bytes=8192))
            refresh = Secret(
                sanitize.one_line(str(told.get("refresh_token") or ""), field="refresh_token", max_bytes=8192)
            )
        except (Refused, ValueError, TypeError):
            raise Unavailable("oauth_answer", f"{title} answers with what is no token") from None
        return Tokens(access, refresh, now + lasts)
    word = sanitize.shown(str(told.get("error") or status), max_chars=60)
    if word in ("invalid_grant", "interaction_required", "consent_required"):
        raise Refused("auth_refused", f"{title} does not let Hub into this mailbox any more ({word}): sign in again")
    if word in ("invalid_client", "unauthorized_client"):
        keys = f"oauth.{client.provider.name}.client_id and secret"
        raise Refused("auth_refused", f"{title} does not know this Hub ({word}): check {keys}")
    raise Unavailable("oauth_refused", f"{title} gives no token now: {word}")


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in answer.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("too long")
    return body


def _read(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


@dataclass(slots=True)
class TokenSource:
    """The access token of one mailbox, renewed when it is asked for and old. `holder` names this process."""

    db: Database
    vault: Vault
    client: Client
    mailbox_id: int
    holder: str
    _pause_s: float = FIRST_PAUSE_S
    _not_before: float = field(default=0.0)
    _last: str = ""

    async def __call__(self, stale: str = "") -> str:
        """Return a token that is good for a while, and not `stale`. Raises Refused `auth_refused`, Unavailable."""
        until = monotonic_s() + WAIT_FOR_RENEWAL_S
        while True:
            kept = await self._kept(stale)
            if not isinstance(kept, Secret):
                return kept
            if monotonic_s() < self._not_before:
                raise Unavailable("oauth_waits", self._last)
            # A name of its own for each renewal: the reader and the sender of one process take turns, too.
            me = f"{self.holder[:46]}-{chance.token_hex(8)}"
            async with self.db.begin() as conn:
                fence = await leases.take(conn, "oauth", str(self.mailbox_id), me, lease=RENEW_LEASE)
            if fence is not None:
                return await self._renew(stale, me, fence)
            if monotonic_s() > until:
                raise Unavailable("oauth_waits", "another process renews this token and does not come to an end")
            await asyncio.sleep(0.1)

    async def _renew(self, stale: str, me: str, fence: int) -> str:
        try:
            kept = await self._kept(stale)
            if not isinstance(kept, Secret):
                # Somebody else renewed it between the look and the hold.
                return kept
            tokens = await renew(self.client, kept, now=utc_now())
            crash_points.point("mail.oauth.renewed")
            async with self.db.begin() as conn:
                await keep_tokens(conn, self.vault, self.mailbox_id, tokens, now=utc_now())
            self._pause_s, self._not_before = FIRST_PAUSE_S, 0.0
            return tokens.access.reveal()
        except Unavailable as error:
            self._not_before, self._last = monotonic_s() + self._pause_s, error.message
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            raise
        finally:
            async with self.db.begin() as conn:
                await leases.release(conn, "oauth", str(self.mailbox_id), me, fence)

    async def _kept(self, stale: str) -> str | Secret:
        """The access token at hand if it is good, else the refresh token as a `Secret`."""
        async with self.db.read() as conn:
            found = await secrets.read(conn, self.vault, self.mailbox_id)
        if "access" in found:
            token, until = json.loads(found["access"].reveal())
            if token != stale and datetime.fromisoformat(until) - SKEW > utc_now():
                return str(token)
        if not found.get("refresh"):
            title = self.client.provider.title
            raise Refused("auth_refused", f"nobody has signed in with {title} for this mailbox yet")
        return found["refresh"]


async def keep_tokens(conn: AsyncConnection, vault: Vault, mailbox_id: int, tokens: Tokens, *, now: datetime) -> None:
    """Write both tokens, the refresh token where there is a new one."""
    access = json.dumps([tokens.access.reveal(), tokens.until.isoformat()])
    await secrets.keep(conn, vault, mailbox_id, "access", access, now=now)
    if tokens.refresh:
        await secrets.keep(conn, vault, mailbox_id, "refresh", tokens.refresh, now=now)
