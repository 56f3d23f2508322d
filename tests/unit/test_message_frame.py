"""The document in the frame: what it asks for, and that nothing in it can be more than text and pictures."""

from __future__ import annotations

import time

from hub.mail.reading.sanitize import safe_html
from hub.web.message_frame import document, has_remote, policy


def shown(html: str, *, pictures: bool = False, by_cid: dict[str, int] | None = None) -> str:
    safe = safe_html(html, cid_url=lambda cid: "/attachments/7" if cid == "logo" else None, allow_remote=False)
    hosts = ("hub.example:8080", "https://hub.example.com")
    return document(
        safe, title="<t>", quoted="…", language="en", pictures=pictures, by_cid=by_cid or {}, own_hosts=hosts
    )


def test_a_picture_of_the_message_itself_is_asked_of_its_preview() -> None:
    assert 'src="/attachments/7/preview"' in shown('<img src="cid:logo">')
    own = document(
        '<img src="cid:a&amp;b">', title="", quoted="…", language="en", pictures=False, by_cid={"a&b": 9}, own_hosts=()
    )
    assert 'src="/attachments/9/preview"' in own
    assert "cid:" not in document(
        '<img src="cid:x">', title="", quoted="…", language="en", pictures=False, by_cid={}, own_hosts=()
    )


def test_a_picture_from_elsewhere_is_asked_for_only_when_wanted() -> None:
    mail = '<p>x</p><img alt="a>b" src="https://track.example/p.png?u=1&amp;v=2">'
    assert ' src="https' not in shown(mail)
    assert ' src="https://track.example/p.png?u=1&amp;v=2"' in shown(mail, pictures=True)
    assert has_remote(safe_html(mail, cid_url=lambda _: None, allow_remote=False))


def test_hubs_own_addresses_are_never_asked_for_with_the_readers_cookie() -> None:
    for url in (
        "http://hub.example:8080/logout",
        "https://HUB.example.com./messages/1",
        "https://x@hub.example.com/",
        "http://hub.example\\@evil.example/",
    ):
        assert "src=" not in shown(f'<img src="{url}">', pictures=True), url


def test_words_that_look_like_a_blocked_picture_stay_words() -> None:
    page = shown('<p>&lt;img data-remote-src="https://x.example/"&gt;</p>', pictures=True)
    assert "<img" not in page
    assert not has_remote('<p>&lt;img data-remote-src="https://x.example/"&gt;</p>')


def test_a_mail_of_nothing_but_pictures_costs_no_more_than_its_length() -> None:
    began = time.process_time()
    document(
        '<img data-remote-src="https://a.example/">' * 20_000,
        title="",
        quoted="…",
        language="en",
        pictures=True,
        by_cid={},
        own_hosts=(),
    )
    assert time.process_time() - began < 3


def test_the_policy_lets_nothing_run_and_pictures_only_from_here_unless_wanted() -> None:
    closed, opened = policy(pictures=False), policy(pictures=True)
    assert "allow-scripts" not in opened
    assert "script-src 'none'" in opened
    assert "img-src 'self' data:;" in closed
    assert "img-src 'self' data: https: http:;" in opened
    assert "<title>&lt;t&gt;</title>" in shown("")


def test_what_a_mail_answers_is_folded_under_a_label() -> None:
    page = shown("<p>Да.</p><blockquote type=cite><p>Придёте?</p></blockquote>")
    assert "<details" in page
    assert page.index("Да.") < page.index("<details") < page.index("Придёте?")
    assert ">…</summary>" in page
