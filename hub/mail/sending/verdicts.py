"""What a mail server's answer means: for good or for now, why in one word, and when to try again.

Decides by the code, the enhanced status (RFC 3463) where one is told, and a few words that large servers use instead
of one. Pure. Invariants: nothing but 2xx is "sent"; what is not surely final is tried again; every list of waits ends
after about two days.

Source: RFC 5321 §4.2, §4.5.3.1.10, §4.5.4.1; RFC 3463, 4954; what Postfix, Exchange, Gmail, Yandex and Mail.ru say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

Why = Literal[
    "greylisted",
    "too_fast",
    "daily_limit",
    "mailbox_full",
    "too_large",
    "no_such_address",
    "policy",
    "spam",
    "sign_in",
    "sender",
    "routing",
    "other",
]
_STATUS = re.compile(r"\s*#?([245])\.(\d{1,3})\.(\d{1,3})\b")
_ANSWER = re.compile(r"([2-5]\d\d)[ -]?(.*)", re.DOTALL)
_PHRASES: tuple[tuple[Why, str], ...] = (
    (
        "sender",
        r"\bsender\b.{0,40}(reject|refus|denied|unknown|invalid|not (allowed|permitted|authori[sz]ed|owned|verified))"
        r"|not (a )?local sender|(invalid|unknown|unauthori[sz]ed) sender|not owned by user|not allowed to send as",
    ),
    ("greylisted", r"gr[ea]y[- ]?list|try again later.{0,20}gr[ea]y"),
    ("daily_limit", r"(daily|hourly) .{0,40}(limit|quota)|sending limit|message submission limit"),
    ("too_fast", r"too many (messages|connections|recipients|concurrent)|rate limit|thread limit|throttl|slow down"),
    ("spam", r"\bspam|blacklist|block ?list|spamhaus|reputation"),
    ("mailbox_full", r"(mailbox|quota).{0,40}(full|exceed)|over ?quota|out of storage"),
    ("too_large", r"(message|size).{0,40}(too (large|big)|exceeds)|maximum (message )?size"),
    ("no_such_address", r"(user|mailbox|recipient|address).{0,40}(unknown|not (found|exist)|invalid|unavailable)"),
    ("no_such_address", r"(no such|unknown|invalid).{0,20}(user|mailbox|recipient|address)|does not exist"),
)
_WORDS = tuple((why, re.compile(words, re.IGNORECASE)) for why, words in _PHRASES)
_SLOW: tuple[timedelta, ...] = tuple(timedelta(hours=h) for h in (1, 2, *[4] * 11))
RETRY_AFTER: tuple[timedelta, ...] = (*(timedelta(minutes=m) for m in (1, 5, 15, 30)), *_SLOW)
"""Waits between attempts; when they are used up, about two days after the first, what is left is refused."""

_WAITS: dict[Why, tuple[timedelta, ...]] = {
    "too_fast": (*(timedelta(minutes=m) for m in (2, 5, 15, 30)), *_SLOW),
    "mailbox_full": (timedelta(minutes=30), *_SLOW),
    "daily_limit": (*_SLOW,),
    "policy": (*(timedelta(minutes=m) for m in (5, 15, 30)), *_SLOW),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means for whom it was given. `status` is the enhanced code, empty where none was told."""

    is_final: bool
    why: Why
    status: str


def status_of(text: str) -> str:
    """Return the enhanced status that an answer's text begins with, such as "4.7.1", or nothing."""
    match = _STATUS.match(text)
    return ".".join(match.groups()) if match else ""


def judge(code: int, text: str) -> Verdict:
    """Say what an answer other than 2xx means."""
    status = status_of(text)
    why = _why(code, status, text)
    is_final = 500 <= code < 600
    if is_final and (why == "daily_limit" or (code == 552 and re.search("too many recipients", text, re.IGNORECASE))):
        # The recipient is fine: it is our own limit, and tomorrow it is another day (RFC 5321 §4.5.3.1.10).
        is_final = False
    if why == "sign_in":
        is_final = False
    return Verdict(is_final, why, status)


def judge_message(answer: str) -> Verdict:
    """Say what an answer to MAIL or DATA means, given as it is shown ("550 5.7.1 …"): none of the recipients' faults.

    A text that begins with no code is Hub's own; it tells nothing more.
    """
    match = _ANSWER.match(answer)
    if match is None:
        return Verdict(False, "other", "")
    verdict = judge(int(match[1]), match[2])
    is_by_code_alone = not verdict.status and not any(words.search(match[2]) for _, words in _WORDS)
    return replace(verdict, why="other") if verdict.why == "no_such_address" and is_by_code_alone else verdict


def why_of(code: int | None, reply: str) -> Why:
    """Return why a recipient did not get a message; without a code `reply` is the answer to the whole message."""
    return (judge_message(reply) if code is None else judge(code, reply)).why


def refuses_sign_in(code: int) -> bool:
    """Tell whether an answer to AUTH means that this mailbox is not let in, and not just for now (RFC 4954)."""
    return code == 432 or (500 <= code < 600 and code not in (500, 501, 502, 503, 504))


def wants_sign_in(code: int) -> bool:
    """Tell whether an answer to another command asks for a sign-in that did not happen."""
    return code in (530, 534, 535, 538)


def _why(code: int, status: str, text: str) -> Why:
    if code in (530, 534, 535, 538) or status[2:] in ("7.8", "7.9", "7.11", "7.12"):
        return "sign_in"
    if status[2:] == "4.5":
        return "daily_limit"
    subject, _, detail = status[2:].partition(".")
    by_status = _BY_STATUS.get(f"{subject}.{detail}")
    by_words = next((why for why, words in _WORDS if words.search(text)), None)
    if by_words in ("sender", "greylisted", "daily_limit", "too_fast", "spam"):
        return by_words
    if by_status is not None:
        return by_status
    if code == 552:
        return "mailbox_full" if by_words == "mailbox_full" else "too_large"
    if by_words is not None:
        return by_words
    if subject == "7":
        return "greylisted" if 400 <= code < 500 else "policy"
    return _BY_CODE.get(code, "other")


_BY_STATUS: dict[str, Why] = {
    "1.0": "no_such_address",
    "1.1": "no_such_address",
    "1.2": "routing",
    "1.3": "no_such_address",
    "1.6": "no_such_address",
    "1.7": "sender",
    "1.8": "sender",
    "1.10": "routing",
    "2.1": "no_such_address",
    "2.2": "mailbox_full",
    "2.3": "too_large",
    "3.2": "too_fast",
    "3.4": "too_large",
    "4.1": "routing",
    "4.2": "routing",
    "4.3": "routing",
    "4.4": "routing",
    "4.7": "routing",
    "5.3": "too_fast",
    "7.25": "policy",
    "7.26": "policy",
}
_BY_CODE: dict[int, Why] = {421: "too_fast", 450: "greylisted", 550: "no_such_address", 551: "no_such_address"}


def wait_before(attempt: int, why: Why, *, jitter: float) -> timedelta | None:
    """Return how long to wait after the `attempt`-th try (from 1), None where Hub gives up.

    `jitter` is 0 to 1; it takes up to a fifth off, so that what failed together is not tried again together.
    """
    waits = _WAITS.get(why, RETRY_AFTER)
    if attempt > len(waits):
        return None
    return waits[attempt - 1] * (1 - 0.2 * jitter)
