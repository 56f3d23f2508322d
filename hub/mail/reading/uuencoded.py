"""Files that old programs write into the text itself: uuencode. Pure, linear, never raises.

Decides which lines of a text are a file. Invariant: a `begin` line without a single line of data is text.

Source: POSIX.1 uuencode.
"""

from __future__ import annotations

import binascii
import re

MAX_FILES = 50

_BEGIN = re.compile(r"begin [0-7]{3,4} +(\S.{0,250})")


def take_out(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return the text without uuencoded files, and the files as (name, content)."""
    if not re.search(r"^begin [0-7]{3,4} ", text, re.MULTILINE):
        return text, []
    lines = text.split("\n")
    kept: list[str] = []
    files: list[tuple[str, bytes]] = []
    number = 0
    while number < len(lines):
        match = _BEGIN.fullmatch(lines[number].rstrip("\r")) if len(files) < MAX_FILES else None
        content, after = _content(lines, number + 1) if match else (b"", number)
        if match and content:
            files.append((match[1].strip(), content))
            number = after
        else:
            kept.append(lines[number])
            number += 1
    return "\n".join(kept), files


def decoded(raw: bytes) -> bytes:
    """Decode a part whose transfer encoding is uuencode; as it is where that is not so."""
    files = take_out(raw.decode("latin-1").replace("\r\n", "\n"))[1]
    return files[0][1] if files else raw


def _content(lines: list[str], number: int) -> tuple[bytes, int]:
    """Decode the lines of a file; return it and the number of the first line behind it."""
    out: list[bytes] = []
    while number < len(lines):
        line = lines[number].rstrip("\r")
        if line.strip() == "end":
            return b"".join(out), number + 1
        try:
            raw = line.encode("ascii")
            out.append(binascii.a2b_uu(raw) if raw.strip() else b"")
        except UnicodeEncodeError:
            break
        except binascii.Error:
            # Programs that count the padding wrong: the length is in the first sign.
            length = ((raw[0] - 32) & 63) * 4 // 3 + 5
            try:
                out.append(binascii.a2b_uu(raw[:length]))
            except binascii.Error:
                break
        number += 1
    return b"".join(out), number
