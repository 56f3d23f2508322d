"""Notices of mail systems as they are really written, and what is read of them."""

from __future__ import annotations

import time

import pytest

from hub.mail.intake.bounces import MAX_BYTES, Bounce, Failed, read

OURS = "<0d8f2f0e-7f3a-4b61-9d0c-2b7f3f0f6a11@hub.test>"


def dsn(
    *,
    human: str = "I'm sorry to have to inform you that your message could not be delivered.",
    blocks: tuple[str, ...] = ("Final-Recipient: rfc822; ivan@romashka.test\nAction: failed\nStatus: 5.1.1",),
    returned: str = f"Message-ID: {OURS}\nSubject: x\n\n",
    returned_type: str = "text/rfc822-headers",
    head: str = "",
) -> bytes:
    status = "\n\n".join(("Reporting-MTA: dns; mx.romashka.test", *blocks))
    return (
        "From: MAILER-DAEMON@mx.romashka.test\nSubject: Undelivered Mail Returned to Sender\n"
        f'{head}MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\nContent-Type: text/plain; charset=utf-8\n\n{human}\n\n"
        f"--b\nContent-Type: message/delivery-status\n\n{status}\n\n"
        f"--b\nContent-Type: {returned_type}\n\n{returned}\n--b--\n"
    ).encode()


def text(body: str, *, sender: str = "MAILER-DAEMON@mx.test", subject: str = "failure notice", head: str = "") -> bytes:
    fields = f"From: {sender}\nSubject: {subject}\n{head}Content-Type: text/plain; charset=utf-8\n\n"
    return (fields + body).encode()


def bounce(raw: bytes) -> Bounce:
    found = read(raw)
    assert found is not None
    return found


def told(raw: bytes) -> list[tuple[str, str, bool]]:
    return [(one.address, one.status, one.is_permanent) for one in bounce(raw).recipients]


def test_postfix_says_for_whom_why_and_which_message() -> None:
    block = (
        "Final-Recipient: rfc822; ivan@romashka.test\nOriginal-Recipient: rfc822;ivan@romashka.test\nAction: failed\n"
        "Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 <ivan@romashka.test>: Recipient address\n rejected"
    )
    found = bounce(dsn(blocks=(block,)))
    (one,) = found.recipients
    assert one == Failed(
        "ivan@romashka.test", "5.1.1", True, "550 5.1.1 <ivan@romashka.test>: Recipient address rejected"
    )
    assert found.ids == (OURS,)


def test_exchange_names_the_recipient_after_a_forward_and_the_one_that_was_written_to() -> None:
    block = (
        "Original-Recipient: rfc822;Info@Romashka.test\nFinal-Recipient: rfc822;ivan@corp.romashka.test\n"
        "Action: failed\nStatus: 5.1.10\nDiagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound"
    )
    human = "Не удалось выполнить доставку следующим получателям или группам:\n\ninfo@romashka.test"
    raw = dsn(human=human, blocks=(block,), returned_type="message/rfc822")
    assert [address for address, _, _ in told(raw)] == ["info@romashka.test", "ivan@corp.romashka.test"]
    assert bounce(raw).ids == (OURS,)


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [("delayed", "4.4.1", False), ("failed", "4.4.7", True), ("failed", "5.2.2", True), ("delayed", "5.1.1", False)],
)
def test_a_delay_is_no_failure_and_a_failure_after_days_of_trying_is_one(
    action: str, status: str, expected: bool
) -> None:
    block = f"Final-Recipient: rfc822; ivan@romashka.test\nAction: {action}\nStatus: {status}"
    assert told(dsn(blocks=(block,))) == [("ivan@romashka.test", status, expected)]


def test_what_was_delivered_relayed_or_expanded_has_not_come_back() -> None:
    blocks = tuple(
        f"Final-Recipient: rfc822; {action}@x.test\nAction: {action}\nStatus: 2.0.0"
        for action in ("delivered", "relayed", "expanded", "failed")
    )
    assert [address for address, _, _ in told(dsn(blocks=blocks))] == ["failed@x.test"]


