"""Notices that mail came back, in the shapes of the systems that write them. Names, hosts and words around are ours."""

from __future__ import annotations

from tests.corpus.making.letter import Cases, bare, multi, part, word

cases = Cases("notice")
IVAN = "ivan@client.example"
OURS = "<sent-1@hub.example>"
ORIGINAL = f"From: sales@hub.example\r\nTo: {IVAN}\r\nSubject: Offer\r\nMessage-ID: {OURS}\r\n"
REST = ("To: sales@hub.example", "Date: Thu, 5 Mar 2026 10:00:00 +0300", "MIME-Version: 1.0")
UTF_8 = "Content-Type: text/plain; charset=utf-8"


def words(name: str, sender: str, subject: str, body: str, *head: str, to: str = IVAN) -> None:
    """A notice in words alone."""
    subject = subject if subject.isascii() else word(subject)
    raw = bare(f"From: {sender}", f"Subject: {subject}", *REST, *(head or (UTF_8,)), body=body.replace("\n", "\r\n"))
    cases.add(name, raw, auto="bounce", came_back=[to])


def report(
    name: str,
    sender: str,
    subject: str,
    human: str,
    *head: str,
    fields: str = f"Final-Recipient: rfc822; {IVAN}\r\nAction: failed\r\nStatus: 5.1.1",
    kind: str = "report",
    params: str = "; report-type=delivery-status",
    returned: str = "message/rfc822",
    human_head: str = UTF_8,
) -> None:
    """A notice with a machine's part (RFC 3464)."""
    field, body = multi(
        kind,
        part(human_head, body=human.replace("\n", "\r\n")),
        part("Content-Type: message/delivery-status", body=f"Reporting-MTA: dns; mx.hub.example\r\n\r\n{fields}\r\n"),
        part(f"Content-Type: {returned}", body=ORIGINAL),
        params=params,
    )
    subject = subject if subject.isascii() else word(subject)
    raw = bare(f"From: {sender}", f"Subject: {subject}", *REST, *head, field, body=body)
    cases.add(name, raw, auto="bounce", came_back=[IVAN])


