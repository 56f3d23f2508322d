"""Which folders are read: by the server's marks, by usual names in three languages, by the operator's word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.mail.imap.asking import Folder
from hub.mail.sync.choice import Problem, choose, roles_of, sent_folder_of


def folder(name: str, use: str = "", *, delimiter: str = "/", selectable: bool = True) -> Folder:
    return Folder(name, use, selectable, delimiter)


INBOX = folder("INBOX")


def names(*folders: Folder, wanted: tuple[str, ...] = ()) -> list[str]:
    return [one.name for one in choose([INBOX, *folders], wanted).folders]


def test_all_that_is_mail_is_read_inbox_and_sent_first() -> None:
    there = [folder("Заказы"), folder("Junk", "junk"), folder("Archive", "archive"), folder("Gone", selectable=False)]
    there += [folder("Gesendet", "sent"), folder("Entwürfe"), folder("[Gmail]/All", "all"), folder("Корзина")]
    assert names(*there) == ["INBOX", "Gesendet", "Archive", "Заказы"]


@pytest.mark.parametrize(
    ("name", "delimiter", "role"),
    [
        ("Отправленные", "/", "sent"),
        ("INBOX.Sent", ".", "sent"),
        ("INBOX/Gesendete Objekte", "/", "sent"),
        ("inbox.sent", "", "sent"),
        ("Черновики", "/", "drafts"),
        ("INBOX.Спам", ".", "junk"),
        ("Gelöschte Elemente", "/", "trash"),
        ("Удалённые", "/", "trash"),
        ("Архив", "|", "archive"),
        ("Sent invoices", "/", "other"),
        ("Presents", "/", "other"),
    ],
)
def test_a_server_that_marks_nothing_is_understood_by_usual_names(name: str, delimiter: str, role: str) -> None:
    assert roles_of([INBOX, folder(name, delimiter=delimiter)])[name] == role


def test_a_mark_goes_before_a_name_and_only_one_folder_is_sent() -> None:
    there = [INBOX, folder("Sent"), folder("Исходящие", "sent"), folder("Old/Sent")]
    assert sent_folder_of(there) == "Исходящие"
    assert roles_of(there) == {"INBOX": "inbox", "Sent": "other", "Исходящие": "sent", "Old/Sent": "other"}
    assert sent_folder_of([folder("Old/2019/Sent"), folder("Sent")]) == "Sent"


def test_a_junk_folder_beside_the_marked_one_is_a_folder_of_its_own() -> None:
    assert names(folder("Spam", "junk"), folder("Projects/Spam")) == ["INBOX", "Projects/Spam"]


def test_the_operators_names_and_patterns_choose_and_an_unknown_one_is_told() -> None:
    there = [folder(name) for name in ("Clients/A", "Clients/B", "Private", 'Odd "q" [x]?*', "Trash")]
    choice = choose([INBOX, *there], ("Clients/*", 'Odd "q" [x]?*', "Kunden"))
    assert [one.name for one in choice.folders] == ["INBOX", "Clients/A", "Clients/B", 'Odd "q" [x]?*']
    assert choice.problems == {"Kunden": Problem("missing", "the server has no such folder")}


def test_what_is_no_mail_is_read_only_by_its_full_name_and_drafts_never() -> None:
    there = [folder("Junk", "junk"), folder("Drafts", "drafts"), folder("Trash", "trash")]
    assert names(*there, wanted=("*",)) == ["INBOX"]
    choice = choose([INBOX, *there], ("Junk", "Drafts"))
    assert [(one.name, one.is_quiet) for one in choice.folders] == [("INBOX", False), ("Junk", True)]
    assert choice.problems == {"Drafts": Problem("drafts", "drafts are not read")}


def test_a_name_too_long_for_the_register_is_a_problem_and_no_stop() -> None:
    choice = choose([INBOX, folder("x" * 600), folder("y")])
    assert [one.name for one in choice.folders] == ["INBOX", "y"]
    assert [one.said for one in choice.problems.values()] == ["its name is longer than 500 characters"]


@given(st.lists(st.text(max_size=12), max_size=8), st.lists(st.text(max_size=8), max_size=4))
def test_inbox_is_always_read_once_whatever_the_server_and_the_operator_say(there: list[str], want: list[str]) -> None:
    chosen = choose([folder(name) for name in there], want).folders
    assert [one.name for one in chosen].count("INBOX") == 1
    assert chosen[0].name == "INBOX"
