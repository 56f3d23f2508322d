"""Which bytes of a whole a request means: HTTP Range of RFC 9110, 14. Pure.

One range is answered, as players and downloads ask; several at once, another unit or nonsense are answered with the
whole, as the RFC allows. Invariant: a `Part` lies within the whole and is not empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """`length` bytes from `start`; `is_whole` where no part was asked for."""

    start: int
    length: int
    is_whole: bool = False


def wanted_part(asked: str | None, *, size: int, if_range: str | None = None, etag: str = "") -> Part | None:
    """Return what `Range: asked` means of `size` bytes; None where that is not to be satisfied (416).

    With `If-Range` a part is given only of the very version that the asker knows by its strong validator.
    """
    whole = Part(0, size, is_whole=True)
    if asked is None or (if_range is not None and if_range != etag):
        return whole
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", asked.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return whole
    if not found[1]:
        length = min(int(found[2]), size)
        return Part(size - length, length) if length else None
    start = int(found[1])
    end = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < start:
        return whole
    return Part(start, end - start + 1) if start < size else None
