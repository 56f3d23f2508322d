"""Where a caller goes: one decision from facts, in the one order there is, with a reason for every step."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.crm.blocking import Block, caller
from hub.crm.hours import Holiday
from hub.crm.rules import TeamRules
from hub.telephony.routing.routing import STEPS, Decision, Facts, Owner, Target, answer_line, decide

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday
RULES = TeamRules(time_zone="UTC", personal_s=15, overflow_team_id=2, overflow_s=60, when_tired="callback")
ANNA = Owner("Анна", "101", "available")


def facts(**changed: Any) -> Facts:
    plain: dict[str, Any] = {
        "caller": caller("84951234567", "RU"),
        "blocks": (),
        "rules": RULES,
        "team": Target("sales", "hub-sales"),
        "client": "Ромашка",
        "owner": ANNA,
        "overflow": Target("support", "hub-support"),
        "now": NOON,
        "zone": UTC,
    }
    return Facts(**plain | changed)


def rules(**changed: Any) -> TeamRules:
    return TeamRules(**{name: getattr(RULES, name) for name in TeamRules.__struct_fields__} | changed)


CLOSED = {"thu": (("09:00", "18:00"),)}
BLOCK = Block(7, "number", "+74951234567", "", NOON)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "hub:open:101:15:hub-support:60:callback:no:end"),
        ({"blocks": [BLOCK]}, "hub:blocked:-:0:-:0:fallback:no:end"),
        ({"rules": rules(hours=CLOSED, when_closed="voicemail")}, "hub:closed:-:0:-:0:voicemail:no:end"),
        ({"blocks": [BLOCK], "rules": rules(hours=CLOSED)}, "hub:blocked:-:0:-:0:fallback:no:end"),
        ({"rules": rules(holidays=(Holiday(date="2026-11-25"),))}, "hub:closed:-:0:-:0:fallback:no:end"),
        ({"rules": rules(record_calls=True)}, "hub:open:101:15:hub-support:60:callback:yes:end"),
        ({"rules": rules(personal_s=0)}, "hub:open:-:0:hub-support:60:callback:no:end"),
        ({"owner": None}, "hub:open:-:0:hub-support:60:callback:no:end"),
        ({"overflow": None}, "hub:open:101:15:-:0:callback:no:end"),
        ({"rules": TeamRules()}, "hub:open:-:0:-:0:fallback:no:end"),
    ],
)
def test_each_rule_shows_in_the_line_the_dialplan_reads(changed: dict[str, Any], line: str) -> None:
    assert answer_line(decide(facts(**changed))) == line


@pytest.mark.parametrize("state", ["away", "dnd", "after_call", "busy", "offline", "no_phone"])
def test_a_manager_who_cannot_take_it_is_not_rung(state: Any) -> None:
    decision = decide(facts(owner=replace(ANNA, state=state)))
    assert decision.personal is None
    assert why(decision, "personal") == state


def test_a_stranger_rings_nobody_first() -> None:
    decision = decide(facts(client="", owner=None))
    assert (decision.personal, why(decision, "personal")) == (None, "stranger")


def test_hours_come_before_the_personal_manager() -> None:
    """The most reported complaint: the manager's phone rings on a holiday."""
    decision = decide(facts(rules=rules(hours=CLOSED)))
    assert decision.personal is None
    assert [step.name for step in decision.steps] == ["blacklist", "hours", "last"]


def test_a_caller_without_a_number_is_told_to_have_none_to_call_back() -> None:
    decision = decide(facts(caller=caller("anonymous", "RU"), client="", owner=None))
    assert why(decision, "last") == "no_number"


def why(decision: Decision, name: str) -> str:
    return next(step.why for step in decision.steps if step.name == name)


hostile = st.text(max_size=30) | st.sampled_from(["101&PJSIP/102", "1\n2", "a,b", "x)", "${SHELL(id)}", "hub:end", ""])
anything = st.builds(
    Facts,
    caller=st.builds(caller, hostile, st.just("RU"), presentation=hostile),
    blocks=st.lists(
        st.builds(
            Block,
            st.just(1),
            st.sampled_from(["number", "pattern", "hidden"]),
            st.text("0123456789*?+", max_size=8),
            st.just(""),
            st.just(NOON),
        ),
        max_size=2,
    ),
    rules=st.builds(
        TeamRules,
        hours=st.sampled_from([{}, CLOSED, {"wed": (("11:00", "13:00"),)}]),
        personal_s=st.integers(0, 120),
        overflow_team_id=st.none() | st.just(2),
        overflow_s=st.integers(0, 3600),
        when_closed=st.sampled_from(["fallback", "callback", "voicemail"]),
        when_tired=st.sampled_from(["fallback", "callback", "voicemail"]),
        record_calls=st.booleans(),
    ),
    team=st.builds(Target, hostile, hostile),
    client=hostile,
    owner=st.none() | st.builds(Owner, hostile, st.none() | hostile, st.sampled_from(["available", "busy", "dnd"])),
    overflow=st.none() | st.builds(Target, hostile, hostile),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    zone=st.just(UTC),
)


@given(anything)
def test_whatever_the_facts_the_order_is_one_and_no_step_comes_twice(given_facts: Facts) -> None:
    decision = decide(given_facts)
    places = [STEPS.index(step.name) for step in decision.steps]
    assert places == sorted(set(places))
    taken = {step.name for step in decision.steps if step.is_taken}
    if decision.verdict != "open":
        assert (decision.personal, decision.overflow) == (None, None)
        assert taken & {"personal", "team", "overflow"} == set()
    else:
        assert {"team", "last"} <= taken and [step.name for step in decision.steps] == list(STEPS)


@given(anything)
def test_whatever_the_facts_the_line_holds_nine_plain_words(given_facts: Facts) -> None:
    line = answer_line(decide(given_facts))
    assert re.fullmatch(
        r"hub:(open|closed|blocked):(-|[0-9]{1,10}):[0-9]{1,3}:(-|[A-Za-z0-9][A-Za-z0-9._-]{0,62}):[0-9]{1,4}"
        r":(fallback|callback|voicemail):(yes|no):end",
        line,
    )
