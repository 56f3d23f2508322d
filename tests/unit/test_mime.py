"""What Hub reads in the mails that real programs, broken programs and attackers write."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.mail.reading.headers import Address, message_ids, parameters
from hub.mail.reading.mime import MAX_PARTS, ParsedMessage, file_name, parse
from hub.mail.reading.people import addresses


def mail(*head: str, body: bytes | str = b"", newline: str = "\r\n") -> bytes:
    content = body.encode() if isinstance(body, str) else body
    return newline.join((*head, "", "")).encode("utf-8", "surrogateescape") + content


def read(*head: str, body: bytes | str = b"") -> ParsedMessage:
    return parse(mail(*head, body=body))


SIMPLE = (
    "From: =?UTF-8?B?0JzQsNGA0LjRjyDQl9GD0LXQstCw?= <zueva@severles.example>",
    "To: sales@hub.example, Ivan Petrov <ivan@hub.example>",
    "Subject: =?utf-8?Q?=D0=A1=D1=87=D1=91=D1=82?=",
    "Message-ID: <1@severles.example>",
    "Date: Tue, 24 Nov 2026 10:12:00 +0300",
)


def test_a_plain_mail_gives_sender_recipients_subject_date_and_text() -> None:
    got = read(*SIMPLE, "Content-Type: text/plain; charset=utf-8", body="Добрый день!\r\n")
    assert got.from_ == Address("Мария Зуева", "zueva@severles.example")
    assert got.to == (Address("", "sales@hub.example"), Address("Ivan Petrov", "ivan@hub.example"))
    assert (got.subject, got.message_id, got.text) == ("Счёт", "<1@severles.example>", "Добрый день!")
    assert got.date == datetime(2026, 11, 24, 7, 12, tzinfo=UTC)
    assert (got.auto, got.defects, got.html) == ("none", (), None)


def multipart(kind: str, boundary: str, *parts: bytes) -> bytes:
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\npreamble\r\n'.encode()
    joined = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return head + joined + b"--" + boundary.encode() + b"--\r\nepilogue"


TEXT = b"Content-Type: text/plain; charset=utf-8\r\n\r\nplain"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>rich <img src='cid:logo@x'></p>"
LOGO = (
    b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <logo@x>\r\n\r\n"
    + base64.b64encode(b"\x89PNG")
)


def test_text_html_inline_picture_and_file_are_told_apart() -> None:
    pdf = (
        b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment;\r\n filename*0*=utf-8'ru'%D1%81%D1%87;\r\n filename*1*=%D1%91%D1%82;"
        b"\r\n filename*2=.pdf\r\n\r\n" + base64.b64encode(b"%PDF-1.7")
    )
    related = multipart("related", "rel", HTML, LOGO)
    alternative = multipart("alternative", "rel-2", TEXT, related)
    got = parse("\r\n".join(SIMPLE).encode() + b"\r\n" + multipart("mixed", "rel-2-3", alternative, pdf))
    assert got.text == "plain"
    assert got.html is not None and "rich" in got.html
    logo, file = got.attachments
    assert (logo.inline, logo.cid, logo.content, logo.name) == (True, "logo@x", b"\x89PNG", "attachment-1.png")
    assert (file.inline, file.name, file.content, file.size) == (False, "счёт.pdf", b"%PDF-1.7", 8)
    assert got.defects == ()


def test_an_html_mail_has_no_text_and_a_text_between_html_parts_is_shown_in_place() -> None:
    raw = "\r\n".join(SIMPLE).encode() + b"\r\n" + multipart("mixed", "b", HTML, TEXT)
    got = parse(raw)
    assert got.html is not None and got.html.endswith("<div>plain</div>")
    assert parse("\r\n".join(SIMPLE).encode() + b"\r\n" + HTML).text is None


def test_an_attached_message_stays_one_file_named_by_its_subject() -> None:
    inner = b"Content-Type: message/rfc822\r\n\r\nSubject: a/b: deal\r\nContent-Type: text/html\r\n\r\n<b>x</b>"
    got = parse("\r\n".join(SIMPLE).encode() + b"\r\n" + multipart("mixed", "b", TEXT, inner))
    (file,) = got.attachments
    assert (file.name, file.type, got.html) == ("a b deal.eml", "message/rfc822", None)
    assert file.content.startswith(b"Subject: a/b")


RUSSIAN = "Здравствуйте, пришлите договор и счёт"


@pytest.mark.parametrize("codec", ["cp1251", "koi8-r", "cp866", "iso8859-5", "utf-8"])
@pytest.mark.parametrize("label", ["", "; charset=us-ascii", "; charset=iso-8859-1", "; charset=utf-8", "; charset=x1"])
def test_russian_text_is_read_whatever_its_label_says(codec: str, label: str) -> None:
    got = read(*SIMPLE, f"Content-Type: text/plain{label}", body=RUSSIAN.encode(codec))
    assert got.text == RUSSIAN


@pytest.mark.parametrize(("codec", "label"), [("cp1251", "koi8-r"), ("koi8-r", "windows-1251")])
def test_cyrillic_encodings_that_are_labelled_as_each_other_are_told_apart(codec: str, label: str) -> None:
    got = read(*SIMPLE, f"Content-Type: text/plain; charset={label}", body=RUSSIAN.encode(codec))
    assert (got.text, got.defects) == (RUSSIAN, ("charset",))


@pytest.mark.parametrize("codec", ["cp1251", "koi8-r", "utf-8"])
def test_raw_8_bit_headers_are_read(codec: str) -> None:
    raw = b"From: " + "Иван Петров".encode(codec) + b" <i@x.example>\r\nSubject: " + RUSSIAN.encode(codec) + b"\r\n\r\n"
    got = parse(raw)
    assert (got.from_, got.subject) == (Address("Иван Петров", "i@x.example"), RUSSIAN)


def test_gbk_under_the_name_gb2312_and_html_with_a_meta_charset_are_read() -> None:
    got = read(*SIMPLE, "Content-Type: text/plain; charset=gb2312", body="您好，镕".encode("gbk"))
    assert got.text == "您好，镕"
    page = '<html><head><meta charset="windows-1251"></head>Привет'.encode("cp1251")
    assert "Привет" in (read(*SIMPLE, "Content-Type: text/html", body=page).html or "")


def test_an_encoded_word_that_is_cut_within_a_letter_is_joined_to_the_next() -> None:
    whole = "Счёт на оплату".encode()
    words = " ".join(f"=?utf-8?B?{base64.b64encode(piece).decode()}?=" for piece in (whole[:5], whole[5:]))
    assert read(f"Subject: Re: {words} (2)").subject == "Re: Счёт на оплату (2)"
    assert read("Subject: =?UTF-8?Q?a b?= c =?x?Z?nothing?= =?utf-8?B?!!!?=").subject == "a b c =?x?Z?nothing?="


def test_line_breaks_hidden_in_encoded_words_do_not_come_out() -> None:
    got = read("Subject: =?UTF-8?Q?Hi=0D=0ABcc:_x@y.example?=", "From: =?utf-8?Q?A=0AB?= <a@x.example>")
    assert (got.subject, got.from_) == ("Hi Bcc: x@y.example", Address("A B", "a@x.example"))


def test_an_address_inside_an_encoded_name_is_never_the_address() -> None:
    hidden = base64.b64encode(b"boss@bank.example").decode()
    got = read(f"From: =?utf-8?B?{hidden}?= <thief@evil.example>")
    assert got.from_ == Address("boss@bank.example", "thief@evil.example")


def test_a_field_that_was_encoded_as_a_whole_gives_its_address() -> None:
    def whole(text: str) -> Address | None:
        return read(f"From: =?utf-8?B?{base64.b64encode(text.encode()).decode()}?=").from_

    assert whole("Иван <ivan@x.example>") == Address("Иван", "ivan@x.example")
    assert whole("<a@b.example>") == Address("", "a@b.example")
    assert whole('"Петров, Иван" <ivan@x.example>') == Address("Петров, Иван", "ivan@x.example")
    injected = whole("Иван\r\nBcc: <x@y.example>")
    assert injected is not None and "\n" not in injected.name + injected.address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Petrov, Ivan" <i@x.example>', [("Petrov, Ivan", "i@x.example")]),
        ("i@x.example (Ivan)", [("Ivan", "i@x.example")]),
        ("Ivan :( <i@x.example>", [("(", "i@x.example")]),
        ("undisclosed-recipients:;", []),
        (
            "Team: a@x.example, b@x.example; c@x.example",
            [("", "a@x.example"), ("", "b@x.example"), ("", "c@x.example")],
        ),
        ("=?utf-8?Q?Ivanov,_Ivan?= <i@x.example>", [("Ivanov, Ivan", "i@x.example")]),
        ("<@relay.example:i@x.example>", [("", "i@x.example")]),
        ('"a \\"b\\"" <i@x.example', [('a "b"', "i@x.example")]),
        ("<>", []),
        ("a@x.example; b@x.example", [("", "a@x.example"), ("", "b@x.example")]),
        ("Petrov, Ivan <i@x.example>", [("Petrov, Ivan", "i@x.example")]),
        (
            "Петров, ООО Ромашка <a@x.example>, Анна <b@x.example>",
            [("Петров, ООО Ромашка", "a@x.example"), ("Анна", "b@x.example")],
        ),
        ("<<a@x.example>>", [("", "a@x.example")]),
        ("Ivan <<a@x.example>>", [("Ivan", "a@x.example")]),
        ("Ivan <mailto:a@x.example>", [("Ivan", "a@x.example")]),
        ("Ivan [mailto:a@x.example]", [("Ivan", "a@x.example")]),
        ("mailto:a@x.example", [("", "a@x.example")]),
        ('"Anna K" a@x.example>', [("Anna K", "a@x.example")]),
        ("<a@x.example", [("", "a@x.example")]),
        ("[a@x.example]", [("", "a@x.example")]),
        ("'a@x.example'", [("", "a@x.example")]),
        ("=?iso-8859-2?Q?Namedy=F1ski?= (jan@x.example)", [("Namedyński", "jan@x.example")]),
        ("(a@x.example)", [("", "a@x.example")]),
        ("Ivan <a@x.example (home)>", [("Ivan", "a@x.example")]),
        ("<a@x.example, b@x.example>", [("", "a@x.example"), ("", "b@x.example")]),
        ("a@x.example b@x.example", [("", "a@x.example"), ("", "b@x.example")]),
        ("Ivan a@x.example Petrov", [("Ivan Petrov", "a@x.example")]),
        ("nobody:;, a@x.example", [("", "a@x.example")]),
        ("Ivan <>, Anna <b@x.example>", [("Ivan, Anna", "b@x.example")]),
        ("Ivan @ Work <a@x.example>", [("Ivan @ Work", "a@x.example")]),
        ("a@x.example.", [("", "a@x.example")]),
        ("a@[192.0.2.1]", [("", "a@[192.0.2.1]")]),
        ("Ivan (old@y.example) <a@x.example>", [("Ivan", "a@x.example")]),
        ('<"ivan p"@x.example>', [("", '"ivanp"@x.example')]),
        ("Ivan", [("Ivan", "")]),
    ],
)
def test_addresses_are_read_as_people_and_programs_write_them(text: str, expected: list[tuple[str, str]]) -> None:
    found, was_cut = addresses([text.encode()])
    assert [(a.name, a.address) for a in found] == expected
    assert not was_cut


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"<a@b>", ("<a@b>",)),
        (b" <a@b>\r\n <c d@e> <a@b>", ("<a@b>", "<cd@e>")),
        (b"a@b", ("<a@b>",)),
        (b"<[]@>", ("<[]@>",)),
        (b"<>", ()),
        (b"garbage", ()),
        (None, ()),
    ],
)
def test_message_ids_are_read_as_they_come(value: bytes | None, expected: tuple[str, ...]) -> None:
    assert message_ids(value) == expected


def test_a_message_id_that_no_column_takes_is_the_same_short_one_wherever_it_is_met() -> None:
    long = b"<" + b"x" * 5000 + b"@y>"
    (short,) = message_ids(long)
    assert len(short) < 200 and message_ids(b"<a@b> " + long) == ("<a@b>", short)
    many = message_ids(b" ".join(b"<%d@x>" % n for n in range(5000)))
    assert (len(many), many[0], many[-1]) == (100, "<0@x>", "<4999@x>")


def test_mails_without_body_from_or_headers_are_still_messages() -> None:
    assert parse(b"").text == ""
    assert "no_from" in parse(b"Subject: x\r\n\r\n").defects
    only_text = parse(b"just words\nand more, no header at all\n")
    assert (only_text.text, "no_headers" in only_text.defects) == ("just words\nand more, no header at all", True)
    two = read("From: a@x.example", "From: b@x.example")
    assert (two.from_, "several_from" in two.defects) == (Address("", "a@x.example"), True)
    unix = parse(mail("From whoever Mon Nov 24", *SIMPLE, body="x", newline="\n"))
    assert (unix.subject, unix.text) == ("Счёт", "x")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("a\x00b\r\n.txt", "ab .txt"),
        ("invoice\u202efdp.exe", "invoice fdp.exe"),
        ("..", "attachment-3.pdf"),
        ("", "attachment-3.pdf"),
        ("счёт?.pdf", "счёт .pdf"),
    ],
)
def test_file_names_of_strangers_become_harmless(name: str, safe: str) -> None:
    assert file_name(name, number=3, kind="application/pdf") == safe


def test_a_file_name_of_300_letters_keeps_its_ending() -> None:
    got = file_name("щ" * 300 + ".docx", number=1, kind="x/y")
    assert got.endswith("….docx") and len(got) <= 200


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("Auto-Submitted: auto-replied", "auto_reply"),
        ("Auto-Submitted: no", "none"),
        ("Subject: Автоответ: в отпуске", "auto_reply"),
        ("List-Id: <news.x.example>", "list"),
        ("Precedence: bulk", "list"),
        ("X-Spam-Flag: YES", "spam"),
        ('Content-Type: multipart/report; report-type=delivery-status; boundary="b"', "bounce"),
        ("X-Failed-Recipients: a@x.example", "bounce"),
        ("X-Nothing: 1", "none"),
    ],
)
def test_mails_of_machines_are_told_from_those_of_people(head: str, kind: str) -> None:
    assert read("From: a@x.example", head).auto == kind


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ("Subject: Авто: запчасти на КАМАЗ", "Сколько стоят?"),
        ("Subject: Буду в командировке с 5 по 7, давайте встретимся", "Где вам удобно?"),
        ("Subject: Меня не будет в офисе: перенесём встречу на среду", "Хорошо?"),
        ("Subject: Отсутствую до среды, пришлите КП", "Спасибо"),
        ("Subject: Автоответчик для офиса", "Сколько стоит?"),
        ("From: Служба доставки Север <ivan@sever.example>\r\nSubject: Груз", "Не удалось доставить, перезвоните."),
    ],
)
def test_a_letter_of_a_person_that_only_sounds_like_a_machines_is_a_persons(head: str, text: str) -> None:
    who = () if head.startswith("From") else ("From: a@x.example",)
    raw = "\r\n".join((*who, head, "Content-Type: text/plain; charset=utf-8", "", text))
    assert parse(raw.encode()).auto == "none"


@pytest.mark.parametrize(
    ("subject", "text", "auto"),
    [("Order", "Please send an offer.", "none"), ("Order", "", "auto_reply"), ("Принято: План", "Иван", "auto_reply")],
)
def test_a_letter_with_an_answer_of_a_calendar_in_it_is_a_persons(subject: str, text: str, auto: str) -> None:
    raw = (
        f"From: ivan@x.example\r\nSubject: {subject}\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
        f"--q\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        "--q\r\nContent-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nBEGIN:VEVENT\r\nUID:1\r\n"
        "DTSTART:20261130T100000Z\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:ivan@x.example\r\nEND:VEVENT\r\n"
        "END:VCALENDAR\r\n--q--\r\n"
    )
    assert parse(raw.encode()).auto == auto


@pytest.mark.parametrize(("sender", "auto"), [("ivan@x.example", "none"), ("postmaster@x.example", "bounce")])
def test_a_person_may_attach_what_a_mail_system_reported(sender: str, auto: str) -> None:
    raw = (
        f"From: {sender}\r\nSubject: Question\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
        "--q\r\nContent-Type: text/plain\r\n\r\nWhat does this mean?\r\n"
        "--q\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nAction: failed\r\n--q--\r\n"
    )
    assert parse(raw.encode()).auto == auto


def test_flowed_lines_are_joined_and_quotes_kept() -> None:
    body = "One long \r\nline.\r\n> quoted \r\n> text\r\n-- \r\nsig"
    got = read(*SIMPLE, "Content-Type: text/plain; format=flowed", body=body)
    assert got.text == "One long line.\n> quoted text\n-- \nsig"


def test_parameters_survive_quotes_pieces_and_lies() -> None:
    assert parameters('a/b; charset="utf-8"; x=1') == {"charset": "utf-8", "x": "1"}
    assert parameters("a/b; name*=koi8-r''%C1; name*=x") == {"name": "а"}
    assert parameters('a; boundary="un;closed') == {"boundary": "un;closed"}
    assert parameters('a; filename="=?utf-8?B?0YE=?="') == {"filename": "с"}


def nested(depth: int) -> bytes:
    head = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth))
    return head + TEXT + b"".join(b"\r\n--b%d--" % n for n in reversed(range(depth)))


BOMBS = {
    "20,000 quotes in To": mail("To: " + '"' * 20_000 + " <a@b>"),
    "20,000 encoded words in To": mail("To: " + "=?utf-8?Q?a?= " * 20_000),
    "20,000 encoded words in Subject": mail("Subject: " + "=?utf-8?B?YQ==?= " * 20_000),
    "50,000 addresses": mail("To: " + ", ".join(f"a{n}@x.example" for n in range(50_000))),
    "nesting 1,000 deep": nested(1_000),
    "messages within messages": b"Content-Type: message/rfc822\r\n\r\n" * 5_000 + b"x",
    "50,000 parts": multipart("mixed", "b", *[b"\r\nx"] * 50_000),
    "100,000 headers": b"X: y\r\n" * 100_000 + b"\r\nbody",
    "one header of 5 MB": b"Subject: " + b"a" * 5_000_000 + b"\r\n\r\n",
    "parameters": b"Content-Type: text/plain" + b"; a*0*=x" * 50_000 + b"\r\n\r\n",
    "brackets": b"References: " + b"<" * 200_000 + b"\r\nTo: " + b"(" * 200_000 + b"\r\n\r\n",
    "open encoded words": b"Subject: " + b"=?a?q?" * 60_000 + b"\r\n\r\n",
    "backslashes": b'To: "' + b"\\" * 200_000 + b"\r\n\r\n",
    "delimiters with blanks": b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b   \t" * 100_000,
    "base64 rubbish": mail("Content-Transfer-Encoding: base64", body=b"=\xff!" * 500_000),
    "8-bit noise": mail("Content-Type: text/plain", body=bytes(range(128, 256)) * 20_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_parser_bombs_are_read_in_bounded_time(name: str) -> None:
    raw = BOMBS[name]
    began = time.process_time()
    got = parse(raw)
    took_s = time.process_time() - began
    assert took_s < 0.75, f"{name}: {took_s:.2f} s for {len(raw)} bytes"
    assert len(got.subject) <= 1000 and len(got.to) <= 1000 and len(got.attachments) <= MAX_PARTS


def test_time_grows_no_faster_than_the_message() -> None:
    def took_s(n: int) -> float:
        raw = mail("To: " + '"a" <a@b>, ' * n + '"' * n + "(" * n, body=nested(18) * (n // 100))
        began = time.process_time()
        parse(raw)
        return time.process_time() - began

    took_s(1_000)
    small = min(took_s(4_000) for _ in range(3))
    large = min(took_s(16_000) for _ in range(3))
    assert large < small * 12 + 0.05, f"four times the bytes: {small:.3f} s became {large:.3f} s"


def test_what_is_nested_too_deep_is_kept_as_a_file_and_named() -> None:
    got = parse(nested(1_000))
    assert "nesting" in got.defects and len(got.attachments) == 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["", "text/plain; charset=utf-7", "multipart/mixed; boundary=b"]))
def test_no_bytes_make_it_raise_and_all_strings_can_be_stored(noise: bytes, kind: str) -> None:
    raw = b"From: " + noise[:50] + b"\nTo: " + noise[50:99] + b"\nContent-Type: " + kind.encode() + b"\n\n--b\n" + noise
    for message in (noise, raw):
        got = parse(message)
        words = [got.subject, got.message_id, got.text or "", got.html or "", *(a.name for a in got.attachments)]
        words += [part for a in (*got.to, got.from_) if a for part in (a.name, a.address)]
        for word in words:
            assert "\x00" not in word
            word.encode("utf-8")


def test_a_part_that_says_zip_or_punycode_as_charset_is_not_expanded() -> None:
    for label in ("zlib", "bz2", "punycode", "idna", "unicode_escape", "rot13", "undefined", "mbcs"):
        got = read(*SIMPLE, f"Content-Type: text/plain; charset={label}", body="Привет, как дела?")
        assert got.text == "Привет, как дела?"
