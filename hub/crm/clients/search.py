"""Search of clients by what a person types: the beginning of a word of the name, a phone, an e-mail or an ИНН.

Names are folded once when written (`name_folded`), so that a search never computes on the column.
"""

from __future__ import annotations

import re

import sqlalchemy as sa

from hub.crm.addresses import parse_email, parse_phone
from hub.crm.models import addresses, clients, contacts

_BETWEEN_WORDS = re.compile(r"[\W_]+")


def fold_words(name: str) -> str:
    """The form in which names are searched: case, ё/е and what stands between words («, -, .) do not count."""
    return " ".join(_BETWEEN_WORDS.sub(" ", name.casefold().replace("ё", "е")).split())[:300]


def matches(text: str, region: str) -> sa.ColumnElement[bool]:
    """Return the condition under which a client is found by a text."""
    folded = fold_words(text)
    pattern = folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    by_name = sa.or_(
        clients.c.name_folded.like(f"{pattern}%", escape="\\"), clients.c.name_folded.like(f"% {pattern}%", escape="\\")
    )
    if re.fullmatch(r"[0-9]{10}|[0-9]{12}", digits := "".join(text.split())):
        by_name = sa.or_(by_name, clients.c.inn == digits)
    values = [value for value in (parse_email(text), _phone_value(text, region)) if value]
    if not values:
        return by_name
    owners = sa.select(sa.func.coalesce(addresses.c.client_id, contacts.c.client_id)).outerjoin(
        contacts, contacts.c.id == addresses.c.contact_id
    )
    return sa.or_(by_name, clients.c.id.in_(owners.where(addresses.c.value.in_(values))))


def _phone_value(text: str, region: str) -> str | None:
    phone = parse_phone(text, region)
    return phone.value if phone else None
