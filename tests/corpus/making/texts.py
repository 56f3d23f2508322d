"""Charsets and headers: labelled rightly, wrongly, twice and not at all."""

from __future__ import annotations

from tests.corpus.making.letter import FROM, REST, RU, Cases, bare, letter, multi, part, word

cases = Cases("text")
CYRILLIC = ("cp1251", "koi8-r", "cp866", "mac-cyrillic", "iso8859-5")

for codec in (*CYRILLIC, "utf-8", "utf-16", "koi8-u"):
    cases.add(
        f"{codec}-labelled",
        letter(f"Content-Type: text/plain; charset={codec}", body=RU.encode(codec)),
        text=RU,
        defects=[],
    )
for codec in CYRILLIC:
    for label in ("utf-8", "iso-8859-1", "x-unknown"):
        raw = letter(f"Content-Type: text/plain; charset={label}", body=RU.encode(codec))
        cases.add(f"{codec}-as-{label}", raw, text=RU, defects=["charset"])
    cases.add(f"{codec}-unlabelled", letter(body=RU.encode(codec)), text=RU, defects=[])
for codec, label in (
    ("koi8-r", "windows-1251"),
    ("cp1251", "koi8-r"),
    ("utf-8", "windows-1251"),
    ("utf-8", "us-ascii"),
):
    raw = letter(f"Content-Type: text/plain; charset={label}", body=RU.encode(codec))
    cases.add(f"{codec}-as-{label}", raw, text=RU, defects=["charset"])
cases.add(
    "cp1251-with-quotes-in-the-label",
    letter("Content-Type: text/plain; charset=\"'windows-1251'\"", body=RU.encode("cp1251")),
    text=RU,
)
for name, codec in (("latin-1", "latin-1"), ("cp1252", "cp1252"), ("cp1251", "cp1251")):
    misread = "".join(
        bytes([byte]).decode(codec, "replace") if bytes([byte]).decode(codec, "replace") != "\ufffd" else chr(byte)
        for byte in RU.encode()
    )
    raw = letter("Content-Type: text/plain; charset=utf-8", body=misread)
    cases.add(f"utf-8-taken-for-{name}-and-encoded-again", raw, text=RU, defects=["charset"])
for label, codec, text in (
    ("gb2312", "gbk", "您好，請查收發票，謝謝。价格为一百元，请确认。"),
    ("iso-2022-jp", "iso2022_jp", "こんにちは、請求書をお送りします。"),
    ("us-ascii", "iso2022_jp", "お世話になっております。"),
    ("shift_jis", "cp932", "こんにちは、①の請求書をお送りします。"),
    ("ks_c_5601-1987", "cp949", "안녕하세요, 청구서를 보내드립니다."),
    ("big5", "big5", "您好，請查收發票，謝謝。"),
    ("utf-7", "utf-7", "Привет, как дела?"),
    ("unicode-1-1-utf-7", "utf-7", "Привет, Иван"),
    ("windows-1255", "cp1255", "שלום, מצורפת חשבונית"),
    ("windows-1256", "cp1256", "مرحبا، نرسل لكم الفاتورة"),
    ("iso-8859-8-i", "iso8859-8", "שלום רב"),
    ("windows-1250", "cp1250", "Dzień dobry, przesyłam fakturę"),
    ("iso-8859-1", "cp1252", "“Preis” – 5 € für Grüße"),
    ("iso-8859-9", "iso8859-9", "Günaydın, faturayı gönderiyorum"),
    ("gb18030", "gb18030", "请查收附件中的发票"),
):
    raw = letter(f"Content-Type: text/plain; charset={label}", body=text.encode(codec))
    cases.add(f"{codec}-{label}", raw, text=text)
for codec in ("utf-16-le", "utf-16-be"):
    cases.add(f"{codec}-unlabelled", letter("Content-Type: text/plain", body=RU.encode(codec)), text=RU)
