"""Hub's own mark in the Message-IDs it makes, by which an answer is known for one, and a forgery for what it is.

Decides whether an id that claims to be Hub's is: `<uuid.mac.hub@domain>`, the MAC over both by a key of this
installation. Where a provider rewrites Message-IDs, the id comes back by the address answered to
(`sales+uuid.mac@…`), or the answer finds its thread by subject and sender. Pure; `threads` decides what an id is
worth. Invariants: an id of Hub's form and of one of its own domains that this key did not make is nobody's; ids of
other systems, other Hubs among them, are left as they are.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable
from uuid import UUID

MAC_CHARS = 16
_ID = re.compile(rf"<([0-9a-f]{{32}})\.([0-9a-f]{{{MAC_CHARS}}})\.hub@([^<>@\s]{{1,255}})>")
_ADDRESS = re.compile(rf"[^@\s]{{1,64}}\+([0-9a-f]{{32}})\.([0-9a-f]{{{MAC_CHARS}}})@([^<>@\s]{{1,255}})")


def tagged_id(key: bytes, uuid: UUID, domain: str) -> str:
    """Return the Message-ID of a new message sent from `domain`."""
    return f"<{uuid.hex}.{_mac(key, uuid.hex, domain)}.hub@{domain.lower()}>"


def tagged_address(key: bytes, uuid: UUID, mailbox: str) -> str:
    """Return the address to answer a message by, for servers that deliver `name+anything` to `name`."""
    local, _, domain = mailbox.rpartition("@")
    return f"{local}+{uuid.hex}.{_mac(key, uuid.hex, domain)}@{domain}"


def genuine(key: bytes, ids: Iterable[str], *, own_domains: Collection[str]) -> tuple[str, ...]:
    """Return `ids` without those that claim to be Hub's and are not."""
    return tuple(one for one in ids if not _is_forged(key, one, own_domains))


def answered(key: bytes, addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of the messages that are answered by writing to these addresses."""
    found = (_ADDRESS.fullmatch(one.lower()) for one in addresses if "+" in one)
    return tuple(
        f"<{match[1]}.{match[2]}.hub@{match[3]}>"
        for match in found
        if match and hmac.compare_digest(match[2], _mac(key, match[1], match[3]))
    )


def _is_forged(key: bytes, message_id: str, own_domains: Collection[str]) -> bool:
    match = _ID.fullmatch(message_id)
    if match is None or match[3].lower() not in own_domains:
        return False
    return not hmac.compare_digest(match[2], _mac(key, match[1], match[3]))


def _mac(key: bytes, uuid_hex: str, domain: str) -> str:
    said = f"hub reply {uuid_hex}@{domain.lower()}".encode("utf-8", "replace")
    return hmac.new(key, said, hashlib.sha256).hexdigest()[:MAC_CHARS]
