"""The address of the client behind the reverse proxies, and the network that its tries are counted for.

Pure. Decides whom to believe: each hop is believed about the one before it as long as it is a trusted proxy itself.
Invariant: with no trusted proxies no header changes the answer.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from multidict import CIMultiDictProxy

Address = IPv4Address | IPv6Address
IPV6_PREFIX = 64
"""The smallest network of one customer: addresses within it cost nothing to change (RFC 6177)."""
MAX_HOPS = 50
_PAIR = re.compile(r'\s*+(?:([^\s=;,"]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?\s*+(?:[;,]|$)')
"""A parameter of Forwarded with what ends it (RFC 7239, 4). No space is looked at twice: a header full of them is a
stranger's way to hold everybody up."""


def client_address(remote: str | None, headers: CIMultiDictProxy[str], trusted: tuple[str, ...]) -> str:
    """Return the address of the client: the rightmost hop that is not a trusted proxy.

    A hop that cannot be read ends the search at the proxy that said it. Of X-Forwarded-For and Forwarded a proxy
    writes one and may pass the other on as a stranger wrote it: where they disagree, neither counts.
    """
    peer = parse_address(remote or "")
    if peer is None or not is_trusted(peer, trusted):
        return str(peer) if peer else ""
    x_forwarded = ",".join(headers.getall("X-Forwarded-For", ())).split(",")
    forwarded = _forwarded_hops(",".join(headers.getall("Forwarded", ())))
    said = {_walk(peer, hops, trusted) for hops in (x_forwarded, forwarded) if any(hops)}
    return str(said.pop() if len(said) == 1 else peer)


def _walk(peer: Address, hops: Sequence[str], trusted: tuple[str, ...]) -> Address:
    for hop in reversed(hops[-MAX_HOPS:]):
        before = parse_address(hop)
        if before is None:
            break
        peer = before
        if not is_trusted(peer, trusted):
            break
    return peer


def _forwarded_hops(text: str) -> list[str]:
    """Read the `for` of each hop; a value that is not Forwarded's from end to end names no hop at all."""
    hops: list[str] = []
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            return ["unreadable"]
        if (pair[1] or "").lower() == "for":
            hops.append(pair[2] or pair[3] or "")
        at = pair.end()
    return hops


def parse_address(text: str) -> Address | None:
    """Read an address as proxies write it: with a port, in brackets, v4 within v6. None for what is none."""
    text = text.strip()
    if bracketed := re.fullmatch(r"\[([^\]]*)\](?::\d+)?", text):
        text = bracketed[1]
    elif re.fullmatch(r"[0-9.]+:\d+", text):
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_of(address: str) -> str:
    """Return what tries are counted by: an IPv4 address alone, an IPv6 one by its /64."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed) if parsed else "unknown"


def is_trusted(address: Address, trusted: tuple[str, ...]) -> bool:
    """Tell whether an address is a proxy's."""
    return any(address in network for network in _networks(trusted))


@functools.cache
def _networks(trusted: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(one) for one in trusted)
