"""Parts in all their nestings, right and wrong; names of files; messages without this or that."""

from __future__ import annotations

from tests.corpus.making.letter import (
    FROM,
    HTML,
    PLAIN,
    RU,
    Cases,
    b64,
    bare,
    file,
    letter,
    multi,
    nested,
    part,
    word,
)

cases = Cases("parts")
TEXT = part(PLAIN, body="plain")
RICH = part(HTML, body='<p>rich <img src="cid:logo@x"></p>')
LOGO = part(
    "Content-Type: image/png; name=logo.png",
    "Content-ID: <logo@x>",
    "Content-Transfer-Encoding: base64",
    body=b64(b"\x89PNG"),
)
PDF = file("application/pdf", "offer.pdf", b"%PDF-1.4")
LOGO_IS = ["logo.png", "image/png", 4, True]
PDF_IS = ["offer.pdf", "application/pdf", 8, False]


def add(name: str, found: tuple[str, bytes], **expected: object) -> None:
    cases.add(name, letter(found[0], body=found[1]), **expected)


add("alternative", multi("alternative", TEXT, RICH), text="plain", html_has=["rich"], files=[], defects=[])
add("mixed-alternative", multi("mixed", nested("alternative", TEXT, RICH), PDF), text="plain", files=[PDF_IS])
add(
    "related-in-alternative",
    multi("alternative", TEXT, nested("related", RICH, LOGO)),
    text="plain",
    html_has=["rich"],
    files=[LOGO_IS],
)
add(
    "alternative-in-related",
    multi("related", nested("alternative", TEXT, RICH), LOGO),
    text="plain",
    html_has=["rich"],
    files=[LOGO_IS],
)
add(
    "all-three",
    multi("mixed", nested("related", nested("alternative", TEXT, RICH, boundary="b3"), LOGO), PDF),
    text="plain",
    files=[LOGO_IS, PDF_IS],
)
add(
    "related-with-the-file-inside",
    multi("related", RICH, LOGO, PDF),
    text=None,
    html_has=["rich"],
    files=[LOGO_IS, PDF_IS],
)
add("alternative-with-a-file-in-it", multi("alternative", TEXT, RICH, PDF), text="plain", files=[PDF_IS])
add("mixed-instead-of-related", multi("mixed", RICH, LOGO), html_has=["rich"], files=[["logo.png", "image/png", 4]])
add("html-before-plain", multi("alternative", RICH, TEXT), text="plain", html_has=["rich"])
add("mixed-of-mixed-of-mixed", multi("mixed", nested("mixed", nested("mixed", TEXT, boundary="b3"))), text="plain")
add("two-texts", multi("mixed", TEXT, part(PLAIN, body="more")), text="plain\n\nmore")
add(
    "text-between-html",
    multi("mixed", RICH, part(PLAIN, body="between <b>"), part(HTML, body="<p>last</p>")),
    html_has=["rich", "between &lt;b&gt;", "last"],
)
add("empty-plain-beside-html", multi("alternative", part(PLAIN, body=" "), RICH), text=None, html_has=["rich"])
add(
    "amp-is-not-a-file",
    multi("alternative", TEXT, part("Content-Type: text/x-amp-html", body="<html amp4email>"), RICH),
    text="plain",
    files=[],
)
add(
    "digest",
    multi(
        "digest",
        part(body=bare(FROM, "Subject: One", body="first words")),
        part(body=bare("Subject: Two", body="second")),
    ),
    files=[["One.eml", "message/rfc822"], ["Two.eml", "message/rfc822"]],
    also_has=["first words", "second"],
)
add(
    "no-end-boundary",
    multi("mixed", TEXT, PDF, end=False),
    text="plain",
    files=[PDF_IS],
    defects_has=["no_end_boundary"],
)
add(
    "no-parts",
    ('Content-Type: multipart/mixed; boundary="b"', b"just text"),
    text="just text",
    defects_has=["no_parts"],
)
add("no-boundary", ("Content-Type: multipart/mixed", b"just text"), text="just text", defects_has=["no_boundary"])
add("empty-parts", multi("mixed", b"", part(PLAIN), TEXT), text_has=["plain"])
add("boundary-within-a-line", multi("mixed", part(PLAIN, body="a --b1 b\r\nx--b1--")), text="a --b1 b\nx--b1--")
add(
    "boundary-that-begins-another",
    multi("mixed", nested("alternative", TEXT, RICH, boundary="b11"), PDF),
    text="plain",
    files=[PDF_IS],
)
cases.add(
    "boundary-unquoted-with-odd-signs",
    letter(
        "Content-Type: multipart/mixed; boundary==_Next(1)+x", body=b"--=_Next(1)+x\r\n" + TEXT + b"\r\n--=_Next(1)+x--"
    ),
    text="plain",
)
cases.add(
    "preamble-and-epilogue",
    letter(multi("mixed")[0], body=b"This is a message in MIME format.\r\n" + multi("mixed", TEXT)[1] + b"end of it"),
    text="plain",
    files=[],
)
add(
    "report",
    multi(
        "report",
        part(PLAIN, body="Not delivered"),
        part("Content-Type: message/delivery-status", body="Status: 5.1.1"),
        part("Content-Type: text/rfc822-headers", body="Subject: x"),
        params="; report-type=delivery-status",
    ),
    auto="bounce",
    text="Not delivered",
)
add(
    "attached-message",
    multi(
        "mixed",
        TEXT,
        part("Content-Type: message/rfc822", body=bare(FROM, f"Subject: {word('Старый счёт')}", PLAIN, body=RU)),
    ),
    text="plain",
    files=[["Старый счёт.eml", "message/rfc822"]],
    also_has=["Старый счёт", "zueva@severles.example", "Высылаем"],
)
add(
    "attached-message-within-an-attached-message",
    multi(
        "mixed",
        TEXT,
        part(
            "Content-Type: message/rfc822",
            body=letter(
                multi("mixed", boundary="b5")[0],
                body=multi(
                    "mixed",
                    part("Content-Type: message/rfc822", body=bare("Subject: deep", body="deep words")),
                    boundary="b5",
                )[1],
            ),
        ),
    ),
    also_has=["deep words"],
)
add(
    "attached-message-in-base64",
    multi(
        "mixed",
        TEXT,
        part(
            "Content-Type: message/rfc822",
            "Content-Transfer-Encoding: base64",
            body=b64(bare("Subject: In", body="hidden")),
        ),
    ),
    files=[["In.eml", "message/rfc822"]],
    also_has=["hidden"],
)
add(
    "attached-html-message",
    multi(
        "mixed",
        TEXT,
        part("Content-Type: message/rfc822", body=bare("Subject: In", HTML, body="<p>rich <b>words</b></p>")),
    ),
    also_has=["rich words"],
)
add(
    "partial",
    ('Content-Type: message/partial; id="x@y"; number=1; total=2', b"Subject: inner\r\n\r\nfirst half"),
    files=[["attachment-1.eml", "message/partial"]],
    defects_has=["partial"],
)
add(
    "external-body",
    multi(
        "mixed",
        TEXT,
        part(
            'Content-Type: message/external-body; access-type=URL; URL="http://x.example/f"',
            body='Content-Type: application/pdf; name="far.pdf"\r\n\r\n',
        ),
    ),
    files=[["far.pdf", "message/external-body"]],
    defects_has=["external_body"],
)
add(
    "appledouble",
    multi(
        "mixed",
        TEXT,
        nested("appledouble", file("application/applefile", "offer.pdf", b"fork"), PDF),
    ),
    files=[PDF_IS],
)
add(
    "binhex-is-a-file",
    multi("mixed", TEXT, part('Content-Type: application/mac-binhex40; name="a.hqx"', body="(This file)")),
    files=[["a.hqx", "application/mac-binhex40"]],
)
cases.add(
    "only-a-file",
    letter("Content-Type: application/pdf; name=a.pdf", "Content-Transfer-Encoding: base64", body=b64(b"%PDF")),
    text=None,
    html=None,
    files=[["a.pdf", "application/pdf", 4]],
)
add("only-files", multi("mixed", PDF, file("image/png", "b.png")), text=None, files=[PDF_IS, ["b.png", "image/png"]])
add(
    "text-file-is-a-file",
    multi("mixed", TEXT, file("text/plain", "notes.txt", b"x")),
    text="plain",
    files=[["notes.txt", "text/plain", 1]],
)
add(
    "html-file-is-a-file",
    multi("mixed", TEXT, file("text/html", "page.html", b"x")),
    text="plain",
    html=None,
    files=[["page.html", "text/html", 1]],
)
add(
    "inline-text-with-a-name",
    multi("mixed", part(PLAIN + "; name=body.txt", "Content-Disposition: inline", body="named")),
    text="named",
    files=[],
)
add(
    "picture-without-a-name",
    multi("mixed", TEXT, part("Content-Type: image/jpeg", "Content-Disposition: inline", body="x")),
    files=[["attachment-1.jpg", "image/jpeg", 1, False]],
)
add("two-files-of-one-name", multi("mixed", PDF, PDF), files=[PDF_IS, PDF_IS])

