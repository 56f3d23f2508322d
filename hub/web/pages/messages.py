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
from hub.web import composing, files, letter_frame, render
from hub.web.i18n import N_, translator
from hub.web.letter import Letter, hand_out_whole, letter_of, subject_of
from hub.web.routes import Route
from hub.web.visit import Visit, read_time_cursor, write_cursor


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What of a message is wanted: with `pictures=1` those from elsewhere too."""

    pictures: bool = False


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a long conversation a page begins; without a cursor at the newest."""

    cursor: str | None = None


async def page(visit: Visit) -> web.StreamResponse:
    return await _page(visit, visit.id())


async def newest(visit: Visit) -> web.StreamResponse:
    """A conversation, its newest message open; with a cursor, the newest of those before it."""
    before = read_time_cursor(visit.query(Place).cursor)
    async with visit.db.read() as conn:
        rows = await thread.page(conn, visit.actor, visit.id(), before=before, limit=1)
    if not rows:
        raise NotFound("thread_missing", "no such conversation")
    return await _page(visit, rows[0].id)


async def _page(visit: Visit, message_id: int) -> web.StreamResponse:
    async with visit.db.read() as conn:
        feed = await changes.head(conn)
        around = await thread.around(conn, visit.actor, message_id)
        message = around.message
        letter = await _letter(visit, conn, message)
        thread_id = message.thread_id or 0
        writing = await composing.answer_to(conn, visit, message)
        writers = (await answering.writers(conn, [thread_id], now=visit.now)).get(thread_id, ())
    context = {
        "message": message,
        "letter": letter,
        "sandbox": letter_frame.SANDBOX,
        "newer": around.newer,
        "earlier": around.earlier,
        "older_cursor": write_cursor(*around.older) if around.older else None,
        "writers": [one for one in writers if one.user_id != visit.actor.user_id],
        "writing": writing,
    }
    return render.page(visit, "message.html", context, feed=feed)


async def _letter(visit: Visit, conn: AsyncConnection, message: MessageRow) -> Letter:
    services = visit.services
    return await letter_of(
        conn,
        visit.actor,
        message,
        blobs=services.blobs,
        settings=services.settings.hub,
        linker=services.linker,
        wants_pictures=visit.query(Shown).pictures,
    )


async def part(visit: Visit) -> web.StreamResponse:
    """One message of a conversation, as it unfolds in its place."""
    async with visit.db.read() as conn:
        message = await register.find(conn, visit.actor, visit.id())
        letter = await _letter(visit, conn, message)
    return render.page(visit, "message/part.html", {"letter": letter, "sandbox": letter_frame.SANDBOX})


async def body(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        message = await register.find(conn, visit.actor, visit.id())
    wants = visit.query(Shown).pictures
    text = letter_frame.document(
        message.html or letter_frame.plain(message.text or ""),
        title=subject_of(message),
        quoted=translator(visit.language).gettext(N_("What it answers")),
        language=visit.language,
        pictures=wants,
        by_cid={one.cid: one.id for one in message.attachments if one.cid},
        own_hosts=(visit.request.host, visit.services.settings.web.public_url),
    )
    headers = {
        "Content-Security-Policy": letter_frame.policy(pictures=wants),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)


async def choose_pictures(visit: Visit) -> web.StreamResponse:
    """Always show this sender's pictures from elsewhere, or no longer; answers with the message drawn anew."""
    said = visit.form.text("always", max_chars=1)
    if said not in ("0", "1"):
        raise Refused("bad_request", "always is 0 or 1", field="always")
    async with visit.db.begin() as conn:
        message = await register.find(conn, visit.actor, visit.id())
        await pictures.choose(conn, visit.actor, message.from_address, always=said == "1", now=visit.now)
        letter = await _letter(visit, conn, message)
    if not visit.is_fragment:
        return render.go(visit, f"/messages/{message.id}" + ("?pictures=1" if said == "1" else ""))
    # Whoever chooses "always" at a doubtful mail has still chosen for this one.
    if said == "1":
        letter = replace(letter, pictures="shown")
    return render.page(visit, "message/part.html", {"letter": letter, "sandbox": letter_frame.SANDBOX})


async def raw(visit: Visit) -> web.StreamResponse:
    async with visit.db.read() as conn:
        message = await register.find(conn, visit.actor, visit.id())
    await hand_out_whole(visit, message)
    name = f"message-{message.id}.eml"
    return files.download(visit.services.blobs, message.raw_sha256, name=name, content_type="message/rfc822")


async def say_answering(visit: Visit) -> web.StreamResponse:
    """The page's sign of life while somebody writes an answer; `done=1` ends it."""
    thread_id = visit.id()
    async with visit.db.begin() as conn:
        await thread.newest(conn, visit.actor, thread_id)
        if visit.form.text("done", max_chars=1):
            await answering.stop(conn, visit.actor.user_id, thread_id, now=visit.now)
        else:
            await answering.touch(conn, visit.actor, thread_id, now=visit.now)
    return web.Response(status=204)


async def who_answers(visit: Visit) -> web.StreamResponse:
    thread_id = visit.id()
    async with visit.db.read() as conn:
        await thread.newest(conn, visit.actor, thread_id)
        here = (await answering.writers(conn, [thread_id], now=visit.now)).get(thread_id, ())
    writers = [one for one in here if one.user_id != visit.actor.user_id]
    return render.page(visit, "message/answering.html", {"thread_id": thread_id, "writers": writers})


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
