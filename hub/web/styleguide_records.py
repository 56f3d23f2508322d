"""Sample records for the page that shows every component: a list and a card of clients, and what the search box finds.

Decides nothing. Invariant: the samples have ids that no record has, so nothing real is changed from that page.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hub.crm.access import Actor
from hub.crm.base.conditions.tree import EVERYTHING
from hub.crm.base.operations import Operation
from hub.crm.base.participants import Participant
from hub.crm.base.views import View
from hub.crm.clients import CLIENTS, ClientRecord
from hub.crm.clients.addresses import AddressValue
from hub.web import palette
from hub.web.base.columns import Values
from hub.web.base.filters import Chip, FilterForm
from hub.web.base.kind import Asked, RecordQuery
from hub.web.base.list_fields import Choices
from hub.web.base.list_page import Column, ListAddress, RecordList
from hub.web.base.record_page import Card
from hub.web.crm.clients import WEB
from hub.web.i18n import N_, Translator

NAMES = {("user", -1): "Анна Иванова", ("team", -1): "sales"}


def facts(actor: Actor, words: Translator, now: datetime) -> dict[str, Any]:
    """Return the values for the part of `styleguide.html` that is about records, as seen by a person."""
    row = client(now)
    values = {field.name: CLIENTS.value(row, field) for field in CLIENTS.fields}
    options = (("-1", "Анна Иванова"), ("-2", "Борис Кузнецов"))
    ops = (("is", words.gettext(N_("is any of"))),)
    return {
        "list": clients(actor, words, now),
        "card": Card(WEB, row, NAMES, frozenset({"see", "edit"}), CLIENTS.fields, values),
        "filter_form": FilterForm(CLIENTS.field("manager"), "is", ops, "several", options, ("-1",), {}, None, None),
        "go": tuple(palette.go(actor))[:3],
        "do": palette.do(actor),
        "operation": operation(now),
    }


def client(now: datetime) -> ClientRecord:
    """An organisation with one phone and one e-mail."""
    return ClientRecord(
        id=0,
        version=1,
        created_at=now - timedelta(days=40),
        changed_at=now,
        archived_at=None,
        kind="organisation",
        name="ООО «Северный лес»",
        note="Звонить до обеда.",
        source=None,
        full_name="",
        inn=None,
        kpp=None,
        ogrn=None,
        legal_address="",
        address="Архангельск, ул. Лесная, 4",
        site="https://severles.example",
        state=None,
        industry=None,
        region=None,
        external_id=None,
        last_name=None,
        first_name=None,
        middle_name=None,
        birth_date=None,
        sex=None,
        bank_accounts=(),
        parent_id=None,
        participants=(Participant(-1, "leader"),),
        owner_id=-1,
        team_id=-1,
        phones=(AddressValue("+74951201101"),),
        emails=(AddressValue("info@severles.example"),),
        domains=(),
    )


def clients(actor: Actor, words: Translator, now: datetime) -> RecordList:
    """A list that an open view, changed since, and two filters narrow; the second filter is wrong."""
    mine = View(-1, "client", words.gettext(N_("My clients")), {}, (), "", "me", -1, None, True, 0, 1, now, now)
    label = words.gettext(CLIENTS.field("manager").label)
    return RecordList(
        web=WEB,
        query=RecordQuery(changed_view=-1),
        rows=[client(now)],
        next=None,
        previous=None,
        values=Values(CLIENTS, NAMES, {}),
        columns=tuple(Column(CLIENTS.field(name), "#") for name in ("name", "phones", "manager", "created_at")),
        may_create=True,
        address=ListAddress(WEB.path, {}, {}),
        reader=actor,
        fields=CLIENTS.by_name,
        choices=Choices(words, {}),
        asked=Asked(EVERYTHING, "", (), None),
        views=(mine, replace(mine, id=-2, name=words.gettext(N_("Without a manager")))),
        chips=(Chip(0, label, "Анна Иванова"), Chip(1, words.gettext(N_("Created")), words.gettext(N_("this week")))),
    )


def operation(now: datetime) -> Operation:
    """A bulk edit of 1,200 records that is a third done."""
    return Operation(0, "bulk_edit", "client", "running", -1, {}, 0, 1200, 400, 0, False, "", None, now, now, None)