cases.add(
    "utf-16-labelled-as-utf-8", letter("Content-Type: text/plain; charset=utf-8", body=RU.encode("utf-16")), text=RU
)
cases.add(
    "utf-8-with-a-mark", letter("Content-Type: text/plain; charset=utf-8", body=b"\xef\xbb\xbf" + RU.encode()), text=RU
)
cases.add(
    "html-with-its-charset-inside",
    letter("Content-Type: text/html", body=f'<meta charset="windows-1251"><p>{RU}</p>'.encode("cp1251")),
    html_has=[RU],
)
cases.add(
    "html-whose-meta-lies",
    letter("Content-Type: text/html; charset=utf-8", body=f'<meta charset="windows-1251"><p>{RU}</p>'),
    html_has=[RU],
)
cases.add("nul-in-the-text", letter("Content-Type: text/plain; charset=utf-8", body=b"a\0b"), text="a\ufffdb")
cases.add(
    "utf-8-cut-within-a-letter",
    letter("Content-Type: text/plain; charset=utf-8", body="Счёт".encode()[:-1]),
    text_has=["Сч"],
)
cases.add(
    "1c-sends-html-without-a-type",
    bare(FROM, *REST, body=f"<html><body><p>{RU}</p></body></html>".encode("cp1251")),
    html_has=[RU],
)

for codec in ("koi8-r", "cp1251", "utf-8"):
    head = f"From: Мария Зуева <zueva@severles.example>\r\nSubject: Счёт на оплату оборудования\r\n\r\n{RU}"
    cases.add(
        f"head-raw-{codec}",
        head.encode(codec),
        subject="Счёт на оплату оборудования",
        from_=["Мария Зуева", "zueva@severles.example"],
        text=RU,
    )
SUBJECTS = {
    "base64-words": (word("Счёт на оплату"), "Счёт на оплату"),
    "quoted-words": (word("Счёт на оплату", "koi8-r", "Q"), "Счёт на оплату"),
    "word-cut-within-a-letter": ("=?utf-8?B?0KHRh9GR0Q==?=\r\n =?utf-8?B?giDihJYgNQ==?=", "Счёт № 5"),
    "words-of-two-charsets": (f"{word('Счёт', 'cp1251')} {word('оплачен', 'koi8-r')}", "Счётоплачен"),
    "word-within-a-word": ("Re:=?utf-8?Q?=D0=A1=D1=87=D1=91=D1=82?=5", "Re:Счёт5"),
    "word-with-a-wrong-charset": (word("Счёт на оплату", "cp1251").replace("cp1251", "utf-8"), "Счёт на оплату"),
    "word-with-blanks": ("=?utf-8?Q?Hello World?=", "Hello World"),
    "word-with-a-language": ("=?utf-8*ru?Q?=D0=94=D0=B0?=", "Да"),
    "word-without-padding": ("=?utf-8?B?0JTQsA?=", "Да"),
    "word-that-never-ends": ("=?utf-8?B?0JTQsA", "=?utf-8?B?0JTQsA"),
    "word-of-an-unknown-charset": ("=?x-unknown?Q?=D0=94=D0=B0?=", "Да"),
    "line-break-in-a-word": ("=?utf-8?Q?Hi=0D=0ABcc:_x@y?=", "Hi Bcc: x@y"),
    "folded": ("Счёт\r\n\t на оплату", "Счёт на оплату"),
    "emoji": (word("Скидки 🎉"), "Скидки 🎉"),
    "iso-2022-jp": ("=?ISO-2022-JP?B?GyRCJDMkcyRLJEEkTxsoQg==?=", "こんにちは"),
    "gb2312": (word("发票", "gbk").replace("gbk", "gb2312"), "发票"),
    "twice-encoded": (word("Привет, Иван".encode().decode("latin-1")), "Привет, Иван"),
}
for name, (value, subject) in SUBJECTS.items():
    cases.add(f"subject-{name}", bare(FROM, f"Subject: {value}", body="x"), subject=subject)

FROMS = {
    "no-from": ("X: y", None),
    "empty": ("From: ", None),
    "name-only": ("From: Мария", ["Мария", ""]),
    "encoded-name": (
        f"From: {word('Зуева, Мария')} <zueva@severles.example>",
        ["Зуева, Мария", "zueva@severles.example"],
    ),
    "quoted-encoded-name": (f'From: "{word("Мария")}" <z@s.example>', ["Мария", "z@s.example"]),
    "comment-as-name": ("From: z@s.example (Мария)", ["Мария", "z@s.example"]),
    "address-as-name": ('From: "boss@bank.example" <evil@evil.example>', ["boss@bank.example", "evil@evil.example"]),
    "address-in-an-encoded-word": (
        f"From: {word('<boss@bank.example>')} <e@evil.example>",
        ["<boss@bank.example>", "e@evil.example"],
    ),
    "no-space-before-the-address": ("From: Мария<z@s.example>", ["Мария", "z@s.example"]),
    "source-route": ("From: <@a.example,@b.example:z@s.example>", ["", "z@s.example"]),
    "idn": ("From: <info@почта.рф>", ["", "info@почта.рф"]),
}
for name, (line, who) in FROMS.items():
    cases.add(f"from-{name}", bare(line, "Subject: x", body="x"), from_=who)
