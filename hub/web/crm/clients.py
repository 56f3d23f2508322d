"""Clients on the web: contacts made with them, and one phone and e-mail for a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import records
from hub.crm.base.field import Field
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.participants import ROLE_LABELS
from hub.crm.base.records import Edit
from hub.crm.clients import CLIENTS, ClientRecord
from hub.crm.clients import rules as clients
from hub.crm.clients.names import PARTS, guessed_kind
from hub.crm.contacts import CONTACTS, ContactInput, ContactRecord
from hub.crm.contacts import rules as contact_rules
from hub.crm.models import contacts
from hub.web.api.endpoint import Endpoint, json_response
from hub.web.api.shapes import Ref, Shape
from hub.web.base import schema
from hub.web.base.answers import answers
from hub.web.base.forms import read_input
from hub.web.base.kind import FieldTemplate, WebKind, reading
from hub.web.crm.contacts import KindedAddress, kinded
from hub.web.request_context import RequestContext
from hub.web.routes import Route

Digits = Annotated[str, msgspec.Meta(max_length=40)]
Texts = Annotated[list[Annotated[str, msgspec.Meta(max_length=254)]], msgspec.Meta(max_length=50)]


class BankAccountShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An account at a bank; its last digits are checked against the BIC."""

    bic: Digits
    account: Digits
    correspondent_account: Digits = ""
    bank: Annotated[str, msgspec.Meta(max_length=200)] = ""


schema.add_type("bank_account", answered=BankAccountShape, sent=BankAccountShape)


class ContactOfClient(Shape, frozen=True, kw_only=True):
    id: int
    name: str
    position: str
    client: Ref
    addresses: list[KindedAddress]


class NewContactOfClient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person to make together with the client."""

    name: Annotated[str, msgspec.Meta(max_length=300)]
    position: Annotated[str, msgspec.Meta(max_length=200)] = ""
    phones: Texts = msgspec.field(default_factory=list)
    emails: Texts = msgspec.field(default_factory=list)


async def contacts_of(
    conn: AsyncConnection, ctx: RequestContext, rows: Sequence[ClientRecord]
) -> dict[int, list[ContactRecord]]:
    """Return the contacts of clients, by client, in the order in which they were made."""
    theirs = sa.select(contacts.c.id).where(
        contacts.c.client_id.in_([row.id for row in rows]), contacts.c.archived_at.is_(None)
    )
    found: dict[int, list[ContactRecord]] = {row.id: [] for row in rows}
    people = await records.get_many(conn, ctx.actor, CONTACTS, theirs)
    for person in sorted(people.values(), key=lambda one: one.id):
        if person.client_id is not None:
            found[person.client_id].append(person)
    return found


async def _reach(conn: AsyncConnection, ctx: RequestContext, rows: Sequence[ClientRecord]) -> dict[str, Any]:
    """Return one phone and one e-mail of each client, its own or a contact's, for recognition in the list."""
    of_clients = await contacts_of(conn, ctx, rows) if rows else {}
    return {"reach": {row.id: _first(row, of_clients[row.id]) for row in rows}}


def _first(row: ClientRecord, people: Sequence[ContactRecord]) -> dict[str, str | None]:
    phones = [one.value for one in (*row.phones, *(phone for person in people for phone in person.phones))]
    emails = [one.value for one in (*row.emails, *(email for person in people for email in person.emails))]
    return {"phone": phones[0] if phones else None, "email": emails[0] if emails else None}


async def _create_from_form(
    conn: AsyncConnection, ctx: RequestContext, fields: Sequence[Field], texts: Mapping[str, str]
) -> ClientRecord:
    """Make a client and, where a person is named, a contact, all or none. Raises Invalid."""
    given = dict(texts)
    contact = given.pop("contact", "").strip()
    if not given.get("name", "").strip() and any(given.get(part, "").strip() for part in PARTS):
        given.pop("name", None)
    client = read_input(CLIENTS, fields, given, ctx, is_new=True)
    person = CONTACTS.read({"name": contact}, is_new=True, reading=reading(ctx)) if contact else None
    edit = Edit(ctx.actor, "page", ctx.now)
    made = await clients.create_record(conn, client, edit=edit)
    if person is not None:
        await contact_rules.create_record(conn, msgspec.structs.replace(person, client=made.id), edit=edit)
    return made


