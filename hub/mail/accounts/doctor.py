"""How a mailbox is, asked of its servers: the way of signing in, the certificate, what is offered, quota, tokens, DNS.

Asks; what is said about each answer, and the line that mends it, stands here too, as (level, text, mend). Invariants:
nothing is changed and nothing sent; one attempt at each side; no secret is told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import dns.asyncresolver
import dns.exception
import dns.resolver

from hub import sanitize
from hub.clock import utc_now
from hub.errors import HubError, Refused
from hub.mail.accounts import secrets
from hub.mail.accounts.boxes import Box, all_boxes
from hub.mail.accounts.wire import Kind, shown_certificate
from hub.mail.imap.connection import ImapConnection, connected
from hub.mail.imap.refusals import Advice, advice
from hub.mail.sending import smtp
from hub.mail.sync.sent_folder import sent_folder_of
from hub.settings import Mailbox, MailServer, Settings
from hub.store.encryption import Vault
from hub.store.engine import Database

Level = Literal["ok", "warn", "bad"]
Told = tuple[Level, str, str]
"""How bad, what is so, and the line that mends it."""

WITHIN = timedelta(seconds=15)
SOON = timedelta(days=14)
FULL = 0.9
DNS_WITHIN_S = 4.0
_USEFUL = ("IDLE", "CONDSTORE", "QRESYNC", "MOVE", "SPECIAL-USE", "UIDPLUS")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


_ADVICE: dict[Advice, str] = {
    "app_password": "this provider wants an app password, made in the account's settings, not the account's own",
    "imap_off": "IMAP is switched off: switch it on in the mailbox's settings at the provider",
    "app_password_or_imap_off": "switch IMAP on in the settings at the provider, and make an app password there",
    "browser": "sign in once in a browser, and confirm what the provider asks there",
    "oauth": 'this provider takes no passwords any more: oauth = "google" or "microsoft"',
    "expired": "the password has expired: set a new one at the provider",
}


async def examine(box: Mailbox, *, resolver: dns.asyncresolver.Resolver | None = None) -> list[Told]:
    """Ask both servers and the domain's DNS. Never raises for what a peer does."""
    found = await asyncio.gather(_imap(box.imap), _smtp(box.smtp), _domain(box, resolver))
    return [told for some in found for told in some]


async def _imap(server: MailServer) -> list[Told]:
    key = f"imap {server.host}:{server.port}"
    try:
        async with asyncio.timeout(WITHIN.total_seconds()), connected(server) as imap:
            folders = await imap.list_folders()
            told: list[Told] = [("ok", f"{key}: signed in by {imap.signed_in_by}", "")]
            told += _offered(key, imap)
            told += await _quota(key, imap)
    except HubError as error:
        refused = error.code == "auth_refused"
        mend = "imap.username and imap.password_file" if refused else "imap.host, imap.port, imap.tls"
        if refused and server.auth == "oauth":
            mend = "oauth; sign in again on the page /mailboxes"
        elif refused and (more := _ADVICE.get(advice(error.message))):
            mend += f"; {more}"
        # Most of what a line says of itself begins with where it leads.
        text = f"imap {error.message}" if error.message.startswith(server.host) else f"{key}: {error.message}"
        return [("bad", sanitize.shown(text, max_chars=400), f"mailbox.{mend}")]
    except TimeoutError:
        return [("bad", f"{key}: does not answer in time", "mailbox.imap.host, imap.port, imap.tls")]
    sent = sent_folder_of(folders)
    if sent is None:
        mend = "make a folder named Sent, or have the server mark one (RFC 6154)"
        told.append(("warn", f"{key}: there is no folder for sent mail", mend))
    else:
        told.append(("ok", f"{key}: sent mail goes to {sanitize.shown(sent)}", ""))
    return [*told, *await _wire(key, server, "imap")]


def _offered(key: str, imap: ImapConnection) -> list[Told]:
    there = [word for word in _USEFUL if word in imap.capabilities]
    told: list[Told] = [("ok", f"{key}: offers {', '.join(there) or 'nothing beside the plain protocol'}", "")]
    if "IDLE" not in imap.capabilities:
        told.append(("warn", f"{key}: offers no IDLE, so new mail is seen by asking, a little later", "another server"))
    return told


async def _quota(key: str, imap: ImapConnection) -> list[Told]:
    try:
        found = await imap.quota()
    except HubError:
        return []
    if found is None:
        return []
    share = found[0] / found[1]
    told = f"{key}: {share:.0%} of its space are taken"
    mend = "make room: a full mailbox turns mail away"
    return [("bad" if share >= 1 else "warn", told, mend) if share >= FULL else ("ok", told, "")]


async def _smtp(server: MailServer) -> list[Told]:
    key = f"smtp {server.host}:{server.port}"
    if problem := await smtp.sign_in_only(server, deadline=WITHIN):
        mend = "mailbox.smtp.host, smtp.port, smtp.tls, smtp.username, smtp.password_file"
        return [("bad", f"{key}: {problem}", mend)]
    answers = "signed in" if server.username else "answers"
    return [("ok", f"{key}: {answers}", ""), *await _wire(key, server, "smtp")]


