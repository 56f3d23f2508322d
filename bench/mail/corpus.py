"""Mail as a sales mailbox holds it, made with a fixed seed: 10,000 messages are 260 MB.

Each has 5 to 60 lines of Russian and English, plain and as HTML; every tenth a file of 10 to 200 KB; four in ten
answer an earlier one, with References as mail programs write them. Half of the senders are clients.
"""

from __future__ import annotations

import base64
import quopri
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

SEED = 20_261_124
SENDERS = 600
FIRST = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)

_RU = (
    "добрый день прошу прислать счёт на оплату по договору поставки оборудования насос фланец задвижка отгрузка "
    "склад срок неделя согласовали цена скидка объём партия заявка номер спецификация подписать акт сверки "
    "реквизиты банк подскажите пожалуйста когда будет готов коммерческое предложение мы получили ваше письмо и готовы "
    "обсудить условия доставки до терминала транспортной компании во вложении направляю копию платёжного поручения"
).split()
_EN = (
    "please find attached the invoice for the delivery of pumps and valves as agreed in our contract we would like to "
    "confirm the lead time and the price for the next quantity could you send the data sheet of the new model our "
    "warehouse expects the shipment on monday kind regards purchasing department thank you for your quick answer"
).split()
_STYLE = "font-family:Calibri;font-size:11.0pt;color:#1F497D"


@dataclass(frozen=True, slots=True)
class Made:
    """A message of the corpus; `answers` is the number of the one it answers."""

    number: int
    sender: str
    raw: bytes
    answers: int | None


def sender_address(n: int) -> str:
    """The n-th sender; the even ones are clients."""
    return f"person{n}@company{n // 3}.example"


def messages(count: int) -> Iterator[Made]:
    """Yield `count` messages, the oldest first."""
    dice = random.Random(SEED)
    threads: list[tuple[int, str, tuple[str, ...]]] = []
    for number in range(count):
        answers: int | None = None
        references: tuple[str, ...] = ()
        who = dice.randrange(SENDERS)
        if threads and dice.random() < 0.4:
            answers, subject, references = threads[dice.randrange(max(0, len(threads) - 300), len(threads))]
            subject = subject if subject.startswith("Re: ") else f"Re: {subject}"
        else:
            subject = _sentence(dice, dice.random() < 0.6, 3, 9)
        own = f"<{number}.{dice.getrandbits(60):x}@mail{who % 40}.example>"
        threads.append((number, subject, (*references[-9:], own)))
        yield Made(number, sender_address(who), _raw(dice, number, who, subject, own, references), answers)


def _raw(dice: random.Random, number: int, who: int, subject: str, own: str, references: tuple[str, ...]) -> bytes:
    is_russian = dice.random() < 0.6
    lines = [_sentence(dice, is_russian, 5, 9) for _ in range(dice.randint(5, 60))]
    name = f"Ирина Петрова {who}" if is_russian else f"Irene Porter {who}"
    at = FIRST + timedelta(minutes=11 * number)
    head = [
        "Return-Path: <" + sender_address(who) + ">",
        *(
            f"Received: from mx{hop}.relay.example (mx{hop}.relay.example [192.0.2.{hop}])\r\n"
            f"\tby in{hop}.hub.example with ESMTPS id {dice.getrandbits(64):016x};\r\n\t{format_datetime(at)}"
            for hop in range(1, 4)
        ),
        f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=company{who // 3}.example; s=mail;\r\n"
        f"\tbh={_noise(dice, 32)};\r\n\tb={_noise(dice, 96)}",
        f"From: {_word(name)} <{sender_address(who)}>",
        "To: Sales <sales@hub.example>" + (f", {sender_address(who + 1)}" if dice.random() < 0.3 else ""),
        f"Subject: {_word(subject)}",
        f"Date: {format_datetime(at)}",
        f"Message-ID: {own}",
        *([f"In-Reply-To: {references[-1]}", "References: " + "\r\n ".join(references)] if references else []),
        "MIME-Version: 1.0",
        "X-Mailer: Microsoft Outlook 16.0",
    ]
    plain, html = "\r\n".join(lines), _html(lines, with_quote=bool(references), dice=dice)
    alternative = _multipart("alternative", f"alt{number}", [_text("plain", plain), _text("html", html)])
    content = alternative
    if number % 10 == 9:
        size = dice.randint(10_000, 200_000)
        body = base64.encodebytes(dice.randbytes(size)).replace(b"\n", b"\r\n")
        title = f"invoice-{number}.pdf"
        file = (
            f'Content-Type: application/pdf; name="{title}"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="{title}"\r\n\r\n'
        ).encode() + body
        content = _multipart("mixed", f"mix{number}", [alternative, file])
    return "\r\n".join(head).encode("ascii") + b"\r\n" + content


def _html(lines: list[str], *, with_quote: bool, dice: random.Random) -> str:
    paragraphs = [f'<p class="MsoNormal" style="{_STYLE}"><span>{line}</span></p>' for line in lines]
    quote = ""
    if with_quote:
        quote = '<blockquote type="cite" style="margin:0 0 0 .8ex;border-left:1px #ccc solid;padding-left:1ex">'
        quote += "".join(f"<div>{line}</div>\r\n" for line in lines[:8]) + "</blockquote>"
    sign = (
        '<table border="0" cellpadding="0" style="border-collapse:collapse"><tr><td width="120" style="padding:4px">'
        f'<img src="https://cdn.example/logo.png" width="100" height="40" alt="logo"></td><td><b>{lines[0][:30]}</b>'
        f'<br><a href="https://company.example/?u={dice.randrange(10**6)}">company.example</a></td></tr></table>'
    )
    return (
        '<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><meta http-equiv="Content-Type" '
        'content="text/html; charset=utf-8"><style><!-- p.MsoNormal {margin:0cm; font-size:11.0pt} '
        "a:link {color:#0563C1; text-decoration:underline} --></style></head>"
        '<body lang="RU" link="#0563C1"><div class="WordSection1">\r\n' + "\r\n".join(paragraphs) + f"{sign}{quote}"
        "</div></body></html>"
    )


def _text(kind: str, text: str) -> bytes:
    raw = text.encode()
    if raw.isascii():
        encoded, encoding = quopri.encodestring(raw).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), "quoted-printable"
    else:
        encoded, encoding = base64.encodebytes(raw).replace(b"\n", b"\r\n"), "base64"
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + encoded


def _multipart(kind: str, boundary: str, parts: list[bytes]) -> bytes:
    mark = f"--=_{boundary}".encode()
    head = f'Content-Type: multipart/{kind}; boundary="=_{boundary}"\r\n\r\n'.encode()
    return head + b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def _sentence(dice: random.Random, is_russian: bool, least: int, most: int) -> str:
    words = dice.choices(_RU if is_russian else _EN, k=dice.randint(least, most))
    return " ".join(words).capitalize()


def _word(text: str) -> str:
    return text if text.isascii() else f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def _noise(dice: random.Random, size: int) -> str:
    return base64.b64encode(dice.randbytes(size)).decode()