cases.add(
    "from-twice",
    bare("From: a@x.example", "From: b@x.example", body="x"),
    from_=["", "a@x.example"],
    defects_has=["several_from"],
)
cases.add("from-two-in-one", bare("From: A <a@x.example>, B <b@x.example>", body="x"), from_=["A", "a@x.example"])
cases.add("message-id-empty", bare(FROM, "Message-ID: <>", body="x"), message_id="", defects_has=["no_message_id"])
cases.add(
    "message-id-without-brackets", bare(FROM, "Message-ID: abc@x.example", body="x"), message_id="<abc@x.example>"
)
cases.add(
    "to-group-and-hidden",
    bare(FROM, "To: undisclosed-recipients:;", "Cc: Team: a@x.example, B <b@x.example>;", body="x"),
    to=[],
    cc=["a@x.example", "b@x.example"],
)
cases.add(
    "to-semicolons-of-outlook",
    bare(FROM, "To: a@x.example; B <b@x.example>", body="x"),
    to=["a@x.example", "b@x.example"],
)
DATES = {
    "usual": ("Tue, 24 Nov 2026 10:12:00 +0300", "2026-11-24T07:12:00+00:00"),
    "without-a-day": ("24 Nov 2026 10:12:00 GMT", "2026-11-24T10:12:00+00:00"),
    "two-digit-year": ("Tue, 24 Nov 26 10:12:00 +0000", "2026-11-24T10:12:00+00:00"),
    "with-a-comment": ("Tue, 24 Nov 2026 10:12:00 +0300 (MSK)", "2026-11-24T07:12:00+00:00"),
    "nonsense": ("вчера", None),
    "impossible": ("Tue, 34 Foo 2026 99:12:00 +9999", None),
}
for name, (value, at) in DATES.items():
    cases.add(f"date-{name}", bare(FROM, f"Date: {value}", body="x"), date=at)

cases.add(
    "flowed",
    letter(
        "Content-Type: text/plain; charset=utf-8; format=flowed",
        body="Добрый \r\nдень,\r\n> чужие \r\n> слова\r\n-- \r\nя",
    ),
    text="Добрый день,\n> чужие слова\n-- \nя",
)
cases.add(
    "flowed-delsp",
    letter("Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes", body="при \r\nвет"),
    text="привет",
)
cases.add(
    "enriched",
    letter(
        "Content-Type: text/enriched", body="<bold>Hello</bold> <<world>\r\n\r\n<color><param>red</param>red</color>"
    ),
    text="Hello <world>\nred",
)
cases.add(
    "rtf-only",
    letter(
        "Content-Type: text/rtf",
        body=rb"{\rtf1\ansi\ansicpg1251{\fonttbl{\f0\fcharset204 Arial;}}\f0 \'cf\'f0\'e8\'e2\'e5\'f2\par \u1048?\u1074?\u1072?\u1085?}",  # noqa: E501 one letter, one line
    ),
    text="Привет\nИван",
)
cases.add(
    "quoted-printable-with-soft-breaks",
    letter(
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: quoted-printable",
        body="=D0=94=D0=\r\n=B0=2C ok =3D=ZZ",
    ),
    text="Да, ok ==ZZ",
)
cases.add(
    "base64-with-rubbish-between",
    letter(
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: BASE64",
        body="0JTQ\r\n!sA==\r\n-- rubbish",
    ),
    text_has=["Да"],
)
cases.add(
    "unknown-transfer-encoding",
    letter("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: x-magic", body="Да"),
    text="Да",
    defects_has=["unknown_encoding"],
)
cases.add(
    "two-languages-in-two-charsets",
    letter(
        *(lambda found: (found[0],))(multi("mixed", b"")),
        body=multi(
            "mixed",
            part("Content-Type: text/plain; charset=koi8-r", body="Привет, Иван".encode("koi8-r")),
            part("Content-Type: text/plain; charset=windows-1251", body="До встречи, Мария".encode("cp1251")),
        )[1],
    ),
    text="Привет, Иван\n\nДо встречи, Мария",
)
