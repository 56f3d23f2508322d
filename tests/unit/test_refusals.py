"""What servers' refusals mean, by the words of real ones: a pause, a wrong password, and what a person can do."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest

from hub.errors import Refused, Unavailable
from hub.mail.imap.refusals import (
    LONGEST_BACKOFF,
    Throttled,
    advice,
    goodbye,
    is_for_now,
    refusal,
    sign_in_refused,
    suggested_pause,
)
from hub.mail.sync.pauses import FIRST_PAUSE_S, LASTED_S, Pauses

FOR_NOW = [
    "[THROTTLED] Request is throttled. Suggested Backoff Time: 299876 milliseconds",
    "[OVERQUOTA] Account exceeded command or bandwidth limits.",
    "[ALERT] Account exceeded command or bandwidth limits. (Failure)",
    "[ALERT] Too many simultaneous connections. (Failure)",
    "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
    "[UNAVAILABLE] Temporary authentication failure. [mail:2026-11-30 02:00:00]",
    "[UNAVAILABLE] LOGIN internal server error sc=abc",
    "[INUSE] mailbox is in use",
    "[LIMIT] one session at a time",
    "Server Unavailable. 15",
    "User is authenticated but not connected.",
    "Temporary System Problem. Please try again later",
    "Too many failed login attempts, please try again later",
]
WRONG = [
    "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    "[ALERT] Invalid credentials (Failure)",
    "[AUTHORIZATIONFAILED] not allowed",
    "[EXPIRED] your password has expired",
    "[AUTHENTICATIONFAILED] AUTHENTICATE invalid credentials or IMAP is disabled sc=abc",
    "[ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)",
    "[ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 (Failure)",
    "[ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page. (Failure)",
    "NEOBHODIM parol prilozheniya https://help.mail.ru/mail/security/protection/external",
    "[AUTHENTICATIONFAILED] Application password is REQUIRED",
    "LOGIN failed.",
    "AUTHENTICATE failed.",
    "Login failed: authentication failure",
    "Invalid user name or password.",
    "[AUTHENTICATIONFAILED] too many connections tried this password",
]


@pytest.mark.parametrize("text", FOR_NOW)
def test_what_passes_at_the_sign_in_is_a_pause(text: str) -> None:
    assert sign_in_refused(text, is_bad=False) == "for_now"


@pytest.mark.parametrize("text", WRONG)
def test_what_speaks_of_the_password_or_the_account_stops(text: str) -> None:
    assert sign_in_refused(text, is_bad=False) == "wrong"


def test_bad_speaks_of_the_command_and_unknown_words_of_nothing() -> None:
    assert sign_in_refused("Command Error. 12", is_bad=True) == "for_now"
    assert sign_in_refused("[AUTHENTICATIONFAILED] odd", is_bad=True) == "for_now"
    assert sign_in_refused("computer says no", is_bad=False) == "unclear"


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("Request is throttled. Suggested Backoff Time: 299876 milliseconds", timedelta(seconds=299.876)),
        ("[THROTTLED] Suggested Backoff Time: 1500 ms", timedelta(seconds=1.5)),
        ("Suggested Backoff Time: 20", timedelta(seconds=0.02)),
        ("please try again in 10 minutes", timedelta(minutes=10)),
        ("retry after 30 seconds", timedelta(seconds=30)),
        ("try again in 99999 hours", LONGEST_BACKOFF),
        ("try again later", None),
        ("", None),
    ],
)
def test_a_suggested_back_off_is_read_in_its_unit_and_bounded(text: str, pause: timedelta | None) -> None:
    assert suggested_pause(text) == pause


def test_over_quota_is_a_full_mailbox_only_for_what_is_written_into_it() -> None:
    text = "[OVERQUOTA] Account exceeded command or bandwidth limits."
    assert isinstance(refusal(text), Throttled)
    assert isinstance(refusal(text, is_writing=True), Refused)
    assert isinstance(refusal("[THROTTLED] later", is_writing=True), Throttled)
    assert isinstance(refusal("[NONEXISTENT] no such mailbox"), Refused)


def test_a_goodbye_says_whether_it_passes() -> None:
    assert isinstance(goodbye("Maximum number of connections exceeded"), Throttled)
    for text in ("Server shutting down.", "Autologout; idle for too long", "[UNAVAILABLE] backend away"):
        assert is_for_now(text) and goodbye(text).code == "imap_bye_for_now"
    assert goodbye("FETCH failed: Internal error occurred.").code == "imap_bye"


def test_a_pause_survives_the_way_between_processes() -> None:
    again = pickle.loads(pickle.dumps(Throttled("x", pause=timedelta(seconds=3), code="imap_bye")))
    assert (again.message, again.pause, again.code) == ("x", timedelta(seconds=3), "imap_bye")


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("imap.gmail.com refused the sign-in: [AUTHENTICATIONFAILED] Invalid credentials (Failure)", "app_password"),
        ("imap.gmail.com refused the sign-in: [ALERT] Your account is not enabled for IMAP use.", "imap_off"),
        ("imap.gmail.com refused the sign-in: [ALERT] Please log in via your web browser", "browser"),
        ("imap.gmail.com refused the sign-in: [ALERT] Application-specific password required", "app_password"),
        (
            "imap.yandex.ru refused the sign-in: [AUTHENTICATIONFAILED] invalid credentials or IMAP is disabled",
            "app_password_or_imap_off",
        ),
        ("imap.yandex.com.tr refused the sign-in: LOGIN failed", "app_password_or_imap_off"),
        ("imap.mail.ru refused the sign-in: NEOBHODIM parol prilozheniya", "app_password"),
        ("imap.mail.ru refused the sign-in: [AUTHENTICATIONFAILED] Authentication failed.", "app_password"),
        ("imap.mail.me.com refused the sign-in: [AUTHENTICATIONFAILED] Authentication Failed", "app_password"),
        ("outlook.office365.com refused the sign-in: LOGIN failed.", "oauth"),
        ("mail.example refused the sign-in: [EXPIRED] changed yearly", "expired"),
        ("mail.example refused the sign-in: [AUTHENTICATIONFAILED] no", ""),
        ("imap.gmail.com.example refused the sign-in: no", ""),
        ("home.com refused the sign-in: no", ""),
    ],
)
def test_a_refused_sign_in_says_what_to_do_at_the_known_providers(said: str, what: str) -> None:
    assert advice(said) == what


def test_pauses_grow_and_after_a_connection_that_lasted_grow_from_one_again() -> None:
    pauses, cut = Pauses(), Unavailable("imap_lost", "cut")
    means = [pauses.after(cut, lasted_s=0.1) for _ in range(9)]
    for n, seconds in enumerate(means):
        assert 0.5 * min(2**n, 120) <= seconds <= 1.5 * min(2**n, 120)
    for n in range(3):
        again = pauses.after(cut, lasted_s=LASTED_S if n == 0 else 0.1)
        assert 0.5 * 2**n <= again <= 1.5 * 2**n * FIRST_PAUSE_S


def test_a_pause_is_never_shorter_than_the_server_suggests() -> None:
    pauses = Pauses()
    told = Throttled("slow down", pause=timedelta(seconds=300))
    assert all(300 <= pauses.after(told, lasted_s=100) <= 330 for _ in range(50))
    unclear = Throttled("?", pause=timedelta(minutes=2), code="imap_unclear")
    seconds = [pauses.after(unclear, lasted_s=0) for _ in range(8)]
    assert seconds[0] >= 120 and max(seconds) > 1500
