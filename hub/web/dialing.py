"""Which PBX a click goes to, what it may call, and how a person's way of writing a number is looked up."""

from __future__ import annotations

import re

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm.addresses import parse_phone
from hub.errors import Refused
from hub.settings import Pbx
from hub.telephony import health
from hub.telephony.control.numbers import DialRules
from hub.web.request_context import RequestContext


def named_pbx(ctx: RequestContext, name: str) -> Pbx:
    """Return the PBX of this name. Raises Refused."""
    for pbx in ctx.services.settings.pbx:
        if name == pbx.name:
            return pbx
    raise Refused("no_pbx", "there is no such PBX", field="pbx")


async def own_pbx(conn: AsyncConnection, ctx: RequestContext) -> Pbx:
    """Return the first PBX that the visitor has a phone on, one that is up before all others. Raises Refused."""
    every = ctx.services.settings.pbx
    theirs = [pbx for pbx in every if ctx.actor.extension_on(pbx.name)]
    if len(theirs) > 1:
        states = await health.states(conn, tuple(pbx.name for pbx in theirs))
        up = {state.pbx for state in states if state.is_up}
        theirs.sort(key=lambda pbx: pbx.name not in up)
    if chosen := [*theirs, *every]:
        return chosen[0]
    raise Refused("no_pbx", "there is no such PBX", field="pbx")


def dial_rules(ctx: RequestContext, pbx_name: str) -> DialRules:
    """Return what the configuration allows to be called through a PBX. Raises Refused where there is none."""
    pbx, house = named_pbx(ctx, pbx_name), ctx.services.settings.hub
    return DialRules(
        region=pbx.region or ctx.services.linker.region,
        countries=frozenset(pbx.dial_countries),
        own_numbers=ctx.services.linker.own_phones,
        emergency=frozenset(pbx.emergency_numbers),
        letters=pbx.dial_letters,
        per_user_per_min=house.dial_per_user_per_min,
        per_user_per_hour=house.dial_per_user_per_hour,
        per_min=house.dial_per_min,
    )


def request_id_of(ctx: RequestContext) -> str:
    """Return the name that the page gave to this click. Raises Refused."""
    request_id = ctx.form.text("request_id", max_chars=64)
    if not re.fullmatch(r"[A-Za-z0-9-]{8,64}", request_id):
        raise Refused("bad_request", "the page is too old: load it again", field="request_id")
    return request_id


def looked_up_number(text: str | None, region: str) -> str | None:
    """Return the E.164 form of what a person wrote, else the text itself (an extension), None for nothing."""
    if not text:
        return None
    phone = parse_phone(text, region)
    return phone.value if phone else text
