"""What answers of real servers mean: for good or for now, why, and when to try again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.mail.sending.pace import Pace
from hub.mail.sending.providers import habits_of, look_after, wait_for_turn
from hub.mail.sending.verdicts import RETRY_AFTER, judge, status_of, wait_before
from tests.integration.test_outbox import T0


@pytest.mark.parametrize(
    ("code", "text", "is_final", "why"),
    [
        (450, "4.2.0 <a@x>: Recipient address rejected: Greylisted", False, "greylisted"),
        (451, "4.7.1 Greylisting in action, please come back later", False, "greylisted"),
        (451, "4.7.1 Service unavailable - try again later", False, "greylisted"),
        (421, "4.7.0 Too many connections from your host", False, "too_fast"),
        (432, "4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", False, "too_fast"),
        (452, "4.5.3 Too many recipients", False, "too_fast"),
        (552, "Too many recipients", False, "too_fast"),
        (452, "4.2.2 The email account that you tried to reach is over quota", False, "mailbox_full"),
        (552, "5.2.2 Mailbox full", True, "mailbox_full"),
        (552, "5.3.4 Message size exceeds fixed limit", True, "too_large"),
        (552, "message too large", True, "too_large"),
        (550, "5.1.1 The email account that you tried to reach does not exist", True, "no_such_address"),
        (550, "No such user", True, "no_such_address"),
        (554, "5.7.1 Message rejected under suspicion of SPAM", True, "spam"),
        (550, "5.7.26 This mail has been blocked because the sender is unauthenticated", True, "policy"),
        (550, "5.7.1 Relaying denied", True, "policy"),
        (550, "5.4.5 Daily user sending limit exceeded", False, "daily_limit"),
        (535, "5.7.8 Username and Password not accepted", False, "sign_in"),
        (530, "5.7.0 Authentication Required", False, "sign_in"),
        (553, "5.1.8 Sender address rejected", True, "sender"),
        (451, "4.4.1 No answer from host", False, "routing"),
        (554, "Transaction failed", True, "other"),
        (451, "Requested action aborted", False, "other"),
    ],
)
def test_an_answer_is_understood_by_code_status_and_words(code: int, text: str, is_final: bool, why: str) -> None:
    verdict = judge(code, text)
    assert (verdict.is_final, verdict.why) == (is_final, why)


def test_a_status_is_read_only_where_it_stands_first() -> None:
    assert status_of("5.7.1 no") == "5.7.1"
    assert status_of("#4.2.2 full") == "4.2.2"
    assert status_of("we run version 5.1.3") == "" and status_of("3.1.1 x") == "" and status_of("5.1") == ""


def test_waits_grow_end_after_two_days_and_jitter_only_shortens() -> None:
    whys = ("greylisted", "too_fast", "mailbox_full", "daily_limit", "policy", "other")
    for why in whys:
        waits = []
        while (wait := wait_before(len(waits) + 1, why, jitter=0)) is not None:
            waits.append(wait)
        assert waits == sorted(waits)
        assert timedelta(hours=44) < sum(waits, timedelta()) < timedelta(hours=52), why
        for attempt, wait in enumerate(waits, 1):
            shorter = wait_before(attempt, why, jitter=1)
            assert shorter is not None and wait * 0.79 < shorter < wait
    assert wait_before(1, "other", jitter=0) == RETRY_AFTER[0] == timedelta(minutes=1)
    assert wait_before(1, "mailbox_full", jitter=0) == timedelta(minutes=30)


def test_a_minute_sees_no_more_than_the_limit() -> None:
    pace = Pace()
    assert pace.room(T0) is None
    pace.sends_per_min = 3
    pace.began(2, T0)
    assert pace.room(T0) == 1
    pace.began(1, T0 + timedelta(seconds=20))
    assert pace.room(T0 + timedelta(seconds=59)) == 0
    assert pace.opens_at(T0 + timedelta(seconds=30)) == T0 + timedelta(seconds=60)
    assert pace.room(T0 + timedelta(seconds=60)) == 2
    pace.gave_back(1)
    assert pace.room(T0 + timedelta(seconds=60)) == 3


def test_a_refused_line_rests_longer_each_time_until_one_works() -> None:
    pace = Pace()
    first = pace.line_failed(T0, is_sign_in=True)
    assert first == T0 + timedelta(minutes=5) and pace.room(T0 + timedelta(minutes=4)) == 0
    assert pace.room(first) is None
    assert pace.line_failed(first, is_sign_in=True) == first + timedelta(minutes=15)
    pace.line_works()
    assert pace.line_failed(T0, is_sign_in=False) == T0 + timedelta(seconds=15)


def test_what_large_providers_do_is_known_and_nothing_is_assumed_of_others() -> None:
    assert habits_of("smtp.gmail.com").files_copies and habits_of("SMTP.Office365.com.").sends_per_min == 30
    assert not habits_of("notgmail.com").files_copies and habits_of("mail.example").sends_per_min == 0
    assert look_after(files_copies=False) == timedelta(0) < look_after(files_copies=True)
    assert wait_for_turn(65, sends_per_min=30) == timedelta(minutes=2) and not wait_for_turn(9, sends_per_min=0)
