"""Every kind of record there is. Importing this registers them; a wrong declaration stops the process here."""

from __future__ import annotations

from hub.crm.audit.table import AUDIT
from hub.crm.base import registry
from hub.crm.base.characteristic_values import values_table
from hub.crm.base.registry import Writers
from hub.crm.clients import rules as clients
from hub.crm.clients.table import CLIENTS
from hub.crm.contacts import rules as contacts
from hub.crm.contacts.table import CONTACTS
from hub.crm.leads import rules as leads
from hub.crm.leads.table import LEADS
from hub.crm.people import editing as people
from hub.crm.people.table import USERS
from hub.crm.roles import rules as roles
from hub.crm.roles.table import ROLES
from hub.crm.teams import rules as teams
from hub.crm.teams.table import TEAMS

for _entity, _writers in (
    (CLIENTS, clients.WRITERS),
    (CONTACTS, contacts.WRITERS),
    (LEADS, leads.WRITERS),
    (AUDIT, Writers()),
    (TEAMS, teams.WRITERS),
    (ROLES, roles.WRITERS),
    (USERS, people.WRITERS),
):
    registry.register(_entity, _writers)
    if _entity.has_characteristics:
        values_table(_entity.table)
registry.check_references()
