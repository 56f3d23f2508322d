"""Files of a message: saved, shown where that is safe, all at once, and an infected one by an administrator's deed.

Invariants: a held file leaves Hub only by `anyway`, whose audit row is written before the first byte; what a browser
draws is of a type that the bytes prove.
"""

from __future__ import annotations

from aiohttp import web

from hub.crm import access
from hub.crm.audit import record
from hub.errors import Forbidden, NotFound, Refused
from hub.mail import register
from hub.mail.files.attachments import HEAD_BYTES, MAX_TEXT_BYTES, MAX_ZIP_BYTES, is_held, preview_of
from hub.mail.reading import charsets
from hub.mail.register import AttachmentRow
from hub.web import files, render
from hub.web.message_view import holds_unscanned, refuse_held, scan_said
from hub.web.request_context import RequestContext
from hub.web.routes import Route


async def _found(ctx: RequestContext) -> AttachmentRow:
    async with ctx.db.read() as conn:
        return await register.attachment(conn, ctx.actor, ctx.id())


async def save(ctx: RequestContext) -> web.StreamResponse:
    row = await _found(ctx)
    try:
        refuse_held(ctx.services.settings.hub, row)
    except Forbidden as error:
        return held_page(ctx, row, error)
    return files.download(ctx.services.blobs, row.sha256, name=row.name)


def held_page(ctx: RequestContext, row: AttachmentRow, error: Forbidden) -> web.StreamResponse:
    """Say why a file is not handed out, and to an administrator how it is all the same."""
    said = scan_said(row, settings=ctx.services.settings.hub)
    return render.page(ctx, "message/held.html", {"file": row, "scan": said}, status=error.status)


async def anyway(ctx: RequestContext) -> web.StreamResponse:
    """Hand a held file to an administrator, who was told what it is."""
    access.require_admin(ctx.actor)
    async with ctx.db.begin() as conn:
        row = await register.attachment(conn, ctx.actor, ctx.id())
        about = {"scan": row.scan, "found": row.scan_note, "message": row.message_id, "sha256": row.sha256}
        await record(
            conn,
            "attachment.downloaded_anyway",
            at=ctx.now,
            user_id=ctx.actor.user_id,
            object_kind="attachment",
            object_id=row.id,
            details=about,
        )
    return files.download(ctx.services.blobs, row.sha256, name=row.name)


async def preview(ctx: RequestContext) -> web.StreamResponse:
    row = await _found(ctx)
    refuse_held(ctx.services.settings.hub, row)
    blobs = ctx.services.blobs
    head = await files.beginning(blobs, row.sha256, at_most=HEAD_BYTES)
    how = preview_of(row.name, row.type, head, row.size)
    if how is None:
        raise NotFound("no_preview", "this kind of file is only saved, not shown")
    if how.kind != "text":
        return files.shown(blobs, row.sha256, name=row.name, content_type=how.type)
    raw = await files.beginning(blobs, row.sha256, at_most=MAX_TEXT_BYTES)
    context = {"file": row, "text": charsets.decode(raw, None)[0], "is_cut": row.size > MAX_TEXT_BYTES}
    return render.page(ctx, "message/text.html", context)


async def all_files(ctx: RequestContext) -> web.StreamResponse:
    """All files of a message in one archive; what is held back is not in it."""
    async with ctx.db.read() as conn:
        message = await register.find(conn, ctx.actor, ctx.id())
    hold = holds_unscanned(ctx.services.settings.hub)
    rows = [one for one in message.attachments if not is_held(one.scan, hold_unscanned=hold)]
    if not rows:
        raise NotFound("no_files", "this message has no files to save")
    if sum(one.size for one in rows) > MAX_ZIP_BYTES:
        raise Refused("too_large", f"together more than {MAX_ZIP_BYTES} bytes: save them one by one")
    found = [(one.name, ctx.services.blobs.path(one.sha256)) for one in rows]
    return await files.zipped(ctx.request, found, name=f"message-{message.id}.zip", at=message.received_at)


ROUTES = (
    Route("GET", "/attachments/{id}", save),
    Route("GET", "/attachments/{id}/preview", preview),
    Route("POST", "/attachments/{id}/anyway", anyway),
    Route("GET", "/messages/{id}/files", all_files),
)
