"""People on the web: what one may do and why, rights beside the role, invitations, the link for a new
password, the second step of the sign-in, deactivation.

Decides no rights: `crm.people` and `crm.roles` do. Invariant: the token of a link is shown once, to whoever made it,
and stands in no address.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import password_resets, privileges
from hub.crm.base import records, registry
from hub.crm.base.permissions import ACTIONS, SCOPES
from hub.crm.base.records import Edit
from hub.crm.people import USERS, deactivation, editing
from hub.crm.roles import rights
from hub.crm.roles.presets import RIGHTS
from hub.crm.roles.table import ACTION_LABELS, RIGHT_OPTIONS, SCOPE_LABELS
from hub.store import changes
from hub.web import render
from hub.web.api.endpoint import Endpoint, Id
from hub.web.api.shapes import Ref, Shape, one_of
from hub.web.base.kind import WebKind
from hub.web.base.record_page import read_card
from hub.web.crm import user_sign_ins
from hub.web.request_context import RequestContext
from hub.web.routes import Route

HEIRS = 200
WEB = WebKind(entity=USERS, icon="users", subtitle="email")


async def _facts(conn: AsyncConnection, ctx: RequestContext) -> dict[str, Any]:
    """Return what a person's card shows beyond the base's."""
    card = await read_card(conn, ctx, WEB, ctx.id())
    explained = await rights.explain(conn, ctx.id())
    others = await records.page(conn, ctx.actor, USERS, where=USERS.id != ctx.id(), limit=HEIRS)
    return {
        "card": card,
        "explained": explained,
        "titles": {word: entity.titles for word, entity in registry.kinds().items()},
        "actions": ACTION_LABELS,
        "scopes": SCOPE_LABELS,
        "right_labels": {option.value: option.label for option in RIGHT_OPTIONS},
        "heirs": others.items if card.can_archive else [],
        "link": "",
        **await user_sign_ins.facts(conn, ctx),
        "has_password": await password_resets.has_password(conn, ctx.id()),
    }


async def card(ctx: RequestContext) -> web.StreamResponse:
    async with ctx.db.read() as conn:
        feed = await changes.head(conn)
        facts = await _facts(conn, ctx)
    return render.page(ctx, "user.html", facts, feed=feed)


async def make_link(ctx: RequestContext) -> web.StreamResponse:
    """Show a new link for a password, once."""
    async with ctx.db.begin() as conn:
        link = _address(ctx, await editing.reset_link(conn, ctx.id(), edit=_edit(ctx, is_page=True)))
        facts = await _facts(conn, ctx)
    return render.page(ctx, "user.html", facts | {"link": link})


async def invite(ctx: RequestContext) -> web.StreamResponse:
    """Show a new invitation, once."""
    async with ctx.db.begin() as conn:
        link = _address(ctx, await editing.invite(conn, ctx.id(), edit=_edit(ctx, is_page=True)))
        facts = await _facts(conn, ctx)
    return render.page(ctx, "user.html", facts | {"link": link})


async def withdraw(ctx: RequestContext) -> web.StreamResponse:
    """Withdraw the invitation of a person."""
    async with ctx.db.begin() as conn:
        await editing.withdraw_invitation(conn, ctx.id(), edit=_edit(ctx, is_page=True))
    return render.redirect(ctx, f"{WEB.path}/{ctx.id()}")


async def switch(ctx: RequestContext) -> web.StreamResponse:
    """Make the rights that are ticked those that the person holds beside the role."""
    user_id, by = ctx.id(), ctx.actor.user_id
    ticked = [privileges.read_privilege(text) for text in ctx.form.texts("right") if text]
    async with ctx.db.begin() as conn:
        held = await privileges.held_by(conn, user_id)
        for right in held:
            if right not in ticked:
                await privileges.revoke(conn, user_id, right, by=by, now=ctx.now)
        for right in ticked:
            if right not in held:
                await privileges.grant(conn, user_id, right, by=by, now=ctx.now)
    return render.redirect(ctx, f"{WEB.path}/{user_id}")


async def reset_two_factor(ctx: RequestContext) -> web.StreamResponse:
    """Take the second step of the sign-in from a person, by the form of their card."""
    async with ctx.db.begin() as conn:
        await editing.reset_two_factor(conn, ctx.id(), edit=_edit(ctx, is_page=True))
    return render.redirect(ctx, f"{WEB.path}/{ctx.id()}")


async def leave(ctx: RequestContext) -> web.StreamResponse:
    """Deactivate a person by the form of their card; the page of operations shows how the hand-over goes on."""
    heir = ctx.form.number("hand_over_to")
    async with ctx.db.begin() as conn:
        done = await deactivation.deactivate(conn, ctx.id(), hand_over_to=heir, edit=_edit(ctx, is_page=True))
    return render.redirect(ctx, "/operations" if done.operations else f"{WEB.path}/{ctx.id()}")


def _edit(ctx: RequestContext, *, is_page: bool = False) -> Edit:
    return Edit(ctx.actor, "page" if is_page else "api", ctx.now)


def _address(ctx: RequestContext, token: str) -> str:
    """Return the address of a link for a password: `public_url`, else where the asker reached Hub."""
    public = ctx.services.settings.web.public_url.rstrip("/")
    return f"{public or ctx.request.url.origin()}/reset/{token}"


class OnKind(Shape, frozen=True, kw_only=True):
    """The scopes of a person on one kind. `named`: by a grant for this kind, not by those for every kind."""

    kind: str
    named: bool
    see: Annotated[str, one_of(*SCOPES)]
    create: Annotated[str, one_of(*SCOPES)]
    edit: Annotated[str, one_of(*SCOPES)]
    delete: Annotated[str, one_of(*SCOPES)]
    assign: Annotated[str, one_of(*SCOPES)]
    export: Annotated[str, one_of(*SCOPES)]
    bulk: Annotated[str, one_of(*SCOPES)]


class Right(Shape, frozen=True, kw_only=True):
    """A right that is not about records, and whether the role gives it or an administrator gave it to the person."""

    right: Annotated[str, one_of(*RIGHTS)]
    by: Annotated[str, one_of("role", "person")]


class Rights(Shape, frozen=True, kw_only=True):
    """The rights of a person, each with its reason; none for a disabled person.

    `substitutes`: colleagues whom the person substitutes now, so that scope `own` reaches their records too.
    """

    role: Ref | None
    administrator: bool
    substitutes: list[Ref]
    kinds: list[OnKind]
    rights: list[Right]


class Leaving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hand_over_to: Id | None = None


class Left(Shape, frozen=True, kw_only=True):
    """`returned`: queue items that went back to their teams; `views`: shared lists that are the colleague's now;
    `operations` hand over what the person owned."""

    id: int
    returned: int
    views: int
    operations: list[int]


class Done(Shape, frozen=True, kw_only=True):
    """The person whose account was changed."""

    id: int


class Link(Shape, frozen=True, kw_only=True):
    """A link by which the person sets a new password, once: within a day, an invitation's within a week."""

    link: str


