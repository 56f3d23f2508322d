"""Rules of templates beyond the base: safe HTML, one of a name and language in a team, and an act in the audit.

Who may see and change which is in `template_kind`. Invariants: the HTML is safe before it is stored, whichever way it
comes; a team has one living template of a name and language.
"""

from __future__ import annotations

import asyncio
import functools

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.audit import record
from hub.crm.base import records, registry
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.permissions import Action, scope
from hub.crm.base.registry import Writers
from hub.errors import Forbidden
from hub.mail.reading.sanitize import html_to_text
from hub.mail.sending.models import mail_templates
from hub.mail.sending.template_kind import TEMPLATES, Template, TemplateInput
from hub.mail.sending.templates import cleaned
from hub.store.unique import looked_for


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
"""Team, name and language: no two living templates share all three."""


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
