"""The client behind the proxies: who is believed, and what its tries are counted by."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from hub.web.client_address import client_address, network_of

PROXIES = ("127.0.0.1", "10.0.0.0/8", "fd00::/8")


def seen(remote: str, *headers: tuple[str, str], trusted: tuple[str, ...] = PROXIES) -> str:
    return client_address(remote, CIMultiDictProxy(CIMultiDict(headers)), trusted)


def x_forwarded(value: str) -> tuple[str, str]:
    return "X-Forwarded-For", value


@pytest.mark.parametrize("remote", ["127.0.0.1", "203.0.113.9", "::1"])
def test_without_trusted_proxies_no_header_counts(remote: str) -> None:
    forged = (x_forwarded("198.51.100.7"), ("Forwarded", "for=198.51.100.7"))
    assert seen(remote, *forged, trusted=()) == remote


def test_a_stranger_is_not_believed_about_anybody() -> None:
    assert seen("203.0.113.9", x_forwarded("198.51.100.7")) == "203.0.113.9"


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("1.1.1.1, 198.51.100.7", "198.51.100.7"),
        ("1.1.1.1, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, ::ffff:10.0.0.2", "198.51.100.7"),
        ("198.51.100.7, unknown", "127.0.0.1"),
        ("198.51.100.7, ", "127.0.0.1"),
        ("' OR 1=1", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_rightmost_hop_that_is_no_proxy_is_the_client(value: str, client: str) -> None:
    assert seen("127.0.0.1", x_forwarded(value)) == client


def test_several_header_lines_are_one_list() -> None:
    assert seen("127.0.0.1", x_forwarded("1.1.1.1"), x_forwarded("198.51.100.7, 10.0.0.2")) == "198.51.100.7"


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=198.51.100.7;proto=https;by=203.0.113.43", "198.51.100.7"),
        ('For="[2001:db8::7]:4711"', "2001:db8::7"),
        ("for=1.1.1.1, for=198.51.100.7, for=10.0.0.2", "198.51.100.7"),
        ("for=198.51.100.7, for=_hidden", "127.0.0.1"),
        # a client's open quote must not swallow what the proxy wrote behind it
        ('foo=", for=198.51.100.7', "127.0.0.1"),
        ('host="x;for=1.1.1.1";for=198.51.100.7', "198.51.100.7"),
        ('for=198.51.100.7;host="x;for=1.1.1.1"', "198.51.100.7"),
    ],
)
def test_forwarded_is_read_as_its_standard_says(value: str, client: str) -> None:
    assert seen("127.0.0.1", ("Forwarded", value)) == client


def test_where_both_headers_disagree_one_is_a_strangers_and_neither_counts() -> None:
    assert seen("127.0.0.1", x_forwarded("198.51.100.7"), ("Forwarded", "for=1.1.1.1")) == "127.0.0.1"
    assert seen("127.0.0.1", x_forwarded("198.51.100.7"), ("Forwarded", "for=198.51.100.7")) == "198.51.100.7"


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_header_raises_or_becomes_anything_but_an_address(one: str, other: str) -> None:
    found = seen("127.0.0.1", x_forwarded(one), ("Forwarded", other))
    assert network_of(found) != "unknown"


@pytest.mark.parametrize("value", ["a=b;" + " " * 20_000 + "x y", "for=" + " " * 20_000 + "x", 'a="' + "\\" * 20_000])
def test_a_header_full_of_nothing_is_read_in_no_time(value: str) -> None:
    began_s = time.process_time()
    assert seen("127.0.0.1", ("Forwarded", value)) == "127.0.0.1"
    assert time.process_time() - began_s < 0.5


def test_an_ipv6_network_is_one_client_and_a_mapped_address_is_an_ipv4_one() -> None:
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff:ffff:ffff:ffff") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("::ffff:198.51.100.7") == network_of("198.51.100.7") == "198.51.100.7"
    assert network_of("") == "unknown"
