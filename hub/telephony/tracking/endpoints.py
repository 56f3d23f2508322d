"""What a channel's name says of who is there: technology, endpoint, and the extension in the endpoint's name. Pure.

Channel names end in a suffix of the driver's own: eight hex digits (PJSIP, SIP, SCCP), four (Mobile), a decimal call
number (IAX2), a line's index (DAHDI). Decides nothing about phones and trunks (`directions`). Invariant: a name in
any form gives an endpoint, and a number of a line's hardware is never an extension.
"""

from __future__ import annotations

import functools
import re

EXTENSION = re.compile(r"[0-9]{1,10}")
SHORT_NUMBER = re.compile(r"[0-9]{2,6}")
"""An extension as a caller id or a part of a name may show it; what is longer there is an outside number."""

_SUFFIX = re.compile(r"-[0-9a-fA-F]{1,16}(\.[0-9]+)?(;[12])?(<[A-Z]+>)?$")
_BETWEEN = re.compile(r"[^0-9A-Za-z]+")

# Their endpoints are called after ports, adapters and dongles: `DAHDI/7-1`, `Mobile/adapter-1a2b`, `Dongle/d0-0100`.
_BY_HARDWARE = frozenset("DAHDI Zap Mobile Dongle Quectel Phone vpb mISDN Khomp LTD".split())


def parts_of(channel_name: str) -> tuple[str, str]:
    """Return the technology and the endpoint of a channel's name: `IAX2/101-7245` is `IAX2` and `101`."""
    technology, _, rest = channel_name.partition("/")
    return technology, _SUFFIX.sub("", rest)


def is_by_hardware(technology: str) -> bool:
    """Say whether endpoints of this technology are named after hardware, never after extensions."""
    return technology in _BY_HARDWARE


@functools.lru_cache(maxsize=10_000)
def extension_in(endpoint: str) -> str | None:
    """Return the extension that an endpoint is called after, alone or beside its tenant's name, else None.

    `101`, `tenant-101`, `101-tenant`, `101*tenant`, `t2_101`, `101@host`; two numbers in one name say nothing.
    """
    if EXTENSION.fullmatch(endpoint):
        return endpoint
    before_host = endpoint.partition("@")[0]
    if SHORT_NUMBER.fullmatch(before_host):
        return before_host
    words = [word for word in _BETWEEN.split(endpoint) if word]
    numbers = [word for word in words if word.isdigit() and len(word) > 1]
    has_name = any(not word.isdigit() for word in words)  # an address such as 10.0.0.5 has none
    return numbers[0] if has_name and len(numbers) == 1 and SHORT_NUMBER.fullmatch(numbers[0]) else None


def extension_of(technology: str, endpoint: str, caller_id: str) -> str | None:
    """Return the extension of a phone, from its endpoint's name and its own caller id.

    The name counts, except where it is the caller id with a prefix: FreePBX's browser phone of 101 is 99101, some
    tenants number their endpoints so.
    """
    shown = caller_id if SHORT_NUMBER.fullmatch(caller_id) else None
    named = None if technology in _BY_HARDWARE else extension_in(endpoint)
    if named is None or shown is None or named == shown:
        return named or shown
    has_prefix = named.endswith(shown) and len(named) - len(shown) <= 3
    return shown if has_prefix and (len(shown) > 2 or named == f"99{shown}") else named


def tenant_in(endpoint: str) -> str | None:
    """Return the word that stands beside the extension in an endpoint's name, e.g. the tenant's."""
    words = [word for word in _BETWEEN.split(endpoint) if word and not word.isdigit()]
    return words[0] if len(words) == 1 and len(words[0]) > 1 and extension_in(endpoint) else None
