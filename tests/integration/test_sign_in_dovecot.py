"""Signing in to a real Dovecot: by each of its ways, and with certificates that nobody vouches for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from hub.errors import Refused, Unavailable
from hub.mail.accounts.wire import shown_certificate
from hub.mail.imap.connection import connected
from hub.settings import MailServer, Secret
from tests.testbed.certificates import Made, make_certificate
from tests.testbed.dovecot import Dovecot, running_dovecot
from tests.testbed.valkey import free_port

USER = "анна"
MECHANISMS = "auth_mechanisms = plain login scram-sha-1 scram-sha-256\nauth_username_chars =\n"
pytestmark = pytest.mark.dovecot


def tls_extra(made: Made, port: int) -> str:
    return f"""
ssl = yes
ssl_cert = <{made.certificate}
ssl_key = <{made.key}
{MECHANISMS}
service imap-login {{
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
"""


@pytest.fixture
async def dovecot() -> AsyncIterator[Dovecot]:
    async with running_dovecot(USER, extra=MECHANISMS) as running:
        yield running


async def way(server: MailServer, **changes: object) -> str:
    async with connected(msgspec.structs.replace(server, **changes)) as imap:
        assert await imap.list_folders()
        return str(imap.signed_in_by)


async def test_each_way_signs_in_a_name_and_a_password_of_any_script(dovecot: Dovecot) -> None:
    server = dovecot.server(USER)
    assert await way(server) == "SCRAM-SHA-256"
    assert await way(server, auth="scram") == "SCRAM-SHA-256"
    assert await way(server, auth="plain") == "PLAIN"
    assert await way(server, auth="login") == "LOGIN"


@pytest.mark.parametrize("auth", ["scram", "plain", "login"])
async def test_a_wrong_password_is_told_as_such_by_each_way(dovecot: Dovecot, auth: str) -> None:
    wrong = msgspec.structs.replace(dovecot.server(USER), password=Secret("wr0ng"), auth=auth)
    with pytest.raises(Refused) as refusal:
        async with connected(wrong):
            pass
    assert refusal.value.code == "auth_refused" and "wr0ng" not in str(refusal.value)


async def test_a_way_that_the_server_does_not_offer_is_named(dovecot: Dovecot) -> None:
    with pytest.raises(Refused, match="does not offer sign-in by oauth"):
        async with connected(msgspec.structs.replace(dovecot.server(USER), auth="oauth")):
            pass


@pytest.mark.parametrize("tls", ["tls", "starttls"])
@pytest.mark.parametrize(
    ("names", "days", "why"),
    [
        (("127.0.0.1",), 30, "self-signed"),
        (("127.0.0.1",), -1, r"expired on \d{4}-"),
        (("mail.example",), 30, ""),
    ],
)
async def test_a_certificate_nobody_vouches_for_is_refused_with_the_line_that_accepts_it(
    tmp_path: Path, tls: str, names: tuple[str, ...], days: int, why: str
) -> None:
    made, port = make_certificate(tmp_path, *names, days=days), free_port()
    async with running_dovecot(USER, extra=tls_extra(made, port)) as dovecot:
        server = msgspec.structs.replace(
            dovecot.server(USER), tls=tls, port=port if tls == "tls" else dovecot.port, auth="plain"
        )
        with pytest.raises(Unavailable, match=f'{why}.*tls_exception = "{made.fingerprint}"'):
            await way(server)
        seen = await shown_certificate(server, "imap")
        assert seen is not None and seen.fingerprint == made.fingerprint
        # Exactly this one is accepted, whatever is wrong with it …
        assert await way(server, tls_exception=made.fingerprint) == "PLAIN"
        capitals = made.fingerprint.removeprefix("sha256:").upper()
        spelled = ":".join(capitals[at : at + 2] for at in range(0, 64, 2))
        assert await way(server, tls_exception=f"sha256:{spelled}") == "PLAIN"
        # … and no other.
        other = "sha256:" + "0" * 64
        with pytest.raises(Unavailable, match=f"another than tls_exception names: {made.fingerprint}"):
            await way(server, tls_exception=other)


async def test_a_certificate_of_ones_own_authority_needs_no_exception(tmp_path: Path) -> None:
    made, port = make_certificate(tmp_path, "127.0.0.1"), free_port()
    async with running_dovecot(USER, extra=tls_extra(made, port)) as dovecot:
        server = msgspec.structs.replace(dovecot.server(USER), tls="tls", port=port, ca_file=str(made.certificate))
        assert await way(server) == "SCRAM-SHA-256"
