"""Names of files as strangers write them, made harmless.

Decides what an attachment is called on the page and on a person's disk. Pure. Invariant: a name holds no path, no
control or direction character, is at most 200 characters long and never empty.

Source: RFC 2183, 2231; attacks by names that are shown other than they are.
"""

from __future__ import annotations

import re

from hub.mail.reading.headers import decode_words

_BAD_IN_NAME = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff<>:"|?*]')
_ENDINGS = {
    "message/rfc822": ".eml",
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "application/pdf": ".pdf",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/pgp-signature": ".asc",
    "application/ics": ".ics",
    "message/global": ".eml",
    "message/partial": ".eml",
    "application/rtf": ".rtf",
    "text/rtf": ".rtf",
    "application/ms-tnef": ".dat",
}


def file_name(name: str, *, number: int, kind: str, subject: str = "") -> str:
    """Return a stranger's file name without path, control, direction or wildcard characters, at most 200 long."""
    name = decode_words(name) if "=?" in name else name
    last = re.split(r"[/\\]", name.replace("\x00", ""))[-1]
    last = " ".join(_BAD_IN_NAME.sub(" ", last).split()).strip(". ")
    if not last:
        stem = " ".join(_BAD_IN_NAME.sub(" ", re.sub(r"[/\\]", " ", subject)).split()).strip(". ")
        return (stem[:100] or f"attachment-{number}") + _ENDINGS.get(kind, "")
    if len(last) > 200:
        stem, dot, ending = last.rpartition(".")
        last = f"{stem[: 198 - len(ending)]}…{dot}{ending}" if dot and len(ending) < 20 else last[:199] + "…"
    return last
