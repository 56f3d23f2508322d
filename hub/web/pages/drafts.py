"""Drafts that save themselves: what a script on the composer's page talks to. Their list is in `crm/drafts`.

Answers JSON where a script asks, so that it can tell "newer elsewhere" from "gone"; pages otherwise. Invariant: every
question passes through `mail.sending.drafts`, which knows only the author's own.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from typing import Any

from aiohttp import web

from hub.clock import rfc3339
from hub.crm import idempotency
from hub.errors import Conflict, HubError, Refused
from hub.mail import register
from hub.mail.sending import drafts
from hub.mail.sending.drafts import Draft, DraftFile
from hub.store import changes
from hub.web import composing, files, render
from hub.web.api.endpoint import json_response
from hub.web.errors import json_error
from hub.web.request_context import RequestContext
from hub.web.routes import Route


async def page(ctx: RequestContext) -> web.StreamResponse:
    try:
        async with ctx.db.read() as conn:
            feed = await changes.head(conn)
            draft = await drafts.find(conn, ctx.actor, ctx.id())
            writing = await composing.composer(ctx).of_draft(conn, draft)
    except Conflict as sent:
        return render.redirect(ctx, f"/messages/{sent.details['sent_as']}")
    return render.page(ctx, "compose.html", {"writing": writing}, feed=feed)


async def create(ctx: RequestContext) -> web.StreamResponse:
    return await _as_json(ctx, create_or_find)


async def save(ctx: RequestContext) -> web.StreamResponse:
    return await _as_json(ctx, save_over)


async def _as_json(ctx: RequestContext, deed: Any) -> web.StreamResponse:
    try:
        return json_response(_state(await deed(ctx)))
    except HubError as error:
        return json_error(error)


def _state(draft: Draft) -> dict[str, Any]:
    return {"draft": draft.id, "version": draft.version, "saved_at": rfc3339(draft.saved_at)}


def request_key(ctx: RequestContext) -> str:
    """The name of one composer, once however often it is sent. Raises Refused."""
    request_id = ctx.form.text("request_id", max_chars=64)
    if not re.fullmatch(r"[A-Za-z0-9-]{8,64}", request_id):
        raise Refused("bad_request", "the page is too old: load it again", field="request_id")
    return f"page:{request_id}"


async def create_or_find(ctx: RequestContext) -> Draft:
    """Begin the draft of a composer, or return the one that it began. Raises Conflict `draft_sent`."""
    key = request_key(ctx)
    start, content = composing.read_start(ctx), composing.read_content(ctx)
    request_hash = hashlib.sha256(b"compose").hexdigest()
    async with ctx.db.begin() as conn:
        known = await idempotency.first(conn, ctx.actor, key, request_hash=request_hash, now=ctx.now)
        if known is not None:
            return await drafts.find(conn, ctx.actor, known.answer["draft"])
        draft = await drafts.create(conn, ctx.actor, start, content, now=ctx.now)
        await idempotency.keep(conn, ctx.actor, key, status=200, answer={"draft": draft.id})
    return draft


async def save_over(ctx: RequestContext, draft_id: int | None = None) -> Draft:
    """Write the form over the version it was made from. Raises Conflict, NotFound."""
    version = ctx.form.number("version") or 0
    async with ctx.db.begin() as conn:
        draft = await drafts.find(conn, ctx.actor, draft_id or ctx.id())
        content = composing.read_content(ctx, draft.files)
        return await drafts.save(conn, ctx.actor, draft.id, content, version=version, now=ctx.now)


async def add_files(ctx: RequestContext) -> web.StreamResponse:
    try:
        added = await keep_files(ctx, ctx.id(), inline=ctx.form.text("inline") == "on")
    except HubError as error:
        return json_error(error)
    shown = [{**asdict(one), "url": f"/drafts/{ctx.id()}/files/{one.id}"} for one in added]
    return json_response({"files": shown})


async def keep_files(ctx: RequestContext, draft_id: int, *, inline: bool = False) -> list[DraftFile]:
    """Store the form's files and add them to a draft."""
    async with ctx.db.read() as conn:
        await drafts.find(conn, ctx.actor, draft_id)
    stored = [(one, await ctx.services.blobs.put(one.content)) for one in ctx.form.files if one.content]
    async with ctx.db.begin() as conn:
        return [
            await drafts.add_file(
                conn,
                ctx.actor,
                draft_id,
                name=one.name,
                kind=one.type.split(";")[0].strip().lower(),
                size=len(one.content),
                sha256=sha256,
                inline=inline,
            )
            for one, sha256 in stored
        ]


async def file(ctx: RequestContext) -> web.StreamResponse:
    """A file of a draft: a picture as the picture that the browser says it is, anything else as a download."""
    async with ctx.db.read() as conn:
        found = await drafts.file_of(conn, ctx.actor, ctx.id(), ctx.id("file"))
        await register.refuse_infected(conn, [found.sha256])
    kind = found.type if found.type in drafts.PICTURES else "application/octet-stream"
    return files.download(ctx.services.blobs, found.sha256, name=found.name, content_type=kind)


async def remove_file(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await drafts.remove_file(conn, ctx.actor, ctx.id(), ctx.id("file"))
    return web.Response(status=204) if ctx.is_fragment else render.redirect(ctx, f"/drafts/{ctx.id()}")


async def delete(ctx: RequestContext) -> web.StreamResponse:
    """Put a draft away; where a script asks, say so in a toast that can bring it back."""
    async with ctx.db.begin() as conn:
        await drafts.delete(conn, ctx.actor, ctx.id(), now=ctx.now)
    if not ctx.is_fragment:
        return render.redirect(ctx, "/drafts")
    return render.page(ctx, "compose/deleted.html", {"draft_id": ctx.id()})


async def restore(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await drafts.restore(conn, ctx.actor, ctx.id())
    return render.redirect(ctx, f"/drafts/{ctx.id()}")


ROUTES = (
    Route("POST", "/drafts", create),
    Route("GET", "/drafts/{id}", page),
    Route("POST", "/drafts/{id}", save),
    Route("POST", "/drafts/{id}/files", add_files),
    Route("GET", "/drafts/{id}/files/{file}", file),
    Route("POST", "/drafts/{id}/files/{file}/remove", remove_file),
    Route("POST", "/drafts/{id}/delete", delete),
    Route("POST", "/drafts/{id}/restore", restore),
)
