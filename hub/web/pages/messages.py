"""One message: its page, its body in a frame that can do nothing, its raw bytes and files.

Invariant: a stranger's HTML is only ever answered under a policy of its own, and loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import html
import re

from aiohttp import web

from hub.errors import NotFound
from hub.mail import register
from hub.mail.register import AttachmentRow, MessageRow
from hub.store import changes
from hub.store.blobs import BlobStore
from hub.web import composing, files, render
from hub.web.routes import Route
from hub.web.security import MAIL_POLICY
from hub.web.visit import Visit

_CID = re.compile(r' src="cid:([^"]{1,300})"')
_PICTURES = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp"))
MAX_PICTURES_BYTES = 8 * 1024 * 1024

_FRAME = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title><style>
body{{margin:0;padding:.25rem;font:15px/1.5 system-ui,sans-serif;color:#1c1e21;background:#fff;overflow-wrap:anywhere}}
img{{max-width:100%;height:auto}}pre,.plain{{white-space:pre-wrap;font:inherit}}
</style></head><body>{body}</body></html>"""


async def page(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        feed = await changes.head(conn)
        message = await register.find(conn, visit.actor, visit.id())
        writing = await composing.answer_to(conn, visit, message)
    context = {"message": message, "writing": writing}
    return render.page(visit, "message.html", context, feed=feed)


async def body(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        message = await register.find(conn, visit.actor, visit.id())
    if message.html:
        shown = await _with_pictures(message, visit.services.blobs)
    else:
        shown = f'<div class="plain">{html.escape(message.text or "")}</div>'
    text = _FRAME.format(lang=visit.language, title=html.escape(message.subject), body=shown)
    headers = {"Content-Security-Policy": MAIL_POLICY, "Referrer-Policy": "no-referrer"}
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)


async def _with_pictures(message: MessageRow, blobs: BlobStore) -> str:
    """Put attached pictures into the body itself: the frame has no origin, so it carries no cookie to fetch them."""
    assert message.html is not None
    wanted = set(_CID.findall(message.html))
    left = MAX_PICTURES_BYTES
    sources: dict[str, str] = {}
    for one in message.attachments:
        if one.cid is None or one.cid not in wanted or one.type not in _PICTURES or one.size > left:
            continue
        left -= one.size
        sources[one.cid] = await _data_url(one, blobs)

    def place(match: re.Match[str]) -> str:
        source = sources.get(html.unescape(match[1]))
        return f' src="{source}"' if source else ""

    return _CID.sub(place, message.html)


async def _data_url(picture: AttachmentRow, blobs: BlobStore) -> str:
    try:
        content = await blobs.get(picture.sha256)
    except NotFound:
        return ""
    return f"data:{picture.type};base64,{base64.b64encode(content).decode('ascii')}"


async def raw(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        message = await register.find(conn, visit.actor, visit.id())
    name = f"message-{message.id}.eml"
    return files.download(visit.services.blobs, message.raw_sha256, name=name, content_type="message/rfc822")


async def attachment(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        row = await register.attachment(conn, visit.actor, visit.id())
    return files.download(visit.services.blobs, row.sha256, name=row.name)


ROUTES = (
    Route("GET", "/messages/{id}", page),
    Route("GET", "/messages/{id}/body", body),
    Route("GET", "/messages/{id}/raw", raw),
    Route("GET", "/attachments/{id}", attachment),
)
