"""What speaks against a sender, and where an answer goes."""

from __future__ import annotations

from typing import Any

import pytest

from hub.mail.sender_signs import Warned, answer_to, signs


def told(**about: Any) -> set[tuple[str, str]]:
    given: dict[str, Any] = {"from_name": "Ирина", "from_address": "irina@romashka.ru", "reply_to": [], "defects": ()}
    given |= {"own_addresses": {"sales@hub.test"}, "known_domains": {"hub.test", "romashka.ru"}}
    return {(one.sign, one.what) for one in signs(**given | about)}


def test_a_plain_sender_has_no_sign() -> None:
    assert told() == set()
    assert told(reply_to=[{"name": "", "address": "answers@mail.romashka.ru"}]) == set(), (
        "a subdomain is the same house"
    )
    assert told(from_address="ivan@ромашка.рф") == set(), "one alphabet, and like nobody"
    assert told(from_name="irina@romashka.ru") == set()


@pytest.mark.parametrize(
    "domain",
    [
        "rоmаshka.ru",
        "rornashka.ru",
        "r0mashka.ru",
        "rоmаshka.ru".encode("idna").decode(),
        "romash-ka.ru",
        "rómashka.ru",
    ],
)
def test_a_domain_that_looks_like_a_known_one_names_it(domain: str) -> None:
    assert told(from_address=f"irina@{domain}") == {("looks_like", "romashka.ru")}


def test_a_label_of_two_alphabets_is_told_even_when_it_looks_like_nobody() -> None:
    assert told(from_address="a@sбербанк.ru") == {("mixed_script", "sбербанк.ru")}


def test_an_address_in_the_name_that_is_not_the_senders() -> None:
    assert told(from_name="boss@romashka.ru") == {("name_is_address", "boss@romashka.ru")}


def test_an_answer_that_would_go_to_another_house() -> None:
    reply = [{"name": "Ирина", "address": "irina@evil.example"}]
    assert told(reply_to=reply) == {("reply_elsewhere", "irina@evil.example")}
    assert answer_to("in", "irina@romashka.ru", reply, []) == "irina@evil.example"
    assert answer_to("in", "irina@romashka.ru", [{"name": "x", "address": ""}], []) == "irina@romashka.ru"
    assert answer_to("out", "sales@hub.test", [], [{"name": "", "address": "irina@romashka.ru"}]) == "irina@romashka.ru"
    assert answer_to("out", "sales@hub.test", [], []) == ""


def test_several_senders_and_one_of_our_own_mailboxes() -> None:
    assert told(from_address="Sales@hub.test", defects=("several_from",)) == {
        ("says_us", "Sales@hub.test"),
        ("several_from", "Sales@hub.test"),
    }


def test_no_address_at_all_is_no_crash() -> None:
    assert signs(from_name="", from_address="", reply_to=[], defects=(), own_addresses=(), known_domains=("",)) == ()
    assert Warned("says_us", "x").what == "x"
