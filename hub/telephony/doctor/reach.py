"""Who answers at an address, and why nobody does: for the doctor. Sends nothing but what it takes to ask that.

Invariant: every wait has an end, and a certificate is verified wherever anything is told to the peer.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp

from hub.clock import utc_now
from hub.settings import Pbx
from hub.telephony.doctor.seen import HttpSeen, Trouble
from hub.telephony.line.link import Down

WITHIN = timedelta(seconds=5)


async def trouble_of(pbx: Pbx, down: Down) -> Trouble:
    """Say what kind of trouble a failed attempt was."""
    reason = down.reason.lower()
    if down.auth_refused:
        return "sign_in"
    if "not an asterisk" in reason:
        return "not_ami"
    if "cannot connect" in reason:
        return await _why_no_connection(pbx)
    if await _speaks_tls(pbx):
        return "tls"
    return "silent" if "in time" in reason else "lost"


async def _why_no_connection(pbx: Pbx) -> Trouble:
    """Try once more, for the kind of error: its words differ from one event loop to the next."""
    try:
        async with asyncio.timeout(WITHIN.total_seconds()):
            _, writer = await asyncio.open_connection(pbx.host, pbx.port)
    except socket.gaierror:
        return "unknown_host"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError:
        return "unreachable"
    writer.transport.abort()
    return "lost"


async def _speaks_tls(pbx: Pbx) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent over it: it is only asked whether somebody there speaks TLS.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(WITHIN.total_seconds()):
            _, writer = await asyncio.open_connection(pbx.host, pbx.port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


def our_address(pbx: Pbx) -> str:
    """Return the address this machine has towards the PBX, or nothing; asks the routing table, sends nothing."""
    try:
        family, _, _, _, address = socket.getaddrinfo(pbx.host, pbx.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return ""


async def peer_address(pbx: Pbx) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(pbx.host, pbx.port, type=socket.SOCK_STREAM)
    except OSError:
        return ""
    return str(found[0][4][0])


async def ask_web(url: str) -> HttpSeen:
    """Ask a web address, certificate verified; and say how many days that is good for."""
    try:
        context = await asyncio.to_thread(ssl.create_default_context)
        timeout = aiohttp.ClientTimeout(total=WITHIN.total_seconds())
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=context)) as http,
            http.get(url, allow_redirects=False) as answer,
        ):
            status = answer.status
    except TimeoutError:
        return HttpSeen(error="does not answer")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return HttpSeen(error=str(error) or type(error).__name__)
    parts = urlsplit(url)
    days = await days_left(parts.hostname or "", parts.port or 443, context) if parts.scheme == "https" else None
    return HttpSeen(status=status, days_left=days)


async def days_left(host: str, port: int, context: ssl.SSLContext) -> int | None:
    """Return how many days the certificate at an address is good for; None where it cannot be had."""
    try:
        async with asyncio.timeout(WITHIN.total_seconds()):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):
        return None
    certificate = writer.get_extra_info("peercert") or {}
    writer.transport.abort()
    if not (until := certificate.get("notAfter")):
        return None
    return int((ssl.cert_time_to_seconds(until) - utc_now().timestamp()) // 86_400)
