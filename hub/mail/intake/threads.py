"""Which conversation does this message belong to?

Decides by ids only — what it answers, what it refers to, its own — among those of the same mailbox; a subject never
joins two messages. Ids that were named but never seen are kept as ghosts, so that two answers to an unseen message
stand together and the message finds them when it comes. Pure; `intake` and `outbox` look up and store.
Invariant: a message is in exactly one thread, and only the arrival of a ghost joins two threads.

Ids can be forged: that a message is in a thread proves nothing about who wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_REPLY = r"(?:re|aw|sv|antw|ответ|на|отв|відп|вх)"
_FORWARD = r"(?:fwd?|wg|пересл|пер|переслано|пересланное сообщение|пд|вд)"
_PREFIX = re.compile(rf"\s*(?:{_REPLY}|{_FORWARD})(?:\s*[\[(]\d{{1,3}}[\])])?\s*:\s*", re.IGNORECASE)
_IS_FORWARD = re.compile(rf"\s*{_FORWARD}\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a message goes. `thread_id` None: a new thread.

    `claims` are the ids to store as the thread's, the message's own first; those already known keep their thread,
    except in `absorbs`: threads that held this message as a ghost and now continue in `thread_id`.
    """

    thread_id: int | None
    claims: tuple[str, ...]
    absorbs: tuple[int, ...] = ()


def ids_to_look_up(*, message_id: str, in_reply_to: str, references: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids whose threads `place` wants to know, without doubles; at most 102."""
    return tuple(dict.fromkeys(filter(None, (message_id, in_reply_to, *reversed(references)))))


def place(
    *, message_id: str, in_reply_to: str, references: tuple[str, ...], subject: str, known: Mapping[str, int]
) -> Placed:
    """Find a message's thread. `known` maps ids of this mailbox, seen or ghosts, to their threads.

    The nearest ancestor decides. A forward that answers nothing begins a thread of its own, though it may name
    the message it carries.
    """
    if _IS_FORWARD.match(subject) and not in_reply_to:
        references = ()
    named = ids_to_look_up(message_id="", in_reply_to=in_reply_to, references=references)
    ancestors = [one for one in named if one != message_id]
    parent = next((known[one] for one in ancestors if one in known), None)
    own = known.get(message_id) if message_id else None
    claims = tuple(dict.fromkeys(filter(None, (message_id, *ancestors))))
    if parent is None:
        return Placed(own, claims)
    return Placed(parent, claims, () if own is None or own == parent else (own,))


def base_subject(subject: str) -> str:
    """Return a subject without "Re:", "Fwd:", "Ответ:" … before it."""
    for _ in range(20):
        match = _PREFIX.match(subject)
        if match is None:
            break
        subject = subject[match.end() :]
    return subject.strip()


def reply_subject(subject: str) -> str:
    """Return the subject of an answer: one "Re:", whatever stood there."""
    return f"Re: {base_subject(subject)}".strip()
