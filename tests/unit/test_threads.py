"""Conversations as mailboxes show them: answers in any order, ghosts, forwards, forgeries."""

from __future__ import annotations

import itertools

import pytest

from hub.mail.intake.threads import Placed, base_subject, place, reply_subject


class Mailbox:
    """Threads as the intake keeps them: ids to thread numbers."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.of: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def put(self, own: str, *, answers: str = "", refs: str = "", subject: str = "Счёт") -> Placed:
        placed = place(
            message_id=own,
            in_reply_to=answers,
            references=tuple(refs.split()),
            subject=subject,
            known=dict(self.known),
        )
        thread = placed.thread_id or next(self._numbers)
        for ids in (self.known, self.of):
            ids.update({one: thread for one, at in ids.items() if at in placed.absorbs})
        for one in placed.claims:
            self.known.setdefault(one, thread)
        self.of[own] = thread
        return placed


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_conversation_is_one_thread_in_whatever_order_it_comes(order: tuple[int, ...]) -> None:
    box = Mailbox()
    conversation = [
        ("<a>", "", ""),
        ("<b>", "<a>", "<a>"),
        ("<c>", "<b>", "<a> <b>"),
        ("<d>", "<c>", "<a> <b> <c>"),
    ]
    for n in order:
        own, answers, refs = conversation[n]
        box.put(own, answers=answers, refs=refs)
    assert len(set(box.of.values())) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_with_only_in_reply_to_a_late_ancestor_joins_what_waited_for_it(order: tuple[int, ...]) -> None:
    box = Mailbox()
    for n in order:
        box.put(*[("<a>",), ("<b>",), ("<c>",)][n], answers=["", "<a>", "<b>"][n])
    assert len(set(box.of.values())) == 1


def test_two_answers_to_a_message_never_seen_stand_together() -> None:
    box = Mailbox()
    box.put("<b>", answers="<ghost>")
    box.put("<c>", refs="<ghost>")
    assert box.of["<b>"] == box.of["<c>"]


def test_the_same_subject_never_joins() -> None:
    box = Mailbox()
    box.put("<a>", subject="Счёт № 15")
    box.put("<b>", subject="Re: Счёт № 15")
    assert box.of["<a>"] != box.of["<b>"]


def test_a_forward_is_a_thread_of_its_own_and_its_answers_follow_it() -> None:
    box = Mailbox()
    box.put("<a>")
    box.put("<f>", refs="<a>", subject="Fwd: Счёт")
    box.put("<r>", answers="<f>", refs="<a> <f>", subject="Re: Fwd: Счёт")
    assert box.of["<f>"] == box.of["<r>"] != box.of["<a>"]


def test_naming_two_threads_does_not_join_them() -> None:
    box = Mailbox()
    box.put("<a>")
    box.put("<b>")
    placed = box.put("<evil>", answers="<b>", refs="<a> <b>")
    assert (box.of["<evil>"], placed.absorbs) == (box.of["<b>"], ())
    assert box.of["<a>"] != box.of["<b>"]


def test_a_message_without_an_id_or_that_answers_itself_is_placed() -> None:
    assert place(message_id="", in_reply_to="", references=(), subject="", known={}) == Placed(None, ())
    assert place(message_id="<a>", in_reply_to="<a>", references=("<a>",), subject="", known={}) == Placed(
        None, ("<a>",)
    )


@pytest.mark.parametrize(
    ("subject", "base"),
    [
        ("Re: Re[2]: FW: Счёт", "Счёт"),
        ("Ответ: Пересл: Счёт", "Счёт"),
        ("Реклама: новая", "Реклама: новая"),
        ("re:re:re:", ""),
        ("Refund: yes", "Refund: yes"),
    ],
)
def test_the_subject_of_an_answer_has_one_re(subject: str, base: str) -> None:
    assert base_subject(subject) == base
    assert reply_subject(subject) == f"Re: {base}".strip()
