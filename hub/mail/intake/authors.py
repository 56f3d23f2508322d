"""Who really wrote a message that comes from an address of our own: a site's form, a group's "via", a forward.

Decides by what the head (for a form: the text) says and by what is our own, which the parser does not know. The person
then stands as the sender, and the address that it came from is kept in `about["via"]`. Pure. Invariants: a sender found
so is likely, never sure, and the page says it; our own address is nobody's lead; a group of ours makes no letter a
mailing list's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hub.crm.addresses import is_public_provider, parse_email
from hub.crm.linking import Linked
from hub.mail.intake.preparing import Prepared
from hub.mail.reading.away import is_away
from hub.mail.reading.headers import Address
from hub.mail.reading.mime import ParsedMessage

By = Literal["reply_to", "x_original_from", "text", "forward"]

_NO_REPLY = re.compile(r"(no|do-?not|не)[-_.]?reply|noreply", re.IGNORECASE)
_VIA = re.compile(r"\s+(?:via|через|über|par)\s+\S.{0,200}$", re.IGNORECASE)
_IN_FORM = re.compile(
    r"(?im)^[^\n@]{0,40}(?:e-?mail|почт[аы]|mail|адрес)[^\n@]{0,30}?[\s:<]([\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5})"
)
MAX_FORM_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """What is the company's own: its mailboxes, and the domains of those (but public providers')."""

    emails: frozenset[str]
    domains: frozenset[str]

    @classmethod
    def of(cls, emails: Collection[str]) -> OwnAddresses:
        domains = {email.rpartition("@")[2] for email in emails}
        return cls(frozenset(emails), frozenset(domain for domain in domains if not is_public_provider(domain)))

    def has(self, address: str) -> bool:
        return parse_email(address) in self.emails

    def has_domain_of(self, address: str) -> bool:
        return (parse_email(address) or "").rpartition("@")[2] in self.domains


def with_author(one: Prepared, own: OwnAddresses) -> Prepared:
    """Return a message that came in with its real sender, and with what our own groups say of it left out."""
    if one.parsed is None:
        return one
    parsed, values = one.parsed, dict(one.values)
    if parsed.auto == "list" and parsed.auto_in_group != "list" and any(_is_ours(own, name) for name in parsed.groups):
        parsed = replace(parsed, auto=parsed.auto_in_group)
    found = _author(parsed, own, values["text"])
    if found is not None:
        person, by = found
        if parsed.auto == "auto_reply" and _is_form(parsed, own, values["text"]):
            parsed = replace(parsed, auto="none")
        via = {"name": values["from_name"], "address": values["from_address"], "by": by}
        name = person.name or _VIA.sub("", values["from_name"]).strip("'\" ")
        parsed = replace(parsed, from_=Address(name, person.address))
        values |= named(name, person.address, values["about"], via)
        # An answer goes to the person, not back to the group.
        values["reply_to"] = [to for to in values["reply_to"] if not own.has(to["address"])]
    values["auto"] = parsed.auto
    return replace(one, parsed=parsed, values=values)


def named(name: str, address: str, about: Mapping[str, Any], via: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns of a message whose sender is this person, come by way of `via`."""
    sender = {"from_name": name[:300], "from_address": (parse_email(address) or address.lower())[:254]}
    return {**sender, "about": {**about, "via": dict(via)}}


def is_only_named(about: Mapping[str, Any]) -> bool:
    """Tell whether nothing proves the sender: it is named in the letter, and no person has said that it is so."""
    via = about.get("via")
    return isinstance(via, Mapping) and via.get("by") != "forward"


def likely(linked: Linked, about: Mapping[str, Any]) -> Linked:
    """Return a link as sure as the sender is: one that was found by a field that anybody can write is likely."""
    if linked.best is None or not is_only_named(about):
        return linked
    return replace(linked, best=replace(linked.best, confidence="likely"))


def _is_ours(own: OwnAddresses, group: str) -> bool:
    return own.has(group) or own.has_domain_of(group)


def _author(parsed: ParsedMessage, own: OwnAddresses, text: str) -> tuple[Address, By] | None:
    sender = parsed.from_
    if sender is None or not sender.address:
        return None
    is_ours, is_near = own.has(sender.address), own.has_domain_of(sender.address)
    if not (is_ours or is_near or _NO_REPLY.search(sender.address.partition("@")[0])):
        return None
    if parsed.auto in ("bounce", "spam"):
        return None
    told: list[tuple[Address, By]] = []
    if (is_ours or is_near) and parsed.on_behalf is not None:
        told.append((parsed.on_behalf, "x_original_from"))
    told += [(one, "reply_to") for one in parsed.reply_to]
    if is_ours and not told:
        told += [(one, "text") for one in _in_form(parsed, own, text)]
    domain = sender.address.rpartition("@")[2].lower()
    for person, by in told:
        address = parse_email(person.address)
        if address is not None and not own.has(address) and (is_ours or address.rpartition("@")[2] != domain):
            return person, by
    return None


def _is_form(parsed: ParsedMessage, own: OwnAddresses, text: str) -> bool:
    """Tell a site's form from an answering machine: both may be marked as automatic, only a person filled in one."""
    sender = parsed.from_.address if parsed.from_ else ""
    return (own.has(sender) or own.has_domain_of(sender)) and not is_away(parsed.subject, lambda: text[:MAX_FORM_CHARS])


def _in_form(parsed: ParsedMessage, own: OwnAddresses, text: str) -> list[Address]:
    """Return the one address that a form names in its text, as "E-mail: …"; of several nobody knows which."""
    if not _is_to_itself(parsed, own):
        return []
    found = {match[1].lower() for match in _IN_FORM.finditer(text[:MAX_FORM_CHARS])}
    strangers = [address for address in found if not own.has_domain_of(address) and not own.has(address)]
    return [Address("", strangers[0])] if len(strangers) == 1 else []


def _is_to_itself(parsed: ParsedMessage, own: OwnAddresses) -> bool:
    """Tell a letter of a mailbox of ours to itself, as a site's form sends it."""
    if parsed.from_ is None or not own.has(parsed.from_.address) or parsed.auto not in ("none", "auto_reply"):
        return False
    to = [one.address.lower() for one in (*parsed.to, *parsed.cc)]
    return parsed.from_.address.lower() in to and all(own.has(one) for one in to)
