"""Templates of letters in use: which are offered for a letter, and one filled for it.

Writing them is in `template_rules`. Invariant: a letter is begun with living templates only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.base import records
from hub.crm.base.permissions import permitted
from hub.crm.clients.table import CLIENTS
from hub.crm.contacts.table import CONTACTS
from hub.crm.models import clients, contacts, teams
from hub.errors import Refused
from hub.mail.models import mailboxes
from hub.mail.reading.sanitize import html_to_text, safe_html
from hub.mail.sending.models import mail_templates
from hub.mail.sending.phrases import Facts, fill
from hub.mail.sending.template_kind import MAX_CHARS, TEMPLATES, Template

AT_MOST = 500


@dataclass(frozen=True, slots=True)
class Filled:
    """A template for one letter."""

    subject: str
    html: str
    text: str


async def offered(conn: AsyncConnection, actor: Actor, *, team_id: int | None = None) -> list[tuple[int, str]]:
    """Return (id, name) of the living templates to begin a letter with; the team stands beside a name that is there
    twice. `team_id` leaves those of that team and of everybody."""
    columns = (mail_templates.c.id, mail_templates.c.name, teams.c.name.label("team_name"))
    query = (
        sa.select(*columns)
        .outerjoin_from(mail_templates, teams, teams.c.id == mail_templates.c.team_id)
        .where(mail_templates.c.archived_at.is_(None), permitted(actor, TEMPLATES, "see"))
        .order_by(mail_templates.c.name_folded, mail_templates.c.id)
        .limit(AT_MOST)
    )
    if team_id is not None:
        query = query.where(sa.or_(mail_templates.c.team_id.is_(None), mail_templates.c.team_id == team_id))
    found = (await conn.execute(query)).all()
    names = [one.name for one in found]
    return [
        (one.id, f"{one.name} · {one.team_name}" if names.count(one.name) > 1 and one.team_name else one.name)
        for one in found
    ]


async def living(conn: AsyncConnection, actor: Actor, template_id: int) -> Template:
    """Return a template to begin a letter with. Raises NotFound."""
    found = await records.get(conn, actor, TEMPLATES, template_id)
    if found.archived_at is not None:
        raise records.missing(TEMPLATES)
    return found


def cleaned(html: str) -> str:
    """Return a person's HTML as it may be stored and sent. More than a few ms for a long one: call it in a thread."""
    if len(html) > MAX_CHARS:
        raise Refused("too_long", f"the text is longer than {MAX_CHARS} characters", field="text")
    return safe_html(html, cid_url=lambda _cid: None, allow_remote=True)


async def facts_for(
    conn: AsyncConnection,
    actor: Actor,
    *,
    client_id: int | None,
    contact_id: int | None,
    mailbox_id: int | None,
    language: str,
    now: datetime,
) -> Facts:
    """Return what the fields stand for in a letter of the actor's to this client."""
    client = contact = position = ""
    if contact_id is not None:
        row = (
            await conn.execute(
                sa.select(contacts).where(contacts.c.id == contact_id, permitted(actor, CONTACTS, "see"))
            )
        ).first()
        if row is not None and (client_id is None or row.client_id == client_id):
            contact, position, client_id = row.name, row.position, client_id or row.client_id
    if client_id is not None:
        shown = sa.and_(clients.c.id == client_id, permitted(actor, CLIENTS, "see"))
        row = (await conn.execute(sa.select(clients.c.name, clients.c.kind).where(shown))).first()
        if row is not None:
            client = row.name
            contact = contact or (row.name if row.kind == "person" else "")
    box = None
    if mailbox_id is not None:
        mine = access.mailbox_writable(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
        box = (await conn.execute(sa.select(mailboxes).where(mailboxes.c.id == mailbox_id, mine))).first()
    return Facts(
        client=client,
        contact=contact,
        position=position or "",
        manager=actor.name,
        email=actor.email,
        extension=actor.extension or "",
        mailbox=box.address if box else "",
        company=box.name if box else "",
        today=now.date(),
        language=language,
    )


def filled(template: Template, facts: Facts) -> Filled:
    """Return a template filled for one letter."""
    html = fill(template.html, facts, is_html=True)
    return Filled(fill(template.subject, facts, is_html=False), html, html_to_text(html))
