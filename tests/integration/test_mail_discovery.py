"""The servers of a new mailbox by its domain: what its owner publishes is found, and nobody is led astray by it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hub.errors import Refused
from hub.hosts import Reach
from hub.mail.accounts.autoconfig import BadAutoconfig, FoundServer, read_autoconfig
from hub.mail.accounts.discovery import Discovery
from tests.fakes.dns_server import FakeDns, fake_dns
from tests.fakes.imap_server import fake_imap
from tests.testbed.certificates import make_certificate

XML = """<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="firm.test">
<incomingServer type="pop3"><hostname>pop.firm.test</hostname><port>995</port>
<socketType>SSL</socketType></incomingServer>
<incomingServer type="imap"><hostname>old.firm.test</hostname><port>143</port>
<socketType>plain</socketType></incomingServer>
<incomingServer type="imap"><hostname>imap.%EMAILDOMAIN%</hostname><port>993</port><socketType>SSL</socketType>
<username>%EMAILADDRESS%</username></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.firm.test</hostname><port>587</port><socketType>STARTTLS</socketType>
<username>%EMAILLOCALPART%</username></outgoingServer></emailProvider></clientConfig>"""
LOOPBACK = (ip_network("127.0.0.0/8"),)


def names(**known: str) -> Any:
    async def resolve(host: str) -> list[str]:
        if host.replace(".", "_").replace("-", "_") in known:
            return [known[host.replace(".", "_").replace("-", "_")]]
        raise OSError("no such name")

    return resolve


@pytest.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with fake_dns() as running:
        yield running


@asynccontextmanager
async def site(folder: Path, answer: Any) -> AsyncIterator[tuple[int, ssl.SSLContext, list[str]]]:
    """An https server of firm.test; yields its port, a context that trusts it, and what it heard."""
    made, heard = make_certificate(folder, "autoconfig.firm.test", "firm.test"), []

    async def handle(request: web.Request) -> web.StreamResponse:
        heard.append(f"{request.host.split(':')[0]}{request.path_qs}")
        return answer(request)  # type: ignore[no-any-return]

    app = web.Application()
    app.router.add_get("/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=made.server).start()
    address: Any = runner.addresses[0]
    try:
        yield address[1], ssl.create_default_context(cafile=str(made.certificate)), heard
    finally:
        await runner.cleanup()


async def test_what_the_domain_publishes_is_found_and_encrypted_ways_go_first(tmp_path: Path, dns: FakeDns) -> None:
    async with site(tmp_path, lambda _: web.Response(text=XML)) as (port, context, heard):
        reach = Reach(False, LOOPBACK, names(autoconfig_firm_test="127.0.0.1"))
        found = await Discovery(reach, dns.resolver, context, port).find("anna@firm.test")
    assert found is not None and found.source == "autoconfig"
    assert found.imap == FoundServer("imap.firm.test", 993, "tls", "anna@firm.test")
    assert found.smtp == FoundServer("smtp.firm.test", 587, "starttls", "anna")
    (one,) = heard
    assert one.startswith("autoconfig.firm.test/mail/config-v1.1.xml?emailaddress=anna")


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: web.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"}),
        lambda _: web.Response(body=b"x" * 200_000),
        lambda _: web.Response(text="<clientConfig>"),
        lambda _: web.Response(text=XML.replace("smtp.firm.test", "a b/../c")),
    ],
    ids=["elsewhere", "endless", "broken", "no-host"],
)
async def test_a_hostile_answer_leads_nowhere(tmp_path: Path, dns: FakeDns, answer: Any) -> None:
    async with site(tmp_path, answer) as (port, context, _):
        reach = Reach(False, LOOPBACK, names(autoconfig_firm_test="127.0.0.1"))
        assert await Discovery(reach, dns.resolver, context, port).find("anna@firm.test") is None


async def test_a_name_that_resolves_into_the_lan_is_not_asked(tmp_path: Path, dns: FakeDns) -> None:
    async with site(tmp_path, lambda _: web.Response(text=XML)) as (port, context, heard):
        # For a person without the administrator's role: the name leads to the machine's own loopback.
        reach = Reach(False, (), names(autoconfig_firm_test="127.0.0.1", firm_test="127.0.0.1"))
        assert await Discovery(reach, dns.resolver, context, port).find("anna@firm.test") is None
        assert heard == []


async def test_srv_records_are_followed_by_priority_and_a_dot_means_none(dns: FakeDns) -> None:
    dns.records[("_imaps._tcp.firm.test", "SRV")] = ["20 1 993 second.firm.test.", "10 1 1993 first.firm.test."]
    dns.records[("_submissions._tcp.firm.test", "SRV")] = ["0 0 0 ."]
    dns.records[("_submission._tcp.firm.test", "SRV")] = ["0 1 587 out.firm.test."]
    found = await Discovery(Reach(False, (), names()), dns.resolver).find("anna@firm.test")
    assert found is not None and found.source == "srv"
    assert found.imap == FoundServer("first.firm.test", 1993, "tls")
    assert found.smtp == FoundServer("out.firm.test", 587, "starttls")


@pytest.mark.parametrize(
    ("mx", "imap", "oauth"),
    [
        ("1 aspmx.l.google.com.", "imap.gmail.com", "google"),
        ("0 firm-test.mail.protection.outlook.com.", "outlook.office365.com", "microsoft"),
        ("10 mx.yandex.net.", "imap.yandex.ru", ""),
        ("10 emx.mail.ru.", "imap.mail.ru", ""),
        ("10 evilgoogle.com.", "", ""),
    ],
)
async def test_the_provider_behind_the_mx_is_known(dns: FakeDns, mx: str, imap: str, oauth: str) -> None:
    dns.records[("firm.test", "MX")] = [mx]
    found = await Discovery(Reach(False, (), names()), dns.resolver).find("anna@firm.test")
    assert (found.imap.host, found.oauth) == (imap, oauth) if found else not imap


async def test_public_providers_need_no_question(dns: FakeDns) -> None:
    for address, imap in (
        ("a@gmail.com", "imap.gmail.com"),
        ("a@bk.ru", "imap.mail.ru"),
        ("a@ya.ru", "imap.yandex.ru"),
    ):
        found = await Discovery(Reach(), dns.resolver).find(address)
        assert found is not None and found.imap.host == imap
    assert dns.asked == []


async def test_usual_names_are_tried_last_and_only_those_that_answer_count(dns: FakeDns) -> None:
    async with fake_imap() as imap:
        reach = Reach(False, LOOPBACK, names(mail_firm_test="127.0.0.1", imap_firm_test="127.0.0.1"))
        ports: Any = {"imap": ((1, "tls"), (imap.port, "starttls")), "smtp": ((imap.port, "tls"),)}
        found = await Discovery(reach, dns.resolver, ports=ports).find("anna@firm.test")
    assert found is not None and found.source == "usual"
    assert found.imap == FoundServer("imap.firm.test", imap.port, "starttls")
    assert found.smtp == FoundServer("mail.firm.test", imap.port, "tls")


@pytest.mark.parametrize("address", ["a@b c.test", "a@[127.0.0.1]x", "a@", "a@b\r\n.test"])
async def test_what_is_no_domain_is_refused(address: str) -> None:
    with pytest.raises(Refused):
        await Discovery(Reach(False, (), names())).find(address)


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><clientConfig>&x;</clientConfig>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><clientConfig/>',
        b"<a>" * 600,
        b"\xff\xfe\x00",
        b"",
        b"<a" + b"x" * 70_000,
    ],
)
def test_xml_that_would_work_without_bound_is_refused(xml: bytes) -> None:
    with pytest.raises(BadAutoconfig):
        read_autoconfig(xml, "a@b.test")


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fe80::1", "0.0.0.0", "224.0.0.1",
                "::ffff:169.254.169.254", "::ffff:10.0.0.1", "100.100.100.200", "fd00:ec2::254", "100.64.0.1"],
)  # fmt: skip
def test_addresses_that_a_person_may_not_name(address: str) -> None:
    with pytest.raises(Refused):
        Reach().judge(address)
    if not address.startswith(("10.", "192.168.", "::ffff:10.")):
        with pytest.raises(Refused):
            Reach(may_private=True).judge(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "172.16.5.5", "fd12::1", "93.184.216.34"])
def test_addresses_that_an_administrator_may_name(address: str) -> None:
    assert str(Reach(may_private=True).judge(address)) == address
    link_local = Reach(True, (ip_network("0.0.0.0/0"),))
    with pytest.raises(Refused):
        link_local.judge("169.254.169.254")
