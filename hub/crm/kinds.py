"""Every kind of record there is. Importing this registers them; a wrong declaration stops the process here."""

from __future__ import annotations

from hub.crm.base import registry
from hub.crm.base.characteristic_values import values_table
from hub.crm.clients.table import CLIENTS
from hub.crm.contacts.table import CONTACTS
from hub.crm.people.table import USERS
from hub.crm.teams.table import TEAMS

for _entity in (CLIENTS, CONTACTS, USERS, TEAMS):
    registry.register(_entity)
    if _entity.has_characteristics:
        values_table(_entity.table)
registry.check_references()
