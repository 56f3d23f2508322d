"""The door to the records of any kind: what `reading` and `writing` hold, under one name."""

from __future__ import annotations

from hub.crm.base.history import Edit, Way
from hub.crm.base.keyset import Page
from hub.crm.base.reading import (
    Count,
    answers,
    count,
    get,
    get_many,
    listed,
    matching,
    missing,
    names,
    names_for,
    page,
    possible,
    visible,
)
from hub.crm.base.writing import ARCHIVED, archive, create, require_on, restore, update, writers

__all__ = [
    "ARCHIVED",
    "Count",
    "Edit",
    "Page",
    "Way",
    "answers",
    "archive",
    "count",
    "create",
    "get",
    "get_many",
    "listed",
    "matching",
    "missing",
    "names",
    "names_for",
    "page",
    "possible",
    "require_on",
    "restore",
    "update",
    "visible",
    "writers",
]
