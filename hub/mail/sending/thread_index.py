"""Thread-Index, by which Outlook and Exchange keep a conversation together where References alone do not suffice.

Decides the bytes: a header of 22 (the time of the first message and an id of the conversation), and a block of 5 for
each answer, which says how long after the header it was written. Pure; what would be chance in other programs is
taken from the message's own id, so that the same draft gives the same bytes. Invariant: whatever a parent's field
holds, the result is one that a reader of the format takes.

Source: [MS-OXOMSG] §2.2.1.3, PidTagConversationIndex.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime, timedelta

HEAD_BYTES = 22
BLOCK_BYTES = 5
MOST_BLOCKS = 60
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_FIELD = re.compile(rb"(?im)^Thread-Index:((?:[^\n]|\n[ \t]){1,2000})")


def first(conversation: str, *, at: datetime) -> bytes:
    """Return the index of a conversation's first message; `conversation` is an id that is the conversation's own."""
    return _ticks(at).to_bytes(8, "big")[:6] + hashlib.sha256(conversation.encode("utf-8", "replace")).digest()[:16]


def answer(parent: bytes, message_id: str, *, at: datetime) -> bytes:
    """Return the index of an answer to the message that has `parent`."""
    later = max(0, _ticks(at) - (int.from_bytes(parent[:6], "big") << 16))
    # Within 1.7 years the time is told finer (bits 18 to 48), after that coarser (23 to 53).
    is_far = later >> 49 > 0
    word = (1 << 31 | later >> 23 & 0x7FFFFFFF) if is_far else later >> 18 & 0x7FFFFFFF
    chance = hashlib.sha256(message_id.encode("utf-8", "replace")).digest()[0] & 0xF0
    blocks = parent[HEAD_BYTES:][-(MOST_BLOCKS - 1) * BLOCK_BYTES :]
    return parent[:HEAD_BYTES] + blocks + word.to_bytes(4, "big") + bytes([chance])


def of_head(head: bytes) -> bytes | None:
    """Return the index that a message's head names, None where it names none that is sound."""
    end = re.search(rb"\r?\n\r?\n", head)
    match = _FIELD.search(head[: end.end()] if end else head)
    if match is None:
        return None
    try:
        index = base64.b64decode(b"".join(match[1].split()), validate=True)
    except binascii.Error:
        return None
    return index if len(index) >= HEAD_BYTES and (len(index) - HEAD_BYTES) % BLOCK_BYTES == 0 else None


def _ticks(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 10
