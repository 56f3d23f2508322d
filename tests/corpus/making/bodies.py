"""Texts and files that programs pack wrongly, name oddly or hang in the wrong place."""

from __future__ import annotations

import base64
import binascii

from tests.corpus.making.letter import HTML, PLAIN, Cases, b64, letter, multi, nested, part

cases = Cases("body")
PNG = b"\x89PNG\r\n\x1a\n"
TEXT = part(PLAIN, body="plain")


def add(name: str, found: tuple[str, bytes], **expected: object) -> None:
    cases.add(name, letter(found[0], body=found[1]), **expected)


def of(kind: str, body: bytes, *more: str) -> bytes:
    return part(f"Content-Type: {kind}", *more, "Content-Transfer-Encoding: base64", body=b64(body))


REQUEST = part(HTML, body="<p>Please send the invoice for the crane by Friday.</p>")
FOOTER = part(PLAIN, body="Scanned by MailGate.")
add(
    "html-then-a-plain-footer",
    multi("mixed", REQUEST, FOOTER),
    text="Please send the invoice for the crane by Friday.\n\nScanned by MailGate.",
    html_has=["crane", "Scanned by MailGate."],
)
add(
    "plain-header-then-html",
    multi("mixed", part(PLAIN, body="External sender!"), REQUEST),
    text="External sender!\n\nPlease send the invoice for the crane by Friday.",
)
add(
    "alternative-then-html-footer",
    multi("mixed", nested("alternative", TEXT, part(HTML, body="<p>rich</p>")), part(HTML, body="<p>The list</p>")),
    text="plain\n\nThe list",
)
add(
    "alternative-of-html-alone-and-a-footer",
    multi("mixed", nested("alternative", REQUEST), FOOTER),
    text="Please send the invoice for the crane by Friday.\n\nScanned by MailGate.",
)
add(
    "pieces-of-html-in-one-alternative",
    multi(
        "alternative",
        TEXT,
        nested(
            "mixed",
            part(HTML, body="<p>one</p>"),
            of("application/pdf; name=a.pdf", b"%PDF-1", "Content-Disposition: inline"),
            part(HTML, body="<p>two</p>"),
        ),
    ),
    text="plain",
    html_has=["one", "two"],
    files=[["a.pdf", "application/pdf", 6, False]],
)

RU_B64 = base64.b64encode("Привет, Ив".encode())
BASE64 = "Content-Transfer-Encoding: base64"
cases.add(
    "base64-with-a-footer-in-clear", letter(PLAIN, BASE64, body=RU_B64 + b"\r\nSent\r\n"), text="Привет, Ив\nSent"
)
cases.add(
    "base64-with-padding-and-a-footer-in-clear",
    letter(
        PLAIN, BASE64, body=base64.b64encode("Привет!".encode()) + b"\r\n-- \r\nScanned by MailGate, all clear.\r\n"
    ),
    text_has=["Привет!\n", "Scanned by MailGate, all clear."],
)
LONG = ("Высылаем счёт на оплату и договор. " * 6).strip()
cases.add(
    "base64-in-lines-with-a-footer-in-clear",
    letter(PLAIN, BASE64, body=b64(LONG.encode()) + b"\r\n____________\r\nThe office list\r\n"),
    text_has=[LONG, "\n____________\nThe office list"],
)
cases.add("base64-in-lines", letter(PLAIN, BASE64, body=b64(LONG.encode())), text=LONG, defects=[])
KOI8 = base64.b64encode(LONG.encode("koi8-r"))
cases.add(
    "base64-in-short-lines-labelled-wrongly",
    letter(PLAIN, BASE64, body=b"\r\n".join(KOI8[n : n + 20] for n in range(0, 400, 20))),
    text_has=["Высылаем счёт на оплату и договор."],
)
for number, how in enumerate(("base64 (comment)", "(x) base64", "BASE64;", '"base64"', "base64, 8bit")):
    cases.add(
        f"encoding-with-odd-signs-{number}",
        letter(PLAIN, f"Content-Transfer-Encoding: {how}", body=RU_B64),
        text="Привет, Ив",
        defects=[],
    )

TWO = b"--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>hi</p>\r\n--b--"
add(
    "boundary-not-named",
    ("Content-Type: multipart/alternative", TWO),
    text="hi",
    html="<p>hi</p>",
    defects=["no_boundary"],
)
add(
    "boundary-named-wrongly",
    ('Content-Type: multipart/alternative; boundary="another"', TWO.replace(b"--b", b"------=_Part_1")),
    text="hi",
    html="<p>hi</p>",
)
add(
    "boundary-not-named-behind-a-preamble",
    ("Content-Type: multipart/alternative", b"This is a message in MIME format.\r\n\r\n--\r\n" + TWO),
    text="hi",
)
cases.add(
    "code-keeps-its-lines",
    letter(HTML, body="<p>Log:</p><pre><code>line 1\n  line 2\n\n<b>line</b> 3</code></pre>"),
    text=None,
    html_has=["line 2"],
)