async def explained(conn: AsyncConnection, ctx: RequestContext, _query: Any) -> Rights:
    await records.get(conn, ctx.actor, USERS, ctx.id())
    found = await rights.explain(conn, ctx.id())
    if found is None:
        return Rights(role=None, administrator=False, substitutes=[], kinds=[], rights=[])
    return Rights(
        role=None if found.role_id is None else Ref(id=found.role_id, name=found.role_name),
        administrator=found.is_admin,
        substitutes=[Ref(id=user_id, name=name) for user_id, name in found.substitutes],
        kinds=[
            OnKind(
                kind=one.kind, named=one.is_named, **{str(action): one.scopes.get(action, "none") for action in ACTIONS}
            )
            for one in found.on_kinds
        ],
        rights=[Right(right=right, by="role") for right in found.of_role]
        + [Right(right=right, by="person") for right in found.of_person],
    )


async def deactivated(conn: AsyncConnection, ctx: RequestContext, body: Leaving) -> Left:
    done = await deactivation.deactivate(conn, ctx.id(), hand_over_to=body.hand_over_to, edit=_edit(ctx))
    return Left(id=ctx.id(), returned=done.returned, views=done.views, operations=list(done.operations))


async def linked(conn: AsyncConnection, ctx: RequestContext, _body: Any) -> Link:
    return Link(link=_address(ctx, await editing.reset_link(conn, ctx.id(), edit=_edit(ctx))))


async def without_two_factor(conn: AsyncConnection, ctx: RequestContext, _body: Any) -> Done:
    await editing.reset_two_factor(conn, ctx.id(), edit=_edit(ctx))
    return Done(id=ctx.id())


async def invited(conn: AsyncConnection, ctx: RequestContext, _body: Any) -> Link:
    return Link(link=_address(ctx, await editing.invite(conn, ctx.id(), edit=_edit(ctx))))


async def withdrawn(conn: AsyncConnection, ctx: RequestContext, _body: Any) -> Done:
    await editing.withdraw_invitation(conn, ctx.id(), edit=_edit(ctx))
    return Done(id=ctx.id())


ROUTES = (
    Route("POST", "/users/{id}/invite", invite),
    Route("POST", "/users/{id}/invitation/withdraw", withdraw),
    Route("POST", "/users/{id}/two-factor/reset", reset_two_factor, "admin"),
    Route("POST", "/users/{id}/reset-link", make_link),
    Route("POST", "/users/{id}/privileges", switch, "admin"),
    Route("POST", "/users/{id}/deactivate", leave),
)
ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/users/{id}/rights",
        summary="What a person may do, and why",
        reads=explained,
        answer=Rights,
    ),
    Endpoint(
        method="POST",
        path="/users/{id}/deactivate",
        summary="Disable a person at once and hand over what they own",
        writes=deactivated,
        body=Leaving,
        answer=Left,
    ),
    Endpoint(
        method="POST",
        path="/users/{id}/reset-link",
        summary="Make a link by which a person sets a new password",
        writes=linked,
        answer=Link,
    ),
    Endpoint(
        method="POST",
        path="/users/{id}/invite",
        summary="Make a link by which a person who has no password yet joins; earlier ones stop working",
        writes=invited,
        answer=Link,
    ),
    Endpoint(
        method="POST",
        path="/users/{id}/invitation/withdraw",
        summary="Withdraw the invitation of a person",
        writes=withdrawn,
        answer=Done,
    ),
    Endpoint(
        method="POST",
        path="/users/{id}/two-factor/reset",
        summary="Take the second step of the sign-in from a person who lost phone and recovery codes",
        writes=without_two_factor,
        answer=Done,
        who="admin",
    ),
)
