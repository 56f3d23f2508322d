"""A mailbox as a form has it, and back: fields to settings, settings to fields. For the pages of mailboxes.

Invariant: a password goes one way; no field of a page ever holds one that was stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from hub.errors import Refused
from hub.mail.accounts.account import AccountSettings, Side, Written
from hub.settings import Secret
from hub.web.request_context import Form

FOLDER = "folder:"
PORTS = {("imap", "tls"): 993, ("imap", "starttls"): 143, ("smtp", "tls"): 465, ("smtp", "starttls"): 587}
ANY_PORT = {"imap": 143, "smtp": 25}


def read_form(form: Form) -> Written:
    """Raises Refused that names the field."""
    oauth = form.text("oauth", max_chars=20)
    user = form.text("username", max_chars=300) or form.text("address", max_chars=254)
    raw: dict[str, Any] = {
        "oauth": oauth,
        "history_days": _number(form, "history_days", 0),
        "folders": [name.removeprefix(FOLDER) for name in form.fields if name.startswith(FOLDER)],
    }
    for side in ("imap", "smtp"):
        tls = form.text(f"{side}_tls") or "tls"
        raw[side] = {
            "host": form.text(f"{side}_host", max_chars=253),
            "port": _number(form, f"{side}_port", PORTS.get((side, tls), ANY_PORT[side])),
            "tls": tls,
            "username": form.text(f"{side}_username", max_chars=300) or user,
            "auth": "oauth" if oauth else form.text(f"{side}_auth") or "auto",
            "tls_exception": form.text(f"{side}_exception", max_chars=120),
        }
        if not raw[side]["host"]:
            raise Refused("field_missing", f"{side}_host: is required", field=f"{side}_host")
    try:
        settings = msgspec.convert(raw, AccountSettings)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        place = where.strip("`").removeprefix("$.").replace(".", "_").replace("tls_exception", "exception")
        raise Refused("bad_field", f"{place}: {what}", field=place) from None
    # Spaces belong to a password, so it is not taken from `text`.
    password, other = (form.fields.get(name, "") for name in ("password", "smtp_password"))
    return Written(
        form.text("address", max_chars=254),
        form.text("name", max_chars=200),
        form.number("team"),
        settings,
        Secret(password) if password else None,
        Secret(other) if other else None,
    )


def _number(form: Form, name: str, default: int) -> int:
    text = form.text(name, max_chars=6)
    if text and not (text.isascii() and text.isdigit()):
        raise Refused("not_a_number", f"{name} is not a number", field=name)
    return int(text) if text else default


def form_values(written: Written) -> dict[str, str]:
    """The values of the form's fields, without passwords."""
    settings = written.settings
    values = {
        "address": written.address,
        "name": written.name,
        "team": str(written.team_id or ""),
        "oauth": settings.oauth,
        "history_days": str(settings.history_days),
        "username": settings.imap.username,
    }
    for name in ("imap", "smtp"):
        side = cast(Side, getattr(settings, name))
        values |= {
            f"{name}_host": side.host,
            f"{name}_port": str(side.port),
            f"{name}_tls": side.tls,
            f"{name}_username": side.username,
            f"{name}_auth": side.auth,
            f"{name}_exception": side.tls_exception,
        }
    return values | {FOLDER + name: "yes" for name in settings.folders}


def typed(form: Form) -> Mapping[str, str]:
    """The values typed into a form that is refused, without passwords."""
    return {name: value for name, value in form.fields.items() if "password" not in name}
