"""Templates of letters as a kind of record: the row, the input, the fields, and who may see and change which.

Without a team a template is everybody's: whoever sees templates sees it, and only the scope `all` changes it. What is
decided of a template beyond that is in `templates`. Invariant: a field that does not exist is refused where it is
written, in the subject and in the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from msgspec import UNSET, Struct, UnsetType

from hub.crm import access
from hub.crm.access import Actor
from hub.crm.base.entity import Entity
from hub.crm.base.field import Reading
from hub.crm.base.fields import Choice, LongText, Moment, Person, Team, Text
from hub.crm.base.labels import FieldError, _
from hub.crm.base.permissions import Action, scope
from hub.crm.people.table import LANGUAGES
from hub.errors import Refused
from hub.mail.reading.sanitize import html_to_text, text_to_html
from hub.mail.sending import phrases
from hub.mail.sending.models import mail_templates

MAX_CHARS = 200_000


@dataclass(frozen=True, slots=True)
class Template:
    """A template. `team_id` None: everybody's. `html` has its fields unfilled."""

    id: int
    version: int
    created_at: datetime | None
    changed_at: datetime | None
    archived_at: datetime | None
    team_id: int | None
    name: str
    language: str
    subject: str
    html: str
    created_by: int | None = None


class TemplateInput(Struct, kw_only=True, frozen=True):
    name: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    team: int | UnsetType | None = UNSET
    subject: str | UnsetType = UNSET
    html: str | UnsetType = UNSET


def _known_fields(text: str) -> None:
    try:
        phrases.check(text, field="")
    except Refused as error:
        name = error.details["name"]
        raise FieldError("no_such_field", _("There is no such field: %(name)s"), name=name) from None


class SubjectLine(Text):
    """One line with fields such as `{{client.name}}`."""

    def check(self, value: str | None) -> str | None:
        clean = super().check(value)
        _known_fields(clean or "")
        return clean


class LetterBody(LongText):
    """The HTML of a letter with fields. A form shows and sends it as plain text."""

    def convert(self, value: object, reading: Reading) -> str:
        text = super().convert(value, reading)
        return text_to_html(text) if reading.is_form else text

    def check(self, value: str | None) -> str | None:
        clean = super().check(value)
        _known_fields(clean or "")
        return clean

    def form_text(self, value: str) -> str:
        return html_to_text(value)


def may(actor: Actor, action: Action) -> sa.ColumnElement[bool]:
    """Templates with which the actor may do this. One's own are those that one made for a team that one is in."""
    # A template has no manager: giving it to another team is an edit.
    reach = scope(actor, "template", "edit" if action == "assign" else action)
    if reach in ("none", "all"):
        return sa.true() if reach == "all" else sa.false()
    reached = access.of_my_teams(actor, mail_templates.c.team_id)
    if reach == "own":
        reached = sa.and_(reached, mail_templates.c.created_by == actor.user_id)
    return sa.or_(mail_templates.c.team_id.is_(None), reached) if action in ("see", "export") else reached


TEMPLATES: Entity[Template, TemplateInput] = Entity(
    kind="template",
    title=_("Template"),
    titles=_("Templates"),
    table=mail_templates,
    row=Template,
    input=TemplateInput,
    order="name",
    name=mail_templates.c.name,
    team=mail_templates.c.team_id,
    rule=may,
    actions=("see", "create", "edit", "delete", "export", "bulk"),
    fields=(
        Text(mail_templates.c.name, _("Title"), required=True, shown=True, searchable=True),
        Choice(mail_templates.c.language, _("Language"), options=LANGUAGES, default="ru", shown=True, sortable=False),
        Team(mail_templates.c.team_id, _("Team"), shown=True, help=_("Left empty, the template is everybody's.")),
        SubjectLine(
            mail_templates.c.subject, _("Subject"), sortable=False, help=_("Left empty, the letter keeps its own.")
        ),
        LetterBody(mail_templates.c.html, _("Text"), required=True, max_chars=MAX_CHARS, filterable=False),
        Person(mail_templates.c.created_by, _("Created by"), read_only=True),
        Moment(mail_templates.c.changed_at, _("Changed"), read_only=True, shown=True),
    ),
)