POSTFIX = f"""This is the mail system at host mx.hub.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

                   The mail system

<{IVAN}>: host mx.client.example[192.0.2.1] said: 550 5.1.1
    <{IVAN}>: Recipient address rejected: User unknown (in reply to RCPT TO command)
"""
report("postfix", "Mail Delivery System <MAILER-DAEMON@mx.hub.example>", "Undelivered Mail Returned to Sender", POSTFIX)
report(
    "zimbra", "MAILER-DAEMON@zimbra.hub.example (Mail Delivery System)", "Undelivered Mail Returned to Sender", POSTFIX
)
report(
    "postfix-that-is-still-trying",
    "Mail Delivery System <MAILER-DAEMON@mx.hub.example>",
    "Delayed Mail (still being retried)",
    f"THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE.\n\n<{IVAN}>: connect to mx: timed out",
    fields=f"Final-Recipient: rfc822; {IVAN}\r\nAction: delayed\r\nStatus: 4.4.1",
)
report(
    "report-without-its-type",
    "postmaster@relay.example",
    f"Delivery Report (failure) for {IVAN}",
    f"Your message was not delivered to {IVAN}.",
    params="",
)
report(
    "report-called-mixed",
    "Postmaster <postmaster@relay.example>",
    "Your letter",
    "It was not delivered.",
    kind="mixed",
    params="",
)
words(
    "postfix-in-words",
    "MAILER-DAEMON@mx.hub.example (Mail Delivery System)",
    "Undelivered Mail Returned to Sender",
    POSTFIX + f"\n--- The original ---\n{ORIGINAL}",
)
words(
    "qmail",
    "MAILER-DAEMON@mx.hub.example",
    "failure notice",
    f"""Hi. This is the qmail-send program at mx.hub.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{IVAN}>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 no such user

--- Below this line is a copy of the message.

Return-Path: <sales@hub.example>
{ORIGINAL}""",
    "Return-Path: <>",
)
words(
    "mailer-daemon-and-no-other-sign",
    "MAILER-DAEMON@relay.example",
    "Hello",
    f"""Unable to deliver message to the following address:

<{IVAN}>:
Connection refused. (#4.4.1)

--- Below this line is a copy of the message.
""",
)
EXIM = f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {IVAN}
    host mx.client.example [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<{IVAN}>:
    550 5.1.1 User unknown

------ This is a copy of the message, including all the headers. ------

{ORIGINAL}"""
words(
    "exim",
    "Mail Delivery System <Mailer-Daemon@mx.hub.example>",
    "Mail delivery failed: returning message to sender",
    EXIM,
    f"X-Failed-Recipients: {IVAN}",
    "Auto-Submitted: auto-replied",
)
words(
    "exim-without-its-headers",
    "Mail Delivery System <noreply@mx.hub.example>",
    "Mail delivery failed: returning message to sender",
    EXIM,
)
report(
    "sendmail",
    "Mail Delivery Subsystem <MAILER-DAEMON@mx.hub.example>",
    "Returned mail: see transcript for details",
    f"""The original message was received at Thu, 5 Mar 2026 10:00:00 +0300

   ----- The following addresses had permanent fatal errors -----
<{IVAN}>
    (reason: 550 5.1.1 User unknown)

   ----- Transcript of session follows -----
... while talking to mx.client.example.:
>>> DATA
<<< 550 5.1.1 <{IVAN}>... User unknown""",
    "Auto-Submitted: auto-generated (failure)",
)
words(
    "sendmail-of-old",
    "Mail Delivery Subsystem <MAILER-DAEMON>",
    "Returned mail: User unknown",
    f"""The original message was received at Thu, 5 Mar 2026 10:00:00 +0300

   ----- The following addresses had permanent fatal errors -----
<{IVAN}>

   ----- Transcript of session follows -----
550 <{IVAN}>... User unknown
""",
)
words(
    "courier",
    '"Courier mail server at mx.hub.example" <@>',
    "NOTICE: mail delivery status.",
    f"""This is a delivery status notification from mx.hub.example,
running the Courier mail server, version 0.60.

The original message was received on Thu, 05 Mar 2026 10:00:00 +0300
from mx.hub.example (mx.hub.example [192.0.2.2])

                           UNDELIVERABLE MAIL

Your message to the following recipients cannot be delivered:

<{IVAN}>:
    mx.client.example [192.0.2.1]:
>>> RCPT TO:<{IVAN}>
<<< 550 User unknown.
""",
    "Return-Path: <>",
)
report(
    "exchange-english",
    "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@hub.example>",
    "Undeliverable: Offer",
    f"""Delivery has failed to these recipients or groups:

{IVAN}
The e-mail address you entered couldn't be found.""",
    "Auto-Submitted: auto-replied",
)
report(
    "exchange-russian",
    "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@hub.example>",
    "Не удается доставить: Предложение",
    f"""Не удалось выполнить доставку следующим получателям или группам:

{IVAN}
Введенный адрес электронной почты не найден.""",
)
words(
    "exchange-russian-in-words",
    f"{word('Системный администратор')} <postmaster@client.example>",
    "Не доставлено: Предложение",
    f"""Ваше сообщение

  Тема: Предложение
  Отправлено: 05.03.2026 10:00

не доставлено следующим получателям:

  {IVAN} 05.03.2026 10:01
      Пользователь с таким адресом электронной почты не существует.
      <mx.client.example #5.1.1>
""",
)
report(
    "exchange-german",
    "Microsoft Outlook <postmaster@client.example>",
    "Unzustellbar: Angebot",
    f"""Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:

{IVAN}
Die eingegebene E-Mail-Adresse konnte nicht gefunden werden.""",
)
words(
    "exchange-german-in-words",
    "Systemadministrator <postmaster@client.example>",
    "Unzustellbar: Angebot",
    f"""Ihre Nachricht

  Betreff: Angebot
  Gesendet am: 05.03.2026 10:00

konnte folgende Empfänger nicht erreichen. Sie konnte nicht zugestellt werden:

  {IVAN} am 05.03.2026 10:01
      Das E-Mail-Konto ist in der Organisation nicht vorhanden. <mx.client.example #5.1.1>
""",
)
words(
    "exchange-2003-english",
    "System Administrator <postmaster@client.example>",
    "Undeliverable: Offer",
    f"""Your message

  To:      {IVAN}
  Subject: Offer
  Sent:    Thu, 5 Mar 2026 10:00:00 +0300

did not reach the following recipient(s):

{IVAN} on Thu, 5 Mar 2026 10:00:01 +0300
    The recipient name is not recognized. The message could not be delivered.
""",
)
report(
    "microsoft-365-russian",
    "<postmaster@client.example>",
    "Не удается доставить: Предложение",
    f"""office365

Не удалось доставить ваше сообщение пользователю {IVAN}.

Пользователь ivan не найден в client.example.""",
)
report(
    "google",
    "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
    "Delivery Status Notification (Failure)",
    f"""** Address not found **

Your message wasn't delivered to {IVAN} because the address couldn't be found.""",
    f"X-Failed-Recipients: {IVAN}",
    "Auto-Submitted: auto-replied",
)
report(
    "google-russian",
    "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
    "Delivery Status Notification (Failure)",
    f"""** Адрес не найден **

Ваше письмо не доставлено получателю {IVAN}, поскольку такой адрес не найден.""",
)
words(
    "google-in-words",
    "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
    "Delivery Status Notification (Failure)",
    f"""Delivery to the following recipient failed permanently:

     {IVAN}

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected by the server for the recipient domain client.example.

The error that the other server returned was:
550 5.1.1 No such user
""",
)
YANDEX = f"""Это письмо отправлено почтовым сервером Яндекса.

К сожалению, мы вынуждены сообщить Вам о том, что Ваше письмо не может
быть отправлено одному или нескольким адресатам. Технические подробности можно найти ниже.

Возможные причины недоставки указаны по адресу:
https://yandex.example/support/mail/letter/undelivered.html

Пожалуйста, не отвечайте на это сообщение.

-----

This is the mail system at host forward1.mail.yandex.example.

<{IVAN}>: host mx.client.example[192.0.2.1] said: 550 5.7.1 Policy
    rejection on the target address (in reply to RCPT TO command)
"""
words("yandex", "mailer-daemon@yandex.example", "Недоставленное сообщение", YANDEX)
report("yandex-report", "mailer-daemon@yandex.example", "Недоставленное сообщение", YANDEX)
words(
    "yandex-from-a-name",
    f"{word('Почтовая служба')} <noreply@hub.example>",
    "Недоставленное сообщение",
    YANDEX,
    "Return-Path: <>",
)
MAIL_RU = f"""Это письмо создано автоматически сервером Mail.Ru, отвечать на него не
нужно.

К сожалению, Ваше письмо не может быть доставлено одному или нескольким
получателям:

**********************

{IVAN}

SMTP error from remote mail server after RCPT TO:<{IVAN}>
host mx.client.example [192.0.2.1]
550 Message was not accepted -- invalid mailbox.

**********************
"""
words("mail-ru", "mailer-daemon@corp.mail.example", "Ваше сообщение не доставлено. Mail failure.", MAIL_RU)
words(
    "mail-ru-of-a-company",
    f"{word('Почтовый робот')} <postmaster@hub.example>",
    "Ваше сообщение не доставлено. Mail failure.",
    f"""Это письмо создано автоматически, отвечать на него не нужно.

К сожалению, ваше письмо не может быть доставлено одному или нескольким получателям:

{IVAN} - почтовый ящик переполнен
""",
)
words(
    "rambler",
    "MAILER-DAEMON@rambler.example (Mail Delivery System)",
    "Undelivered Mail Returned to Sender",
    f"""Это сообщение почтовой системы на сервере mx.rambler.example.

Письмо не было доставлено получателю:

<{IVAN}>: 550 5.1.1 mailbox unavailable
""",
)
words(
    "aol-and-yahoo",
    "MAILER-DAEMON@yahoo.example",
    "Failure Notice",
    f"""Sorry, we were unable to deliver your message to the following address.

<{IVAN}>:
554: delivery error: dd This user doesn't have a client.example account ({IVAN}) [0] - mta.mail.example
""",
)
report(
    "amazon-ses",
    "MAILER-DAEMON@amazonses.example",
    "Delivery Status Notification (Failure)",
    f"""An error occurred while trying to deliver the mail to the following recipients:
{IVAN}""",
)
words(
    "amazon-ses-in-words",
    "MAILER-DAEMON@amazonses.example",
    "Delivery Status Notification (Failure)",
    f"""An error occurred while trying to deliver the mail to the following recipients:
{IVAN}
""",
)
report(
    "communigate",
    "<MAILER-DAEMON@mx.hub.example>",
    "Undeliverable mail",
    f"""Failed to deliver to '{IVAN}'
SMTP module(domain client.example) reports:
 host mx.client.example says:
 550 5.1.1 User unknown""",
)
words(
    "communigate-in-words",
    "<MAILER-DAEMON@mx.hub.example>",
    "Undeliverable mail",
    f"""Failed to deliver to '{IVAN}'
SMTP module(domain client.example) reports:
 host mx.client.example says:
 550 5.1.1 User unknown
""",
)
words(
    "domino",
    "postmaster@client.example",
    "DELIVERY FAILURE: User ivan (ivan@client.example) not listed in Domino Directory",
    f"""Your message

  Subject: Offer

was not delivered to:

  {IVAN}

because:

  User ivan ({IVAN}) not listed in Domino Directory
""",
)
words(
    "kerio",
    "Mail Delivery Subsystem <postmaster@hub.example>",
    "Failed: Message could not be delivered",
    f"""This is an automatically generated delivery status notification.

Your message could not be delivered to the following recipient:

  {IVAN}

Reason: 550 5.1.1 User unknown
""",
)
words(
    "mdaemon",
    "MDaemon at mx.hub.example <MDAEMON@mx.hub.example>",
    "Permanent Delivery Failure",
    f"""The following data may contain sections which represent BASE64 encoded
file attachments.

The attached message had PERMANENT fatal delivery errors!

Failed address: {IVAN}

--- Session Transcript ---
 <-- 550 5.1.1 User unknown
""",
)
words(
    "groupwise",
    "Mail System <postmaster@client.example>",
    "Message status - undeliverable",
    f"""The message that you sent was undeliverable to the following:
\tivan ({IVAN})
""",
)
words(
    "hmailserver",
    "mailer-daemon@mx.hub.example",
    "Message undeliverable: Offer",
    f"""Your message did not reach some or all of the intended recipients.

   Sent: Thu, 5 Mar 2026 10:00:00 +0300
   Subject: Offer

The following recipient(s) could not be reached:

{IVAN}
   Error Type: SMTP
   Remote server replied: 550 5.1.1 User unknown
""",
)
words(
    "smartermail",
    "System Administrator <postmaster@hub.example>",
    "Delivery Failure",
    f"""Could not deliver message to the following recipient(s):

Failed Recipient: {IVAN}
Reason: Remote host said: 550 5.1.1 User unknown
""",
)
words(
    "intermail",
    "Mail Administrator <Postmaster@hub.example>",
    "Mail System Error - Returned Mail",
    f"""This Message was undeliverable due to the following reason:

The user(s) account is disabled.

     <{IVAN}>

Please reply to Postmaster@hub.example
if you feel this message to be in error.
""",
)
words(
    "sun-messaging",
    "Internet Mail Delivery <postmaster@hub.example>",
    "Delivery Notification: Delivery has failed",
    f"""This report relates to a message you sent with the following header fields:

  Message-id: {OURS}
  Subject: Offer

Your message cannot be delivered to the following recipients:

  Recipient address: {IVAN}
  Reason: Illegal host/domain name found
""",
)
words(
    "imail",
    "postmaster@hub.example",
    "Undeliverable Mail",
    f"""Unknown user: {IVAN}

Original message follows.

{ORIGINAL}""",
)
words(
    "bulk-filter",
    "postmaster@client.example",
    "**Message you sent blocked by our bulk email filter**",
    f"""Your message to: {IVAN}
was blocked by our Spam Firewall. The email you sent with the following subject has NOT BEEN DELIVERED:

Subject: Offer
""",
)
words(
    "ukrainian",
    "MAILER-DAEMON@mx.ukr.example",
    "Не вдалося доставити лист",
    f"""Не вдалося доставити ваш лист такому одержувачу:

<{IVAN}>: 550 5.1.1 user unknown
""",
)
words(
    "html-only",
    "Mail Delivery System <postmaster@mx.hub.example>",
    "Undeliverable: Offer",
    f"<p>Your message could not be delivered to:</p><p><b>{IVAN}</b></p><p>550 5.1.1 unknown</p>",
    "Content-Type: text/html; charset=utf-8",
)
words(
    "russian-postmaster",
    "postmaster@client.example",
    "Уведомление о недоставке",
    f"""Письмо не доставлено получателю {IVAN}: почтовый ящик не существует.
""",
)
words(
    "answered-thread-with-an-empty-return-path",
    "Mail Gateway <gateway@client.example>",
    "Returned mail: Offer",
    f"""Your message could not be delivered to {IVAN}.
""",
    "Return-Path: <>",
)


