"""Contacts: what one is (`table`), and what the base cannot ask (`queries`). Making one is `clients.add_contact`."""

from hub.crm.contacts.queries import ContactRow, find, listed
from hub.crm.contacts.table import CONTACTS, ContactInput, ContactRecord

__all__ = ["CONTACTS", "ContactInput", "ContactRecord", "ContactRow", "find", "listed"]
