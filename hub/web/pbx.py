"""The dialplan's questions about a caller, each one POST with one line of text back: the route and the name to show.

Knows the PBX by the secret in the body and nothing else of the web: no session, no cookie, no JSON. Invariants: the
secret is compared in constant time before the database is touched; an answer takes less than the 300 ms after which
the dialplan goes on without it, or is a refusal; and no more than `AT_ONCE` questions are worked on at a time.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qsl

from aiohttp import web

from hub.errors import Refused, Unavailable
from hub.settings import Pbx
from hub.store.attempts import Limit, LocalAttempts, Try
from hub.telephony.routing import caller_name
from hub.telephony.routing.route_facts import Question, gather
from hub.telephony.routing.routing import answer_line, decide
from hub.web.client_address import network_of
from hub.web.request_context import RequestContext, Services, read_body
from hub.web.routes import Route
from hub.web.team_rules import place_of

log = logging.getLogger(__name__)

PATH = "/pbx/route"
NAME_PATH = "/pbx/name"
MAX_BODY_BYTES = 2048
MAX_FIELDS = 12
DEADLINE_S = 0.28
AT_ONCE = 20
WRONG = Limit("pbx-secret", 30, timedelta(minutes=1))
_NOBODY = Pbx(name="nobody", username="")


@dataclass(slots=True)
class Questions:
    """Questions in progress, and how often the secret was missing."""

    open: int = 0
    wrong: LocalAttempts = field(default_factory=LocalAttempts)


QUESTIONS: web.AppKey[Questions] = web.AppKey("pbx_questions", Questions)


Answer = Callable[[RequestContext, Pbx, dict[str, str]], Awaitable[str]]


async def route(ctx: RequestContext) -> web.StreamResponse:
    """Say where a caller goes."""
    return await _answered(ctx, _route_of)


async def name(ctx: RequestContext) -> web.StreamResponse:
    """Say what the display of the phone that is rung for a caller shows."""
    return await _answered(ctx, _name_of)


async def _answered(ctx: RequestContext, answer: Answer) -> web.StreamResponse:
    questions = ctx.request.app[QUESTIONS]
    try:
        asked = _read_form(await read_body(ctx.request, at_most=MAX_BODY_BYTES))
    except Refused:
        return _text("the question cannot be read", status=400)
    pbx = _asking(ctx.services, asked)
    if pbx is None:
        return await _refuse_stranger(ctx, questions)
    if questions.open >= AT_ONCE:
        return _text("too many questions at once", status=503)
    questions.open += 1
    try:
        async with asyncio.timeout(DEADLINE_S):
            return _text(await answer(ctx, pbx, asked))
    except (Unavailable, TimeoutError) as error:
        log.warning("pbx %s: the dialplan went on without an answer: %s", pbx.name, error or "too slow")
        return _text("not now", status=503)
    finally:
        questions.open -= 1


async def _name_of(ctx: RequestContext, pbx: Pbx, asked: dict[str, str]) -> str:
    async with ctx.db.read() as conn:
        found = await caller_name.caller_name(
            conn,
            ctx.services.linker,
            place_of(pbx),
            number=asked.get("from", "")[:40],
            presentation=asked.get("pres", "")[:40],
            linked_id=asked.get("call", "")[:150],
        )
    return caller_name.answer_line(found)


async def _route_of(ctx: RequestContext, pbx: Pbx, asked: dict[str, str]) -> str:
    question = Question(asked.get("from", "")[:40], asked.get("queue", "")[:63], asked.get("pres", "")[:40])
    async with ctx.db.read() as conn:
        facts = await gather(conn, ctx.services.linker, place_of(pbx), question, now=ctx.now)
    return answer_line(decide(facts))


def _read_form(body: bytes) -> dict[str, str]:
    """Read the form. Raises Refused."""
    try:
        fields = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Refused("bad_request", "the form cannot be read") from None
    if any("\x00" in value for value in fields.values()):
        raise Refused("control_character", "text must not contain U+0000")
    return fields


def _asking(services: Services, asked: dict[str, str]) -> Pbx | None:
    """Return the PBX whose secret this is. An unknown name costs the same as a wrong secret."""
    name = asked.get("pbx", "")
    pbx = next((one for one in services.settings.pbx if one.name == name), _NOBODY)
    secret = pbx.dialplan_secret.reveal()
    given = asked.get("secret", "").encode("utf-8", "surrogatepass")
    is_right = hmac.compare_digest(given, (secret or "-").encode())
    return pbx if is_right and secret else None


async def _refuse_stranger(ctx: RequestContext, questions: Questions) -> web.Response:
    peer = network_of(ctx.client_address)
    if await questions.wrong.take(Try(((WRONG, peer),))) > 0:
        return _text("too often", status=429)
    log.warning("somebody at %s asked for a route without the secret of a PBX", peer)
    return _text("who are you?", status=403)


def _text(text: str, *, status: int = 200) -> web.Response:
    return web.Response(text=text + "\n", status=status, content_type="text/plain")


ROUTES = (
    Route("POST", PATH, route, "anyone", "nothing"),
    Route("POST", NAME_PATH, name, "anyone", "nothing"),
)
