"""The words of the audit on its page: labels of kinds, types, rights and dictionaries, and where a record's card is.

Decides nothing; what has no label is shown as it stands.
"""

from __future__ import annotations

from hub.crm.audit.choices import AuditNoun, AuditVerb
from hub.crm.audit.details import word_of as plain_word_of
from hub.crm.base import dictionaries, registry
from hub.crm.base.characteristic_types import CharacteristicType
from hub.crm.operation_kinds import LABELS
from hub.crm.roles.table import RIGHT_OPTIONS

CARDS = {
    "call": "/calls",
    "client": "/clients",
    "contact": "/contacts",
    "lead": "/leads",
    "mailbox": "/mailboxes",
    "message": "/messages",
    "operation": "/operations",
    "role": "/roles",
    "team": "/teams",
    "user": "/users",
}
"""The kinds of object with a card; a detail of one of these names is its number."""


def noun_of(word: str) -> str:
    """Return what an act is about: a noun of the audit, or a kind of record, one or many of it."""
    for entity in registry.kinds().values():
        if word == entity.plural:
            return entity.titles
        if word == entity.kind and word not in AuditNoun.words():
            return entity.title
    return AuditNoun.label_of(word)


def act_of(action: str) -> tuple[str, str]:
    """Return the labels of an act's noun and verb; a word without a label is returned itself."""
    noun, _dot, verb = action.partition(".")
    return noun_of(noun), AuditVerb.label_of(verb)


def word_of(name: str, value: object) -> str:
    """Return a value of a detail as people read it, marked for translation where it is a word of Hub."""
    text = str(value)
    if name in ("kind", "object_kind"):
        if text in registry.kinds():
            return registry.kind(text).titles
        return LABELS.get(text) or plain_word_of(name, noun_of(text))
    if name == "privilege":
        return next((one.label for one in RIGHT_OPTIONS if one.value == text), text)
    if name == "type":
        return CharacteristicType.label_of(text)
    if name == "dictionary":
        return next((one.title for one in dictionaries.declared() if one.name == text), text)
    return plain_word_of(name, text)
