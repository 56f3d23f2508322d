"""Saved views of a list on the pages: save what is shown, rename, share, pin, order, delete; and choose columns.

The list stands in the address, as it stands in its own. Decides no rights: `views` asks them. Invariant: a view that
cannot be saved comes back with what was typed and the problem at its field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web as http
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.crm import directory
from hub.crm.base import views
from hub.crm.base.conditions import tree as conditions
from hub.crm.base.conditions.tree import Tree
from hub.crm.base.history import Edit
from hub.crm.base.labels import Invalid, Problem, _
from hub.crm.base.views import View, ViewInput
from hub.errors import Conflict, NotFound
from hub.web import render
from hub.web.base import columns
from hub.web.base.kind import Asked, WebKind, asked, reading
from hub.web.base.list_fields import every_field
from hub.web.base.list_page import ListAddress, list_address
from hub.web.request_context import RequestContext
from hub.web.routes import Route

MOST_COLUMNS = 100
CHANGED = Problem(
    "record_changed",
    _("Someone else changed this first. What you see is what you typed: save again to keep it."),
)


@dataclass(frozen=True, slots=True)
class ViewForm:
    """The form of a view. `shared` is "me", "all" or "team-5"; `teams` are those to share it with; `version` is the one
    that was read."""

    name: str = ""
    shared: str = "me"
    pinned: bool = False
    version: int | None = None
    teams: tuple[tuple[int, str], ...] = ()
    problems: Mapping[str, Problem] = field(default_factory=dict)


async def teams_of(conn: AsyncConnection, ctx: RequestContext) -> tuple[tuple[int, str], ...]:
    """Return the teams that a person may share a view with."""
    return tuple((team.id, team.name) for team in await directory.my_teams(conn, ctx.actor))


class ViewPages:
    """The views of one kind."""

    def __init__(self, web: WebKind) -> None:
        self.web = web
        self.entity = web.entity

    def routes(self) -> tuple[Route, ...]:
        path = f"{self.web.path}/views"
        return (
            Route("GET", f"{self.web.path}/columns", self.choose_columns),
            Route("POST", f"{self.web.path}/columns", self.columns),
            Route("GET", path, self.all),
            Route("GET", f"{path}/new", self.new),
            Route("POST", path, self.create),
            Route("GET", f"{path}/{{id}}", self.one),
            Route("POST", f"{path}/{{id}}", self.change),
            Route("POST", f"{path}/{{id}}/list", self.take_list),
            Route("POST", f"{path}/{{id}}/move", self.move),
            Route("POST", f"{path}/{{id}}/delete", self.delete),
        )

    async def choose_columns(self, ctx: RequestContext) -> http.StreamResponse:
        """The form of the columns: those that are shown in their order, then the others."""
        async with ctx.db.read() as conn:
            fields = await every_field(conn, ctx, self.entity)
            wanted, address = await self._list(conn, ctx)
            shown = await columns.shown(conn, ctx, self.web, fields, wanted.columns)
        name = columns.name_of(self.entity)
        offered = [*shown, *(field for field in fields.values() if field not in shown)]
        context = {
            "web": self.web,
            "address": address,
            "shown": {field.name for field in shown},
            "fields": [field for field in offered if field is not name],
        }
        part = "base/columns_form.html" if ctx.is_fragment else "base/columns_page.html"
        return render.page(ctx, part, context)

    async def columns(self, ctx: RequestContext) -> http.StreamResponse:
        """Show these columns: in the open view until it is saved, else from now on in this person's list."""
        names = ctx.form.texts("column")[:MOST_COLUMNS] if not ctx.form.text("reset") else []
        query = ctx.query(self.web.query)
        async with ctx.db.begin() as conn:
            wanted, address = await self._list(conn, ctx)
            if wanted.view is None and query.changed_view is None:
                await views.choose_columns(conn, self.entity, ctx.actor, names)
                return render.redirect(ctx, address(columns=""))
        return render.redirect(ctx, address.with_changes(columns=",".join(names)))

    async def all(self, ctx: RequestContext) -> http.StreamResponse:
        """The views that this person sees, with what may be done with each."""
        async with ctx.db.read() as conn:
            found = await views.load(conn, ctx.actor, self.entity.kind)
            teams = dict(await teams_of(conn, ctx))
        mine = {view.id for view in found if views.can_change(ctx.actor, view)}
        return render.page(ctx, "base/views.html", {"web": self.web, "views": found, "mine": mine, "teams": teams})

    async def new(self, ctx: RequestContext) -> http.StreamResponse:
        """The form to save the list that the address means."""
        async with ctx.db.read() as conn:
            _wanted, address = await self._list(conn, ctx)
            form = ViewForm(teams=await teams_of(conn, ctx))
        return self._shown(ctx, form, view=None, action=address("/views"))

    async def create(self, ctx: RequestContext) -> http.StreamResponse:
        """Save the list that the address means under a name."""
        form = _read_form(ctx)
        try:
            async with ctx.db.begin() as conn:
                wanted, address = await self._list(conn, ctx)
                where = self.web.kept_tree(ctx.query(self.web.query), wanted.tree)
                given = _input(form, wanted, where)
                made = await views.create(conn, self.entity, ctx.actor, given, edit=_edit(ctx), zone=reading(ctx).zone)
        except Invalid as error:
            return await self._refused(ctx, form, error, view=None)
        return render.redirect(ctx, f"{address.path}?view={made.id}")

    async def one(self, ctx: RequestContext) -> http.StreamResponse:
        async with ctx.db.read() as conn:
            view = await self._view(conn, ctx)
            shared = f"team-{view.team_id}" if view.shared_with == "team" else view.shared_with
            form = ViewForm(view.name, shared, view.pinned, view.version, await teams_of(conn, ctx))
        return self._shown(ctx, form, view=view, action=f"{self.web.path}/views/{view.id}")

    async def change(self, ctx: RequestContext) -> http.StreamResponse:
        form = _read_form(ctx)
        async with ctx.db.read() as conn:
            view = await self._view(conn, ctx)
        try:
            async with ctx.db.begin() as conn:
                await views.update(
                    conn,
                    self.entity,
                    ctx.actor,
                    view.id,
                    _input(form),
                    edit=_edit(ctx),
                    zone=reading(ctx).zone,
                    version=form.version,
                )
        except (Invalid, Conflict) as error:
            return await self._refused(ctx, form, error, view=view)
        return render.redirect(ctx, f"{self.web.path}?view={view.id}")

    async def take_list(self, ctx: RequestContext) -> http.StreamResponse:
        """Make the list that the address means the view's own."""
        async with ctx.db.begin() as conn:
            view = await self._view(conn, ctx)
            wanted, _address = await self._list(conn, ctx)
            where = conditions.to_json(self.web.kept_tree(ctx.query(self.web.query), wanted.tree))
            given = ViewInput(where=where, columns=list(wanted.columns), sort=wanted.sort)
            zone, version = reading(ctx).zone, ctx.form.number("version")
            await views.update(
                conn, self.entity, ctx.actor, view.id, given, edit=_edit(ctx), zone=zone, version=version
            )
        return render.redirect(ctx, f"{self.web.path}?view={view.id}")

    async def move(self, ctx: RequestContext) -> http.StreamResponse:
        async with ctx.db.begin() as conn:
            view = await self._view(conn, ctx)
            by = -1 if ctx.form.text("by") == "-1" else 1
            await views.move(conn, ctx.actor, view.id, by, edit=_edit(ctx))
        return render.redirect(ctx, f"{self.web.path}/views")

    async def delete(self, ctx: RequestContext) -> http.StreamResponse:
        async with ctx.db.begin() as conn:
            view = await self._view(conn, ctx)
            await views.delete(conn, ctx.actor, view.id, edit=_edit(ctx))
        return render.redirect(ctx, f"{self.web.path}/views")

    async def _view(self, conn: AsyncConnection, ctx: RequestContext) -> View:
        view = await views.get(conn, ctx.actor, ctx.id())
        if view.kind != self.entity.kind:
            raise NotFound("view_missing", "no such view")
        return view

    async def _list(self, conn: AsyncConnection, ctx: RequestContext) -> tuple[Asked, ListAddress]:
        query = ctx.query(self.web.query)
        wanted = await asked(conn, ctx, self.entity, query)
        return wanted, list_address(self.web, query, wanted)

    async def _refused(
        self, ctx: RequestContext, form: ViewForm, error: Invalid | Conflict, *, view: View | None
    ) -> http.StreamResponse:
        """Show the form again as it was typed; over a newer version it says so, and is saved when it is sent again."""
        async with ctx.db.read() as conn:
            teams = await teams_of(conn, ctx)
            version = form.version if view is None else (await self._view(conn, ctx)).version
        problems = error.problems if isinstance(error, Invalid) else {"version": CHANGED}
        again = ViewForm(form.name, form.shared, form.pinned, version, teams, problems)
        status = 200 if ctx.is_fragment else error.status
        return self._shown(ctx, again, view=view, action=ctx.request.path_qs, status=status)

    def _shown(
        self, ctx: RequestContext, form: ViewForm, *, view: View | None, action: str, status: int = 200
    ) -> http.StreamResponse:
        name = "base/view_form.html" if ctx.is_fragment else "base/view_page.html"
        context: dict[str, Any] = {"web": self.web, "form": form, "view": view, "action": action}
        return render.page(ctx, name, context, status=status)


def _read_form(ctx: RequestContext) -> ViewForm:
    name = ctx.form.fields.get("name", "")[:200]
    shared, is_pinned = ctx.form.text("shared", max_chars=30) or "me", ctx.form.text("pinned") == "on"
    return ViewForm(name, shared, is_pinned, ctx.form.number("version"))


def _input(form: ViewForm, wanted: Asked | None = None, where: Tree | None = None) -> ViewInput:
    """Return the input of a view; `wanted` and `where` are what its list shows, None: as it was."""
    team = form.shared.removeprefix("team-")
    is_of_team = form.shared.startswith("team-") and team.isascii() and team.isdigit() and len(team) < 19
    sharing: Any = "team" if is_of_team else "all" if form.shared == "all" else "me"
    return ViewInput(
        name=form.name,
        shared_with=sharing,
        team=int(team) if is_of_team else None,
        pinned=form.pinned,
        where=UNSET if where is None else conditions.to_json(where),
        columns=UNSET if wanted is None else list(wanted.columns),
        sort=UNSET if wanted is None else wanted.sort,
    )


def _edit(ctx: RequestContext) -> Edit:
    return Edit(ctx.actor, "page", ctx.now)