async def _wire(key: str, server: MailServer, kind: Kind) -> list[Told]:
    """Judge what the way to a server is worth: its certificate's days, an exception, or that there is neither."""
    if server.tls == "none":
        if server.host in _LOOPBACK:
            return []
        return [("warn", f"{key}: password and mail cross the network in clear", 'tls = "tls"')]
    seen = await shown_certificate(server, kind)
    if seen is None:
        return []
    left = (seen.not_after - datetime.now(UTC)).days
    told: list[Told] = []
    if server.tls_exception:
        text = f"{key}: its certificate is accepted by tls_exception, though no authority vouches for it"
        told.append(("warn", text, "a certificate of an authority, or ca_file with your own"))
    elif seen.not_after - datetime.now(UTC) < SOON:
        told.append(("warn", f"{key}: its certificate ends in {left} days", "renew it on that server"))
    else:
        told.append(("ok", f"{key}: its certificate lasts {left} more days", ""))
    return told


# What the world thinks of mail from this domain


async def _domain(box: Mailbox, resolver: dns.asyncresolver.Resolver | None) -> list[Told]:
    """Look for SPF, DMARC and, where its name is known, DKIM: without them mail is taken for spam."""
    domain = box.address.rpartition("@")[2]
    if resolver is None and (box.smtp.host in _LOOPBACK or domain.endswith((".test", ".example", ".local"))):
        return []
    try:
        resolver = resolver or dns.asyncresolver.Resolver()
        spf, dmarc = await asyncio.gather(_texts(resolver, domain), _texts(resolver, f"_dmarc.{domain}"))
    except (dns.exception.DNSException, OSError):
        return []
    told: list[Told] = []
    if spf is not None and not any(text.lower().startswith("v=spf1") for text in spf):
        told.append(("warn", f"{domain} has no SPF record", f'{domain}. TXT "v=spf1 … -all", as your provider tells'))
    if dmarc is not None and not any(text.lower().startswith("v=dmarc1") for text in dmarc):
        told.append(("warn", f"{domain} has no DMARC record", f'_dmarc.{domain}. TXT "v=DMARC1; p=none; rua=mailto:…"'))
    if dmarc is not None and spf is not None:
        # Selectors cannot be listed, but a server that knows of the name itself says so: RFC 8020.
        if not await _exists(resolver, f"_domainkey.{domain}"):
            told.append(("warn", f"{domain} has no DKIM key", "switch DKIM on at your provider and publish its key"))
        if not told:
            told.append(("ok", f"{domain} has SPF, DKIM and DMARC records", ""))
    return told


async def _texts(resolver: dns.asyncresolver.Resolver, name: str) -> Sequence[str] | None:
    """The TXT records of a name; None where DNS does not answer, which says nothing."""
    try:
        answer = await resolver.resolve(name, "TXT", lifetime=DNS_WITHIN_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError):
        return None
    return [b"".join(one.strings).decode("utf-8", "replace") for one in answer]


async def _exists(resolver: dns.asyncresolver.Resolver, name: str) -> bool:
    try:
        await resolver.resolve(name, "TXT", lifetime=DNS_WITHIN_S)
    except dns.resolver.NXDOMAIN:
        return False
    except (dns.exception.DNSException, OSError):
        pass
    return True


# What stands in the database


async def boxes_of_pages(db: Database, settings: Settings, vault: Vault) -> tuple[list[Box], list[Told]]:
    """Return the mailboxes that need the database to be opened, and what is to be said of keys and tokens."""
    told: list[Told] = []
    async with db.read() as conn:
        try:
            told += [
                ("bad", one.reason, "bring that key back, or enter the secret anew on /mailboxes")
                async for one in secrets.unopened(conn, vault)
            ]
        except HubError as error:
            mend = "hub.secret_keys_file; bring the file back from the backup, or enter the secrets anew"
            return [], [("bad", error.message, mend)]
    if vault.path.exists() and vault.readable_by_others():
        told.append(("bad", f"{vault.path}: others than its owner can read it", f"chmod 600 {vault.path}"))
    elif vault.path.exists() and not told:
        told.append(("ok", f"{vault.path}: every secret opens", ""))
    of_file = {box.address.lower() for box in settings.mailbox if not box.oauth}
    boxes = await all_boxes(db, settings, vault, holder="doctor")
    return [box for box in boxes if box.address not in of_file], told


async def tokens_of(db: Database, vault: Vault, mailbox_id: int) -> list[Told]:
    """Say how a mailbox's tokens stand."""
    async with db.read() as conn:
        try:
            found = await secrets.read(conn, vault, mailbox_id)
        except (Refused, HubError):
            return []
    if "refresh" not in found:
        return [("bad", "nobody has signed in for it yet", "the page /mailboxes: sign in")]
    if "access" not in found:
        return []
    until = datetime.fromisoformat(json.loads(found["access"].reveal())[1])
    minutes = int((until - utc_now()).total_seconds() // 60)
    return [("ok", f"its token lasts {minutes} more minutes, and is renewed before" if minutes > 0 else
             "its token is old, and is renewed at the next sign-in", "")]  # fmt: skip