NAMES = {
    "2231": ("attachment; filename*=utf-8''%D0%A1%D1%87%D1%91%D1%82.pdf", "Счёт.pdf"),
    "2231-pieces": (
        "attachment; filename*0*=utf-8''%D0%A1%D1%87;\r\n filename*1*=%D1%91%D1%82;\r\n filename*2=.pdf",
        "Счёт.pdf",
    ),
    "2231-pieces-in-disorder": ("attachment; filename*1=.pdf; filename*0*=koi8-r'ru'%F3%DE%A3%D4", "Счёт.pdf"),
    "2231-a-piece-missing": ("attachment; filename*0=Inv; filename*2=.pdf", "Inv.pdf"),
    "2231-without-charset": ("attachment; filename*=''%D0%94%D0%B0.pdf", "Да.pdf"),
    "2231-beside-plain": ("attachment; filename=\"Schet.pdf\"; filename*=utf-8''%D0%94%D0%B0.pdf", "Да.pdf"),
    "2231-cp1251": ("attachment; filename*=windows-1251''%D1%F7%E5%F2.pdf", "Счет.pdf"),
    "2047": (f'attachment; filename="{word("Счёт.pdf")}"', "Счёт.pdf"),
    "2047-unquoted": (f"attachment; filename={word('Счёт.pdf', 'koi8-r')}", "Счёт.pdf"),
    "2047-in-two-words": (f'attachment; filename="{word("Счёт на ")}\r\n {word("оплату.pdf")}"', "Счёт на оплату.pdf"),
    "raw-utf-8": ('attachment; filename="Счёт.pdf"', "Счёт.pdf"),
    "path": ('attachment; filename="../../etc/passwd"', "passwd"),
    "windows-path": ('attachment; filename="C:\\\\Docs\\\\a.pdf"', "a.pdf"),
    "direction": ('attachment; filename="a\u202efdp.exe"', "a fdp.exe"),
    "quotes-in-it": ('attachment; filename="a \\"b\\".pdf"', "a b .pdf"),
    "empty": ('attachment; filename=""', "attachment-1"),
    "long": (f'attachment; filename="{"a" * 300}.pdf"', "a" * 195 + "….pdf"),
    "semicolon-in-it": ('attachment; filename="a;b.pdf"', "a;b.pdf"),
}
for name, (disposition, expected) in NAMES.items():
    add(
        f"name-{name}",
        multi(
            "mixed", TEXT, part("Content-Type: application/x-thing", f"Content-Disposition: {disposition}", body="x")
        ),
        files=[[expected, "application/x-thing", 1, False]],
    )
