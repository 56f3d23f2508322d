"""A batch of messages placed at once: the same threads as one after the other, and subjects only with care."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Conflict, HubError, NotFound, Unavailable
from hub.mail.intake.threads import Letter, Talk, place_all, subject_key

T0 = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ANNA, BORIS = frozenset({"anna@a.test"}), frozenset({"boris@b.test"})


def letter(
    own: str = "",
    answers: str = "",
    refs: str = "",
    *,
    subject: str = "Поставка насосов",
    at: datetime = T0,
    parties: frozenset[str] = ANNA,
    client_id: int | None = None,
    is_new: bool = True,
) -> Letter:
    return Letter(
        message_id=own,
        in_reply_to=answers,
        references=tuple(refs.split()),
        subject=subject,
        at=at,
        parties=parties,
        client_id=client_id,
        is_new=is_new,
    )


class Mailbox:
    """Threads as they are stored between batches."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.of: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def put(self, batch: Sequence[Letter]) -> None:
        plan = place_all(batch, known=self.known, talks={})
        new = {thread: next(self._numbers) for thread in dict.fromkeys(plan.threads) if thread < 0}
        moved = {gone: new.get(plan.now(gone), plan.now(gone)) for gone in plan.moved if gone > 0}
        for ids in (self.known, self.of):
            ids.update({one: moved[thread] for one, thread in ids.items() if thread in moved})
        for one, thread in plan.claims.items():
            assert one not in self.known
            self.known[one] = new.get(thread, thread)
        for one, thread in zip(batch, plan.threads, strict=True):
            self.of[one.message_id] = new.get(thread, thread)

    def groups(self) -> set[frozenset[str]]:
        return {frozenset(o for o, t in self.of.items() if t == thread) for thread in self.of.values()}


CONVERSATION = [
    letter("<a>"),
    letter("<b>", "<a>"),
    letter("<c>", "<b>", "<a> <b>"),
    letter("<d>", "<c>"),
    letter("<x>"),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_answers_within_one_batch_are_one_thread_in_whatever_order_they_stand(order: tuple[int, ...]) -> None:
    for cut in range(6):
        box = Mailbox()
        ordered = [CONVERSATION[n] for n in order]
        box.put(ordered[:cut])
        box.put(ordered[cut:])
        assert box.groups() == {frozenset({"<a>", "<b>", "<c>", "<d>"}), frozenset({"<x>"})}


IDS = st.sampled_from(["<1>", "<2>", "<3>", "<4>", "<5>", "<6>"])


@given(
    st.lists(st.tuples(IDS, st.one_of(st.just(""), IDS)), max_size=8, unique_by=lambda one: one[0]), st.integers(0, 8)
)
def test_a_batch_gives_the_threads_that_its_messages_give_one_by_one(found: list[tuple[str, str]], cut: int) -> None:
    letters = [letter(own, answers) for own, answers in found]
    together, alone = Mailbox(), Mailbox()
    together.put(letters[:cut])
    together.put(letters[cut:])
    for one in letters:
        alone.put([one])
    assert together.groups() == alone.groups()


def placed(answer: Letter, *talks: Talk) -> int:
    plan = place_all([answer], known={}, talks={subject_key(answer.subject): talks})
    return plan.threads[0]


OURS = Talk(7, ANNA, None, T0 - timedelta(days=2))
RE = "Re: Поставка насосов"


def test_an_answer_whose_ids_were_rewritten_finds_its_thread_by_subject_and_party() -> None:
    assert placed(letter("<r>", "<rewritten@provider>", subject=RE), OURS) == 7
    assert placed(letter("<r>", subject="RE:  поставка НАСОСОВ"), OURS) == 7
    of_client = Talk(8, frozenset({"other@a.test"}), 5, T0)
    assert placed(letter("<r>", subject=RE, client_id=5), of_client) == 8


@pytest.mark.parametrize(
    "answer",
    [
        letter("<n>", subject="Поставка насосов"),
        letter("<f>", subject="Fwd: Поставка насосов"),
        letter("<r>", subject=RE, parties=BORIS),
        letter("<r>", subject=RE, at=T0 + timedelta(days=40)),
        letter("<r>", "<not-seen-yet>", subject=RE, is_new=False),
    ],
    ids=["no answer", "a forward", "another party", "too late", "history whose ancestor may still come"],
)
def test_a_subject_alone_joins_nothing(answer: Letter) -> None:
    assert placed(answer, OURS) < 0


def test_a_subject_never_joins_two_clients_even_from_one_address() -> None:
    assert placed(letter("<r>", subject=RE, client_id=1), Talk(7, ANNA, 2, T0)) < 0


def test_a_known_id_goes_before_any_subject() -> None:
    answer = letter("<r>", "<known>", subject=RE)
    assert place_all([answer], known={"<known>": 3}, talks={subject_key(RE): [OURS]}).threads == [3]


def test_an_answer_finds_its_thread_by_subject_within_its_batch() -> None:
    batch = [letter("<a>"), letter("<b>", parties=BORIS), letter("", subject=RE), letter("", subject=RE, parties=BORIS)]
    threads = place_all(batch, known={}, talks={}).threads
    assert threads[0] == threads[2]
    assert threads[1] == threads[3]
    assert threads[0] != threads[1]


@pytest.mark.parametrize("subject", ["", "Re:", "Re: счёт", "Re: Hello", "Re: 12345678", "Re: абв", "re: Добрый день!"])
def test_a_subject_that_says_nothing_has_no_key(subject: str) -> None:
    assert subject_key(subject) == ""


def test_the_keys_of_a_subject_and_its_answers_are_one() -> None:
    assert subject_key("Поставка насосов") == subject_key("Re[2]: Ответ: поставка  Насосов") != ""
    assert subject_key("Поставка насосов 15") != subject_key("Поставка насосов 16")


@pytest.mark.parametrize("kind", [HubError, NotFound, Conflict, Unavailable])
def test_an_error_comes_through_between_processes_as_it_was(kind: type[HubError]) -> None:
    again = pickle.loads(pickle.dumps(kind("disk", "cannot store bytes", sha256="x")))
    assert (type(again), again.code, str(again), again.details) == (kind, "disk", "cannot store bytes", {"sha256": "x"})
