"""One-time passwords by time: the vectors of the RFC, the drift of clocks, and what is no code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.crm import totp

SECRET = b"12345678901234567890"
NOW = datetime(2026, 11, 24, 9, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    """Appendix B, SHA-1; its codes have eight digits, of which these are the last six."""
    assert totp.code_at(SECRET, totp.step_at(datetime.fromtimestamp(seconds, UTC))) == code


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off_and_no_more(steps: int, taken: bool) -> None:
    there = NOW + timedelta(seconds=steps * totp.STEP_S)
    step = totp.step_of(SECRET, totp.code_at(SECRET, totp.step_at(there)), now=NOW)
    assert step == (totp.step_at(there) if taken else None)


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12345a", "１２３４５６", "-12345", " 12345"])
def test_what_is_no_code_belongs_to_no_step(typed: str) -> None:
    assert totp.step_of(SECRET, typed, now=NOW) is None


def test_a_secret_comes_back_from_its_text_and_stands_in_the_qr_code() -> None:
    for size in (10, 16, 20, 32):
        assert totp.read(totp.written(bytes(range(size)))) == bytes(range(size))
    found = urlsplit(totp.uri(SECRET, account="анна+1@hub.test", issuer="Hub"))
    assert (found.scheme, found.netloc) == ("otpauth", "totp")
    assert parse_qs(found.query) == {"secret": [totp.written(SECRET)], "issuer": ["Hub"]}
