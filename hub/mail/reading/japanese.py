"""ISO-2022-JP as Japanese programs really write it: with the vendors' characters, which the standard lacks.

Decides nothing but how such bytes are turned into Shift JIS, whose codec knows NEC's and IBM's rows. Pure, linear.

Source: JIS X 0208, code page 932; RFC 1468.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\x1b(\$[@B]|\([BJI])")


def to_text(raw: bytes) -> str:
    """Return the text of ISO-2022-JP; what is none of it becomes replacement characters."""
    out: list[bytes] = []
    place, mode = 0, b"(B"
    for match in _ESCAPE.finditer(raw):
        out.append(_shifted(raw[place : match.start()], mode))
        place, mode = match.end(), match[1]
    out.append(_shifted(raw[place:], mode))
    return b"".join(out).decode("cp932", "replace")


def _shifted(piece: bytes, mode: bytes) -> bytes:
    if mode == b"(I":
        return bytes(byte | 0x80 if 0x20 < byte < 0x60 else byte for byte in piece)
    if mode not in (b"$@", b"$B"):
        return piece
    out = bytearray()
    place = 0
    while place + 1 < len(piece):
        row, cell = piece[place], piece[place + 1]
        if not (0x20 < row < 0x7F and 0x20 < cell < 0x7F):
            # A line break within: the mode ends with the line.
            out.append(row)
            place += 1
            continue
        lead = ((row - 0x21) >> 1) + 0x81
        out.append(lead if lead < 0xA0 else lead + 0x40)
        out.append((cell + 0x1F + (cell >= 0x60)) if row & 1 else cell + 0x7E)
        place += 2
    return bytes(out + piece[place:])