FULL = bytes(range(32, 77)) + bytes(range(48, 93)) + b"the end"
LINES = b"".join(binascii.b2a_uu(FULL[n : n + 45]).replace(b"\n", b"\r\n") for n in range(0, len(FULL), 45))
cases.add(
    "uuencode-without-its-first-line",
    letter(PLAIN, body=b"See below.\r\n" + LINES + b"`\r\nend\r\nRegards\r\n"),
    text="See below.\nRegards",
    files=[["attachment-1", None, len(FULL)]],
)
cases.add(
    "uuencode-part-without-its-first-line",
    letter(
        "Content-Type: application/x-thing; name=offer.txt",
        "Content-Transfer-Encoding: x-uuencode",
        body=LINES + b"`\r\nend\r\n",
    ),
    files=[["offer.txt", None, len(FULL)]],
)
cases.add(
    "lines-that-begin-with-m-are-no-file",
    letter(PLAIN, body=b"M" + b"A" * 60 + b"\r\nM" + b"B" * 60 + b"\r\nnothing"),
    text_has=["MAAAA", "MBBBB"],
    files=[],
)

INLINE = "Content-Disposition: inline; filename=contract.pdf"
PICTURE = ("Content-Type: image/png; name=a.png", "Content-Transfer-Encoding: base64")
SHOWN = ["a.png", "image/png", 8, True]
SOURCES = {
    "cid-percent-encoded": ("cid:a%40x", "Content-ID: <a@x>"),
    "cid-percent-encoded-in-the-part": ("cid:a@x", "Content-ID: <a%40x>"),
    "content-location": ("http://x.example/img/a.png", "Content-Location: http://x.example/img/a.png"),
    "content-location-relative": ("a.png", "Content-Location: http://x.example/img/a.png"),
    "cid-that-is-the-name": ("cid:a.png", "X-Nothing: x"),
}
for name, (source, field) in SOURCES.items():
    picture = part(*PICTURE, field, body=b64(PNG))
    add(name, multi("related", part(HTML, body=f'<p>x<img src="{source}"></p>'), picture), files=[SHOWN])
add(
    "cid-that-nothing-shows",
    multi("related", part(HTML, body="<p>x</p>"), part(*PICTURE, "Content-ID: <a@x>", body=b64(PNG))),
    files=[["a.png", "image/png", 8, False]],
)
add(
    "file-that-calls-itself-inline",
    multi("mixed", TEXT, of("application/pdf; name=contract.pdf", b"%PDF-1", INLINE)),
    files=[["contract.pdf", "application/pdf", 6, False]],
)

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
DOCX = b"PK\x03\x04" + b"\0" * 26 + b"word/document.xml"
UNNAMED = {
    "pdf": ("application/pdf", b"%PDF-1", "attachment-1.pdf"),
    "docx-by-its-type": (WORD, b"x", "attachment-1.docx"),
    "docx-by-its-bytes": ("application/octet-stream", DOCX, "attachment-1.docx"),
    "png-by-its-bytes": ("application/octet-stream", PNG, "attachment-1.png"),
    "nothing-known": ("application/octet-stream", b"x", "attachment-1"),
    "report": ("message/disposition-notification", b"x", "attachment-1.txt"),
}
for name, (kind, content, expected) in UNNAMED.items():
    add(f"unnamed-{name}", multi("mixed", TEXT, of(kind, content)), files=[[expected, kind]])
add(
    "named-by-its-description",
    multi("mixed", TEXT, of("application/pdf", b"%PDF-", "Content-Description: offer.pdf")),
    files=[["offer.pdf", "application/pdf"]],
)
PERCENT = {
    "name-percent-encoded": ('"%D0%A1%D1%87%D1%91%D1%82.pdf"', "Счёт.pdf"),
    "name-percent-encoded-with-its-charset": ("\"UTF-8''%D0%A1%D1%87%D1%91%D1%82%201.pdf\"", "Счёт 1.pdf"),
    "name-with-a-percent-sign": ('"100% of it.pdf"', "100% of it.pdf"),
    "name-with-a-percent-sign-and-figures": ('"5%E9 off.pdf"', "5%E9 off.pdf"),
}
for name, (value, expected) in PERCENT.items():
    file = of("application/pdf", b"%PDF-", f"Content-Disposition: attachment; filename={value}")
    add(name, multi("mixed", TEXT, file), files=[[expected, "application/pdf"]])
