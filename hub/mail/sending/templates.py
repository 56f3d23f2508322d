"""Templates of letters: kept texts of a team or of everybody, with fields that are filled for one letter.

Decides who may see and change which. Invariants: a manager sees those of everybody and of their own teams and changes
only the latter; the HTML is safe before it is stored; an archived template is found by nobody but its old letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.base.permissions import permitted
from hub.crm.clients.table import CLIENTS
from hub.crm.contacts.table import CONTACTS
from hub.crm.models import clients, contacts, teams
from hub.errors import Conflict, Forbidden, NotFound, Refused
from hub.mail.models import mailboxes
from hub.mail.reading.sanitize import html_to_text, safe_html
from hub.mail.sending.models import mail_templates
from hub.mail.sending.phrases import Facts, check, fill
from hub.store.unique import looked_for

Language = Literal["ru", "en"]
MAX_CHARS = 200_000
AT_MOST = 500


@dataclass(frozen=True, slots=True)
class Template:
    """A template as lists and its form show it. `team_id` None: everybody's. `html` has its fields unfilled."""

    id: int
    team_id: int | None
    team_name: str | None
    name: str
    language: Language
    subject: str
    html: str
    renewed_at: datetime


@dataclass(frozen=True, slots=True)
class Filled:
    """A template for one letter."""

    subject: str
    html: str
    text: str


def _query(actor: Actor) -> sa.Select[Any]:
    mine = sa.or_(mail_templates.c.team_id.is_(None), access.of_my_teams(actor, mail_templates.c.team_id))
    return (
        sa.select(mail_templates, teams.c.name.label("team_name"))
        .outerjoin(teams, teams.c.id == mail_templates.c.team_id)
        .where(mail_templates.c.archived_at.is_(None), mine)
    )


def _template(row: sa.RowMapping) -> Template:
    return Template(**{name: row[name] for name in Template.__slots__})


async def listed(
    conn: AsyncConnection, actor: Actor, *, team_id: int | None = None, language: str | None = None
) -> list[Template]:
    """Return the templates the actor may use, by name. `team_id` leaves those of that team and of everybody."""
    query = _query(actor).order_by(mail_templates.c.name, mail_templates.c.id).limit(AT_MOST)
    if team_id is not None:
        query = query.where(sa.or_(mail_templates.c.team_id.is_(None), mail_templates.c.team_id == team_id))
    if language is not None:
        query = query.where(mail_templates.c.language == language)
    return [_template(row) for row in (await conn.execute(query)).mappings()]


async def find(conn: AsyncConnection, actor: Actor, template_id: int) -> Template:
    """Return a template the actor may use. Raises NotFound."""
    row = (await conn.execute(_query(actor).where(mail_templates.c.id == template_id))).mappings().first()
    if row is None:
        raise NotFound("template_missing", "no such template")
    return _template(row)


def may_change(actor: Actor, team_id: int | None) -> bool:
    """Tell whether the actor may write templates of this team; None is everybody's, an administrator's to write."""
    return actor.is_admin or (actor.has("send_mail") and team_id is not None and team_id in actor.team_ids)


async def save(
    conn: AsyncConnection,
    actor: Actor,
    template_id: int | None,
    *,
    team_id: int | None,
    name: str,
    language: Language,
    subject: str,
    html: str,
    now: datetime,
) -> int:
    """Make a template (`template_id` None) or change one; return its id.

    `html` must be safe already (`cleaned`). Raises Refused for what is wrong with it, Forbidden for another team's,
    Conflict where a template of this name and language is there.
    """
    before = await find(conn, actor, template_id) if template_id is not None else None
    if not may_change(actor, team_id) or (before is not None and not may_change(actor, before.team_id)):
        raise Forbidden("forbidden", "this template is not yours to change")
    if team_id is not None and (await conn.execute(sa.select(teams.c.id).where(teams.c.id == team_id))).first() is None:
        raise NotFound("team_missing", "no such team", field="team")
    clean = sanitize.shown(name, max_chars=200)
    if not clean:
        raise Refused("name_missing", "a template needs a name", field="name")
    one_line = sanitize.one_line(" ".join(subject.split()), field="subject", max_bytes=2000)
    check(one_line, field="subject")
    check(html, field="text")
    if not html.strip():
        raise Refused("empty_message", "a template needs a text", field="text")
    same = sa.select(mail_templates.c.id).where(
        mail_templates.c.archived_at.is_(None),
        mail_templates.c.name == clean,
        mail_templates.c.language == language,
        mail_templates.c.team_id.is_(None) if team_id is None else mail_templates.c.team_id == team_id,
        mail_templates.c.id != (template_id or 0),
    )

    async def look() -> None:
        if (await conn.execute(same)).first() is not None:
            raise Conflict("template_there", "there is a template of this name in this language already", field="name")

    values: dict[str, Any] = {"team_id": team_id, "name": clean, "language": language, "subject": one_line}
    values |= {"html": html, "renewed_at": now}
    action = "template.made" if template_id is None else "template.changed"
    async with looked_for(conn, look):
        if template_id is None:
            adding = mail_templates.insert().values(**values, created_by=actor.user_id).returning(mail_templates.c.id)
            template_id = int((await conn.execute(adding)).scalar_one())
        else:
            await conn.execute(sa.update(mail_templates).where(mail_templates.c.id == template_id).values(**values))
    await _record(conn, actor, action, template_id, now=now)
    return template_id


async def archive(conn: AsyncConnection, actor: Actor, template_id: int, *, now: datetime) -> None:
    """Take a template out of use. Raises NotFound, Forbidden."""
    template = await find(conn, actor, template_id)
    if not may_change(actor, template.team_id):
        raise Forbidden("forbidden", "this template is not yours to change")
    await conn.execute(sa.update(mail_templates).where(mail_templates.c.id == template_id).values(archived_at=now))
    await _record(conn, actor, "template.archived", template_id, now=now)


async def _record(conn: AsyncConnection, actor: Actor, action: str, template_id: int, *, now: datetime) -> None:
    await record(conn, action, at=now, user_id=actor.user_id, object_kind="template", object_id=template_id)


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


def names_of(found: Sequence[Template]) -> list[tuple[int, str]]:
    """Return (id, name) for a choice; the team stands beside a name that is there twice."""
    names = [one.name for one in found]
    return [(t.id, f"{t.name} · {t.team_name}" if names.count(t.name) > 1 and t.team_name else t.name) for t in found]
