"""Names of files as strangers write them, made harmless.

Decides what an attachment is called on the page and on a person's disk. Pure. Invariant: a name holds no path, no
control or direction character, is at most 200 characters long and never empty.

Source: RFC 2183, 2231; attacks by names that are shown other than they are.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from hub.mail.reading.headers import decode_words

_BAD_IN_NAME = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff<>:"|?*]')
_ENDINGS = {
    **dict.fromkeys(("message/rfc822", "message/global", "message/partial", "message/news"), ".eml"),
    **dict.fromkeys(("message/delivery-status", "message/disposition-notification", "message/feedback-report"), ".txt"),
    **dict.fromkeys(("text/rfc822-headers", "message/rfc822-headers"), ".txt"),
    "text/plain": ".txt",
    "text/html": ".html",
    "text/csv": ".csv",
    "text/markdown": ".md",
    **dict.fromkeys(("text/xml", "application/xml"), ".xml"),
    **dict.fromkeys(("text/vcard", "text/x-vcard", "text/directory"), ".vcf"),
    **dict.fromkeys(("text/calendar", "application/ics"), ".ics"),
    **dict.fromkeys(("text/rtf", "application/rtf"), ".rtf"),
    "application/json": ".json",
    "image/png": ".png",
    **dict.fromkeys(("image/jpeg", "image/jpg", "image/pjpeg"), ".jpg"),
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/webp": ".webp",
    "image/heic": ".heic",
    "image/tiff": ".tif",
    "image/svg+xml": ".svg",
    "audio/mpeg": ".mp3",
    **dict.fromkeys(("audio/wav", "audio/x-wav"), ".wav"),
    "audio/ogg": ".ogg",
    "audio/amr": ".amr",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "application/pdf": ".pdf",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/pgp-signature": ".asc",
    "application/ms-tnef": ".dat",
    **dict.fromkeys(("application/zip", "application/x-zip-compressed"), ".zip"),
    **dict.fromkeys(("application/x-rar-compressed", "application/vnd.rar", "application/x-rar"), ".rar"),
    "application/x-7z-compressed": ".7z",
    "application/gzip": ".gz",
    "application/msword": ".doc",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
}
_BEGINNINGS = (
    (b"%PDF-", ".pdf"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"{\\rtf", ".rtf"),
    (b"Rar!\x1a", ".rar"),
    (b"7z\xbc\xaf\x27\x1c", ".7z"),
    (b"\x1f\x8b", ".gz"),
    (b"BEGIN:VCALENDAR", ".ics"),
    (b"BEGIN:VCARD", ".vcf"),
    (b"ID3", ".mp3"),
)
_SAYS_NOTHING = frozenset({"application/octet-stream", "application/x-unknown", "application/binary", ""})


def ending_of(kind: str, content: bytes) -> str:
    """Return the ending that fits a file without a name: by its type, else by its first bytes, else none."""
    if kind not in _SAYS_NOTHING:
        return _ENDINGS.get(kind, "")
    if content.startswith(b"PK\x03\x04"):
        within = content[:4000]
        inside = ((b"word/", ".docx"), (b"xl/", ".xlsx"), (b"ppt/", ".pptx"))
        return next((ending for mark, ending in inside if mark in within), ".zip")
    return next((ending for mark, ending in _BEGINNINGS if content.startswith(mark)), "")


_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


def percent_decoded(text: str) -> str:
    """Undo percent-encoding where nobody said that it is used: only if all of it turns back into words of UTF-8."""
    text = re.sub(r"^utf-?8''", "", text, flags=re.IGNORECASE)
    if "%" not in text or text.count("%") != len(_PERCENT.findall(text)):
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def file_name(name: str, *, number: int, kind: str, subject: str = "", content: bytes = b"") -> str:
    """Return a stranger's file name without path, control, direction or wildcard characters, at most 200 long."""
    name = decode_words(name) if "=?" in name else name
    last = re.split(r"[/\\]", name.replace("\x00", ""))[-1]
    last = " ".join(_BAD_IN_NAME.sub(" ", last).split()).strip(". ")
    if not last:
        stem = " ".join(_BAD_IN_NAME.sub(" ", re.sub(r"[/\\]", " ", subject)).split()).strip(". ")
        return (stem[:100] or f"attachment-{number}") + ending_of(kind, content)
    if len(last) > 200:
        stem, dot, ending = last.rpartition(".")
        last = f"{stem[: 198 - len(ending)]}…{dot}{ending}" if dot and len(ending) < 20 else last[:199] + "…"
    return last
