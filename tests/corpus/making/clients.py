"""Letters in the shapes of the programs that people use. All words are ours; only the shapes are theirs."""

from __future__ import annotations

from tests.corpus.making.letter import HTML, PLAIN, RU, Cases, b64, bare, file, letter, multi, nested, part, word

cases = Cases("program")
TEXT = part(PLAIN, body=RU)
PNG = b64(b"\x89PNG")


def shape(name: str, head: list[str], found: tuple[str, bytes], **expected: object) -> None:
    cases.add(name, letter(*head, found[0], body=found[1]), **expected)


def picture(cid: str, *more: str, name: str = "image001.png") -> bytes:
    return part(
        f'Content-Type: image/png; name="{name}"',
        "Content-Transfer-Encoding: base64",
        f"Content-ID: <{cid}>",
        *more,
        body=PNG,
    )


shape(
    "outlook-with-a-logo",
    ["X-Mailer: Microsoft Outlook 16.0", "Content-Language: ru"],
    multi(
        "related",
        nested(
            "alternative",
            TEXT,
            part(
                HTML,
                body=f'<html xmlns:o="urn:schemas-microsoft-com:office:office"><body><!--[if gte mso 9]><xml></xml><![endif]--><p class=MsoNormal>{RU}<o:p></o:p></p><img src="cid:image001.png@01DC0000.12345670"></body></html>',  # noqa: E501 one letter, one line
            ),
        ),
        picture("image001.png@01DC0000.12345670"),
        params='; type="multipart/alternative"',
    ),
    text=RU,
    html_has=["MsoNormal"],
    files=[["image001.png", "image/png", 4, True]],
    auto="none",
)
shape(
    "gmail",
    ["Received: by 2002:a05:6402:1234 with HTTP; Tue, 24 Nov 2026"],
    multi(
        "alternative",
        part('Content-Type: text/plain; charset="UTF-8"', "Content-Transfer-Encoding: base64", body=b64(RU.encode())),
        part(
            'Content-Type: text/html; charset="UTF-8"',
            "Content-Transfer-Encoding: base64",
            body=b64(f'<div dir="ltr">{RU}</div>'.encode()),
        ),
        boundary="000000000000a1b2c305f",
    ),
    text=RU,
    html_has=['dir="ltr"'],
    defects=[],
)
shape(
    "gmail-with-a-file",
    [],
    multi(
        "mixed",
        nested("alternative", TEXT, part(HTML, body="<div>x</div>")),
        file("application/pdf", "счёт.pdf", b"%PDF", "X-Attachment-Id: f_1", "Content-ID: <f_1>"),
    ),
    files=[["счёт.pdf", "application/pdf", 4, False]],
)
shape(
    "apple-mail-files-between-texts",
    ["X-Mailer: Apple Mail (2.3774)"],
    multi(
        "alternative",
        part(PLAIN, body="one\r\n\r\ntwo"),
        nested(
            "mixed",
            part(HTML, body="<p>one</p>"),
            part(
                "Content-Type: application/pdf; name=a.pdf", "Content-Disposition: inline; filename=a.pdf", body="%PDF"
            ),
            part(HTML, body="<p>two</p>"),
        ),
    ),
    text="one\n\ntwo",
    html_has=["one", "two"],
    files=[["a.pdf", "application/pdf", 4, False]],
)
shape(
    "iphone",
    ["X-Mailer: iPhone Mail (22A100)"],
    multi(
        "mixed",
        part("Content-Type: text/plain; charset=utf-8", body=RU),
        part(
            "Content-Type: image/jpeg; name=IMG_0001.jpeg; x-apple-part-url=x",
            "Content-Disposition: inline; filename=IMG_0001.jpeg",
            "Content-Transfer-Encoding: base64",
            body=PNG,
        ),
        part("Content-Type: text/plain; charset=utf-8", body="Отправлено с iPhone"),
        boundary="Apple-Mail-1",
    ),
    text_has=[RU, "Отправлено с iPhone"],
    files=[["IMG_0001.jpeg", "image/jpeg", 4, False]],
)
cases.add(
    "iphone-plain",
    letter(
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: base64",
        "X-Mailer: iPhone Mail (22A100)",
        body=b64((RU + "\n\nОтправлено с iPhone").encode()),
    ),
    text=f"{RU}\n\nОтправлено с iPhone",
)
cases.add(
    "yandex",
    letter(
        "X-Mailer: Yamail [ http://yandex.ru ] 5.0",
        'Content-Type: text/html; charset="utf-8"',
        "Content-Transfer-Encoding: base64",
        body=b64(f"<div>{RU}</div><div> </div><div>-- </div>".encode()),
    ),
    html_has=[RU],
    text=None,
)
shape(
    "mail.ru",
    ["X-Mailer: Mail.Ru Mailer 1.0"],
    multi(
        "alternative",
        part("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64", body=b64(RU.encode())),
        part(
            "Content-Type: text/html; charset=utf-8",
            "Content-Transfer-Encoding: base64",
            body=b64(f"\n<HTML><BODY><p>{RU}</p></BODY></HTML>\n".encode()),
        ),
        boundary="--ALT--1",
    ),
    text=RU,
    html_has=[RU],
)
cases.add(
    "the-bat",
    letter(
        "X-Mailer: The Bat! (v4.0) Professional",
        "Content-Type: text/plain; charset=windows-1251",
        "Content-Transfer-Encoding: 8bit",
        body=RU.encode("cp1251"),
    ),
    text=RU,
)
cases.add(
    "outlook-express-koi8-r",
    letter(
        "X-Mailer: Microsoft Outlook Express 6.00",
        'Content-Type: text/plain; charset="koi8-r"',
        "Content-Transfer-Encoding: quoted-printable",
        body="".join(f"={b:02X}" for b in RU.encode("koi8-r")),
    ),
    text=RU,
)
cases.add(
    "1c-enterprise",
    letter(
        "X-Mailer: 1C:Enterprise 8.3",
        f"Content-Type: multipart/mixed; boundary={'-' * 20}1c",
        body=f"{'-' * 22}1c\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()  # noqa: E501 one letter, one line
        + b64(f"<p>{RU}</p>".encode())
        + f'\r\n{"-" * 22}1c\r\nContent-Type: application/octet-stream; name="{word("Счёт на оплату.pdf")}"\r\nContent-Disposition: attachment; filename="{word("Счёт на оплату.pdf")}"\r\n\r\nx\r\n{"-" * 22}1c--'.encode(),  # noqa: E501 one letter, one line
    ),
    html_has=[RU],
    files=[["Счёт на оплату.pdf", "application/octet-stream", 1]],
)
shape(
    "exchange-disclaimer",
    ["X-MS-Has-Attach: yes", "X-MS-TNEF-Correlator:"],
    multi(
        "mixed",
        nested("alternative", TEXT, part(HTML, body=f"<p>{RU}</p>")),
        part("Content-Type: text/plain; charset=utf-8", body="Disclaimer: confidential."),
    ),
    text=f"{RU}\n\nDisclaimer: confidential.",
    html_has=[RU, "Disclaimer"],
)
cases.add(
    "exchange-automatic-reply",
    letter(PLAIN, "Auto-Submitted: auto-generated", "X-Auto-Response-Suppress: All", body="Я в отпуске"),
    auto="auto_reply",
)
cases.add(
    "thunderbird",
    letter(
        "User-Agent: Mozilla Thunderbird",
        "Content-Type: text/plain; charset=UTF-8; format=flowed",
        "Content-Transfer-Encoding: 8bit",
        "Content-Language: ru",
        body=f"{RU}\r\n\r\n-- \r\nМария",
    ),
    text=f"{RU}\n\n-- \nМария",
    defects=[],
)
shape(
    "roundcube",
    ["User-Agent: Roundcube Webmail/1.6"],
    multi(
        "alternative",
        part("Content-Type: text/plain; charset=UTF-8; format=flowed", body=RU),
        part("Content-Type: text/html; charset=UTF-8", body=f"<p>{RU}</p>"),
        boundary="=_abc",
    ),
    text=RU,
)
cases.add(
    "php-mailer-without-mime",
    bare("From: shop@x.example", "Subject: Заказ 1", "X-PHP-Originating-Script: 1:mail.php", body="Новый заказ"),
    subject="Заказ 1",
    text="Новый заказ",
)
cases.add("php-html-without-charset", letter("Content-type: text/html", body=f"<b>{RU}</b>"), html_has=[RU])
shape(
    "newsletter",
    ["List-Unsubscribe: <mailto:u@x.example>", "Precedence: bulk"],
    multi("alternative", TEXT, part(HTML, body='<img src="https://t.example/p.gif" width=1 height=1><p>x</p>')),
    auto="list",
)
cases.add(
    "scanner-with-only-a-file",
    letter(
        "X-Mailer: KONICA MINOLTA",
        f'Content-Type: application/pdf; name="{word("скан.pdf")}"',
        "Content-Disposition: attachment",
        "Content-Transfer-Encoding: base64",
        body=b64(b"%PDF"),
    ),
    files=[["скан.pdf", "application/pdf", 4, False]],
    text=None,
)
shape(
    "fax-to-mail",
    [],
    multi("mixed", part("Content-Type: text/plain"), file("image/tiff", "fax.tif")),
    text="",
    files=[["fax.tif", "image/tiff"]],
)
cases.add(
    "lotus-notes",
    letter(
        "X-Mailer: Lotus Notes Release 8.5",
        "Content-Type: text/html; charset=KOI8-R",
        body=f'<br><font size=2 face="sans-serif">{RU}</font>'.encode("koi8-r"),
    ),
    html_has=[RU],
)
cases.add(
    "bounce-of-postfix",
    bare(
        "From: MAILER-DAEMON@x.example (Mail Delivery System)",
        "Auto-Submitted: auto-replied",
        'Content-Type: multipart/report; report-type=delivery-status; boundary="B"',
        body="--B\r\n\r\nundeliverable\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n--B\r\nContent-Type: message/rfc822\r\n\r\nSubject: lost\r\n\r\nx\r\n--B--",  # noqa: E501 one letter, one line
    ),
    auto="bounce",
    text="undeliverable",
    also_has=["lost"],
)
