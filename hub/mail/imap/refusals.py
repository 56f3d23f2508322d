"""What a mail server's NO, BAD or BYE means: a fault of what was asked, a pause, or a wrong password. Pure.

Decides by the response code (RFC 5530), else by the known words of the large providers. Invariants: only what surely
speaks of the account or its secret stops a mailbox; what passes is a pause, as long as the server suggests; words that
nobody knows are a pause too, a long one, since servers lock accounts.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

from hub.errors import Refused, Unavailable

LONGEST_BACKOFF = timedelta(hours=2)
"""A server that asks for more is asked again after this."""
UNCLEAR_PAUSE = timedelta(minutes=2)
"""Before a sign-in is tried again that was refused in words that nobody knows."""

Meaning = Literal["wrong", "for_now", "unclear"]


class Throttled(Unavailable):
    """The server wants to be asked less, or later. Nothing is wrong with what was asked.

    `pause` is how long it asks to be left alone, None where it does not say.
    """

    def __init__(self, message: str, *, pause: timedelta | None = None, code: str = "imap_throttled") -> None:
        super().__init__(code, message)
        self.pause = pause

    def __reduce__(self) -> tuple[object, ...]:
        return _throttled_again, (self.message, self.pause, self.code)


def _throttled_again(message: str, pause: timedelta | None, code: str) -> Throttled:
    return Throttled(message, pause=pause, code=code)


_CODE = re.compile(r"\[([A-Z][A-Z0-9-]*)[ \]]", re.IGNORECASE)
_GOOD_FOR_NOTHING = frozenset(("ALERT", "WEBALERT"))
"""Codes that say how a text is to be shown, not what it means."""
_LIMITS = frozenset(("THROTTLED", "OVERQUOTA", "LIMIT"))
_PASSING = _LIMITS | {"UNAVAILABLE", "INUSE", "SERVERBUG", "CLIENTBUG"}
_WRONG = frozenset(
    ("AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED", "CONTACTADMIN", "NOPERM")
)

_LIMIT_WORDS = re.compile(
    r"suggested backoff|throttl|exceeded .{0,40}(bandwidth|command)|(bandwidth|command|rate) limit|limit exceeded"
    r"|maximum number of (simultaneous )?(connections|sessions)"
    r"|too many .{0,30}(connections|sessions|commands|requests)|connection limit|rate.?limited",
    re.IGNORECASE,
)
_PASSING_WORDS = re.compile(
    r"temporar|try (again|it) ?(later|in)|try later|server (is )?(unavailable|busy|not available)|service unavailable"
    r"|unavailable|internal (server )?error|system (error|problem)|too many|lookup failed|timed? ?out|overload"
    r"|authenticated but not connected|backend|maintenance|shutting down|restart|in use|locked by another",
    re.IGNORECASE,
)
_ENDING_WORDS = re.compile(
    r"shut(ting)? ?down|restart|maintenance|auto.?logout|logging out|log ?out|idle|inactiv|expired|too long"
    r"|temporar|try again|server (is )?(unavailable|busy)",
    re.IGNORECASE,
)
"""Why a server ends a session that has done nothing wrong."""
_WRONG_WORDS = re.compile(
    r"invalid|incorrect|wrong|bad (user|login|pass|cred)|credential|password|(log ?in|authenticat\w*|auth) fail"
    r"|log ?in (is )?(denied|rejected|incorrect)|not (enabled|allowed|permitted|authori[sz]ed)|unknown (user|account)"
    r"|no such (user|account)|access denied|disabled|blocked|suspended|deactivated|parol|web ?browser|web login"
    r"|basic ?auth|невер|парол|отключ|заблокир",
    re.IGNORECASE,
)
_BACKOFF = re.compile(
    r"backoff(?: time)?:?\s*(\d{1,9})\s*(ms|milliseconds?|s|sec(?:onds?)?|min(?:utes?)?)?\b", re.IGNORECASE
)
_AGAIN_IN = re.compile(
    r"(?:try again|retry|wait)\D{0,20}(\d{1,6})\s*(s|sec(?:onds?)?|min(?:utes?)?|h(?:ours?)?)\b", re.IGNORECASE
)


def code_of(text: str) -> str:
    """Return the response code that says what a refusal means, in capitals, empty where there is none."""
    codes = [match.upper() for match in _CODE.findall(text[:200])]
    return next((code for code in codes if code not in _GOOD_FOR_NOTHING), "")


def suggested_pause(text: str) -> timedelta | None:
    """Return how long the server asks to be left alone, None where it does not say.

    Exchange says `Suggested Backoff Time: 299876 milliseconds`.
    """
    if match := _BACKOFF.search(text):
        return min(_span(match[1], match[2] or "ms"), LONGEST_BACKOFF)
    if match := _AGAIN_IN.search(text):
        return min(_span(match[1], match[2]), LONGEST_BACKOFF)
    return None


def _span(digits: str, unit: str) -> timedelta:
    unit = unit.lower()
    each = {"ms": 0.001, "mi": 60, "h": 3600}
    of_unit = 0.001 if unit.startswith("milli") else each.get(unit[:2], each.get(unit[:1], 1))
    return timedelta(seconds=int(digits) * of_unit)


def is_limit(text: str) -> bool:
    """Tell whether the server limits how much the account is asked: any other question would be refused as well."""
    code = code_of(text)
    return code in _LIMITS or (code not in _WRONG and bool(_LIMIT_WORDS.search(text)))


def is_for_now(text: str) -> bool:
    """Tell whether a refusal or a goodbye passes by itself, and says nothing of what was asked."""
    return is_limit(text) or code_of(text) == "UNAVAILABLE" or bool(_ENDING_WORDS.search(text))


def refusal(text: str, *, is_writing: bool = False) -> Refused | Throttled:
    """Return the error for a NO or BAD to a command. `is_writing`: then OVERQUOTA means that the mailbox is full."""
    if is_limit(text) and not (is_writing and code_of(text) == "OVERQUOTA"):
        return Throttled(f"the mail server asks for a pause: {text}", pause=suggested_pause(text))
    return Refused("imap_refused", text)


def goodbye(text: str) -> Unavailable:
    """Return the error for a BYE."""
    if is_limit(text):
        return Throttled(f"the mail server asks for a pause: {text}", pause=suggested_pause(text))
    code = "imap_bye_for_now" if is_for_now(text) else "imap_bye"
    return Unavailable(code, f"the mail server says goodbye: {text}" if text else "the mail server says goodbye")


def sign_in_refused(text: str, *, is_bad: bool) -> Meaning:
    """Say what a refused sign-in means. `is_bad`: the answer was BAD, which speaks of the command, not the secret."""
    code = code_of(text)
    if code in _WRONG and not is_bad:
        return "wrong"
    if is_bad or code in _PASSING or is_limit(text) or _PASSING_WORDS.search(text):
        return "for_now"
    return "wrong" if _WRONG_WORDS.search(text) else "unclear"


Advice = Literal["", "app_password", "imap_off", "app_password_or_imap_off", "browser", "oauth", "expired"]

_ADVICE: tuple[tuple[Advice, str], ...] = (
    ("app_password_or_imap_off", r"imap is disabled|credentials or imap"),
    ("imap_off", r"not enabled for imap|imap (access )?(is )?(disabled|not enabled|off)|enable .{0,30}imap"),
    ("app_password", r"appl?i?c?a?t?i?o?n?.?(specific)?.?password|parol prilozheniya|парол\w+ приложени"),
    ("oauth", r"basic ?auth|modern auth|oauth|logondenied-basic"),
    ("browser", r"web ?browser|web login|verify your account"),
    ("expired", r"\[EXPIRED|password .{0,20}expired"),
)
_OF_HOST: tuple[tuple[Advice, str], ...] = (
    ("app_password", r"gmail\.com|googlemail\.com|google\.com|me\.com|icloud\.com|mail\.ru|yahoo\.\w+"),
    ("app_password_or_imap_off", r"yandex\.\w+(\.\w+)?"),
    ("oauth", r"office365\.com|outlook\.com|hotmail\.com|live\.com"),
)
"""What a refused password nearly always means at a provider that takes no plain password of the account."""


def advice(said: str) -> Advice:
    """Return what a person can do about a refused sign-in, from the error's words: the server's host and its text."""
    for what, pattern in _ADVICE:
        if re.search(pattern, said, re.IGNORECASE):
            return what
    host = said.split(" ", 1)[0]
    return next((what for what, pattern in _OF_HOST if re.search(rf"(?:^|\.)(?:{pattern})$", host, re.I)), "")
