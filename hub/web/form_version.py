"""The version of a form about what has none of its own: a digest of what the form showed when it was made.

Invariant: of two people who open one form, the later to save is told, and sends what they typed once more to keep it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from hub.errors import Conflict
from hub.web.request_context import Form


def form_version(values: Mapping[str, str]) -> str:
    """Return the version of a form that shows these values."""
    return hashlib.sha256(msgspec.json.encode(sorted(values.items()))).hexdigest()[:16]


def refuse_older(form: Form, values: Mapping[str, str]) -> None:
    """Raise Conflict where a form was made from other values than these; a form without a version is not compared."""
    if form.text("version", max_chars=64) not in ("", form_version(values)):
        raise Conflict("record_changed", "someone else changed this first")
