"""Which servers a new mailbox has, by its domain: autoconfig, SRV records, the provider behind its MX, usual names.

Decides in which order these are believed; nothing is stored, and a person sees what was found before it is used.
Invariants: only the domain's own servers and DNS are asked, no directory of a third party; every host is judged before
it is reached (`hosts.Reach`); the whole search ends in time. Source: RFC 6186, RFC 8314.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import dns.asyncresolver
import dns.exception
import dns.resolver
from aiohttp.abc import AbstractResolver, ResolveResult

from hub import sanitize
from hub.errors import HubError, Refused
from hub.hosts import Reach, addresses_of, open_socket, read_host
from hub.mail.accounts.autoconfig import MAX_BYTES, BadAutoconfig, FoundServer, read_autoconfig

WITHIN_S = 20.0
FETCH_WITHIN_S = 6.0
PROBE_WITHIN_S = 4.0
Source = Literal["provider", "autoconfig", "srv", "usual"]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, and by what. `oauth` names whose tokens that provider wants."""

    imap: FoundServer
    smtp: FoundServer
    source: Source
    oauth: str = ""


def _preset(imap: str, smtp: str, port: int = 465, tls: Literal["tls", "starttls"] = "tls", oauth: str = "") -> Found:
    return Found(FoundServer(imap, 993, "tls"), FoundServer(smtp, port, tls), "provider", oauth)


_GOOGLE = _preset("imap.gmail.com", "smtp.gmail.com", oauth="google")
_MICROSOFT = _preset("outlook.office365.com", "smtp.office365.com", 587, "starttls", "microsoft")
_YANDEX = _preset("imap.yandex.ru", "smtp.yandex.ru")
_MAIL_RU = _preset("imap.mail.ru", "smtp.mail.ru")
_BY_DOMAIN = (
    dict.fromkeys(("gmail.com", "googlemail.com"), _GOOGLE)
    | dict.fromkeys(("outlook.com", "hotmail.com", "live.com"), _MICROSOFT)
    | dict.fromkeys(("yandex.ru", "ya.ru", "yandex.com", "yandex.by", "yandex.kz"), _YANDEX)
    | dict.fromkeys(("mail.ru", "bk.ru", "inbox.ru", "list.ru", "internet.ru"), _MAIL_RU)
)
_BY_MX = (
    ((".google.com", ".googlemail.com"), _GOOGLE),
    ((".mail.protection.outlook.com", ".mx.microsoft"), _MICROSOFT),
    ((".yandex.net", ".yandex.ru"), _YANDEX),
    ((".mail.ru",), _MAIL_RU),
)


