"""From a phone or an e-mail to the client and contact it belongs to.

The answer is a list of candidates, each with a reason and a confidence; one best candidate links by itself.
Knows nothing of calls and messages. Invariants: the company's own numbers and mailboxes are never a client, a
public provider's domain is never a reason, and the question is one indexed look-up.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.access import Actor
from hub.crm.addresses import is_public_provider, parse_email, parse_phone
from hub.crm.base import records
from hub.crm.models import addresses, clients, contacts

Reason = Literal["contact", "client", "domain", "thread", "manual"]
Confidence = Literal["exact", "likely"]
AT_MOST = 20
"""Candidates of one address: more are no choice for a person."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible answer. `contact_id` is None where only the client is known."""

    client_id: int | None
    client_name: str
    contact_id: int | None
    contact_name: str
    reason: Reason
    confidence: Confidence

    @property
    def shown_name(self) -> str:
        """The name a waiting call or message goes by."""
        return self.client_name or self.contact_name


@dataclass(frozen=True, slots=True)
class Linked:
    """The outcome: the best candidate or None, all candidates, and the address in its normal form (or None)."""

    best: Candidate | None
    candidates: tuple[Candidate, ...]
    address: str | None
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Linker:
    """Linking with what the configuration says: the region of bare numbers and what the company itself owns."""

    region: str
    own_phones: frozenset[str] = frozenset()
    own_emails: frozenset[str] = frozenset()

    async def by_phone(self, conn: AsyncConnection, raw: str, *, region: str = "") -> Linked:
        """Find whose phone `raw` is, however it is written. `address` is E.164 or None."""
        return (await self.by_phones(conn, [raw], region=region))[raw]

    async def by_phones(self, conn: AsyncConnection, raws: Collection[str], *, region: str = "") -> dict[str, Linked]:
        """Find whose phones these are, all in one look-up; the answer is by `raw`."""
        values = {raw: phone.value for raw in set(raws) if (phone := parse_phone(raw, region or self.region))}
        found = await _look_up(conn, "phone", set(values.values()) - self.own_phones)
        linked: dict[str, Linked] = {}
        for raw in raws:
            value = values.get(raw)
            candidates = found.get(value or "", ())
            linked[raw] = Linked(best_of(candidates), candidates, value, is_own=value in self.own_phones)
        return linked

    async def by_email(self, conn: AsyncConnection, raw: str) -> Linked:
        """Find whose e-mail `raw` is, else whose company's domain. `address` is the normal form or None."""
        return (await self.by_emails(conn, [raw]))[raw]

    async def by_emails(self, conn: AsyncConnection, raws: Collection[str]) -> dict[str, Linked]:
        """Find whose e-mails these are, all in two look-ups; the answer is by `raw`."""
        values = {raw: parse_email(raw) for raw in set(raws)}
        strangers = {email for email in values.values() if email} - self.own_emails
        found = await _look_up(conn, "email", strangers)
        domains = {email: email.rpartition("@")[2] for email in strangers if email not in found}
        companies = {domain for domain in domains.values() if not is_public_provider(domain)}
        by_domain = await _look_up(conn, "domain", companies)
        linked: dict[str, Linked] = {}
        for raw, email in values.items():
            candidates = found.get(email or "") or by_domain.get(domains.get(email or "", ""), ())
            linked[raw] = Linked(best_of(candidates), candidates, email, is_own=email in self.own_emails)
        return linked


def best_of(found: Sequence[Candidate]) -> Candidate | None:
    """Return the one candidate to link by itself: None where several clients (or none) are equally likely.

    Several contacts of one client link to the client with no contact.
    """
    surest = [c for c in found if c.confidence == "exact"] or list(found)
    if not surest:
        return None
    if len({(c.client_id, c.client_id is None and c.contact_id) for c in surest}) > 1:
        return None
    persons = [c for c in surest if c.contact_id is not None]
    if len(persons) == 1:
        return persons[0]
    first = surest[0]
    reason: Reason = "client" if first.reason == "contact" else first.reason
    return Candidate(first.client_id, first.client_name, None, "", reason, first.confidence)


async def seen_by(conn: AsyncConnection, actor: Actor | None, linked: Linked) -> Linked:
    """Return an answer without the candidates that the actor may not see."""
    ids = {one.client_id for one in linked.candidates if one.client_id is not None}
    of_clients = await records.names(conn, actor, "client", ids)
    ids = {one.contact_id for one in linked.candidates if one.contact_id is not None}
    of_contacts = await records.names(conn, actor, "contact", ids)
    seen = tuple(
        one
        for one in linked.candidates
        if (one.client_id is None or one.client_id in of_clients)
        and (one.contact_id is None or one.contact_id in of_contacts)
    )
    return Linked(best_of(seen), seen, linked.address, linked.is_own)


async def _look_up(conn: AsyncConnection, kind: str, values: Set[str]) -> dict[str, tuple[Candidate, ...]]:
    """Return the candidates of each value that has any, in the order their addresses were added, 20 at most each."""
    if not values:
        return {}
    of_contact = contacts.alias()
    client_id = sa.func.coalesce(addresses.c.client_id, of_contact.c.client_id)
    query = (
        sa.select(addresses.c.value, clients.c.id, clients.c.name, of_contact.c.id, of_contact.c.name)
        .select_from(addresses)
        .outerjoin(of_contact, of_contact.c.id == addresses.c.contact_id)
        .outerjoin(clients, clients.c.id == client_id)
        .where(addresses.c.kind == kind, addresses.c.value.in_(values))
        .where(clients.c.archived_at.is_(None), of_contact.c.archived_at.is_(None))
        .order_by(addresses.c.id)
        .limit(AT_MOST * len(values))
    )
    found: dict[str, tuple[Candidate, ...]] = {}
    for value, client, client_name, contact, contact_name in await conn.execute(query):
        reason: Reason = "domain" if kind == "domain" else "contact" if contact is not None else "client"
        confidence: Confidence = "likely" if kind == "domain" else "exact"
        candidate = Candidate(client, client_name or "", contact, contact_name or "", reason, confidence)
        so_far = found.get(value, ())
        if (client is not None or contact is not None) and candidate not in so_far and len(so_far) < AT_MOST:
            found[value] = (*so_far, candidate)
    return found
