"""The driver of the fault tests says why a scenario failed."""

from __future__ import annotations

import pytest

from tests.faults import driver


async def test_a_scenario_that_raises_is_told_in_its_own_words() -> None:
    with pytest.raises(AssertionError, match=r"(?s)operation_runs at point 1: Traceback.*not a database address"):
        async for _ in driver.runs("tests.faults.operation_runs", ["nonsense", "10"], only="operations."):
            pass
