"""What an answer, a silence or a cut means for a message: against the demo's server and a scripted one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub import errors
from hub.demo.mail import DemoMail, running_mail
from hub.mail.reading.headers import Address
from hub.mail.sending import verdicts
from hub.mail.sending.compose import Draft, compose
from hub.mail.sending.smtp import Deferred, Outcome, PartlySent, Refused, Sent, SmtpLine, TakenBack, Unknown, send
from hub.settings import MailServer, Secret
from tests.testbed.certificates import make_certificate
from tests.testbed.smtp import CUT, STALL, running_peer, self_signed

SALES = "sales@hub.example"
RAW = compose(
    Draft(
        sender=Address("Отдел продаж", SALES),
        to=(Address("", "a@x.example"),),
        subject="Счёт",
        text="Добрый день!\n.\n..\nС уважением",
        message_id="<1@hub.example>",
        date=datetime(2026, 11, 24, tzinfo=UTC),
    )
).raw
LARGE = RAW + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 200_000


async def sent_to(server: MailServer, *recipients: str, raw: bytes = RAW, deadline_s: float = 10) -> Outcome:
    return await send(
        server,
        envelope_from=SALES,
        recipients=recipients or ("a@x.example",),
        raw=raw,
        deadline=timedelta(seconds=deadline_s),
    )


def states(outcome: Outcome) -> list[str]:
    return [reply.state for reply in outcome.replies]


@pytest.fixture
async def mail() -> AsyncIterator[DemoMail]:
    async with running_mail([SALES]) as server:
        yield server


def smtp_of(mail: DemoMail) -> MailServer:
    return mail.mailbox(SALES, team="sales").smtp


async def test_a_message_arrives_byte_for_byte_at_every_recipient(mail: DemoMail) -> None:
    outcome = await sent_to(smtp_of(mail), "a@x.example", "b@x.example")
    assert isinstance(outcome, Sent) and states(outcome) == ["sent", "sent"]
    (submitted,) = mail.journal
    assert (submitted.sender, submitted.recipients, submitted.raw) == (SALES, ("a@x.example", "b@x.example"), RAW)


async def test_a_partial_refusal_names_who_does_not_get_it(mail: DemoMail) -> None:
    mail.faults.refuse = {"b@x.example": "550 5.1.1 no such user", "c@x.example": "451 greylisted"}
    outcome = await sent_to(smtp_of(mail), "a@x.example", "b@x.example", "c@x.example")
    assert isinstance(outcome, PartlySent)
    assert states(outcome) == ["sent", "refused", "deferred"]
    assert (outcome.replies[1].code, outcome.replies[1].text) == (550, "5.1.1 no such user")
    assert mail.journal[0].recipients == ("a@x.example",)


@pytest.mark.parametrize(
    ("refuse", "kind", "expected"),
    [
        ({"a@x.example": "550 no", "b@x.example": "551 no"}, Refused, ["refused", "refused"]),
        ({"a@x.example": "450 later", "b@x.example": "550 no"}, Deferred, ["deferred", "refused"]),
        ({"a@x.example": "450 later", "b@x.example": "451 later"}, Deferred, ["deferred", "deferred"]),
    ],
)
async def test_when_no_recipient_is_taken_no_data_is_sent(
    mail: DemoMail, refuse: dict[str, str], kind: type, expected: list[str]
) -> None:
    mail.faults.refuse = refuse
    outcome = await sent_to(smtp_of(mail), "a@x.example", "b@x.example")
    assert type(outcome) is kind and states(outcome) == expected
    assert mail.journal == []


@pytest.mark.parametrize(
    ("fault", "answer", "kind"),
    [
        ("mail_answer", "550 sender unknown", Refused),
        ("mail_answer", "451 try later", Deferred),
        ("data_answer", "554 looks like spam", Refused),
        ("data_answer", "452 mailbox full", Deferred),
    ],
)
async def test_an_answer_to_the_whole_message_is_final_by_its_first_digit(
    mail: DemoMail, fault: str, answer: str, kind: type
) -> None:
    setattr(mail.faults, fault, answer)
    outcome = await sent_to(smtp_of(mail), "a@x.example", "b@x.example")
    assert type(outcome) is kind
    assert outcome.reason.startswith(answer[:3]) and mail.journal == []


@pytest.mark.parametrize("cut", ["connect", "mail", "rcpt", "data"])
async def test_a_cut_before_the_data_means_that_nothing_was_sent(mail: DemoMail, cut: Any) -> None:
    mail.faults.cut = cut
    outcome = await sent_to(smtp_of(mail))
    assert isinstance(outcome, Deferred) and mail.journal == []
    mail.faults.cut = ""
    assert isinstance(await sent_to(smtp_of(mail)), Sent), "a fresh connection works"


async def test_a_cut_in_the_middle_of_the_data_means_that_nothing_was_sent(mail: DemoMail) -> None:
    mail.faults.cut = "body"
    outcome = await sent_to(smtp_of(mail), raw=LARGE)
    assert isinstance(outcome, Deferred) and mail.journal == []


async def test_a_cut_after_the_end_of_the_data_is_unknown_though_the_server_has_it(mail: DemoMail) -> None:
    mail.faults.cut = "dot"
    mail.faults.refuse = {"b@x.example": "550 no"}
    outcome = await sent_to(smtp_of(mail), "a@x.example", "b@x.example")
    assert isinstance(outcome, Unknown) and states(outcome) == ["unknown", "refused"]
    assert len(mail.journal) == 1


async def test_silence_after_the_end_of_the_data_is_unknown() -> None:
    async with running_peer(END=STALL) as peer:
        outcome = await sent_to(peer.server(), deadline_s=0.5)
        assert isinstance(outcome, Unknown) and len(peer.data) == 1


@pytest.mark.parametrize("verb", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_silence_before_the_data_means_that_nothing_was_sent(verb: str) -> None:
    async with running_peer(**{verb: STALL}) as peer:
        outcome = await sent_to(peer.server(), deadline_s=0.3)
        assert isinstance(outcome, Deferred) and peer.data == []


@pytest.mark.parametrize(
    "answer",
    ["", "garbage", "250-" + "x" * 40_000, "999 what", "354 more", "\x1b[31m250", "250-a\r\n" * 9000 + "250 a"],
)
async def test_nonsense_for_an_answer_to_the_data_is_never_taken_as_sent(answer: str) -> None:
    async with running_peer(END=answer) as peer:
        outcome = await sent_to(peer.server(), deadline_s=0.5)
        assert isinstance(outcome, Unknown) and "\x1b" not in outcome.reason


async def test_a_peer_that_is_not_there_or_not_trusted_gets_nothing(tmp_path: Path) -> None:
    async with running_peer() as gone:
        pass
    assert isinstance(await sent_to(gone.server()), Deferred)
    context, certificate = self_signed(tmp_path)
    async with running_peer(implicit_tls=True, tls=context) as peer:
        outcome = await sent_to(peer.server(tls="tls"))
        assert isinstance(outcome, Deferred) and "certificate" in outcome.reason.lower()
        assert peer.heard == []
        trusted = peer.server(tls="tls", ca_file=str(certificate))
        assert isinstance(await sent_to(trusted), Sent)
        assert len(peer.data) == 1
    missing = await sent_to(peer.server(tls="tls", ca_file=str(tmp_path / "none.pem")))
    assert isinstance(missing, Deferred) and "none.pem" in missing.reason


async def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path, name="DNS:mail.example")
    async with running_peer(implicit_tls=True, tls=context) as peer:
        outcome = await sent_to(peer.server(tls="tls", ca_file=str(certificate)))
        assert isinstance(outcome, Deferred) and peer.heard == []


async def test_starttls_is_used_and_the_password_goes_out_under_it_alone(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    ehlo = "250-peer\r\n250-STARTTLS\r\n250 AUTH PLAIN"
    async with running_peer(tls=context, EHLO=ehlo, STARTTLS="220 go", AUTH="235 ok") as peer:
        login = {"tls": "starttls", "username": "sales", "password": Secret("s3cret"), "ca_file": str(certificate)}
        assert isinstance(await sent_to(peer.server(**login)), Sent)
        assert peer.was_clear == ["EHLO [127.0.0.1]", "STARTTLS"]
        assert any(line.startswith("AUTH PLAIN") for line in peer.heard)


@pytest.mark.parametrize(
    "answers",
    [
        {"EHLO": "250-peer\r\n250 AUTH PLAIN", "AUTH": "235 ok"},
        {"EHLO": "250-peer\r\n250-STARTTLS\r\n250 AUTH PLAIN", "STARTTLS": "454 not now", "AUTH": "235 ok"},
        {"EHLO": "500 what", "HELO": "250 peer"},
        {"EHLO": "250-peer\r\n250-STARTTLS\r\n250 AUTH PLAIN", "STARTTLS": CUT},
    ],
)
async def test_without_starttls_nothing_goes_out_in_clear_text(answers: dict[str, str]) -> None:
    async with running_peer(**answers) as peer:
        login = {"tls": "starttls", "username": "sales", "password": Secret("s3cret")}
        outcome = await sent_to(peer.server(**login))
        assert isinstance(outcome, Deferred) and peer.data == []
        assert not any(line.startswith(("AUTH", "MAIL")) for line in peer.heard)


async def test_a_refused_password_is_told_as_such_and_never_shown(mail: DemoMail) -> None:
    server = smtp_of(mail)
    wrong = MailServer(host=server.host, port=server.port, tls="none", username=SALES, password=Secret("wr0ng-one"))
    outcome = await sent_to(wrong)
    assert isinstance(outcome, Deferred) and outcome.is_sign_in
    assert "wr0ng" not in repr(outcome)
    nobody = await sent_to(MailServer(host=server.host, port=server.port, tls="none"))
    assert isinstance(nobody, Deferred | Refused) and "530" in nobody.reason


@pytest.mark.parametrize("address", ["a@x.example\r\nDATA", "a@x.example\nRSET", "a\x00@x.example"])
async def test_no_address_becomes_a_command(address: str) -> None:
    async with running_peer() as peer:
        with pytest.raises(errors.Refused):
            await sent_to(peer.server(), address)
        assert peer.connections == 0


@pytest.mark.parametrize("tail", [b"\n.\r\nMAIL FROM:<x@y>\r\n", b"\r.\r\nRCPT TO:<x@y>\r\n", b"no end"])
async def test_nothing_can_be_smuggled_behind_the_data(tail: bytes) -> None:
    async with running_peer() as peer:
        assert isinstance(await sent_to(peer.server(), raw=RAW + tail), Refused)
        assert peer.connections == 0


async def test_dots_at_line_starts_are_doubled_on_the_wire() -> None:
    raw = b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\n"
    async with running_peer() as peer:
        assert isinstance(await sent_to(peer.server(), raw=raw), Sent)
        assert peer.data == [b"Subject: x\r\n\r\n..\r\n...\r\n..a\r\n.\r\n"]


async def test_a_cancelled_sending_stops_at_once() -> None:
    async with running_peer(END=STALL) as peer, asyncio.timeout(5):
        sending = asyncio.ensure_future(sent_to(peer.server(), deadline_s=60))
        await peer.stalled.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_an_expired_certificate_is_told_with_the_line_that_accepts_it(tls: str, tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "127.0.0.1", days=-3)
    is_direct = tls == "tls"
    ehlo = "250-peer\r\n250 STARTTLS"
    async with running_peer(implicit_tls=is_direct, tls=made.server, EHLO=ehlo, STARTTLS="220 go") as peer:
        outcome = await sent_to(peer.server(tls=tls, ca_file=str(made.certificate)))
        assert isinstance(outcome, Deferred) and outcome.is_line and not outcome.is_sign_in
        assert "expired on" in outcome.reason and f'tls_exception = "{made.fingerprint}"' in outcome.reason
        assert isinstance(await sent_to(peer.server(tls=tls, tls_exception=made.fingerprint)), Sent)


async def test_a_goodbye_at_a_recipient_defers_the_message_in_the_servers_words() -> None:
    for rcpt in (
        ["250 ok", "421 4.3.2 closing down"],
        ["421 4.3.2 closing down"],
        ["550 5.1.1 no", "421 4.3.2 closing down"],
    ):
        async with running_peer(RCPT=list(rcpt)) as peer:
            outcome = await sent_to(peer.server(), "a@x.example", "b@x.example", "c@x.example")
            assert isinstance(outcome, Deferred) and not outcome.is_line and peer.data == []
            assert outcome.reason == "421 4.3.2 closing down"
            first = "refused" if rcpt[0].startswith("550") else "deferred"
            assert states(outcome) == [first, "deferred", "deferred"]
            assert {one.text for one in outcome.replies if one.state == "deferred"} == {"421 4.3.2 closing down"}


@pytest.mark.parametrize(
    ("verb", "answer", "why"),
    [
        ("MAIL", "550 not local sender", "sender"),
        ("MAIL", "550 no", "other"),
        ("MAIL", "553 5.7.1 Sender address rejected: not owned by user", "sender"),
        ("DATA", "550 no", "other"),
        ("END", "550 no", "other"),
        ("END", "550 Requested action not taken: mailbox unavailable", "no_such_address"),
        ("END", "550 5.7.1 spam", "spam"),
    ],
)
async def test_an_answer_to_the_whole_message_is_not_told_as_a_fault_of_its_recipients(
    verb: str, answer: str, why: str
) -> None:
    async with running_peer(**{verb: answer}) as peer:
        outcome = await sent_to(peer.server(), "a@x.example", "b@x.example")
        assert isinstance(outcome, Refused) and outcome.reason == answer
        assert [(one.code, one.text) for one in outcome.replies] == [(None, answer)] * 2
        assert {verdicts.why_of(one.code, one.text) for one in outcome.replies} == {why}


@pytest.mark.parametrize(
    ("answers", "is_sign_in", "reason"),
    [
        ({"AUTH": "535 5.7.8 wrong"}, True, "535 5.7.8 wrong"),
        ({"AUTH": "534 5.7.9 application password"}, True, "534 5.7.9 application password"),
        ({"AUTH": "454 4.7.0 later"}, False, "454 4.7.0 later"),
        ({"AUTH": "421 busy"}, False, "421 busy"),
        ({"AUTH": "502 what"}, False, "502 what"),
        ({"MAIL": "530 5.7.0 AUTH first"}, False, "530 5.7.0 AUTH first"),
        ({"MAIL": "535 5.7.8 AUTH again"}, False, "535 5.7.8 AUTH again"),
        ({"EHLO": "250-peer\r\n250 AUTH GSSAPI"}, False, "127.0.0.1 offers no AUTH method that Hub may use here"),
        ({"EHLO": "250 peer"}, False, "127.0.0.1 offers no AUTH method that Hub may use here"),
        ({"AUTH": "nonsense AUTH"}, False, "Malformed SMTP response line: nonsense AUTH"),
        ({"GREETING": "554 no AUTH for you"}, False, "554 no AUTH for you"),
    ],
)
async def test_only_an_answer_to_auth_is_a_refused_sign_in_and_each_word_is_its_speakers(
    answers: dict[str, str], is_sign_in: bool, reason: str
) -> None:
    async with running_peer(**({"EHLO": "250-peer\r\n250 AUTH PLAIN", "AUTH": "235 ok"} | answers)) as peer:
        outcome = await sent_to(peer.server(username="sales", password=Secret("s3cret")))
        assert isinstance(outcome, Deferred) and outcome.is_line
        assert outcome.is_sign_in == is_sign_in
        assert outcome.reason.startswith(reason)


async def test_a_message_that_is_taken_back_before_its_data_leaves_the_line_usable() -> None:
    async with running_peer() as peer:
        line = SmtpLine(peer.server())
        about: dict[str, Any] = {"envelope_from": SALES, "recipients": ("a@x.example",), "raw": RAW}
        about["deadline"] = timedelta(seconds=10)

        async def no() -> bool:
            assert peer.heard[-1].startswith("RCPT"), "asked when DATA comes next"
            return False

        assert isinstance(await line.send(**about, before_data=no), TakenBack)
        assert isinstance(await line.send(**about), Sent)
        await line.close()
        assert (len(peer.data), peer.connections) == (1, 1)


UTF8 = "иван@x.example"


async def test_an_address_in_other_letters_goes_where_the_server_takes_it() -> None:
    async with running_peer(EHLO="250-peer\r\n250-8BITMIME\r\n250 SMTPUTF8") as peer:
        raw = RAW.replace(b"To: a@x", f"To: {UTF8}, a@x".encode())
        assert isinstance(await sent_to(peer.server(), UTF8, "a@x.example", raw=raw), Sent)
        assert f"MAIL FROM:<{SALES}> BODY=8BITMIME SMTPUTF8" in peer.heard
        assert f"RCPT TO:<{UTF8}>".encode().decode("latin-1") in peer.heard
        assert isinstance(await sent_to(peer.server(), "a@x.example", raw=raw), Sent), "a second try of the rest"
        assert peer.heard.count(f"MAIL FROM:<{SALES}> BODY=8BITMIME SMTPUTF8") == 2
        assert isinstance(await sent_to(peer.server(), "a@x.example"), Sent)
        assert f"MAIL FROM:<{SALES}>" in peer.heard, "plain mail is plain"


async def test_where_the_server_does_not_take_it_that_recipient_alone_is_refused() -> None:
    async with running_peer() as peer:
        outcome = await sent_to(peer.server(), UTF8, "a@x.example")
        assert isinstance(outcome, PartlySent) and states(outcome) == ["refused", "sent"]
        assert "SMTPUTF8" in outcome.replies[0].text and outcome.replies[0].code is None
        alone = await sent_to(peer.server(), UTF8)
        assert isinstance(alone, Refused) and "SMTPUTF8" in alone.reason
        assert len(peer.data) == 1 and not any("SMTPUTF8" in line for line in peer.heard)
