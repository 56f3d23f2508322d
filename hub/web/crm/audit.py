"""The audit on the web: what an address may narrow it by beside a condition. Administrators alone come here."""

from __future__ import annotations

from typing import Annotated

import msgspec
import sqlalchemy as sa

from hub.crm.audit.table import AUDIT
from hub.crm.models import audit
from hub.web.api.endpoint import Id
from hub.web.base.kind import RecordQuery, WebKind
from hub.web.request_context import RequestContext, parse_moment


class AuditQuery(RecordQuery, frozen=True, kw_only=True):
    """`from` and `to` are moments that `at` lies between."""

    user: Id | None = None
    action: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


def _narrow(_ctx: RequestContext, query: AuditQuery) -> sa.ColumnElement[bool] | None:
    found: list[sa.ColumnElement[bool]] = []
    if query.user is not None:
        found.append(audit.c.user_id == query.user)
    if query.action is not None:
        found.append(audit.c.action == query.action)
    if query.from_ is not None:
        found.append(audit.c.at >= parse_moment(query.from_, field="from"))
    if query.to is not None:
        found.append(audit.c.at < parse_moment(query.to, field="to"))
    return sa.and_(*found) if found else None


WEB = WebKind(entity=AUDIT, query=AuditQuery, narrow=_narrow, who="admin", list_template="audit.html", icon="list")