async def _more(conn: AsyncConnection, ctx: RequestContext, rows: Sequence[ClientRecord]) -> list[dict[str, Any]]:
    of_clients = await contacts_of(conn, ctx, rows)
    answered = []
    for row in rows:
        people = of_clients[row.id]
        answered.append(
            _first(row, people)
            | {
                "addresses": kinded(phone=row.phones, email=row.emails, domain=row.domains),
                "contacts": [_contact(row, person) for person in people],
            }
        )
    return answered


def _contact(client: ClientRecord, person: ContactRecord) -> ContactOfClient:
    return ContactOfClient(
        id=person.id,
        name=person.name,
        position=person.position,
        client=Ref(id=client.id, name=client.name),
        addresses=kinded(phone=person.phones, email=person.emails),
    )


async def create_with_contacts(conn: AsyncConnection, ctx: RequestContext, body: Mapping[str, Any]) -> dict[str, Any]:
    """Make a client and the contacts sent with it, all or none. Raises Invalid."""
    sent = dict(body)
    people = _read_contacts(sent.pop("contacts", None), ctx)
    given = CLIENTS.read(sent, is_new=True, reading=reading(ctx))
    edit = Edit(ctx.actor, "api", ctx.now)
    made = await clients.create_record(conn, given, edit=edit)
    for person in people:
        person = msgspec.structs.replace(person, client=made.id)
        await contact_rules.create_record(conn, person, edit=edit)
    return (await answers(conn, ctx, WEB, [made]))[0]


def _read_contacts(sent: object, ctx: RequestContext) -> list[ContactInput]:
    if sent is None:
        return []
    if not isinstance(sent, list) or len(sent) > 50:
        raise Invalid({"contacts": Problem("not_a_list", _("Must be a list"))})
    found, problems = [], {}
    for number, one in enumerate(sent):
        if not isinstance(one, dict) or "client" in one:
            problems[f"contacts[{number}]"] = Problem("bad_value", _("Not a contact"))
            continue
        try:
            found.append(CONTACTS.read(one, is_new=True, reading=reading(ctx)))
        except Invalid as error:
            problems |= {f"contacts[{number}].{name}": one for name, one in error.problems.items()}
    if problems:
        raise Invalid(problems)
    return found


class NameQuery(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, msgspec.Meta(max_length=300)] = ""


async def kind_of_name(ctx: RequestContext) -> web.StreamResponse:
    """Answer which type a name tells, for a form in which it is typed; null where it tells none."""
    return json_response({"kind": guessed_kind(ctx.query(NameQuery).name)})


async def _new_texts(_conn: AsyncConnection, ctx: RequestContext) -> dict[str, str]:
    """Begin a form that was opened with a name with the type that it tells, unless the address says one."""
    given = ctx.given(["name", "kind"])
    kind = guessed_kind(given.get("name", ""))
    return {"kind": kind} if kind and not given.get("kind") else {}


def _participants(text: str) -> dict[str, Any]:
    """Return what a form shows of a text of participants: each with their role, and the roles in words."""
    rows = [tuple(line.split()) for line in text.splitlines() if len(line.split()) == 2]
    return {"rows": rows, "roles": ROLE_LABELS}


WEB = WebKind(
    entity=CLIENTS,
    more_types=(
        ("phone", str | None),
        ("email", str | None),
        ("addresses", list[KindedAddress]),
        ("contacts", list[ContactOfClient]),
    ),
    more=_more,
    list_template="clients.html",
    list_facts=_reach,
    form_part="client/contact_part.html",
    new_texts=_new_texts,
    field_templates={"participants": FieldTemplate("client/participants_field.html", _participants)},
    create_from_form=_create_from_form,
    icon="users",
    subtitle="kind",
)
ROUTES = (Route("GET", "/clients/kind", kind_of_name),)
CREATE = Endpoint(
    method="POST",
    path="/clients",
    summary="Make a client, with contacts",
    writes=create_with_contacts,
    body=schema.new_type(
        CLIENTS, ("contacts", Annotated[list[NewContactOfClient], msgspec.Meta(max_length=50)] | None)
    ),
    decodes=dict[str, Any],
    answer=schema.record_type(WEB),
    status=201,
)
