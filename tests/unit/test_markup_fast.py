"""The short way through a tag reads what the long way reads."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.mail.corpus import messages
from hub.mail.reading import markup, mime
from hub.mail.reading.markup import bounded

PIECES = [
    *("<p", "</p", "<a", "<td", "</td", "<b", "<script", "</script", "<svg", "<img", "<x-y", "<B", "<style", "<", ">"),
    *(" ", "\n", "/", "=", '"', "'", "class", "href", "style", "on:x", 'a="1"', "b='2'", "c=3", 'd="<p>"', "`", "text"),
    *("<!--", "-->", "&lt;", "<p class=x>", '<td width="1" height=2>', "</b >", "<br/>", "<br />", "\0", "я"),
]


def the_long_way(html: str) -> str:
    plain = markup._PLAIN_TAG
    try:
        markup._PLAIN_TAG = re.compile(r"(?!)")
        return bounded(html)
    finally:
        markup._PLAIN_TAG = plain


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_tag_soup_is_read_the_same_on_both_ways(html: str) -> None:
    assert bounded(html) == the_long_way(html)


@pytest.mark.parametrize("count", [59, 60, 61, 200])
def test_so_many_attributes_are_read_the_same_on_both_ways(count: int) -> None:
    html = "<p " + " ".join(f'a{"b" * n}="{n}"' for n in range(count)) + ">x</p>"
    assert bounded(html) == the_long_way(html)


def test_ordinary_mail_takes_the_short_way_and_is_read_the_same() -> None:
    for made in messages(60):
        html = mime.parse(made.raw).html or ""
        assert bounded(html) == the_long_way(html)
        tags = re.findall(r"</?[a-z]", html)
        assert len(markup._PLAIN_TAG.findall(html)) > 0.9 * len(tags)
