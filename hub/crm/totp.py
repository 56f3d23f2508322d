"""Time-based one-time passwords, as authenticator apps make them: RFC 6238 with SHA-1, 6 digits, 30 seconds. Pure.

Decides which step a code belongs to, never whether it may still be used (`two_factor`). Every app knows these numbers;
several ignore any others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
DRIFT = 1
"""A code of so many steps before and after the present one is taken too: phones' clocks differ (RFC 6238, 5.2)."""
SECRET_BYTES = 20
"""As long as the hash, as RFC 4226 recommends in section 4."""
_CODE = re.compile(rf"[0-9]{{{DIGITS}}}")


def step_at(at: datetime) -> int:
    return int(at.timestamp()) // STEP_S


def code_at(secret: bytes, step: int) -> str:
    """Return the code of a step (RFC 4226, section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    place = digest[-1] & 0x0F
    number = int.from_bytes(digest[place : place + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def step_of(secret: bytes, code: str, *, now: datetime) -> int | None:
    """Return the step whose code this is, None where it is of none that is taken now. Each one is compared."""
    if not _CODE.fullmatch(code):
        return None
    present = step_at(now)
    fitting = [
        step for step in range(present - DRIFT, present + DRIFT + 1) if hmac.compare_digest(code_at(secret, step), code)
    ]
    return max(fitting, default=None)


def written(secret: bytes) -> str:
    """Return a secret as apps take it when it is typed."""
    return base64.b32encode(secret).decode("ascii").rstrip("=")


def read(text: str) -> bytes:
    """Return the secret of `written`."""
    return base64.b32decode(text + "=" * (-len(text) % 8))


def uri(secret: bytes, *, account: str, issuer: str) -> str:
    """Return what the QR code of an authenticator app holds (Key Uri Format of Google Authenticator)."""
    query = urlencode({"secret": written(secret), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?{query}"
