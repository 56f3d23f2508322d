"""Parameters of an address that narrow a list beside its condition, for scripts and bookmarks: shown as chips.

Decides nothing; `templates/base/filters.html` draws them.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.base import records
from hub.crm.base.choices import Choices
from hub.crm.base.labels import _
from hub.web.base.kind import RecordQuery
from hub.web.request_context import RequestContext

REFERENCES = {"client": "client", "user": "user", "author": "user", "team": "team"}
"""Parameters that are ids, with the kind that these are of."""


async def given(
    conn: AsyncConnection,
    ctx: RequestContext,
    query: RecordQuery,
    labels: Mapping[str, str],
    choices: Mapping[str, type[Choices]],
) -> list[tuple[str, str, str]]:
    """Return (parameter, label, text) of each parameter of `labels` that the query has."""
    words = zip(query.__struct_fields__, query.__struct_encode_fields__, strict=True)
    found = []
    for name, word in words:
        if word not in labels or (value := getattr(query, name)) is None:
            continue
        text = str(value)
        if word in choices:
            text = choices[word](text).label
        elif word in REFERENCES:
            text = (await records.names(conn, ctx.actor, REFERENCES[word], [int(text)])).get(int(text), text)
        elif isinstance(value, bool):
            text = _("Yes") if value else _("No")
        found.append((word, labels[word], text))
    return found
