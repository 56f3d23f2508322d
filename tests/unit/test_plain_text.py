"""The text beside a written HTML says where its links lead."""

from __future__ import annotations

import pytest

from hub.mail.reading.sanitize import sent_html
from hub.mail.sending import plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('See <a href="https://x.example/price?a=1&amp;b=2">the <b>price</b></a>.',
         "See the price (https://x.example/price?a=1&b=2)."),
        ('<a href="https://x.example/">https://x.example</a>', "https://x.example"),
        ('<a href="https://www.x.example/">x.example</a>', "x.example"),
        ('<a href="mailto:a@x.example">a@x.example</a>', "a@x.example"),
        ('<a href="mailto:a@x.example?subject=Hi">write</a>', "write (a@x.example?subject=Hi)"),
        ('<a href="tel:+74951234567">call</a>', "call (+74951234567)"),
        ('<a href="https://x.example"></a>', "https://x.example"),
        ('<a href="javascript:alert(1)">x</a>', "x"),
        ('<p><a href="https://a.example/1">один</a> и <a href="https://a.example/2">два</a></p>',
         "один (https://a.example/1) и два (https://a.example/2)"),
        ("<p>nothing</p>", "nothing"),
    ],
)  # fmt: skip
def test_a_links_address_stands_once_in_the_text(html: str, text: str) -> None:
    assert plain_text.of_html(sent_html(html, cid_url=lambda _: None)) == text


def test_sent_html_is_as_safe_as_what_is_shown_and_tells_nothing_of_hubs_page() -> None:
    written = (
        '<p onclick="x">a <a href="https://x.example" target="_self" rel="me">b</a>'
        '<img src="https://x.example/p.png"><img src="cid:q@hub"><script>1</script></p>'
        '<a href="https://evil.example">https://bank.example</a>'
    )
    assert sent_html(written, cid_url=lambda cid: f"cid:{cid}") == (
        '<p>a <a href="https://x.example">b</a>'
        '<img src="https://x.example/p.png"><img src="cid:q@hub"></p>'
        '<a href="https://evil.example">https://bank.example</a>'
    )