@dataclass(slots=True)
class Discovery:
    """The search. The fields are the outside world as tests have it."""

    reach: Reach
    resolver: dns.asyncresolver.Resolver | None = None
    context: ssl.SSLContext | None = None
    https_port: int = 443
    ports: dict[str, Sequence[tuple[int, Literal["tls", "starttls"]]]] = field(
        default_factory=lambda: {"imap": ((993, "tls"), (143, "starttls")), "smtp": ((465, "tls"), (587, "starttls"))}
    )

    async def find(self, address: str) -> Found | None:
        """Return the servers of an address's domain, None where nothing was found. Raises Refused for a bad address."""
        domain = read_host(address.rpartition("@")[2], field="address")
        if preset := _BY_DOMAIN.get(domain):
            return preset
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await asyncio.gather(self._autoconfig(domain, address), self._srv(domain), self._mx(domain))
                known = next(filter(None, found), None)
                return known or await self._usual(domain)
        except TimeoutError:
            return None

    async def _autoconfig(self, domain: str, address: str) -> Found | None:
        places = (
            (f"autoconfig.{domain}", "/mail/config-v1.1.xml"),
            (domain, "/.well-known/autoconfig/mail/config-v1.1.xml"),
        )
        for xml in await asyncio.gather(*(self._fetch(host, path, address) for host, path in places)):
            try:
                servers = read_autoconfig(xml, address) if xml else None
            except BadAutoconfig:
                continue
            if servers:
                return _checked(*servers, "autoconfig")
        return None

    async def _fetch(self, host: str, path: str, address: str) -> bytes:
        connector = aiohttp.TCPConnector(resolver=_Judged(self.reach), ssl=self.context or True)
        timeout = aiohttp.ClientTimeout(total=FETCH_WITHIN_S)
        url = f"https://{host}:{self.https_port}{path}"
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as http,
                http.get(url, params={"emailaddress": address}, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    return b""
                body = b""
                async for chunk in answer.content.iter_chunked(16 * 1024):
                    body += chunk
                    if len(body) > MAX_BYTES:
                        return b""
                return body
        except (aiohttp.ClientError, OSError, TimeoutError, HubError, ValueError):
            return b""

    async def _srv(self, domain: str) -> Found | None:
        names = ("_imaps._tcp", "_imap._tcp", "_submissions._tcp", "_submission._tcp")
        rows = await asyncio.gather(*(self._ask(f"{name}.{domain}", "SRV") for name in names))
        kinds: tuple[Literal["tls", "starttls"], ...] = ("tls", "starttls", "tls", "starttls")
        found: list[FoundServer | None] = []
        for answers, tls in zip(rows, kinds, strict=True):
            # A target of "." says that there is no such service.
            good = [one for one in answers if str(one.target) != "."]
            best = min(good, key=lambda one: (one.priority, -one.weight), default=None)
            found.append(FoundServer(str(best.target).rstrip("."), best.port, tls) if best else None)
        imap, smtp = found[0] or found[1], found[2] or found[3]
        return _checked(imap, smtp, "srv") if imap and smtp else None

    async def _mx(self, domain: str) -> Found | None:
        hosts = [f".{str(one.exchange).rstrip('.').lower()}" for one in await self._ask(domain, "MX")]
        for endings, preset in _BY_MX:
            if any(host.endswith(endings) for host in hosts):
                return preset
        return None

    async def _ask(self, name: str, kind: str) -> list[Any]:
        resolver = self.resolver or dns.asyncresolver.Resolver()
        try:
            return list(await resolver.resolve(name, kind, lifetime=FETCH_WITHIN_S))
        except (dns.exception.DNSException, OSError, ValueError):
            return []

    async def _usual(self, domain: str) -> Found | None:
        imap, smtp = await asyncio.gather(
            self._first("imap", (f"imap.{domain}", f"mail.{domain}")),
            self._first("smtp", (f"smtp.{domain}", f"mail.{domain}")),
        )
        return Found(imap, smtp, "usual") if imap and smtp else None

    async def _first(self, kind: str, hosts: Sequence[str]) -> FoundServer | None:
        tried = [FoundServer(host, port, tls) for host in hosts for port, tls in self.ports[kind]]
        answers = await asyncio.gather(*(self._answers(server) for server in tried))
        return next((server for server, is_there in zip(tried, answers, strict=True) if is_there), None)

    async def _answers(self, server: FoundServer) -> bool:
        try:
            async with asyncio.timeout(PROBE_WITHIN_S):
                (await open_socket(server.host, server.port, self.reach)).close()
            return True
        except (HubError, OSError, TimeoutError):
            return False


class _Judged(AbstractResolver):
    """Resolves for aiohttp, and gives it only addresses that may be reached."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            found = await addresses_of(host, self._reach)
        except HubError as error:
            raise OSError(error.message) from error
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET6 if address.version == 6 else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def _checked(imap: FoundServer, smtp: FoundServer, source: Source) -> Found | None:
    """What a stranger named as hosts must be hosts."""
    try:
        for server in (imap, smtp):
            read_host(server.host)
            sanitize.one_line(server.username, field="username", max_bytes=300)
    except Refused:
        return None
    return Found(imap, smtp, source)
