"""Quotes folded in HTML, signatures told, deceiving links marked, pictures given back: as real programs write them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.mail.reading.links import WARNING, with_warnings
from hub.mail.reading.quotes import Parts, fold_html, split
from hub.mail.reading.sanitize import safe_html


def safe(html: str) -> str:
    return safe_html(html, cid_url=lambda _cid: None, allow_remote=False)


GMAIL = (
    '<div dir="ltr">Да, согласен.</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">{attribution}<br>'
    '</div><blockquote class="gmail_quote" style="margin:0 0 0 0.8ex">Вы согласны?</blockquote></div>'
)
OUTLOOK = (
    "<div class=WordSection1><p class=MsoNormal>Да, согласен.</p><div><div style='border:none;border-top:solid #E1E1E1 "
    "1.0pt;padding:3.0pt'><p><b>{0}:</b> Ivan &lt;i@x.example&gt;<br><b>{1}:</b> Monday<br><b>{2}:</b> Maria"
    "<br><b>{3}:</b> Счёт</p></div></div><p>Вы согласны?</p></div>"
)
REPLIES = {
    "gmail": GMAIL.format(attribution="пн, 3 нояб. 2025 г. в 10:12, Иван &lt;i@x.example&gt;:"),
    "gmail in a language that Hub does not know": GMAIL.format(attribution="El lun, 3 nov 2025, Ivan escribió:"),
    "outlook in English": OUTLOOK.format("From", "Sent", "To", "Subject"),
    "outlook in Russian": OUTLOOK.format("От", "Отправлено", "Кому", "Тема"),
    "outlook in German": OUTLOOK.format("Von", "Gesendet", "An", "Betreff"),
    "outlook in Ukrainian": OUTLOOK.format("Від", "Надіслано", "Кому", "Тема"),
    "outlook on the web": '<div>Да, согласен.</div><div id="appendonsend"></div><hr><div id="divRplyFwdMsg">'
    "<b>De :</b> Ivan</div><div>Вы согласны?</div>",
    "yandex": '<div>Да, согласен.</div><div> </div><div>03.11.2025, 10:12, "Иван" &lt;i@x.example&gt;:</div>'
    "<blockquote><p>Вы согласны?</p></blockquote>",
    "mail.ru": "<div>Да, согласен.</div><blockquote style='border-left:1px solid #0857A6'>Понедельник, 3 ноября 2025, "
    "10:12 +03:00 от Иван &lt;i@x.example&gt;:<div>Вы согласны?</div></blockquote>",
    "thunderbird": '<p>Да, согласен.</p><div class="moz-cite-prefix">03.11.2025 10:12, Ivan пишет:<br></div>'
    '<blockquote type="cite" cite="mid:1@x">Вы согласны?</blockquote>',
    "apple mail": "<html><body>Да, согласен.<br><div><br><blockquote type='cite'><div>3 нояб. 2025 г., в 10:12, Иван "
    "&lt;i@x.example&gt; написал(а):</div><br><div>Вы согласны?</div></blockquote></div></body></html>",
    "yahoo": '<div>Да, согласен.</div><div id="yahoo_quoted_1" class="yahoo_quoted"><div>On Monday, Ivan wrote:</div>'
    "<div>Вы согласны?</div></div>",
    "proton": '<div>Да, согласен.</div><div class="protonmail_quote">On Monday, Ivan wrote:<br><blockquote '
    'class="protonmail_quote" type="cite">Вы согласны?</blockquote></div>',
    "a line of dashes": "<p>Да, согласен.</p><p>-----Original Message-----</p><p>Вы согласны?</p>",
    "a table around all": "<table><tr><td><p>Да, согласен.</p><p>-------- Пересылаемое сообщение --------</p>"
    "<p>Вы согласны?</p></td></tr></table>",
}


@pytest.mark.parametrize("program", REPLIES)
def test_the_quote_of_a_reply_is_folded_and_nothing_else(program: str) -> None:
    html = safe(REPLIES[program])
    folded = fold_html(html, label="Цитата")
    own, fold, quoted = folded.partition('<details class="quote"><summary data-label="quoted">Цитата</summary>')
    assert fold, folded
    assert "Да, согласен." in own and "Вы согласны?" not in own
    assert "Вы согласны?" in quoted and "согласен" not in quoted
    assert not re.search(r"escribió|Ivan|Иван", own)
    assert words(own + quoted) == words(html)
    assert_balanced(folded)


@pytest.mark.parametrize(
    "html",
    [
        "<p>Просто письмо</p><blockquote>чужие слова</blockquote><p>и мои ещё</p>",
        "<blockquote>Только цитата</blockquote>",
        "<p>В 2019 году он писал: всё будет.</p><p>И было.</p>",
        '<div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------</div>Текст</div>',
        "",
        "<p>-----</p>",
    ],
)
def test_what_is_no_quote_below_an_answer_is_not_folded(html: str) -> None:
    assert fold_html(safe(html)) == safe(html)


def test_folded_html_is_folded_once() -> None:
    once = fold_html(safe(REPLIES["gmail"]))
    assert fold_html(once) == once


def words(html: str) -> str:
    return re.sub(r"<[^>]*>", "", html)


def assert_balanced(html: str) -> None:
    stack: list[str] = []
    for closes, name in re.findall(r"<(/?)([a-z][a-z0-9]*)(?:\s[a-z-]+=\"[^\"]*\")*>", html):
        if name in ("br", "hr", "img", "col", "wbr"):
            continue
        if closes:
            assert stack and stack.pop() == name, html
        else:
            stack.append(name)
    assert not stack, html


PIECES = [
    *("<p>", "</p>", "<div>", "</div>", "<blockquote>", "</blockquote>", "<table><tr><td>", "</table>", "<br>", "<b>"),
    *(
        '<div class="gmail_quote">',
        '<div class="gmail_attr">',
        '<div id="divRplyFwdMsg">',
        "From: a<br>Sent: b<br>To: c",
    ),
    *(
        "Да",
        "03.11.2025 10:12, i@x.example пишет:",
        "<img src='http://x.example/1'>",
        "-----Original Message-----",
        "&lt;",
    ),
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_folding_loses_no_word_and_breaks_no_element(html: str) -> None:
    clean = safe(html)
    folded = fold_html(clean)
    assert words(folded) == words(clean)
    assert_balanced(folded)


@pytest.mark.parametrize("unit", ["<div>x", "<blockquote>", "<p>On 2025 x</p>", "<b><i>", "<br>x", "<div>From: x<br>"])
def test_html_is_folded_in_linear_time(unit: str) -> None:
    clean = safe(unit * 40_000)
    began = time.process_time()
    fold_html(clean)
    assert time.process_time() - began < 4


@pytest.mark.parametrize(
    ("own", "signature"),
    [
        ("Добрый день.\n\n", "С уважением,\nИван Петров\n+7 495 123-45-67\n"),
        ("Добрый день.\n\n", "С уважением, Иван\n"),
        ("Ок.\n\n", "Отправлено с iPhone"),
        ("Ок.\n\n", "Отправлено из мобильной Почты Mail"),
        ("Ok.\n", "-- \nBoss\nExample Ltd\n"),
        ("Ok.\n\n", "Best regards,\nIvan"),
        ("Так.\n\n", "З повагою,\nІван"),
        ("Ja.\n\n", "Mit freundlichen Grüßen\nHans"),
        ("Ok.\n\n", "Get Outlook for iOS"),
        ("Всё хорошо.\n", ""),
        ("С уважением отношусь к вам, но нет.\nДавайте иначе.", ""),
        ("С уважением,\nИван", ""),
        ("Best regards to all. Could you\ntell me more?", ""),
        ("Цена:\n--\n100\n" + "строка\n" * 30, ""),
        ("", ""),
    ],
)
def test_a_signature_is_told_only_where_it_is_sure(own: str, signature: str) -> None:
    quoted = "03.11.2025 10:12, Иван пишет:\n> Вы согласны?\n"
    assert split(own + signature) == Parts(own, signature, "")
    if own:
        ends = "" if (own + signature).endswith("\n") else "\n"
        got = split(own + signature + ends + quoted)
        assert (got.own, got.signature, got.quoted) == (
            own + ("" if signature else ends),
            signature + (ends if signature else ""),
            quoted,
        )


@pytest.mark.parametrize(
    ("text", "href", "leads_to"),
    [
        ("https://bank.example", "http://evil.example/x", "evil.example"),
        ("www.bank.example/login", "https://bank.example.evil.example/", "bank.example.evil.example"),
        ("bank.example", "https://www.bank.example/q?a=1", ""),
        ("<b>bank</b>.example", "https://evil.example/", "evil.example"),
        ("Личный кабинет", "https://bank.example/", ""),
        ("счёт.pdf", "https://disk.example/f/1", ""),
        ("https://почта.рф/1", "https://xn--80a1acny.xn--p1ai/1", ""),
        ("нажмите", "https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com"),
        ("нажмите", "https://pаypal.com/", "pаypal.com"),
        ("ivan@bank.example", "mailto:ivan@bank.example", ""),
        ("https://bank.example", "https://bank.example@evil.example/", "evil.example"),
    ],
)
def test_a_link_that_leads_elsewhere_than_it_says_tells_so(text: str, href: str, leads_to: str) -> None:
    got = safe(f'<p>{WARNING}="x" <a href="{href}" title="bank.example">{text}</a></p>')
    assert (f' {WARNING}="{leads_to}"' in got) == bool(leads_to), got
    if leads_to:
        assert f'title="⚠ {leads_to}"' in got and got.count("title=") == 1
    assert words(got) == words(f'{WARNING}="x" {text}')


def test_links_are_checked_in_linear_time() -> None:
    began = time.process_time()
    with_warnings('<a href="http://x.example">' * 20_000 + "a.b" * 200_000)
    with_warnings('<a href="http://x.example">a.b</a>' * 20_000)
    assert time.process_time() - began < 3
