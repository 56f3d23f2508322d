"""Where a connection may lead when a person named the host: judged after the name was resolved, then held to.

One function for everything that connects to a host from a page or the API: a name that resolves to one thing when it is
looked at and to another when it is used (DNS rebinding) gains nothing, since the connection goes to the address that
was judged. Invariant: link-local addresses, where clouds keep their secrets, are never reached, whatever is allowed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from hub import sanitize
from hub.errors import Refused, Unavailable

CONNECT_WITHIN_S = 15.0
MOST_ADDRESSES = 8
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str], Awaitable[list[str]]]
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "0.0.0.0/8", "::/128")
)
"""Link-local, the metadata services of clouds that lie elsewhere, and "this host"."""


async def ask_system(host: str) -> list[str]:
    """Resolve a name as the machine does. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses somebody may reach. `may_private`: the company's own network too, which is for administrators."""

    may_private: bool = False
    allowed: tuple[Network, ...] = ()
    """Networks of the company that everybody may reach; loopback among them only where it is written here."""
    resolve: Resolve = field(default=ask_system)

    def judge(self, text: str) -> Address:
        """Return the address if it may be reached. Raises Refused that says why not."""
        address: Address = ipaddress.ip_address(text.split("%")[0])
        inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
        address = inner or address
        if any(address in network for network in _NEVER) or address.is_link_local:
            raise Refused("host_forbidden", f"{address} is an address that Hub never connects to", host=str(address))
        if any(address in network for network in self.allowed):
            return address
        if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_reserved:
            raise Refused("host_forbidden", f"{address} is not an address of a server", host=str(address))
        if not address.is_global and not (self.may_private and address.is_private):
            raise Refused(
                "host_private", f"{address} is in a private network; an administrator may use it", host=str(address)
            )
        return address


def read_host(text: str, *, field: str = "host") -> str:
    """Return a host name in ASCII, or an address. Raises Refused."""
    host = sanitize.one_line(text.strip().rstrip("."), field=field, max_bytes=253)
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    labels = name.split(".")
    if not name or not all(label and label.replace("-", "a").replace("_", "a").isalnum() for label in labels):
        raise Refused("bad_host", f"{field}: {sanitize.shown(text)!r} is no host name", field=field)
    if labels[-1].isdigit():
        raise Refused("bad_host", f"{field}: {sanitize.shown(text)!r} is no host name", field=field)
    return name


async def addresses_of(host: str, reach: Reach) -> list[Address]:
    """Resolve a host and return the addresses that may be reached. Raises Refused where none may, Unavailable."""
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            found = await reach.resolve(read_host(host))
    except (OSError, UnicodeError, TimeoutError) as error:
        raise Unavailable("host_unknown", f"{sanitize.shown(host)}: there is no such host") from error
    good: list[Address] = []
    refusal: Refused | None = None
    for text in found[:MOST_ADDRESSES]:
        try:
            good.append(reach.judge(text))
        except Refused as error:
            refusal = error
    if not good:
        if refusal is None:
            raise Unavailable("host_unknown", f"{sanitize.shown(host)}: there is no such host")
        raise Refused(refusal.code, f"{sanitize.shown(host)}: {refusal.message}", field="host")
    return good


async def open_socket(host: str, port: int, reach: Reach) -> socket.socket:
    """Connect to the first address of a host that may be reached and answers. Raises Refused, Unavailable."""
    loop = asyncio.get_running_loop()
    last: BaseException | None = None
    for address in await addresses_of(host, reach):
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await loop.sock_connect(sock, (str(address), port))
            return sock
        except (OSError, TimeoutError) as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
    reason = getattr(last, "strerror", None) or "no answer"
    raise Unavailable("host_unreachable", f"{sanitize.shown(host)}:{port}: {reason}") from last
