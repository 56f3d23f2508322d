"""The sliding limit: exact at its edges, bounded in memory."""

from __future__ import annotations

from datetime import timedelta

from hub.web.limits import SlidingLimit


def test_a_key_waits_until_its_first_try_is_out_of_the_window() -> None:
    limit = SlidingLimit(3, timedelta(seconds=60))
    for now_s in (0.0, 10.0, 20.0):
        assert limit.wait_s("a", now_s=now_s) == 0
        limit.note("a", now_s=now_s)
    assert limit.wait_s("a", now_s=25.0) == 35.0
    assert limit.wait_s("b", now_s=25.0) == 0
    assert limit.wait_s("a", now_s=60.0) == 0
    limit.note("a", now_s=60.0)
    assert limit.wait_s("a", now_s=61.0) == 9.0


def test_a_right_password_forgives_what_went_before() -> None:
    limit = SlidingLimit(1, timedelta(seconds=60))
    limit.note("a", now_s=0.0)
    limit.forgive("a")
    assert limit.wait_s("a", now_s=1.0) == 0


def test_endless_keys_do_not_fill_the_memory() -> None:
    limit = SlidingLimit(1, timedelta(seconds=60), max_keys=100)
    for n in range(10_000):
        limit.note(str(n), now_s=0.0)
    assert limit.wait_s("9999", now_s=1.0) > 0
    assert limit.wait_s("0", now_s=1.0) == 0
