"""What an answer begins with: to whom it goes, and what stands below it; and pictures within a text, as peers read."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.errors import Refused
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import parse
from hub.mail.reading.people import addresses
from hub.mail.sending.compose import MAX_BYTES, OutgoingFile, compose, compose_stream
from hub.mail.sending.replying import (
    Original,
    answer_goes_to,
    subject_of,
    with_original_html,
    with_original_text,
    written,
)
from tests.unit.test_compose import check_wire, with_

OWN = frozenset({"sales@hub.test", "anna@hub.test"})
IVAN, PETR, BOX = Address("Иван", "ivan@r.example"), Address("", "petr@r.example"), Address("", "Sales@hub.test")
AT = datetime(2026, 11, 24, 10, 12, tzinfo=UTC)
MAIL = Original(
    is_ours=False,
    author=IVAN,
    reply_to=(),
    to=(BOX, PETR),
    cc=(Address("", "anna@hub.test"), Address("", "IVAN@r.example"), Address("", "boss@r.example")),
    subject="Re: Счёт",
    text="Добрый день\n> раньше",
    html=None,
    at=AT,
)


def _addresses(people: tuple[Address, ...]) -> list[str]:
    return [one.address for one in people]


@pytest.mark.parametrize(
    ("changes", "everyone", "to", "cc"),
    [
        ({}, False, ["ivan@r.example"], []),
        ({}, True, ["ivan@r.example", "petr@r.example"], ["boss@r.example"]),
        ({"reply_to": (PETR,)}, False, ["petr@r.example"], []),
        ({"reply_to": (PETR,)}, True, ["petr@r.example"], ["IVAN@r.example", "boss@r.example"]),
        ({"is_ours": True}, False, ["petr@r.example"], []),
        ({"is_ours": True}, True, ["petr@r.example"], ["IVAN@r.example", "boss@r.example"]),
        ({"author": BOX, "to": (BOX,), "cc": ()}, True, ["Sales@hub.test"], []),
        ({"author": Address("", ""), "to": (), "cc": ()}, True, [], []),
    ],
)
def test_an_answer_goes_to_whom_its_sender_wants_and_never_to_ourselves(
    changes: dict[str, Any], everyone: bool, to: list[str], cc: list[str]
) -> None:
    found = answer_goes_to(replace(MAIL, **changes), own=OWN, everyone=everyone)
    assert (_addresses(found[0]), _addresses(found[1])) == (to, cc)


@pytest.mark.parametrize("name", ["Иван", 'О"Генри, "Том"', "a\\", "Re; x", "<b@c.example>", "x\r\nBcc: y"])
def test_addresses_written_for_a_person_are_read_back_as_the_same_ones(name: str) -> None:
    line = written([Address(name, "a@b.example"), PETR])
    assert _addresses(addresses([line.encode()])[0]) == ["a@b.example", "petr@r.example"]


def test_an_answer_quotes_below_a_line_in_the_readers_language() -> None:
    ru = with_original_text("Да", MAIL, kind="reply", language="ru")
    assert ru.endswith("Иван <ivan@r.example> пишет:\n> Добрый день\n>> раньше\n") and ru.startswith(
        "Да\n\n24.11.2026 10:12"
    )
    en = with_original_html(
        "<p>Yes</p>", replace(MAIL, author=Address("<b>", "i@r.example")), kind="reply", language="en"
    )
    assert "On 2026-11-24 10:12, &lt;b&gt; &lt;i@r.example&gt; wrote:" in en and "<blockquote" in en


def test_a_forward_says_whose_it_was_and_its_pictures_from_elsewhere_are_its_own_again() -> None:
    html = with_original_html(
        "", replace(MAIL, html='<img data-remote-src="https://x.example/a.png">'), kind="forward", language="ru"
    )
    assert "Пересылаемое сообщение" in html and 'src="https://x.example/a.png"' in html
    assert "Кому: Sales@hub.test, petr@r.example" in with_original_text("", MAIL, kind="forward", language="ru")
    assert (subject_of("forward", MAIL.subject), subject_of("reply", MAIL.subject)) == ("Fwd: Счёт", "Re: Счёт")


def test_a_picture_within_the_text_stands_beside_the_html_and_both_parsers_find_it() -> None:
    picture = OutgoingFile("a.png", "image/png", b"\x89PNG" * 100, cid="1a@hub")
    composed = compose(
        with_(html='<img src="cid:1a@hub">', files=(picture, OutgoingFile("b.pdf", "application/pdf", b"%")))
    )
    check_wire(composed.raw)
    read = email.message_from_bytes(composed.raw, policy=email.policy.default)
    mixed = list(read.iter_parts())
    assert [read.get_content_type(), *(one.get_content_type() for one in mixed)] == [
        "multipart/mixed",
        "multipart/alternative",
        "application/pdf",
    ]
    plain, related = mixed[0].iter_parts()
    html, image = related.iter_parts()
    assert related.get_param("type") == "text/html" and plain.get_content_type() == "text/plain"
    assert (html.get_content_type(), image["Content-ID"], image.get_content()) == (
        "text/html",
        "<1a@hub>",
        picture.content,
    )
    ours = parse(composed.raw)
    assert [(one.name, one.cid, one.inline) for one in ours.attachments] == [
        ("a.png", "1a@hub", True),
        ("b.pdf", None, False),
    ]
    assert compose(with_(html="x", files=(picture,))).raw == compose(with_(html="x", files=(picture,))).raw


@pytest.mark.parametrize("cid", ["a@b>\r\nX: y", "", "a", "a@b c", "ы@hub"])
def test_a_content_id_of_another_shape_is_refused(cid: str) -> None:
    with pytest.raises(Refused):
        compose(with_(html="x", files=(OutgoingFile("a.png", "image/png", b"x", cid=cid),)))


def test_a_large_file_passes_through_in_pieces_and_is_the_same_message() -> None:
    content = bytes(range(256)) * 3000
    pieces = [content[start : start + 1001] for start in range(0, len(content), 1001)]
    whole = compose(with_(files=(OutgoingFile("a.bin", "application/zip", content),))).raw
    streamed = OutgoingFile("a.bin", "application/zip", read=lambda: pieces, size=len(content))
    stream = list(compose_stream(with_(files=(streamed,))).pieces)
    assert b"".join(stream) == whole
    assert max(map(len, stream)) < 100_000


def test_too_much_is_refused_before_a_byte_is_read_and_a_file_that_grew_while_it_is() -> None:
    def never() -> list[bytes]:
        raise AssertionError("read")

    with pytest.raises(Refused):
        compose_stream(with_(files=(OutgoingFile("a", "a/b", read=never, size=MAX_BYTES),)))
    grown = OutgoingFile("a", "a/b", read=lambda: [bytes(1_000_000)] * 30, size=5)
    with pytest.raises(Refused):
        list(compose_stream(with_(files=(grown,))).pieces)
