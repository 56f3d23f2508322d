"""The menu and the search box: who is offered what, and words typed in the wrong keyboard layout."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.crm.access import Actor
from hub.web import menu, palette
from hub.web.i18n import translator

ANNA = Actor(5, "Анна Иванова", "anna@hub.test", "manager", frozenset({1}), "101", "ru")
OLGA = Actor(1, "Ольга Соколова", "olga@hub.test", "admin", frozenset(), None, "ru")


def hrefs(actor: Actor) -> set[str]:
    return {one.href for one in palette.go(actor)}


def test_a_manager_is_offered_no_page_of_the_administrator() -> None:
    assert {"/mailboxes", "/admin/teams", "/admin/blocked"} & hrefs(ANNA) == set()
    assert hrefs(ANNA) < hrefs(OLGA)


def test_the_menu_leads_to_the_contacts() -> None:
    assert {"/clients", "/contacts"} < hrefs(ANNA)


def test_who_may_have_a_mailbox_of_their_own_is_offered_its_page() -> None:
    assert "/me/mailbox" not in hrefs(ANNA)
    assert "/me/mailbox" in hrefs(replace(ANNA, privileges=frozenset({"own_mailbox"})))


def test_an_entry_with_an_inner_menu_leads_to_the_first_page_that_one_may_see() -> None:
    (company,) = [group for group in menu.groups_for(ANNA) if group.title == "Company"]
    assert [entry.href for entry in company.entries] == ["/wallboard", "/templates", "/help"]
    assert menu.inner_for(ANNA, "drafts")[0].section == "messages"
    assert menu.inner_for(ANNA, "clients") == ()


@pytest.mark.parametrize("typed", ["клиен", "КЛИ", "rkbty"])
def test_a_page_is_found_by_the_beginning_of_its_name_in_either_layout(typed: str) -> None:
    found = palette.fitting(tuple(palette.go(ANNA)), typed, translator("ru").gettext)
    assert [one.href for one in found] == ["/clients"]


def test_words_that_no_page_bears_find_none_and_no_words_find_all() -> None:
    say = translator("ru").gettext
    assert palette.fitting(palette.DO, "ромашка", say) == []
    assert palette.fitting(palette.DO, "", say) == list(palette.DO)
    assert palette.swapped("hjvfirf") == "ромашка"
