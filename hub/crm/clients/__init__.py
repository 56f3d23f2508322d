"""Clients: what one is (`table`), what only they decide (`rules`), what the base cannot ask (`queries`, `search`)."""

from hub.crm.clients.queries import Address, Client, Contact, Found, find, search
from hub.crm.clients.rules import add_address, add_contact, create
from hub.crm.clients.search import fold_words as fold
from hub.crm.clients.table import CLIENTS, ClientInput, ClientKind, ClientRecord

__all__ = [
    "CLIENTS",
    "Address",
    "Client",
    "ClientInput",
    "ClientKind",
    "ClientRecord",
    "Contact",
    "Found",
    "add_address",
    "add_contact",
    "create",
    "find",
    "fold",
    "search",
]
