"""Letters that are labelled wrongly, hardly or not at all."""

from __future__ import annotations

from tests.corpus.making.letter import Cases, bare, letter, multi, part

cases = Cases("charset")


def body(name: str, label: str, raw: bytes, text: str, *defects: str) -> None:
    cases.add(name, letter(f"Content-Type: text/plain; charset={label}", body=raw), text=text, defects=[*defects])


body("one-euro-in-windows-1252", "windows-1252", b"The price is 1,200 \x80 net.", "The price is 1,200 € net.")
body(
    "hard-blanks-in-windows-1252",
    "windows-1252",
    b"Dear Ivan,\n\xa0\nready.\n\xa0\nBob",
    "Dear Ivan,\n\xa0\nready.\n\xa0\nBob",
)
body("a-few-accents-in-latin-1", "iso-8859-1", "à Paris, ça va déjà".encode("latin-1"), "à Paris, ça va déjà")
body(
    "latin-1-that-is-cyrillic",
    "iso-8859-1",
    "Добрый день, высылаем счёт".encode("cp1251"),
    "Добрый день, высылаем счёт",
    "charset",
)
body(
    "one-bad-byte-in-utf-8",
    "utf-8",
    "ООО".encode() + b"\xd0 \xc2\xab" + "Ромашка»: счёт".encode(),
    "ООО\ufffd «Ромашка»: счёт",
)
body(
    "one-bad-byte-in-windows-1251",
    "windows-1251",
    "Счёт ".encode("cp1251") + b"\x98" + " готов".encode("cp1251"),
    "Счёт \ufffd готов",
)
body("one-bad-byte-in-gbk", "gb2312", "您好，报价单".encode("gbk") + b"\xff abc", "您好，报价单\ufffd abc")
body("one-odd-byte-among-ascii", "utf-8", b"just \x98 one", "just \ufffd one")
body("latin-1-labelled-utf-8", "utf-8", b"na\xefve caf\xe9", "naïve café", "charset")
body("iso-2022-jp-with-bytes-of-eight-bits", "iso-2022-jp", "髙橋①㈱".encode("cp932"), "髙橋①㈱", "charset")
body("iso-2022-jp-with-vendor-characters", "iso-2022-jp", b"\x1b$B-!-j\x1b(B 1", "①㈱ 1")
cases.add(
    "html-labelled-windows-1251-in-utf-8",
    letter(
        "Content-Type: text/html; charset=windows-1251",
        body="<html><head><meta charset=utf-8></head><body>Счёт готов</body></html>",
    ),
    html_has=["Счёт готов"],
    defects=["charset"],
)
for number, label in enumerate(
    ("cp-1251", "win1251", "windows1251", "x-cp1251", "ansi-1251", "1251", "WIN-1251", "charset=windows-1251")
):
    body(f"alias-{number}-of-windows-1251", f'"{label}"', "Счёт № 5".encode("cp1251"), "Счёт № 5")
for number, label in enumerate(("koi8r", "koi8", "KOI-8-R", "cskoi8r")):
    body(f"alias-{number}-of-koi8-r", label, "Счёт готов".encode("koi8-r"), "Счёт готов")
for number, label in enumerate(("utf8mb4", "utf8", "UTF_8", "65001")):
    body(f"alias-{number}-of-utf-8", label, "Счёт № 5", "Счёт № 5")
body("alias-of-866", "dos-866", "Счёт готов".encode("cp866"), "Счёт готов")
body("alias-of-shift-jis", "x-sjis", "見積書①".encode("cp932"), "見積書①")

PLAIN_IN = "Content-Type: text/plain; charset={}"
HEADS = {
    "russian-and-nothing-named": ("Счёт на оплату", "cp1251", PLAIN_IN.format("us-ascii")),
    "russian-in-the-charset-of-the-text": ("Да", "koi8-r", PLAIN_IN.format("koi8-r")),
    "russian-with-a-number-sign": ("Счёт №5", "cp1251", PLAIN_IN.format("windows-1251")),
    "german-beside-utf-8": ("Angebot für Köln", "latin-1", PLAIN_IN.format("utf-8")),
    "portuguese": ("Cotação e condições", "latin-1", PLAIN_IN.format("utf-8")),
    "polish-in-the-charset-of-the-text": ("Zażółć gęślą", "iso-8859-2", PLAIN_IN.format("iso-8859-2")),
    "japanese-beside-iso-2022-jp": ("見積書①㈱", "cp932", PLAIN_IN.format("iso-2022-jp")),
    "chinese-in-the-charset-of-the-text": ("报价", "gbk", PLAIN_IN.format("gb2312")),
}
for name, (subject, charset, kind) in HEADS.items():
    cases.add(
        f"head-{name}",
        bare("From: a@x.example", b"Subject: " + subject.encode(charset), kind, body="x"),
        subject=subject,
    )
cases.add(
    "head-read-all-together",
    bare(
        b"From: " + "Да <a@x.example>".encode("cp1251"), b"Subject: " + "Высылаем вам счёт на оплату".encode("cp1251")
    ),
    from_=["Да", "a@x.example"],
    subject="Высылаем вам счёт на оплату",
)
field, parts = multi(
    "mixed",
    part("Content-Type: text/plain; charset=koi8-r", body="Счёт".encode("koi8-r")),
    part(
        "Content-Type: application/pdf",
        b'Content-Disposition: attachment; filename="' + "Акт.pdf".encode("koi8-r") + b'"',
        body="%PDF-",
    ),
)
cases.add("file-name-in-the-charset-of-the-text", letter(field, body=parts), files=[["Акт.pdf", "application/pdf"]])
