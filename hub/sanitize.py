"""One door per danger: what a wire, a file or a person said, made safe before it goes near a protocol.

Each guard returns its typed, clean value or raises `Refused` with the field's name. They decide nothing
about rights. Invariant: no caller builds a protocol line, a link or a dial string from a value that did
not come through here.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import idna

from hub.errors import Refused

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_DIGITS = re.compile(r"\+?[0-9]{1,20}")
_FORMULA = re.compile(r"""((?:^|[;,\t])[\s"]*)(?=[=+\-@＝＋－＠])""")
_EXTENSION = re.compile(r"[0-9]{1,10}")


def one_line(value: str, *, field: str, max_bytes: int = 900) -> str:
    """Return `value` unchanged if it may stand in a line of a line protocol.

    Raises Refused if it holds CR, LF, NUL or any other control character, or is over `max_bytes` of UTF-8.
    """
    if _CONTROL.search(value):
        raise Refused("control_character", f"{field} must not contain control characters", field=field)
    if len(value.encode("utf-8", "surrogatepass")) > max_bytes:
        raise Refused("too_long", f"{field} is longer than {max_bytes} bytes", field=field)
    return value


def shown(value: str, *, max_chars: int = 200) -> str:
    """Return a stranger's text fit for one line of a page: no controls, ANSI codes, bidi overrides; cut.

    Never raises. Escaping for HTML stays the template's business.
    """
    clean = _BIDI.sub("", _CONTROL.sub(" ", _ANSI.sub("", value)))
    clean = " ".join(clean.encode("utf-8", "replace").decode("utf-8").split())
    return clean if len(clean) <= max_chars else clean[: max_chars - 1] + "…"


def dial_digits(value: str, *, field: str = "number") -> str:
    """Return a number that may be dialled: digits with at most a leading `+`. Raises Refused otherwise."""
    if not _DIGITS.fullmatch(value):
        raise Refused("bad_number", f"{field} is not a phone number", field=field)
    return value


def extension(value: str, *, field: str = "extension") -> str:
    """Return an internal extension: 1 to 10 digits. Raises Refused otherwise."""
    if not _EXTENSION.fullmatch(value):
        raise Refused("bad_extension", f"{field} must be 1 to 10 digits", field=field)
    return value


def http_url(value: str, *, field: str = "url") -> str:
    """Return an absolute http(s) URL without credentials or controls. Raises Refused otherwise."""
    one_line(value, field=field, max_bytes=2048)
    try:
        parts = urlsplit(value.strip())
        host = parts.hostname
    except ValueError:
        host, parts = None, None
    if parts is None or parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise Refused("bad_url", f"{field} must be an http or https address", field=field)
    return value.strip()


def web_origin(value: str) -> str | None:
    """Return the origin of an http(s) address as browsers write it: scheme, IDNA host, port unless it is the usual one.

    None for whatever has none: `null`, another scheme, credentials, a port that is none. Source: RFC 6454, 6.2.
    """
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except (ValueError, idna.IDNAError):
        return None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or not value.isprintable():
        return None
    usual = {"http": 80, "https": 443}[parts.scheme]
    shown_host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown_host}" + (f":{port}" if port is not None and port != usual else "")


def csv_cell(value: str, *, max_chars: int = 2000) -> str:
    """Return a stranger's text as a cell that no spreadsheet runs: one line, and never the beginning of a formula.

    Neither where it begins nor behind a `;`, `,` or tab in it: whoever reads the file by another separator than it
    was written with gets a cell that begins there, and drops the quotes around it.
    """
    clean = _FORMULA.sub(r"\1'", shown(value, max_chars=max_chars))
    return "'" + clean if clean[:1] in ("|", "%") else clean
