"""One message in its conversation: the page, its body in a frame that can do nothing, its raw bytes.

Invariants: a stranger's HTML is only ever answered under a policy of its own, and without the reader's word it asks
nothing of anywhere; pictures from elsewhere are fetched by the reader's browser, never by Hub.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.errors import NotFound, Refused
from hub.mail import answering, register, thread
from hub.mail.files import pictures
from hub.mail.register import MessageRow
from hub.store import changes
from hub.web import composing, files, message_frame, render
from hub.web.i18n import N_, translator
from hub.web.message_view import MessageView, hand_out_whole, message_view, subject_of
from hub.web.request_context import RequestContext, read_time_cursor, write_cursor
from hub.web.routes import Route


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a message: with `pictures=1` remote pictures are shown too."""

    pictures: bool = False


class ThreadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a long conversation a page begins; without a cursor at the newest."""

    cursor: str | None = None


async def page(ctx: RequestContext) -> web.StreamResponse:
    return await _page(ctx, ctx.id())


async def newest(ctx: RequestContext) -> web.StreamResponse:
    """A conversation, its newest message open; with a cursor, the newest of those before it."""
    before = read_time_cursor(ctx.query(ThreadQuery).cursor)
    async with ctx.db.read() as conn:
        rows = await thread.page(conn, ctx.actor, ctx.id(), before=before, limit=1)
    if not rows:
        raise NotFound("thread_missing", "no such conversation")
    return await _page(ctx, rows[0].id)


async def _page(ctx: RequestContext, message_id: int) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        around = await thread.around(conn, ctx.actor, message_id)
        message = around.message
        letter = await _letter(ctx, conn, message)
        thread_id = message.thread_id or 0
        writing = await composing.composer(ctx).answer_to(conn, message)
        writers = (await answering.writers(conn, [thread_id], now=ctx.now)).get(thread_id, ())
    context = {
        "message": message,
        "letter": letter,
        "sandbox": message_frame.SANDBOX,
        "newer": around.newer,
        "earlier": around.earlier,
        "older_cursor": write_cursor(*around.older) if around.older else None,
        "writers": [one for one in writers if one.user_id != ctx.actor.user_id],
        "writing": writing,
    }
    return render.page(ctx, "message.html", context, feed=feed)


async def _letter(ctx: RequestContext, conn: AsyncConnection, message: MessageRow) -> MessageView:
    services = ctx.services
    return await message_view(
        conn,
        ctx.actor,
        message,
        blobs=services.blobs,
        settings=services.settings.hub,
        linker=services.linker,
        wants_pictures=ctx.query(Shown).pictures,
    )


async def part(ctx: RequestContext) -> web.StreamResponse:
    """One message of a conversation, as it unfolds in its place."""
    async with ctx.db.read() as conn:
        message = await register.find(conn, ctx.actor, ctx.id())
        letter = await _letter(ctx, conn, message)
    return render.page(ctx, "message/part.html", {"letter": letter, "sandbox": message_frame.SANDBOX})


async def body(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        message = await register.find(conn, ctx.actor, ctx.id())
    wants = ctx.query(Shown).pictures
    text = message_frame.document(
        message.html or message_frame.plain(message.text or ""),
        title=subject_of(message),
        quoted=translator(ctx.language).gettext(N_("What it answers")),
        language=ctx.language,
        pictures=wants,
        by_cid={one.cid: one.id for one in message.attachments if one.cid},
        own_hosts=(ctx.request.host, ctx.services.settings.web.public_url),
    )
    headers = {
        "Content-Security-Policy": message_frame.policy(pictures=wants),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)


async def choose_pictures(ctx: RequestContext) -> web.StreamResponse:
    """Always show this sender's pictures from elsewhere, or no longer; answers with the message drawn anew."""
    said = ctx.form.text("always", max_chars=1)
    if said not in ("0", "1"):
        raise Refused("bad_request", "always is 0 or 1", field="always")
    async with ctx.db.begin() as conn:
        message = await register.find(conn, ctx.actor, ctx.id())
        await pictures.choose(conn, ctx.actor, message.from_address, always=said == "1", now=ctx.now)
        letter = await _letter(ctx, conn, message)
    if not ctx.is_fragment:
        return render.redirect(ctx, f"/messages/{message.id}" + ("?pictures=1" if said == "1" else ""))
    # Whoever chooses "always" at a doubtful mail has still chosen for this one.
    if said == "1":
        letter = replace(letter, pictures="shown")
    return render.page(ctx, "message/part.html", {"letter": letter, "sandbox": message_frame.SANDBOX})


async def raw(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        message = await register.find(conn, ctx.actor, ctx.id())
    await hand_out_whole(ctx, message)
    name = f"message-{message.id}.eml"
    return files.download(ctx.services.blobs, message.raw_sha256, name=name, content_type="message/rfc822")


async def say_answering(ctx: RequestContext) -> web.StreamResponse:
    """The page's sign of life while somebody writes an answer; `done=1` ends it."""
    thread_id = ctx.id()
    async with ctx.db.begin() as conn:
        await thread.newest(conn, ctx.actor, thread_id)
        if ctx.form.text("done", max_chars=1):
            await answering.stop(conn, ctx.actor.user_id, thread_id, now=ctx.now)
        else:
            await answering.touch(conn, ctx.actor, thread_id, now=ctx.now)
    return web.Response(status=204)


async def who_answers(ctx: RequestContext) -> web.StreamResponse:
    thread_id = ctx.id()
    async with ctx.db.read() as conn:
        await thread.newest(conn, ctx.actor, thread_id)
        here = (await answering.writers(conn, [thread_id], now=ctx.now)).get(thread_id, ())
    writers = [one for one in here if one.user_id != ctx.actor.user_id]
    return render.page(ctx, "message/answering.html", {"thread_id": thread_id, "writers": writers})


ROUTES = (
    Route("GET", "/messages/{id}", page),
    Route("GET", "/messages/{id}/part", part),
    Route("GET", "/messages/{id}/body", body),
    Route("POST", "/messages/{id}/pictures", choose_pictures),
    Route("GET", "/messages/{id}/raw", raw),
    Route("GET", "/threads/{id}", newest),
    Route("GET", "/threads/{id}/answering", who_answers),
    Route("POST", "/threads/{id}/answering", say_answering),
)
