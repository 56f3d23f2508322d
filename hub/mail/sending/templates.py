"""Rules of templates: kept texts of a team or of everybody, with fields that are filled for one letter.

Who may see and change which is in `template_kind`. Invariants: the HTML is safe before it is stored, whichever way it
comes; a team has one living template of a name and language; a letter is begun with living templates only.
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.base import records, registry
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.permissions import Action, permitted, scope
from hub.crm.base.registry import Writers
from hub.crm.clients.table import CLIENTS
from hub.crm.contacts.table import CONTACTS
from hub.crm.models import clients, contacts, teams
from hub.errors import Forbidden, Refused
from hub.mail.models import mailboxes
from hub.mail.reading.sanitize import html_to_text, safe_html
from hub.mail.sending.models import mail_templates
from hub.mail.sending.phrases import Facts, fill
from hub.mail.sending.template_kind import MAX_CHARS, TEMPLATES, Template, TemplateInput
from hub.store.unique import looked_for

AT_MOST = 500


@dataclass(frozen=True, slots=True)
class Filled:
    """A template for one letter."""

    subject: str
    html: str
    text: str


async def create(conn: AsyncConnection, given: TemplateInput, *, edit: Edit) -> Template:
    """Make a template. Raises Invalid, also where one of this name and language is there, and Forbidden."""
    names = _names_of(given)
    _require_team(edit, "create", names[0])
    given = await _safe(given)
    columns = {"created_by": edit.actor.user_id if edit.actor else None, "renewed_at": edit.now}
    async with looked_for(conn, functools.partial(_refuse_twin, conn, names, 0)):
        made = await records.create(conn, TEMPLATES, given, edit=edit, columns=columns)
    await _record(conn, "template.made", made.id, edit)
    return made


async def update(
    conn: AsyncConnection, record_id: int, given: TemplateInput, *, edit: Edit, version: int | None = None
) -> Template:
    """Change a template. Raises as `records.update`, and Forbidden for a team that the actor may not write for.

    The text of a form that nobody touched keeps the markup that it has.
    """
    before = await records.get(conn, edit.actor, TEMPLATES, record_id)
    await records.require_on(conn, TEMPLATES, record_id, ["edit"], edit.actor)
    names = _names_of(given, before)
    _require_team(edit, "edit", names[0])
    given = await _safe(given)
    if edit.way == "page" and isinstance(given.html, str) and _words(given.html) == _words(before.html):
        given = msgspec.structs.replace(given, html=msgspec.UNSET)
    columns = {"renewed_at": edit.now}
    async with looked_for(conn, functools.partial(_refuse_twin, conn, names, record_id)):
        after = await records.update(conn, TEMPLATES, record_id, given, edit=edit, version=version, columns=columns)
    if after.version != before.version:
        await _record(conn, "template.changed", record_id, edit)
    return after


async def archive(conn: AsyncConnection, record_id: int, *, edit: Edit, version: int | None = None) -> Template:
    """Take a template out of use. Raises NotFound, Forbidden, Conflict."""
    before = await records.get(conn, edit.actor, TEMPLATES, record_id)
    after = await records.archive(conn, TEMPLATES, record_id, edit=edit, version=version)
    if after.version != before.version:
        await _record(conn, "template.archived", record_id, edit)
    return after


async def restore(conn: AsyncConnection, record_id: int, *, edit: Edit, version: int | None = None) -> Template:
    """Bring a template back. Raises as `archive`, and Invalid where another has its name by now."""
    before = await records.get(conn, edit.actor, TEMPLATES, record_id)
    async with looked_for(conn, functools.partial(_refuse_twin, conn, _names_of(TemplateInput(), before), record_id)):
        after = await records.restore(conn, TEMPLATES, record_id, edit=edit, version=version)
    if after.version != before.version:
        await _record(conn, "template.restored", record_id, edit)
    return after


registry.register(TEMPLATES, Writers(create, update, archive, restore))


async def _safe(given: TemplateInput) -> TemplateInput:
    """Return the input with HTML that may be stored and sent. Raises Invalid where nothing of it is left."""
    if not isinstance(given.html, str) or not given.html.strip():
        return given
    html = await asyncio.to_thread(cleaned, given.html)
    if not html.strip():
        raise Invalid({"html": Problem("required", _("Fill in this field"))})
    return msgspec.structs.replace(given, html=html)


def _words(html: str) -> list[str]:
    return html_to_text(html).split()


_Names = tuple[int | None, str, str]
"""What no two living templates have alike: team, name, language."""


def _names_of(given: TemplateInput, before: Template | None = None) -> _Names:
    unset = msgspec.UNSET
    team = given.team if given.team is not unset else before.team_id if before else None
    name = given.name if given.name is not unset else before.name if before else ""
    language = given.language if given.language is not unset else before.language if before else "ru"
    return team, name, language


async def _refuse_twin(conn: AsyncConnection, names: _Names, record_id: int) -> None:
    team_id, name, language = names
    same = sa.select(mail_templates.c.id).where(
        mail_templates.c.archived_at.is_(None),
        mail_templates.c.name == name,
        mail_templates.c.language == language,
        mail_templates.c.team_id.is_(None) if team_id is None else mail_templates.c.team_id == team_id,
        mail_templates.c.id != record_id,
    )
    if (await conn.execute(same)).first() is not None:
        problem = Problem("taken", _("There is a template of this name in this language already."))
        raise Invalid({"name": problem})


def _require_team(edit: Edit, action: Action, team_id: int | None) -> None:
    """Raise Forbidden where the actor may not write templates of this team (None: everybody's); a form is told at the
    field."""
    reach = scope(edit.actor, TEMPLATES.kind, action)
    if edit.actor is None or reach == "all" or (reach != "none" and team_id in edit.actor.team_ids):
        return
    if edit.way == "page" and reach != "none":
        raise Invalid({"team": Problem("not_permitted", _("Choose one of your teams"))})
    raise Forbidden("not_permitted", f"you do not have permission to {action} this", kind="template", action=action)


async def _record(conn: AsyncConnection, action: str, template_id: int, edit: Edit) -> None:
    user_id = edit.actor.user_id if edit.actor else None
    await record(conn, action, at=edit.now, user_id=user_id, object_kind="template", object_id=template_id)


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
