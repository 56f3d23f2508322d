"""Files that old programs write into the text itself: uuencode. Pure, linear, never raises.

Decides which lines of a text are a file. Invariants: a `begin` line without a single line of data is text; lines of
data without a `begin` are a file only if an `end` follows, or if the part says that it is one.

Source: POSIX.1 uuencode.
"""

from __future__ import annotations

import binascii
import re

MAX_FILES = 50
_FULL = re.compile(r"M[ -`]{60}")
_STARTS = re.compile(r"^(?:begin [0-7]{3,4} |M[ -`]{60}\r?$)", re.MULTILINE)

_BEGIN = re.compile(r"begin [0-7]{3,4} +(\S.{0,250})")


def take_out(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return the text without uuencoded files, and the files as (name, content)."""
    if not _STARTS.search(text):
        return text, []
    lines = text.split("\n")
    kept: list[str] = []
    files: list[tuple[str, bytes]] = []
    number, tried = 0, 0
    while number < len(lines):
        match = _BEGIN.fullmatch(lines[number].rstrip("\r")) if len(files) < MAX_FILES else None
        content, after = _content(lines, number + 1) if match else (b"", number)
        if not match and number >= tried and len(files) < MAX_FILES and _FULL.fullmatch(lines[number].rstrip("\r")):
            # Without its first line; then only the last one proves it a file.
            content, after = _content(lines, number)
            tried, is_whole = after, lines[after - 1].strip() == "end"
            content = content if is_whole else b""
        if content:
            files.append((match[1].strip() if match else "", content))
            number = after
        else:
            kept.append(lines[number])
            number += 1
    return "\n".join(kept), files


def decoded(raw: bytes) -> bytes:
    """Decode a part whose transfer encoding is uuencode; as it is where that is not so."""
    text = raw.decode("latin-1").replace("\r\n", "\n")
    files = take_out(text)[1]
    if files:
        return files[0][1]
    lines = text.strip("\n").split("\n")
    content, after = _content(lines, 0)
    return content if content and after >= len(lines) else raw


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
