"""Which conversation does this message belong to?

Decides by ids — what it answers, what it refers to, its own — among those of the same mailbox. Ids that were named but
never seen are kept as ghosts, so that two answers to an unseen message stand together and the message finds them when
it comes. Only an answer whose ids lead nowhere, as where a provider rewrote them, goes by its subject, and only to a
thread of the same other party. Pure; `conversations` looks up and stores.
Invariants: a message is in exactly one thread; only the arrival of a ghost joins two threads; a subject never joins
two clients.

Ids can be forged: that a message is in a thread proves nothing about who wrote it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_REPLY = r"(?:re|aw|sv|antw|ответ|на|отв|відп|вх)"
_FORWARD = r"(?:fwd?|wg|пересл|пер|переслано|пересланное сообщение|пд|вд)"
_PREFIX = re.compile(rf"\s*(?:{_REPLY}|{_FORWARD})(?:\s*[\[(]\d{{1,3}}[\])])?\s*:\s*", re.IGNORECASE)
_IS_REPLY = re.compile(rf"\s*{_REPLY}(?:\s*[\[(]\d{{1,3}}[\])])?\s*:", re.IGNORECASE)
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


SUBJECT_DAYS = timedelta(days=30)
"""How far from a thread's latest message an answer may lie that is known by its subject only."""
FEWEST_LETTERS = 6
_GENERIC = frozenset(
    "question request invoice order hello hi document documents information payment price reminder meeting "
    "вопрос запрос счёт счет счета заказ привет здравствуйте добрый день документ документы информация оплата цена "
    "цены прайс напоминание встреча заявка письмо договор акт без темы no subject none".split()
)
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What of a message decides its thread. `parties` are the addresses of the others: its sender, or whom we wrote.

    `is_new` False: history, which is read backwards, so that an id not seen yet may still come.
    """

    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    subject: str
    at: datetime
    parties: frozenset[str] = frozenset()
    client_id: int | None = None
    is_new: bool = True

    @property
    def ids(self) -> tuple[str, ...]:
        return ids_to_look_up(message_id=self.message_id, in_reply_to=self.in_reply_to, references=self.references)

    @property
    def may_go_by_subject(self) -> bool:
        """Tell whether its subject may find its thread, if no id does."""
        if not _IS_REPLY.match(self.subject):
            return False
        return self.is_new or not (self.in_reply_to or self.references)


@dataclass(frozen=True, slots=True)
class Talk:
    """A thread that an answer may belong to by its subject: with whom, whose, and when last."""

    thread_id: int
    parties: frozenset[str]
    client_id: int | None
    last_at: datetime


@dataclass(slots=True)
class Plan:
    """Where the messages of a batch go. Threads below 0 are to be made; `moved` says what became part of what."""

    threads: list[int] = field(default_factory=list)
    """Of each message."""
    claims: dict[str, int] = field(default_factory=dict)
    """The ids that are new, and whose they are."""
    moved: dict[int, int] = field(default_factory=dict)

    def now(self, thread: int) -> int:
        """Return what a thread has become part of, or itself."""
        while thread in self.moved:
            thread = self.moved[thread]
        return thread


def place_all(letters: Sequence[Letter], *, known: Mapping[str, int], talks: Mapping[str, Sequence[Talk]]) -> Plan:
    """Place a batch in its order; its messages may answer each other in any.

    `known` maps ids of this mailbox to threads, `talks` the keys of subjects (`subject_key`) to threads.
    """
    plan = Plan()
    by_subject = {key: list(found) for key, found in talks.items()}
    for number, letter in enumerate(letters):
        ids = letter.ids
        seen = {one: plan.now(plan.claims.get(one, known.get(one, 0))) for one in ids}
        placed = place(
            message_id=letter.message_id,
            in_reply_to=letter.in_reply_to,
            references=letter.references,
            subject=letter.subject,
            known={one: thread for one, thread in seen.items() if thread},
        )
        key = subject_key(letter.subject)
        thread = placed.thread_id or _by_subject(letter, by_subject.get(key, ()), plan) or -number - 1
        for absorbed in placed.absorbs:
            # Of two threads the one that is stored already stays.
            gone, stays = (thread, absorbed) if thread < 0 < absorbed else (absorbed, thread)
            plan.moved[gone] = stays
            thread = stays
        for one in placed.claims:
            if one not in known:
                plan.claims.setdefault(one, thread)
        if key:
            by_subject.setdefault(key, []).append(Talk(thread, letter.parties, letter.client_id, letter.at))
        plan.threads.append(thread)
    plan.threads = [plan.now(thread) for thread in plan.threads]
    plan.claims = {one: plan.now(thread) for one, thread in plan.claims.items()}
    return plan


def _by_subject(letter: Letter, talks: Iterable[Talk], plan: Plan) -> int | None:
    """Return the latest talk of this subject with the same party: never one of another client."""
    if not letter.may_go_by_subject:
        return None
    fitting = [
        talk
        for talk in talks
        if abs(talk.last_at - letter.at) <= SUBJECT_DAYS
        and (letter.client_id is None or talk.client_id is None or letter.client_id == talk.client_id)
        and (letter.parties & talk.parties or (letter.client_id is not None and letter.client_id == talk.client_id))
    ]
    return plan.now(max(fitting, key=lambda talk: talk.last_at).thread_id) if fitting else None


def subject_key(subject: str) -> str:
    """Return what is the same for the subjects of one talk; `""` where a subject says too little to go by."""
    words = _LETTERS.findall(base_subject(subject).lower())
    if sum(map(len, words)) < FEWEST_LETTERS or _GENERIC.issuperset(words):
        return ""
    base = " ".join(base_subject(subject).lower().split())
    return hashlib.sha256(base.encode("utf-8", "replace")).hexdigest()[:16]


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
