"""Each recorded stream, replayed whole, is told as what happened on the phones (tests/data/ami/expected.toml)."""

from __future__ import annotations

import pytest

from tests.testbed import older
from tests.unit.ami_script import read_stream
from tests.unit.test_tracker_streams import STREAMS
from tests.unit.told import EXPECTED, FOLDER, differences


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_happened_on_the_phones_is_what_is_told(name: str) -> None:
    assert differences(name, read_stream(FOLDER / f"{name}.txt")) == []


def test_streams_of_older_asterisks_are_what_the_script_writes() -> None:
    made = older.streams()
    assert {name: (FOLDER / f"{name}.txt").read_bytes() == stream for name, stream in made.items()} == dict.fromkeys(
        made, True
    )


def test_every_recorded_stream_has_its_expectation() -> None:
    told_elsewhere = {"two-party-calls"}
    assert {path.name.split(".")[0] for path in STREAMS} - told_elsewhere == set(EXPECTED)