def test_gmail_tells_in_its_own_header_and_refers_to_the_message() -> None:
    raw = dsn(
        human="Address not found. Your message wasn't delivered to ivan@romashka.test because the address couldn't be",
        head=f"X-Failed-Recipients: ivan@romashka.test\nIn-Reply-To: {OURS}\nReferences: {OURS}\n",
        returned="",
    )
    assert bounce(raw).ids == (OURS,)


EXIM = f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ivan@romashka.test
    host mx.romashka.test [10.0.0.1]
    SMTP error from remote mail server after RCPT TO:<ivan@romashka.test>:
    550 5.1.1 User unknown

------ This is a copy of the message, including all the headers. ------

Return-path: <sales@hub.test>
Message-ID: {OURS}
"""
YANDEX = f"""Это письмо отправлено почтовым сервером Яндекса.

К сожалению, мы вынуждены сообщить Вам о том, что Ваше письмо не может
быть отправлено одному или нескольким адресатам.

<ivan@romashka.test>: host mx.romashka.test[10.0.0.1] said: 550 5.7.1 Policy
    rejection on the target address (in reply to end of DATA command)

Message-ID: {OURS}
"""
MAIL_RU = f"""Это письмо создано автоматически сервером Mail.Ru, отвечать на него не нужно.

К сожалению, Ваше письмо не может быть доставлено одному или нескольким получателям:

**********************

ivan@romashka.test - user not found

**********************
Message-Id: {OURS}
"""
QMAIL = f"""Hi. This is the qmail-send program at mx.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ivan@romashka.test>:
10.0.0.1 does not like recipient.
Remote host said: 550 sorry, no mailbox here by that name

--- Below this line is a copy of the message.

Return-Path: <sales@hub.test>
Message-ID: {OURS}
"""


@pytest.mark.parametrize("body", [EXIM, YANDEX, MAIL_RU, QMAIL], ids=["exim", "yandex", "mail.ru", "qmail"])
def test_notices_in_words_alone_name_the_message_and_whom_it_did_not_reach(body: str) -> None:
    found = bounce(text(body))
    assert found.ids == (OURS,) and found.is_permanent
    assert "ivan@romashka.test" in (*(one.address for one in found.recipients), *found.named)


@pytest.mark.parametrize(
    "words",
    [
        "THIS IS A WARNING MESSAGE ONLY. Your message has not been delivered yet. We will keep trying for 5 days.",
        "Ваше письмо для ivan@romashka.test ещё не доставлено. Попытки доставки будут продолжены.",
        "Message to ivan@romashka.test is delayed: 451 4.4.1 no answer",
    ],
)
def test_a_system_that_is_still_trying_has_given_nothing_up(words: str) -> None:
    found = bounce(text(f"{words}\n\nMessage-ID: {OURS}\n", subject="Delivery delayed"))
    assert not found.is_permanent and not any(one.is_permanent for one in found.recipients)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        text("Спасибо, получили"),
        b'Content-Type: multipart/report; boundary="b"\n\n--b\n' * 40,
        dsn(blocks=("Final-Recipient: rfc822; \nAction: failed",), returned=""),
        dsn(blocks=("Final-Recipient: x;;;;@@@\nAction: failed\nStatus: 5.x.1",), returned=""),
    ],
)
def test_what_says_nothing_is_nothing(raw: bytes) -> None:
    assert read(raw) is None


def test_a_notice_made_to_hurt_is_read_in_bounded_time() -> None:
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(3000))
    many = dsn(blocks=tuple(f"Final-Recipient: rfc822; a{n}@x.test\nAction: failed" for n in range(20_000)))
    ids = text("Message-ID: <" + "a" * 400 + ">\n" * 50_000)
    blanks = text(" " * 500_000 + "@" * 100_000)
    for raw in (nested, many, ids, blanks, text("a@" * 200_000), text("<" * 300_000), text("550 " * 100_000)):
        began = time.process_time()
        found = read(raw)
        assert time.process_time() - began < 2
        assert found is None or len(found.recipients) <= 400
    assert len(many) > MAX_BYTES
