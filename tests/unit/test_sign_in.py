"""SASL by bytes: which method is chosen, what goes out, which servers are not believed. scramp is the other side."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from scramp import ScramMechanism

from hub.errors import Refused, Unavailable
from hub.mail.imap.sign_in import AuthChoice, SignIn, choose, from_wire, to_wire

ALL = ("PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER", "GSSAPI")


def chosen(offered: tuple[str, ...], choice: AuthChoice = "auto", **changes: Any) -> SignIn | None:
    facts = {"user": "анна@почта.рф", "secret": "пароль", "host": "mail.test", "port": 993, "may_be_seen": True}
    return choose(offered, choice=choice, **(facts | changes))


@pytest.mark.parametrize(
    ("offered", "choice", "name"),
    [
        (ALL, "auto", "SCRAM-SHA-256"),
        (("LOGIN", "SCRAM-SHA-1", "PLAIN"), "auto", "SCRAM-SHA-1"),
        (("LOGIN", "PLAIN"), "auto", "PLAIN"),
        (("LOGIN",), "auto", "LOGIN"),
        (ALL, "plain", "PLAIN"),
        (ALL, "login", "LOGIN"),
        (ALL, "oauth", "XOAUTH2"),
        (("OAUTHBEARER",), "oauth", "OAUTHBEARER"),
    ],
)
def test_the_strongest_way_is_chosen_or_the_one_that_was_named(
    offered: tuple[str, ...], choice: AuthChoice, name: str
) -> None:
    method = chosen(offered, choice)
    assert method is not None and method.name == name


def test_a_token_is_not_sent_as_a_password_nor_a_password_as_a_token() -> None:
    assert chosen(("XOAUTH2", "OAUTHBEARER"), "auto") is None
    assert chosen(("PLAIN", "LOGIN", "SCRAM-SHA-256"), "oauth") is None


@pytest.mark.parametrize("offered", [("PLAIN",), ("LOGIN",), ("PLAIN", "LOGIN")])
def test_no_password_is_shown_on_a_line_in_clear(offered: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="not encrypted"):
        chosen(offered, may_be_seen=False)
    method = chosen((*offered, "SCRAM-SHA-1"), may_be_seen=False)
    assert method is not None and method.name == "SCRAM-SHA-1"


def test_no_token_is_shown_on_a_line_in_clear() -> None:
    with pytest.raises(Refused, match="not encrypted"):
        chosen(ALL, "oauth", may_be_seen=False)


def test_plain_and_login_carry_names_and_passwords_of_any_script() -> None:
    plain = chosen(("PLAIN",))
    assert plain is not None and plain.first == "\0анна@почта.рф\0пароль".encode()
    login = chosen(("LOGIN",))
    assert login is not None and login.is_first_empty
    assert [login.reply(b"Username:"), login.reply(b"Password:")] == ["анна@почта.рф".encode(), "пароль".encode()]
    with pytest.raises(Unavailable, match="more than a name"):
        login.reply(b"And the password of your bank:")


class ScramPeer:
    """A server that knows the password, by scramp's server side."""

    def __init__(self, name: str, password: str) -> None:
        mechanism = ScramMechanism(name)
        self._info = mechanism.make_auth_info(password)
        self._server = mechanism.make_server(lambda user: self._info)

    def first(self, message: bytes) -> bytes:
        self._server.set_client_first(message.decode())
        return str(self._server.get_server_first()).encode()

    def final(self, message: bytes) -> bytes:
        self._server.set_client_final(message.decode())
        return str(self._server.get_server_final()).encode()


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_scram_shows_no_password_and_is_content_with_a_server_that_knows_it(name: str) -> None:
    method, peer = chosen((name,), may_be_seen=False), ScramPeer(name, "пароль")
    assert method is not None and "пароль".encode() not in method.first
    final = method.reply(peer.first(method.first))
    assert "пароль".encode() not in final
    assert method.reply(peer.final(final)) == b""
    method.confirm()


def test_a_server_that_says_yes_without_its_proof_is_not_believed() -> None:
    method, peer = chosen(("SCRAM-SHA-256",)), ScramPeer("SCRAM-SHA-256", "пароль")
    assert method is not None
    with pytest.raises(Unavailable, match="did not prove"):
        method.confirm()
    method.reply(peer.first(method.first))
    with pytest.raises(Unavailable, match="did not prove"):
        method.confirm()


@pytest.mark.parametrize("final", [b"v=" + base64.b64encode(b"x" * 32), b"e=other-error", b"\xff", b""])
def test_a_server_with_a_wrong_proof_is_not_believed(final: bytes) -> None:
    method, peer = chosen(("SCRAM-SHA-256",)), ScramPeer("SCRAM-SHA-256", "пароль")
    assert method is not None
    method.reply(peer.first(method.first))
    with pytest.raises(Unavailable, match="is wrong"):
        method.reply(final)


@pytest.mark.parametrize("first", [b"r=other,s=QSXCR+Q6sek8bf92,i=4096", b"", b"\xff", b"r=,s=,i=x"])
def test_a_server_that_plays_an_old_tune_is_not_followed(first: bytes) -> None:
    method = chosen(("SCRAM-SHA-256",))
    assert method is not None
    if not first:  # "say it again": servers without an initial response in the command begin so
        assert method.reply(first) == method.first
        return
    with pytest.raises(Unavailable):
        method.reply(first)


def test_a_refused_token_gets_its_empty_answer_and_the_reason_is_kept() -> None:
    told = b'{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}'
    method = chosen(("XOAUTH2",), "oauth", user="a@b.test", secret="t0ken")
    assert method is not None
    assert method.first == b"user=a@b.test\x01auth=Bearer t0ken\x01\x01"
    assert method.reply(told) == b""
    assert method.reason == "401, https://mail.google.com/"
    bearer = chosen(("OAUTHBEARER",), "oauth", user="a=,@b.test", secret="t0ken")
    assert bearer is not None
    assert bearer.first == b"n,a=a=3D=2C@b.test,\x01host=mail.test\x01port=993\x01auth=Bearer t0ken\x01\x01"
    assert bearer.reply(b'{"status":"invalid_token"}') == b"\x01"
    assert bearer.reason == "invalid_token"


@pytest.mark.parametrize("told", [b"[1]", b"nonsense", b"[" * 5000, b'"x"', b"{}"])
def test_a_refusal_in_other_words_breaks_nothing(told: bytes) -> None:
    method = chosen(("XOAUTH2",), "oauth")
    assert method is not None
    assert method.reply(told) == b""
    assert len(method.reason) <= 100


def test_what_is_no_base64_is_taken_as_words() -> None:
    assert from_wire(to_wire(b"\0\xff")) == b"\0\xff"
    assert from_wire(b" Username: ") == b"Username:"
