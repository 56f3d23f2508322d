"""Content-Transfer-Encoding: from what travelled to the bytes of a part. Pure, linear, never raises.

Decides how base64, quoted-printable and uuencode are undone where they are written wrong: comments beside the name,
padding in the middle, words that a list or a scanner appended in clear. Invariant: what was appended in clear to a text
is kept below it as it stands.

Source: RFC 2045 §6; measured on mails that real programs write.
"""

from __future__ import annotations

import binascii
import re

from hub.mail.reading import uuencoded

_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_BASE64_ONLY = re.compile(rb"[A-Za-z0-9+/=\s]*")
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]{4,}={0,2}[ \t]*")
MAX_BASE64_PIECES = 20
MAX_FOOTER_LINES = 40
USUAL_LINE = 60
"""Characters of base64 that every program writes into a line that is not the last."""
_NAME = re.compile(r"[a-z0-9-]+")
_PLAIN = ("", "7bit", "8bit", "binary", "7-bit", "8-bit", "7bits", "8bits", "none", "identity", "text", "plain")


def decoded(content: bytes, encoding: str, defects: list[str], *, charset: str | None = None) -> bytes:
    """Undo the transfer encoding that a head names as `encoding`; `charset` is that of a text, None for a file."""
    found = _NAME.search(re.sub(r"\([^()]*\)", " ", encoding[:80].lower()))
    name = found[0] if found else ""
    if name == "base64":
        return base64_lenient(content) if charset is None else _base64_text(content, charset)
    if name == "quoted-printable":
        return binascii.a2b_qp(content)
    if name in ("x-uuencode", "uuencode", "x-uue", "uue"):
        return uuencoded.decoded(content)
    if name not in _PLAIN:
        defects.append("unknown_encoding")
    return content


def base64_lenient(raw: bytes) -> bytes:
    """Decode base64, ignoring what is not of its alphabet and mending the padding. Never raises.

    Behind the padding more may follow: base64 again, which counts, or what a mailing list adds, which does not.
    """
    out: list[bytes] = []
    for _ in range(MAX_BASE64_PIECES):
        piece, _, rest = raw.partition(b"=")
        out.append(_base64_piece(piece))
        raw = rest.lstrip(b"=\r\n \t")
        if not raw or not _BASE64_ONLY.fullmatch(raw):
            break
    return out[0] if len(out) == 1 else b"".join(out)


def _base64_piece(raw: bytes) -> bytes:
    clean = raw.translate(None, _NOT_BASE64)
    clean = clean[:-1] if len(clean) % 4 == 1 else clean
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def _base64_text(raw: bytes, charset: str) -> bytes:
    """Decode the base64 of a text, and keep what was appended to it in clear."""
    whole = base64_lenient(raw)
    if _BASE64_ONLY.fullmatch(raw) and _is_text(whole, charset):
        return whole
    lines = raw.rstrip().split(b"\n")
    for number in range(max(0, len(lines) - MAX_FOOTER_LINES), len(lines)):
        # The footer begins at the first line that is no base64, or that spoils what is decoded before it.
        line = lines[number].rstrip(b"\r")
        if _BASE64_LINE.fullmatch(line) and (number == 0 or not _ends_short(lines, number)):
            continue
        before = b"\n".join(lines[:number])
        if number and _BASE64_ONLY.fullmatch(before) and _is_text(text := base64_lenient(before), charset):
            return text.rstrip(b"\r\n") + b"\n" + b"\n".join(lines[number:])
    return whole


def _ends_short(lines: list[bytes], number: int) -> bool:
    """Tell whether the line before ends base64: it has padding, or is shorter than programs write."""
    before = lines[number - 1].rstrip()
    return before.endswith(b"=") or len(before) < USUAL_LINE or len(before) != len(lines[0].rstrip())


def _is_text(content: bytes, charset: str) -> bool:
    try:
        content.decode(charset)
    except (UnicodeDecodeError, LookupError, ValueError):
        return False
    return True
