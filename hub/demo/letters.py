"""The mails of the sample company as bytes: what a customer's mail program would send. Pure."""

from __future__ import annotations

import html
from datetime import datetime
from email import message_from_bytes, policy
from uuid import UUID

from hub.demo.sample import Letter
from hub.mail.reading.headers import Address
from hub.mail.sending.compose import Draft, OutgoingFile, compose, new_message_id

_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


def raw_letter(letter: Letter, *, to: str, at: datetime, number: UUID, again: int = 0) -> bytes:
    """Return the letter as sent to a mailbox; `again` tells repeated ones apart."""
    subject = letter.subject if again == 0 else f"{letter.subject} ({again + 1})"
    files = (OutgoingFile(letter.file, "application/pdf", _PDF),) if letter.file else ()
    paragraphs = "".join(f"<p>{html.escape(part)}</p>" for part in letter.text.split("\n\n"))
    draft = Draft(
        sender=Address(letter.sender, letter.address),
        to=(Address("", to),),
        subject=subject,
        text=letter.text,
        html=f"<div>{paragraphs}</div>",
        files=files,
        message_id=new_message_id(number, letter.address),
        date=at,
    )
    return compose(draft).raw


def answer_to(raw: bytes, *, at: datetime, number: UUID) -> bytes:
    """Return what the first recipient of `raw` answers."""
    sent = message_from_bytes(raw, policy=policy.default)
    who = sent["to"].addresses[0]
    back = sent["from"].addresses[0]
    address = f"{who.username}@{who.domain}"
    subject = str(sent["subject"] or "")
    draft = Draft(
        sender=Address(who.display_name, address),
        to=(Address(back.display_name, f"{back.username}@{back.domain}"),),
        subject=subject if subject.lower().startswith("re:") else f"Re: {subject}",
        text="Спасибо, получили. Посмотрим и вернёмся с ответом.",
        in_reply_to=str(sent["message-id"]),
        references=tuple(str(sent["references"] or "").split()),
        message_id=new_message_id(number, address),
        date=at,
    )
    return compose(draft).raw
