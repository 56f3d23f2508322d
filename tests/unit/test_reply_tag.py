"""Hub's mark in its Message-IDs: made, known again, forged."""

from __future__ import annotations

from uuid import UUID

import pytest

from hub.mail.intake.reply_tag import answered, genuine, tagged_address, tagged_id

KEY, OTHER = b"k" * 32, b"o" * 32
ONE, TWO = UUID(int=1), UUID(int=2)
OURS = frozenset({"hub.test"})
ID = tagged_id(KEY, ONE, "Hub.test")


def test_an_id_that_hub_made_is_genuine_and_fits_a_header() -> None:
    assert genuine(KEY, [ID], own_domains=OURS) == (ID,)
    assert ID.isascii()
    assert len(ID) < 100


@pytest.mark.parametrize(
    "forged",
    [
        tagged_id(OTHER, ONE, "hub.test"),
        ID.replace(ONE.hex, TWO.hex),
        ID.replace(".hub@", "0.hub@")[:34] + "0" * 16 + ".hub@hub.test>",
        tagged_id(KEY, ONE, "other.test").replace("other.test", "hub.test"),
    ],
)
def test_a_forged_id_is_nobodys(forged: str) -> None:
    assert genuine(KEY, [forged, "<a@b>"], own_domains=OURS) == ("<a@b>",)


def test_the_ids_of_others_and_of_another_hub_are_left_as_they_are() -> None:
    theirs = ("<a@b>", tagged_id(OTHER, ONE, "another.test"), "<uuid@hub.test>")
    assert genuine(KEY, theirs, own_domains=OURS) == theirs


def test_an_answer_to_a_tagged_address_names_the_message_it_answers() -> None:
    address = tagged_address(KEY, ONE, "sales@hub.test")
    assert len(address.partition("@")[0]) <= 64
    assert answered(KEY, ["x@y", address.upper()]) == (ID,)
    assert answered(KEY, [tagged_address(OTHER, ONE, "sales@hub.test"), "sales+news@hub.test"]) == ()
