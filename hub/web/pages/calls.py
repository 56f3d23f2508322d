"""Calling any number from any page, and what is done with the call on one's phone: one click, one deed.

Invariant: a page gives each of its clicks a `request_id`; the same one never does anything twice, however often it
is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from hub.crm import clients, contacts
from hub.errors import NotFound, Refused
from hub.telephony.control import control, handing, intents, supervision
from hub.telephony.control.numbers import number_alone
from hub.telephony.reading import colleagues, register
from hub.web import render
from hub.web.dialing import dial_rules, own_pbx, request_id_of
from hub.web.request_context import RequestContext, parse_id
from hub.web.routes import Route


class Search(msgspec.Struct, frozen=True, kw_only=True):
    q: str = ""


async def dial(ctx: RequestContext) -> web.StreamResponse:
    """Ring the asker's phone, then call the number; a client named with it is the one whose call it is."""
    form, request_id = ctx.form, request_id_of(ctx)
    client_id, contact_id, user_id = form.number("client"), form.number("contact"), form.number("user")
    async with ctx.db.begin() as conn:
        if client_id is not None:
            await clients.find(conn, ctx.actor, client_id)
        if contact_id is not None and (await contacts.find(conn, ctx.actor, contact_id)).client_id != client_id:
            raise NotFound("contact_missing", "no such contact")
        pbx = await own_pbx(conn, ctx)
        to: str | int = user_id if user_id is not None else form.text("to", max_chars=80)
        intent_id = await control.dial(
            conn,
            ctx.actor,
            to=to,
            client_id=client_id,
            contact_id=contact_id,
            request_id=request_id,
            pbx=pbx.name,
            rules=dial_rules(ctx, pbx.name),
            now=ctx.now,
        )
        intent = await intents.find(conn, ctx.actor, intent_id)
    if not ctx.is_fragment:
        return render.redirect(ctx, f"/clients/{client_id}" if client_id else "/desk")
    return render.page(ctx, "call/asked.html", {"intent": intent})


async def asked(ctx: RequestContext) -> web.StreamResponse:
    """How it went with a click, in words."""
    async with ctx.db.read() as conn:
        intent = await intents.find(conn, ctx.actor, ctx.id())
    return render.page(ctx, "call/asked.html", {"intent": intent})


async def hang_up(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await control.hang_up(conn, ctx.actor, ctx.id(), now=ctx.now)
    return _done(ctx)


async def transfer(ctx: RequestContext) -> web.StreamResponse:
    form = ctx.form
    kind = form.text("kind")
    if kind not in ("blind", "attended"):
        raise Refused("bad_request", "a transfer is blind or attended", field="kind")
    user = form.text("user", max_chars=20)
    to: str | int = parse_id(user, field="user") if user else form.text("to", max_chars=64)
    async with ctx.db.begin() as conn:
        call = await register.find(conn, ctx.actor, ctx.id())
        await handing.transfer(
            conn,
            ctx.actor,
            call.id,
            to=to,
            kind="blind" if kind == "blind" else "attended",
            request_id=request_id_of(ctx),
            rules=dial_rules(ctx, call.pbx),
            now=ctx.now,
        )
    return _done(ctx)


async def retrieve(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.begin() as conn:
        await handing.retrieve(conn, ctx.actor, ctx.id(), now=ctx.now)
    return _done(ctx)


def _deed(deed: Callable[..., Awaitable[int]]) -> Callable[[RequestContext], Awaitable[web.StreamResponse]]:
    async def handle(ctx: RequestContext) -> web.StreamResponse:
        request_id = request_id_of(ctx)
        async with ctx.db.begin() as conn:
            await deed(conn, ctx.actor, ctx.id(), request_id=request_id, now=ctx.now)
        return _done(ctx)

    return handle


def _hear(how: supervision.How) -> Callable[[RequestContext], Awaitable[web.StreamResponse]]:
    async def handle(ctx: RequestContext) -> web.StreamResponse:
        request_id = request_id_of(ctx)
        async with ctx.db.begin() as conn:
            intent_id = await supervision.supervise(conn, ctx.actor, ctx.id(), how, request_id=request_id, now=ctx.now)
            intent = await intents.find(conn, ctx.actor, intent_id)
        if not ctx.is_fragment:
            return render.redirect(ctx, "/calls" if ctx.actor.is_admin else "/desk")
        return render.page(ctx, "call/asked.html", {"intent": intent})

    return handle


async def find_colleagues(ctx: RequestContext) -> web.StreamResponse:
    """Whom a call may be handed to: colleagues by a piece of a name or extension, or the number that was written."""
    query = ctx.query(Search)
    async with ctx.db.read() as conn:
        call = await register.find(conn, ctx.actor, ctx.id())
        found = await colleagues.search(conn, query.q, pbx=call.pbx, but=ctx.actor.user_id, now=ctx.now)
    context: dict[str, Any] = {"call": call, "colleagues": found, "number": None, "refusal": None}
    if sum(c.isdigit() for c in query.q) > 6:
        try:
            context["number"] = number_alone(query.q[:60], dial_rules(ctx, call.pbx))
        except Refused as error:
            context["refusal"] = error
    return render.page(ctx, "call/colleagues.html", context)


def _done(ctx: RequestContext) -> web.Response:
    """The page hears of the rest by the feed."""
    return web.Response(status=204) if ctx.is_fragment else render.redirect(ctx, "/desk")


ROUTES = (
    Route("POST", "/call", dial),
    Route("GET", "/call-intents/{id}", asked),
    Route("GET", "/calls/{id}/colleagues", find_colleagues),
    Route("POST", "/calls/{id}/hangup", hang_up),
    Route("POST", "/calls/{id}/transfer", transfer),
    Route("POST", "/calls/{id}/complete", _deed(handing.complete)),
    Route("POST", "/calls/{id}/cancel", _deed(handing.cancel)),
    Route("POST", "/calls/{id}/hold", _deed(handing.hold)),
    Route("POST", "/calls/{id}/unhold", _deed(handing.unhold)),
    Route("POST", "/calls/{id}/park", _deed(handing.park)),
    Route("POST", "/calls/{id}/retrieve", retrieve),
    Route("POST", "/calls/{id}/listen", _hear("listen")),
    Route("POST", "/calls/{id}/whisper", _hear("whisper")),
    Route("POST", "/calls/{id}/barge", _hear("barge")),
)
