"""As whom a composer may write, and what goes below: its choice of senders, their signatures, the templates at hand.

Decides what is offered; whether a sender may be used is `mail.sending.identities`' to decide. Invariant: a choice is a
mailbox's address, with `#` and the id of an own identity where it has one, so that a form needs no script to say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.mail.reading.sanitize import html_to_text
from hub.mail.register import MailboxRow
from hub.mail.sending import identities, templates
from hub.mail.sending.phrases import Facts
from hub.web.request_context import RequestContext


@dataclass(frozen=True, slots=True)
class SenderOption:
    """One choice. `signature` is HTML, filled for the writer; "" where there is none."""

    value: str
    mailbox_id: int
    name: str
    address: str
    signature: str

    @property
    def shown(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


async def offered(conn: AsyncConnection, ctx: RequestContext, boxes: Sequence[MailboxRow]) -> tuple[SenderOption, ...]:
    """Return whom the reader may write as from these mailboxes, each mailbox's default first."""
    only = boxes[0].id if len(boxes) == 1 else None
    known = await identities.of(conn, ctx.actor, mailbox_id=only)
    found: list[SenderOption] = []
    for box in boxes:
        html = await identities.signature_for(conn, ctx.actor, box.id, language=ctx.language)
        signature = identities.signed(html, _facts(ctx, box)) if html else ""
        plain = box.name or ctx.actor.name
        for one in known:
            # A name that is stored nowhere is the one that a message has which names no identity.
            if one.mailbox_id == box.id and (one.id is not None or one.name == plain):
                value = box.address if one.id is None else f"{box.address}#{one.id}"
                found.append(SenderOption(value, box.id, one.name, one.address, signature))
    return tuple(found)


def _facts(ctx: RequestContext, box: MailboxRow) -> Facts:
    actor = ctx.actor
    return Facts(
        manager=actor.name,
        email=actor.email,
        extension=actor.extension or "",
        mailbox=box.address,
        company=box.name,
        today=ctx.now.date(),
        language=ctx.language,
    )


def chosen(senders: Sequence[SenderOption], mailbox: MailboxRow, identity_id: int | None) -> SenderOption | None:
    """Return the sender that is chosen at first: the draft's, else the mailbox's default."""
    here = [one for one in senders if one.mailbox_id == mailbox.id]
    wanted = f"{mailbox.address}#{identity_id}"
    return next((one for one in here if identity_id is not None and one.value == wanted), here[0] if here else None)


def below(signature: str) -> str:
    """Return a signature as the text that stands in a new letter's plain form."""
    return f"\n\n\n{html_to_text(signature)}" if signature else ""


def read(value: str) -> tuple[str, int | None]:
    """Return the mailbox's address and the identity's id that a choice means."""
    address, mark, number = value.rpartition("#")
    is_choice = mark and number.isascii() and number.isdigit() and len(number) < 19
    return (address, int(number)) if is_choice else (value, None)


async def templates_for(
    conn: AsyncConnection, ctx: RequestContext, boxes: Sequence[MailboxRow]
) -> list[tuple[int, str]]:
    """Return (id, name) of the templates of everybody and of the mailboxes' teams."""
    teams = {box.team_id for box in boxes}
    team_id = next(iter(teams)) if len(teams) == 1 else None
    return templates.names_of(await templates.listed(conn, ctx.actor, team_id=team_id))