raw_koi8 = part(
    "Content-Type: application/x-thing",
    'Content-Disposition: attachment; filename="Счёт за услуги.pdf"'.encode("koi8-r"),
    body="x",
)
add("name-raw-koi8-r", multi("mixed", TEXT, raw_koi8), files=[["Счёт за услуги.pdf", "application/x-thing"]])

odd = Cases("odd")
cases_of_nothing = {
    "0-bytes": (b"", {"text": "", "defects_has": ["no_from", "no_message_id", "no_date"]}),
    "one-newline": (b"\r\n", {"text": ""}),
    "no-headers": (
        "Просто текст\r\nбез заголовков\r\n".encode(),
        {"text": "Просто текст\nбез заголовков", "defects_has": ["no_headers"]},
    ),
    "no-body": (b"From: a@x.example\r\nSubject: x\r\n", {"subject": "x", "text": ""}),
    "no-blank-line": (b"From: a@x.example\r\nSubject: x", {"subject": "x", "text": ""}),
    "body-only-blanks": (letter(PLAIN, body="\r\n\r\n \r\n"), {"text_not": ["x"]}),
    "mbox-line": (
        b"From a@x.example Tue Nov 24 10:12:00 2026\r\n" + letter(PLAIN, body="x"),
        {"subject": "Test", "text": "x"},
    ),
    "escaped-mbox-line": (
        b">From a@x.example Tue Nov 24\n" + letter(PLAIN, body="x", newline=b"\n"),
        {"subject": "Test", "text": "x"},
    ),
    "cr-only": (letter(PLAIN, body=RU, newline=b"\r"), {"subject": "Test", "text": RU}),
    "lf-only": (letter(PLAIN, body=RU, newline=b"\n"), {"subject": "Test", "text": RU}),
    "cr-cr-lf": (letter(PLAIN, body=RU, newline=b"\r\r\n"), {"subject": "Test", "text": RU}),
    "mixed-line-ends": (
        letter(PLAIN, body="a\rb\nc\r\nd").replace(b"Subject: Test\r\n", b"Subject: Test\n"),
        {"subject": "Test", "text": "a\nb\nc\nd"},
    ),
    "blank-lines-first": (b"\r\n\r\n" + letter(PLAIN, body="x"), {"subject": "Test", "text": "x"}),
    "mark-before-the-head": (
        b"\xef\xbb\xbf" + letter(PLAIN, body="x"),
        {"subject": "Test", "text": "x", "from_": ["Maria Zueva", "zueva@severles.example"]},
    ),
    "whole-in-utf-16": (letter(PLAIN, body=RU).decode().encode("utf-16"), {"subject": "Test", "text": RU}),
    "nul-in-the-head": (
        bare("From: a@x.example", b"Subject: a\0b", body=b"x\0"),
        {"subject": "a\ufffdb", "text": "x\ufffd"},
    ),
    "control-signs-in-the-subject": (bare(FROM, b"Subject: a\x1b[31mb\x07", body="x"), {"subject": "a [31mb"}),
    "bad-header-line": (
        bare(FROM, "no field at all", "Subject: x", body="x"),
        {"subject": "x", "defects_has": ["bad_header_line"]},
    ),
    "blank-before-the-colon": (
        bare("From : a@x.example", "Subject : x", body="x"),
        {"subject": "x", "from_": ["", "a@x.example"]},
    ),
    "headers-in-capitals": (
        bare("FROM: a@x.example", "SUBJECT: x", "CONTENT-TYPE: TEXT/HTML", body="<p>x"),
        {"subject": "x", "html_has": ["<p>x"]},
    ),
    "subject-twice": (bare(FROM, "Subject: first", "Subject: second", body="x"), {"subject": "first"}),
    "content-type-nonsense": (
        letter("Content-Type: what/ever/this;;; is", body="x"),
        {"text": "x", "defects_has": ["bad_content_type"]},
    ),
    "content-type-text": (letter("Content-Type: text", body="x"), {"text": "x"}),
    "8-bit-in-the-content-type": (letter("Content-Type: text/plain; имя=x; charset=utf-8", body=RU), {"text": RU}),
    "subject-of-5000": (bare(FROM, f"Subject: {'а' * 5000}", body="x"), {"subject": "а" * 999 + "…"}),
    "300-addresses": (
        bare(FROM, "To: " + ", ".join(f"a{n}@x.example" for n in range(300)), body="x"),
        {"to": [f"a{n}@x.example" for n in range(300)]},
    ),
    "references": (
        bare(FROM, "References: <a@x> <b@x>\r\n <a@x>", "In-Reply-To: Your message <b@x> of today", body="x"),
        {"references": ["<a@x>", "<b@x>"], "in_reply_to": "<b@x>"},
    ),
}
for name, (raw, expected) in cases_of_nothing.items():
    odd.add(name, raw, **expected)
cases.found |= odd.found
