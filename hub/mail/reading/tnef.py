"""winmail.dat: the body and the files that Outlook and Exchange wrap into TNEF. Pure, linear, never raises.

Decides what of a TNEF stream is a file and what is the text; the outer frames are walked here, since the library
copies the rest of the stream for each of them, its properties are read by tnefparse. Invariants: no property is read
past the end of its frame, at most `MAX_FILES` files and `MAX_PROPERTIES` properties come out.

Source: MS-OXTNEF, MS-OXPROPS.
"""

from __future__ import annotations

import contextlib
import logging
import struct
from dataclasses import dataclass, field
from typing import Any

from tnefparse import properties
from tnefparse.mapi import IMESSAGE_SIG, decode_mapi

from hub.mail.reading import rtf
from hub.mail.reading.charsets import decode

logging.getLogger("tnefparse").setLevel(logging.CRITICAL)  # What is broken is told as a defect of the message.

SIGNATURE = b"\x78\x9f\x3e\x22"
MAX_FILES = 200
MAX_PROPERTIES = 3_000
MAX_FRAMES = 20_000
MAX_NESTING = 3

_BODY, _FILE_DATA, _FILE_TITLE, _FILE_BEGINS = 0x800C, 0x800F, 0x8010, 0x9002
_PROPERTIES, _FILE_PROPERTIES, _CODEPAGE = 0x9003, 0x9005, 0x9007
_WANTED = {
    properties.MAPI_INTERNET_CODEPAGE,
    properties.MAPI_BODY,
    properties.MAPI_BODY_HTML,
    properties.MAPI_SUBJECT,
    properties.MAPI_RTF_COMPRESSED,
    properties.MAPI_ATTACH_LONG_FILENAME,
    properties.MAPI_ATTACH_FILENAME,
    properties.MAPI_DISPLAY_NAME,
    properties.MAPI_ATTACH_DATA_OBJ,
    properties.MAPI_ATTACH_MIME_TAG,
    properties.MAPI_ATTACH_CONTENT_ID,
}


@dataclass(slots=True)
class TnefFile:
    """A file within; `name` and `type` as they were written, perhaps empty."""

    name: str = ""
    type: str = ""
    cid: str = ""
    content: bytes = b""
    message: Tnef | None = None


@dataclass(slots=True)
class Tnef:
    """What came out: the text and HTML of the message, None where there is none, and its files."""

    text: str | None = None
    html: str | None = None
    subject: str = ""
    files: list[TnefFile] = field(default_factory=list)


class _Within(bytes):
    """Bytes whose slices do not begin behind their end: the library would go on reading nothing for ever."""

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice) and (key.start or 0) >= len(self):
            raise EOFError
        return super().__getitem__(key)


def is_tnef(raw: bytes) -> bool:
    return raw.startswith(SIGNATURE)


def unpack(raw: bytes, *, depth: int = 0) -> Tnef | None:
    """Return what a TNEF stream holds, as far as it can be read; None where it is no TNEF or nothing came out."""
    if not is_tnef(raw):
        return None
    found, codepage, codec = Tnef(), "cp1252", None
    place, frames = 6, 0
    while place + 11 <= len(raw) and frames < MAX_FRAMES:
        frames += 1
        _, kind, _, length = struct.unpack_from("<BHHI", raw, place)
        data = raw[place + 9 : place + 9 + length]
        place += 11 + length
        if kind == _CODEPAGE and len(data) >= 4:
            codec = f"cp{struct.unpack_from('<I', data)[0]}"
            codepage = _python_codec(codec)
        elif kind == _BODY:
            found.text = decode(data.rstrip(b"\0"), codec)[0]
        elif kind == _PROPERTIES:
            _message(found, _properties(data, codepage), codec)
        elif kind == _FILE_BEGINS and len(found.files) < MAX_FILES:
            found.files.append(TnefFile())
        elif found.files and kind == _FILE_TITLE:
            found.files[-1].name = found.files[-1].name or _words(data, codec)
        elif found.files and kind == _FILE_DATA:
            found.files[-1].content = data
        elif found.files and kind == _FILE_PROPERTIES:
            _file(found.files[-1], _properties(data, codepage), codec, depth=depth)
    found.files = [file for file in found.files if file.content or file.message or file.name]
    return found if found.files or found.text is not None or found.html is not None else None


def _python_codec(name: str) -> str:
    """Return a codec that tnefparse may decode 8-bit names with."""
    try:
        b"x".decode(name)
    except (LookupError, ValueError):
        return "latin-1"
    return name


def _properties(data: bytes, codepage: str) -> list[tuple[int, Any]]:
    if len(data) < 4 or struct.unpack_from("<I", data)[0] > MAX_PROPERTIES:
        return []
    found: list[tuple[int, Any]] = []
    with contextlib.suppress(struct.error, ValueError, TypeError, LookupError, OverflowError):
        for one in decode_mapi(_Within(data), codepage):
            if one.name in _WANTED:
                found.append((one.name, one.data))
    return found


def _message(found: Tnef, read: list[tuple[int, Any]], codec: str | None) -> None:
    page = next((value for name, value in read if name == properties.MAPI_INTERNET_CODEPAGE), None)
    if isinstance(page, bytes) and len(page) >= 4:
        page = struct.unpack_from("<I", page)[0]
    known = {65001: "utf-8", 20866: "koi8-r", 28595: "iso-8859-5"}
    label = known.get(page, f"cp{page}") if isinstance(page, int) else codec
    for name, value in read:
        if name == properties.MAPI_BODY and found.text is None:
            found.text = _words(value, codec)
        elif name == properties.MAPI_BODY_HTML and found.html is None:
            found.html = _words(value, label)
        elif name == properties.MAPI_SUBJECT:
            found.subject = _words(value, codec)
        elif name == properties.MAPI_RTF_COMPRESSED and found.text is None and isinstance(_one(value), bytes):
            # The library takes zeros off the end, and the end mark of compressed text is one.
            unpacked = rtf.decompressed(_one(value) + b"\0\0")
            found.text = rtf.to_text(unpacked) if unpacked else None


def _file(file: TnefFile, read: list[tuple[int, Any]], codec: str | None, *, depth: int) -> None:
    for name, value in read:
        if name == properties.MAPI_ATTACH_LONG_FILENAME:
            file.name = _words(value, codec)
        elif name in (properties.MAPI_ATTACH_FILENAME, properties.MAPI_DISPLAY_NAME):
            file.name = file.name or _words(value, codec)
        elif name == properties.MAPI_ATTACH_MIME_TAG:
            file.type = _words(value, codec)
        elif name == properties.MAPI_ATTACH_CONTENT_ID:
            file.cid = _words(value, codec)
        elif name == properties.MAPI_ATTACH_DATA_OBJ and isinstance(_one(value), bytes):
            content = _one(value)
            is_message = content.startswith(IMESSAGE_SIG)
            file.content = content[len(IMESSAGE_SIG) :] if is_message else content
            if is_message and depth < MAX_NESTING:
                with contextlib.suppress(struct.error):
                    file.message = unpack(file.content, depth=depth + 1)


def _one(value: Any) -> Any:
    """Take the first of several values."""
    return value[0] if isinstance(value, list) and value else value


def _words(value: Any, codec: str | None) -> str:
    value = _one(value)
    text = decode(value, codec)[0] if isinstance(value, bytes) else value if isinstance(value, str) else ""
    return text.strip("\0\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
