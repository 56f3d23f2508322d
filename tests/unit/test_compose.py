"""What Hub sends: read back by Hub itself and by the standard library, and attacked through every field."""

from __future__ import annotations

import base64
import email
import email.header
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import Refused
from hub.mail.reading.charsets import decode
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import parse
from hub.mail.reading.quotes import split_quote
from hub.mail.sending.compose import (
    MAX_RECIPIENTS,
    Draft,
    OutgoingFile,
    attribution,
    compose,
    new_message_id,
    quoted_html,
    quoted_text,
    smtp_address,
)

AT = datetime(2026, 11, 24, 10, 12, tzinfo=UTC)
DRAFT = Draft(
    sender=Address("Отдел продаж", "sales@hub.example"),
    to=(Address("Мария Зуева", "zueva@severles.example"),),
    subject="Re: Счёт на ноябрь",
    text="Добрый день!\n\nСчёт во вложении.\n",
    message_id="<0190-1@hub.example>",
    date=AT,
)


def with_(**changes: Any) -> Draft:
    return replace(DRAFT, **changes)


def check_wire(raw: bytes) -> None:
    """Every line ASCII, CRLF, at most 998, and only the fields that Hub writes."""
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"") and b"\r" not in raw.replace(b"\r\n", b"")
    assert raw.endswith(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    head = raw.split(b"\r\n\r\n", 1)[0]
    names = [line.split(b":")[0].decode() for line in head.split(b"\r\n") if not line.startswith(b" ")]
    allowed = ["From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "MIME-Version"]
    allowed += ["Content-Type", "Content-Transfer-Encoding", "Thread-Topic", "Thread-Index"]
    assert len(names) == len(set(names)) and set(names) <= set(allowed), names


def test_a_message_is_read_back_as_it_was_written() -> None:
    composed = compose(
        with_(
            cc=(Address('Petrov, "Ivan" (boss)', "ivan@x.example"), Address("", "a@пример.рф")),
            bcc=(Address("", "secret@x.example"), Address("", "ivan@x.example")),
            html="<p>Добрый день!</p>",
            in_reply_to="<orig@severles.example>",
            references=("<root@x>", "<orig@severles.example>"),
            files=(
                OutgoingFile("счёт № 15 за ноябрь 2026 года (северный лес).pdf", "application/pdf", b"%PDF" * 1000),
                OutgoingFile("a.txt", "text/plain", b"a\n.\nb"),
            ),
        )
    )
    check_wire(composed.raw)
    assert b"secret" not in composed.raw
    assert composed.envelope_from == "sales@hub.example"
    assert composed.recipients == (
        "zueva@severles.example",
        "ivan@x.example",
        "a@xn--e1afmkfd.xn--p1ai",
        "secret@x.example",
    )
    got = parse(composed.raw)
    assert (got.from_, got.to, got.subject) == (DRAFT.sender, DRAFT.to, DRAFT.subject)
    assert got.cc == (Address('Petrov, "Ivan" (boss)', "ivan@x.example"), Address("", "a@xn--e1afmkfd.xn--p1ai"))
    assert (got.message_id, got.date) == (DRAFT.message_id, AT)
    assert (got.in_reply_to, got.references) == ("<orig@severles.example>", ("<root@x>", "<orig@severles.example>"))
    assert (got.text, got.html) == ("Добрый день!\n\nСчёт во вложении.", "<p>Добрый день!</p>")
    assert [(a.name, a.type, a.content) for a in got.attachments] == [
        ("счёт № 15 за ноябрь 2026 года (северный лес).pdf", "application/pdf", b"%PDF" * 1000),
        ("a.txt", "text/plain", b"a\n.\nb"),
    ]
    assert got.defects == ()


def test_the_standard_library_reads_it_too() -> None:
    raw = compose(with_(html="<b>x</b>", files=(OutgoingFile("счёт.pdf", "application/pdf", b"x"),))).raw
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["Subject"] == DRAFT.subject
    assert str(message["To"]) == "Мария Зуева <zueva@severles.example>"
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/pdf",
    ]
    assert [part.get_filename() for part in message.iter_attachments()] == ["счёт.pdf"]
    assert not message.defects


def test_the_same_draft_gives_the_same_bytes() -> None:
    assert compose(DRAFT) == compose(DRAFT)


INJECTIONS = [
    "Hi\r\nBcc: x@evil.example",
    "Hi\nBcc: x@evil.example",
    "Hi\rBcc: x@evil.example",
    "=?UTF-8?Q?Hi=0ABcc:_x@evil.example?=",
    "=?UTF-8?B?SGkKQmNjOiB4QGV2aWwuZXhhbXBsZQ==?=",
    "=?utf-8?q?Hi?=\n =?utf-8?q?=0D=0ABcc:_x?=",
    "Hi\x0bBcc: x@evil.example",
    "Hi\x85Bcc: x@evil.example",
    "Hi\u2028Bcc: x@evil.example",
    "Hi\x00Bcc: x",
    '"\r\nBcc: x@evil.example',
    "a> <x@evil.example",
    "Тема\r\n\r\n<script>",
    "x" * 1500,
    " " * 1000,
    "я" * 900,
]


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("field", ["subject", "name", "file", "sender"])
def test_no_field_becomes_two(field: str, text: str) -> None:
    changes: dict[str, Any] = {
        "subject": {"subject": text},
        "name": {"to": (Address(text, "a@x.example"), Address("b", "b@x.example"))},
        "sender": {"sender": Address(text, "sales@hub.example")},
        "file": {"files": (OutgoingFile(text, text, b"x"),)},
    }[field]
    try:
        composed = compose(with_(**changes))
    except Refused as error:
        refused_field = error.details["field"]
    else:
        refused_field = None
    if refused_field is not None:
        assert refused_field in ("subject", "name", "attachments")
        return
    check_wire(composed.raw)
    for policy in (email.policy.compat32, email.policy.default):
        message = email.message_from_bytes(composed.raw, policy=policy)
        assert message["Bcc"] is None
    assert not any("evil" in one for one in composed.recipients)
    got = parse(composed.raw)
    assert got.bcc == () and not any("evil" in a.address for a in got.to)
    assert got.text == "Добрый день!\n\nСчёт во вложении."
    if field == "subject" and "=?" in text:
        assert "=?" in got.subject, "shown as it was typed"


@pytest.mark.parametrize(
    "address",
    [
        "a@x.example\r\nRCPT TO:<b@y.example>",
        "a@x.example> SIZE=1",
        "a b@x.example",
        '"a b"@x.example',
        "a@",
        "@x.example",
        "a",
        "",
        "a@x.example,b@y.example",
        "ив\u202eан@x.example",
        "ив ан@x.example",
        "ы" * 33 + "@x.example",
        "a@b",
        "a@localhost",
        "a@x..example\x00",
        "<a@x.example>",
        "a@[127.0.0.1]",
        "x" * 65 + "@x.example",
        ".a@x.example",
    ],
)
def test_what_is_no_plain_address_is_refused(address: str) -> None:
    with pytest.raises(Refused) as caught:
        compose(with_(to=(Address("", address),)))
    assert caught.value.details["field"] == "to"


def test_addresses_reach_smtp_in_ascii() -> None:
    assert smtp_address("Ivan@Пример.РФ", field="to") == "Ivan@xn--e1afmkfd.xn--p1ai"
    assert new_message_id(UUID(int=1), "a@Hub.example") == "<00000000-0000-0000-0000-000000000001@hub.example>"


def test_a_domain_without_a_dot_is_only_the_mailboxs_own() -> None:
    here = with_(sender=Address("", "sales@localhost"), to=(Address("", "boss@LocalHost"),))
    assert compose(here).recipients == ("boss@localhost",)
    assert new_message_id(UUID(int=1), "sales@localhost").endswith("@localhost>")
    with pytest.raises(Refused):
        compose(replace(here, to=(Address("", "boss@intranet"),)))


def test_an_address_in_other_letters_is_written_as_it_is_and_read_back() -> None:
    composed = compose(with_(to=(Address("Йоханнес", "J\u006f\u0308rg.иван@пример.рф"), Address("", "b@x.example"))))
    assert composed.recipients == ("J\u00f6rg.иван@xn--e1afmkfd.xn--p1ai", "b@x.example"), "composed letters (RFC 6532)"
    head, _, body = composed.raw.partition(b"\r\n\r\n")
    assert "<J\u00f6rg.иван@xn--e1afmkfd.xn--p1ai>" in head.decode("utf-8") and body.isascii()
    assert [one.name for one in parse(composed.raw).to] == ["Йоханнес", ""]


def test_a_files_name_is_told_to_old_programs_too() -> None:
    long = "Счёт на оплату за ноябрь и декабрь " * 4 + ".pdf"
    files = (OutgoingFile("price list.pdf", "application/pdf", b"1"), OutgoingFile(long, "application/pdf", b"2"))
    raw = compose(with_(files=files)).raw
    check_wire(raw)
    plain, coded = list(email.message_from_bytes(raw).walk())[2:]
    assert plain.get_param("name") == plain.get_param("filename", header="content-disposition") == "price list.pdf"
    words = email.header.decode_header(str(coded.get_param("name")))
    assert "".join(piece.decode(charset or "ascii") for piece, charset in words) == long
    assert [one.name for one in parse(raw).attachments] == ["price list.pdf", long]


def test_a_message_names_its_parents_and_never_itself() -> None:
    assert b"References" not in compose(with_()).raw
    got = parse(compose(with_(in_reply_to="<p@x.example>", references=("<r@x.example>", "<p@x.example>"))).raw)
    assert got.references == ("<r@x.example>", "<p@x.example>")


def test_outlooks_fields_stand_in_it_where_they_are_given() -> None:
    raw = compose(with_(thread_index=bytes(range(22)) + b"\x01" * 60, subject="Re: RE: Счёт")).raw
    check_wire(raw)
    got = email.message_from_bytes(raw)
    assert base64.b64decode(got["Thread-Index"]) == bytes(range(22)) + b"\x01" * 60
    ((topic, charset),) = email.header.decode_header(got["Thread-Topic"])
    assert topic.decode(charset) == "Счёт"
    assert b"Thread-" not in compose(with_()).raw


def test_ids_of_strangers_that_are_no_ids_are_left_out() -> None:
    refs = ("<ok@x>", "<a b@x>", "<a\r\nBcc: x@y>", "no", "<é@x>", *(f"<{n}@x>" for n in range(100)))
    composed = compose(with_(in_reply_to="<x\r\n@y>", references=refs))
    check_wire(composed.raw)
    got = parse(composed.raw)
    assert got.in_reply_to == ""
    assert (len(got.references), got.references[0], got.references[-1]) == (30, "<ok@x>", "<99@x>")


def test_too_many_recipients_none_and_too_many_bytes_are_refused() -> None:
    crowd = tuple(Address("", f"a{n}@x.example") for n in range(MAX_RECIPIENTS + 1))
    for changes, code in (
        ({"to": crowd}, "too_many_recipients"),
        ({"to": ()}, "no_recipient"),
        ({"files": (OutgoingFile("a", "a/b", bytes(20_000_000)),)}, "too_large"),
    ):
        with pytest.raises(Refused) as caught:
            compose(with_(**changes))
        assert caught.value.code == code


def test_with_only_hidden_recipients_nobody_is_named() -> None:
    composed = compose(with_(to=(), bcc=(Address("", "secret@x.example"),)))
    assert b"undisclosed-recipients:;" in composed.raw and b"secret" not in composed.raw
    assert composed.recipients == ("secret@x.example",)


@pytest.mark.parametrize(
    "text", ["a\n.\nb", "From me\n..\n", "x" * 5000, "tab\t \nблок\r\n.\r\n", "a\x00\x1b[31mb", "\n.\r\n\r.\n", ""]
)
def test_bodies_survive_the_wire_and_hold_no_end_of_data(text: str) -> None:
    raw = compose(with_(text=text)).raw
    check_wire(raw)
    assert b"\r\n.\r\n" not in raw and not re.search(rb"(?m)^From ", raw.split(b"\r\n\r\n", 1)[1])
    clean = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").replace("\x1b", "")
    assert (parse(raw).text or "").rstrip() == clean.rstrip()


def any_text(size: int) -> st.SearchStrategy[str]:
    """Any text, lone surrogates included: JSON can carry them."""
    return st.text(st.characters(), max_size=size)


@settings(max_examples=200, deadline=None)
@given(any_text(200), any_text(60), any_text(300), any_text(60))
def test_any_text_is_carried_or_refused(subject: str, name: str, text: str, file: str) -> None:
    draft = with_(subject=subject, to=(Address(name, "a@x.example"),), text=text)
    try:
        raw = compose(replace(draft, files=(OutgoingFile(file, "a/b", b"x"),))).raw
    except Refused:
        return
    check_wire(raw)
    got = parse(raw)
    assert [a.address for a in got.to] == ["a@x.example"]
    subject = subject.encode("utf-8", "replace").decode()
    if decode(subject.encode(), "utf-8")[0] != subject:
        # Whoever writes what a program makes of an umlaut that it took for two letters is read as the umlaut.
        return
    assert got.subject.split() == re.sub("[\x80-\x9f]", " ", " ".join(subject.splitlines())).split()


def test_a_quote_below_an_answer_is_found_again_as_a_quote() -> None:
    line = attribution(author=Address("Мария", "m@x.example"), at=AT, language="ru")
    assert line == "24.11.2026 10:12, Мария <m@x.example> пишет:"
    answer = "Да.\n\n" + quoted_text("Вы согласны?\n> раньше\n\nМария", above=line)
    assert answer.endswith("> Вы согласны?\n>> раньше\n>\n> Мария")
    assert split_quote(answer)[0] == "Да.\n\n"
    english = attribution(author=Address("", "m@x.example"), at=AT, language="en")
    assert split_quote("Yes.\n\n" + quoted_text("Agree?", above=english))[0] == "Yes.\n\n"
    assert "&lt;m@x.example&gt;" in quoted_html("<p>x</p>", above=line)
