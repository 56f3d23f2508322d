"""Rich Text as Outlook and old programs send it: unpacked, and its words taken out. Pure, linear, never raises.

Decides which of an RTF's letters a person would read; looks, pictures and tables are left to a program that opens
the file. HTML that Exchange hid in RTF is read as its text. Invariant: the output is at most `MAX_CHARS` long.

Source: MS-OXRTFCP (compression), RTF 1.9.1, MS-OXRTFEX (HTML within).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from hub.mail.reading.charsets import decode

MAX_BYTES = 2_000_000
MAX_CHARS = 1_000_000
MAX_DEPTH = 500

_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)


def decompressed(raw: bytes) -> bytes | None:
    """Return the RTF of a compressed body (`LZFu`, `MELA`), as far as it goes; None where it is none."""
    if len(raw) < 16:
        return None
    _, raw_size, magic, _ = struct.unpack_from("<IIII", raw)
    if magic == 0x414C454D:
        return raw[16 : 16 + min(raw_size, MAX_BYTES)]
    if magic != 0x75465A4C:
        return None
    limit = min(raw_size, MAX_BYTES)
    window = bytearray(_DICTIONARY.ljust(4096, b" "))
    write, out, place = len(_DICTIONARY), bytearray(), 16
    while place < len(raw) and len(out) < limit:
        control = raw[place]
        place += 1
        for bit in range(8):
            if not control >> bit & 1:
                run = raw[place : place + 1]
                place += 1
                if not run:
                    return bytes(out)
                window[write] = run[0]
                write = (write + 1) & 4095
                out += run
                continue
            if place + 2 > len(raw):
                return bytes(out)
            pair = raw[place] << 8 | raw[place + 1]
            place += 2
            read, length = pair >> 4, (pair & 15) + 2
            if read == write:
                return bytes(out)
            for _ in range(length):
                byte = window[read]
                read = (read + 1) & 4095
                window[write] = byte
                write = (write + 1) & 4095
                out.append(byte)
    return bytes(out[:limit])


_TOKEN = re.compile(
    rb"\\(?:([a-z]{1,32})(-?\d{1,10})?[ ]?|'([0-9a-fA-F]{2})|([^a-z0-9\r\n])|[\r\n])|([{}])|[\r\n]+|([^\\{}\r\n]+)|(.)",
    re.DOTALL | re.IGNORECASE,
)
_SKIPPED = frozenset(
    b"fonttbl colortbl stylesheet info pict object header footer headerl headerr footerl footerr listtable "
    b"listoverridetable rsidtbl generator xmlnstbl themedata datastore latentstyles fldinst objdata "
    b"revtbl filetbl mmathpr pntext".split()
)
_SIGNS = {
    b"par": "\n",
    b"line": "\n",
    b"row": "\n",
    b"sect": "\n",
    b"page": "\n",
    b"tab": "\t",
    b"cell": "\t",
    b"emdash": "—",
    b"endash": "–",
    b"lquote": "‘",
    b"rquote": "’",
    b"ldblquote": "“",
    b"rdblquote": "”",
    b"bullet": "•",
}
_CHARSETS = {204: "cp1251", 238: "cp1250", 161: "cp1253", 162: "cp1254", 177: "cp1255", 178: "cp1256", 186: "cp1257"}
_CHARSETS |= {128: "cp932", 129: "cp949", 134: "gb18030", 136: "big5", 0: "cp1252"}


@dataclass(slots=True)
class _Group:
    """What holds within one pair of braces."""

    skips: bool = False
    after_unicode: int = 1
    codec: str = ""


class _Reader:
    """One pass over RTF tokens."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.chars = 0
        self.bytes = bytearray()
        self.codec = "cp1252"
        self.fonts: dict[int, str] = {}
        self.font = 0
        self.to_skip = 0
        self.in_html_rtf = False
        self.in_fonts = 0

    def text(self, text: str) -> None:
        self.out.append(text)
        self.chars += len(text)

    def flush(self, group: _Group) -> None:
        if self.bytes:
            self.text(decode(bytes(self.bytes), group.codec or self.codec)[0])
            self.bytes.clear()

    def word(self, word: bytes, number: int | None, group: _Group, depth: int) -> None:
        if word == b"htmlrtf":
            self.in_html_rtf = number != 0
        elif word == b"fonttbl":
            group.skips, self.in_fonts = True, depth
        elif word in _SKIPPED:
            group.skips = True
        elif word == b"ansicpg" and number:
            self.codec = "utf-8" if number == 65001 else f"cp{number}"
        elif word == b"uc" and number is not None:
            group.after_unicode = max(0, min(number, 20))
        elif word == b"f" and number is not None:
            self.font = number
            if not self.in_fonts:
                self.flush(group)
                group.codec = self.fonts.get(number, "")
        elif word == b"fcharset" and number is not None and self.in_fonts and len(self.fonts) < 2_000:
            self.fonts[self.font] = _CHARSETS.get(number, "")
        elif group.skips or self.in_html_rtf:
            return
        elif word == b"u" and number is not None:
            self.flush(group)
            self.text(chr(number & 0xFFFF))
            self.to_skip = group.after_unicode
        elif word in _SIGNS:
            self.flush(group)
            self.text(_SIGNS[word])


def to_text(raw: bytes) -> str:
    """Return what a person would read of an RTF document."""
    reader, stack = _Reader(), [_Group()]
    deeper = 0
    for match in _TOKEN.finditer(raw[:MAX_BYTES]):
        word, number, code, sign, brace, plain, _ = match.groups()
        group = stack[-1]
        if brace == b"{":
            if len(stack) >= MAX_DEPTH:
                deeper += 1
                continue
            reader.flush(group)
            stack.append(_Group(group.skips, group.after_unicode, group.codec))
        elif brace == b"}":
            if deeper:
                deeper -= 1
                continue
            reader.flush(group)
            if len(stack) == reader.in_fonts:
                reader.in_fonts = 0
            if len(stack) > 1:
                stack.pop()
        elif word:
            reader.word(word.lower(), int(number) if number else None, group, len(stack))
        elif sign == b"*":
            group.skips = True
        elif group.skips or reader.in_html_rtf:
            continue
        elif code or plain or sign:
            piece = (
                bytes([int(code, 16)]) if code else plain or (b" " if sign == b"~" else b"" if sign == b"-" else sign)
            )
            gone = min(reader.to_skip, len(piece))
            reader.to_skip -= gone
            reader.bytes += piece[gone:]
        if reader.chars > MAX_CHARS:
            break
    reader.flush(stack[-1])
    text = "".join(reader.out)[:MAX_CHARS].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return re.sub(r"\n{3,}", "\n\n", text.replace("\0", "")).strip()
