"""Choices stand in one place: their words are those of the code's own types, and each is named and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from hub.crm import leads, models, presence, queue
from hub.crm.base.choices import Choices, Option
from hub.crm.choices import LeadReason, LeadState, PresenceState, QueueKind, QueueState, SaidState
from hub.mail.choices import SendFailure
from hub.mail.sending import verdicts
from hub.telephony.choices import (
    CallDirection,
    CallOutcome,
    CallState,
    CallTitle,
    LegResult,
    PhoneState,
    title_of,
)
from hub.telephony.presence import presence as phone_presence
from hub.telephony.tracking import calls
from hub.web.jinja_env import CHOICES


@pytest.mark.parametrize(
    ("choice", "literal"),
    [
        (CallDirection, calls.Direction),
        (CallState, calls.State),
        (CallOutcome, calls.Outcome),
        (LegResult, calls.LegResult),
        (LeadReason, leads.LeadReason),
        (QueueKind, queue.Kind),
        (QueueState, queue.State),
        (PresenceState, presence.State),
        (SaidState, presence.SaidState),
        (PhoneState, phone_presence.PhoneState),
        (SendFailure, verdicts.Why),
    ],
)
def test_the_words_of_a_choice_are_those_of_the_type_that_the_code_decides_with(
    choice: type[Choices], literal: Any
) -> None:
    assert set(choice.words()) == set(get_args(literal))


def test_a_member_is_its_word_and_goes_over_the_wire_as_it() -> None:
    assert LeadState.OPEN == "open"
    assert f"{LeadState.OPEN}" == "open"
    assert msgspec.json.encode({"state": LeadState.OPEN}) == b'{"state":"open"}'
    assert msgspec.convert("closed", LeadState) is LeadState.CLOSED
    with pytest.raises(msgspec.ValidationError, match="shut"):
        msgspec.convert("shut", LeadState)
    assert LeadState.options()[0] == Option("open", "Open lead", "target", "accent")


def test_a_table_takes_the_words_of_its_choice_and_no_other() -> None:
    texts = {str(one.sqltext) for one in models.leads.constraints if hasattr(one, "sqltext")}
    assert texts == {"state IN ('open', 'converted', 'closed')", "reason IN ('new', 'callback')"}


def test_every_choice_has_a_name_for_each_word() -> None:
    assert len(CHOICES) > 10
    assert [f"{name}.{one}" for name, choice in CHOICES.items() for one in choice if not one.label] == []


@pytest.mark.parametrize("direction", CallDirection.words())
@pytest.mark.parametrize("state", CallState.words())
@pytest.mark.parametrize("outcome", [None, *CallOutcome.words()])
def test_every_call_has_a_title_with_an_icon(direction: str, state: str, outcome: str | None) -> None:
    title = title_of(direction, state, outcome)
    assert title.icon
    assert isinstance(title, CallState) == (state != "ended")
    if state == "ended":
        assert title.value.startswith(direction)
        assert (title.value.endswith("_answered")) == (outcome == "answered")


def test_a_call_that_nobody_took_is_told_as_missed() -> None:
    assert title_of("inbound", "ended", "failed") is CallTitle.INBOUND_MISSED
    assert title_of("outbound", "ended", None) is CallTitle.OUTBOUND_MISSED
    assert title_of("internal", "ended", "busy") is CallTitle.INTERNAL_MISSED


def test_every_icon_of_a_choice_is_drawn() -> None:
    drawn = set((Path(__file__).parents[2] / "assets/icons.txt").read_text().split())
    assert [
        f"{name}.{one}" for name, choice in CHOICES.items() for one in choice if one.icon and one.icon not in drawn
    ] == []
