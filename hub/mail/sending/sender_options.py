"""The senders that a composer offers, with their signatures, and the templates.

Decides what is offered; `identities` decides whether a sender may be used. Invariant: the value of an option is the
mailbox's address, with `#` and the identity's id if there is one, so that a form needs no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.mail.reading.sanitize import html_to_text
from hub.mail.register import MailboxRow
from hub.mail.sending import identities, templates
from hub.mail.sending.phrases import Facts


@dataclass(frozen=True, slots=True)
class Writer:
    """The user who writes: their language and the moment of the request."""

    actor: Actor
    language: str
    now: datetime


@dataclass(frozen=True, slots=True)
class SenderOption:
    """One option. `signature` is HTML, filled for the writer; "" where there is none."""

    value: str
    mailbox_id: int
    name: str
    address: str
    signature: str

    @property
    def shown(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


async def offered(conn: AsyncConnection, writer: Writer, boxes: Sequence[MailboxRow]) -> tuple[SenderOption, ...]:
    """Return the senders that the writer may use in these mailboxes, each mailbox's default first."""
    only = boxes[0].id if len(boxes) == 1 else None
    known = await identities.of(conn, writer.actor, mailbox_id=only)
    found: list[SenderOption] = []
    for box in boxes:
        html = await identities.signature_for(conn, writer.actor, box.id, language=writer.language)
        signature = identities.signed(html, _facts(writer, box)) if html else ""
        plain = box.name or writer.actor.name
        for one in known:
            # A name that is stored nowhere is the one that a message has which names no identity.
            if one.mailbox_id == box.id and (one.id is not None or one.name == plain):
                value = box.address if one.id is None else f"{box.address}#{one.id}"
                found.append(SenderOption(value, box.id, one.name, one.address, signature))
    return tuple(found)


def _facts(writer: Writer, box: MailboxRow) -> Facts:
    actor = writer.actor
    return Facts(
        manager=actor.name,
        email=actor.email,
        extension=actor.extension or "",
        mailbox=box.address,
        company=box.name,
        today=writer.now.date(),
        language=writer.language,
    )


def chosen(senders: Sequence[SenderOption], mailbox: MailboxRow, identity_id: int | None) -> SenderOption | None:
    """Return the preselected sender: the draft's, else the mailbox's default."""
    here = [one for one in senders if one.mailbox_id == mailbox.id]
    wanted = f"{mailbox.address}#{identity_id}"
    return next((one for one in here if identity_id is not None and one.value == wanted), here[0] if here else None)


def below(signature: str) -> str:
    """Return a signature as plain text for the end of a new message."""
    return f"\n\n\n{html_to_text(signature)}" if signature else ""


def read(value: str) -> tuple[str, int | None]:
    """Return the mailbox's address and the identity's id of an option's value."""
    address, mark, number = value.rpartition("#")
    is_choice = mark and number.isascii() and number.isdigit() and len(number) < 19
    return (address, int(number)) if is_choice else (value, None)


async def templates_for(conn: AsyncConnection, writer: Writer, boxes: Sequence[MailboxRow]) -> list[tuple[int, str]]:
    """Return (id, name) of the templates of everybody and of the mailboxes' teams."""
    teams = {box.team_id for box in boxes}
    team_id = next(iter(teams)) if len(teams) == 1 else None
    return await templates.offered(conn, writer.actor, team_id=team_id)