def person(name: str, sender: str, subject: str, body: str, *head: str, auto: str = "none") -> None:
    subject = subject if subject.isascii() else word(subject)
    raw = bare(f"From: {sender}", f"Subject: {subject}", *REST, *(head or (UTF_8,)), body=body.replace("\n", "\r\n"))
    cases.add(name, raw, auto=auto)


person(
    "none-a-person-complains",
    "Ivan <ivan@client.example>",
    "Ваше письмо не доставлено",
    "Добрый день! Мне пришло, что моё письмо не доставлено. Проверьте почту.",
)
person(
    "none-a-person-answers-a-notice",
    "Anna <anna@client.example>",
    "Re: Undelivered Mail Returned to Sender",
    "What is this? It could not be delivered.",
)
person(
    "none-a-postmaster-who-writes",
    "Postmaster <postmaster@client.example>",
    "Changes of our MX on Friday",
    "Dear colleagues, our MX moves on Friday.",
)
person(
    "none-an-administrator-who-asks",
    "Administrator <admin@client.example>",
    "Delivery of 20 chairs",
    "Please tell us when the delivery of the chairs to our office failed to arrive.",
)

AWAY = {
    "answer": "Автоответ",
    "answer-with-a-subject": "Автоответ: Предложение",
    "answer-in-brackets": "Re: Предложение (автоответ)",
    "answer-with-a-hyphen": "[Авто-ответ] Предложение",
    "on-holiday": "Я в отпуске",
    "on-holiday-until": "Я в отпуске до 12 марта",
    "holiday-from-to": "В отпуске с 01.03 по 14.03",
    "out-of-the-office": "Отсутствую в офисе",
    "out-of-the-office-re": "Re: Отсутствую в офисе: Предложение",
    "not-at-work": "Меня нет в офисе до понедельника",
    "business-trip": "Нахожусь в командировке",
    "exchange": "Автоматический ответ: Предложение",
    "english": "Out of office: back on Monday",
    "german": "Automatische Antwort: Angebot",
    "polish": "Autoodpowiedź: oferta",
}
for name, subject in AWAY.items():
    person(f"away-{name}", "Ira <ira@client.example>", subject, "Отвечу позже.", auto="auto_reply")
person(
    "away-by-the-text-too",
    "Ira <ira@client.example>",
    "В отпуске, срочно - Петров",
    "Здравствуйте! Я нахожусь в отпуске. По срочным вопросам обращайтесь к Петрову.",
    auto="auto_reply",
)
HOLIDAYS = {
    "schedule": ("График отпусков на 2026 год", "Пришлите, пожалуйста, график."),
    "question": ("Отпуск", "Когда у вас отпуск? Хочу заказать кран."),
    "trade": ("Я в отпуске, но кран нужен сегодня", "Сколько стоит кран?"),
    "goods": ("Отпуск товара со склада", "Когда можно забрать товар?"),
    "answer": ("Re: отпуск", "Спасибо, хорошего отпуска!"),
    "question-mark": ("Меня не будет в офисе до пятницы, примете груз?", "Примете?"),
    "office": ("Out of office furniture: price?", "How much are the chairs?"),
}
for name, (subject, body) in HOLIDAYS.items():
    person(f"none-holiday-{name}", "Ira <ira@client.example>", subject, body)
