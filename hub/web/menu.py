"""The menu: one line for each kind of page, in its group, with who sees it.

Decides what is offered, not what is allowed: each page asks for its own rights. Invariant: an entry is drawn from
this table wherever a menu is drawn (sidebar, the bar of a phone, the inner menu of a section, the palette), so a new
kind of page is one line here; a new kind of record needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hub.crm.access import Actor
from hub.crm.base import registry
from hub.crm.base.permissions import Action, scope
from hub.web.i18n import N_


def anyone(_actor: Actor) -> bool:
    return True


def admin(actor: Actor) -> bool:
    return actor.is_admin


def sees(kind: str) -> Callable[[Actor], bool]:
    """Return whether a person sees any record of a kind."""
    return lambda actor: scope(actor, kind, "see") != "none"


def makes(kind: str) -> Callable[[Actor], bool]:
    """Return whether a person may make a record of a kind."""
    return lambda actor: scope(actor, kind, "create") != "none"


def reads(actor: Actor) -> bool:
    return actor.has("read_mail")


def writes(actor: Actor) -> bool:
    return actor.has("send_mail")


def own_mailbox(actor: Actor) -> bool:
    return not actor.is_admin and actor.has("own_mailbox")


def keeps_lists(actor: Actor) -> bool:
    return actor.has("dictionaries")


def edits_many(actor: Actor) -> bool:
    return any(scope(actor, kind, "bulk") != "none" for kind in registry.kinds())


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of the menu. `section` is what its template sets; `inner` are the pages of its inner menu.

    `on_phone` puts it into the bar at the bottom of a phone, under the shorter name `short` if there is one.
    """

    section: str
    href: str
    label: str
    icon: str
    who: Callable[[Actor], bool] = anyone
    page: str = ""
    """The part of the menu that a role must have (`crm.roles`); empty for what everybody has."""
    inner: tuple[Entry, ...] = ()
    on_phone: bool = False
    short: str = ""

    def holds(self, section: str) -> bool:
        """Tell whether a page of this section is this entry's own or of its inner menu."""
        return section == self.section or any(one.section == section for one in self.inner)


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    entries: tuple[Entry, ...]


MAIL = (
    Entry("messages", "/messages", N_("Messages"), "mail", page="messages"),
    Entry("drafts", "/drafts", N_("Drafts"), "pencil", writes, "messages"),
    Entry("outbox", "/outbox", N_("Outbox"), "send", page="outbox"),
)
SETTINGS = (
    Entry("users", "/users", N_("People"), "users", sees("user"), "settings"),
    Entry("teams", "/teams", N_("Teams"), "users", sees("team"), "settings"),
    Entry("roles", "/roles", N_("Roles"), "lock", sees("role"), "settings"),
    Entry("rules", "/admin/teams", N_("Call rules"), "clock", admin),
    Entry("blocked", "/admin/blocked", N_("Blocked numbers"), "ban", admin),
    Entry("mailboxes", "/mailboxes", N_("Mailboxes"), "at-sign", admin),
    Entry("mailboxes", "/me/mailbox", N_("My mailbox"), "at-sign", own_mailbox),
    Entry("audit", "/audit", N_("Audit log"), "list", admin),
    Entry("templates", "/templates", N_("Templates"), "file-text", sees("template")),
    Entry("dictionaries", "/dictionaries", N_("Lists of values"), "list", keeps_lists),
    Entry("characteristics", "/characteristics", N_("Characteristics"), "file-text", keeps_lists),
    Entry("typical_data", "/typical-data", N_("Typical data"), "list-checks", admin),
    Entry("operations", "/operations", N_("Operations"), "rotate-cw", edits_many),
    Entry("writing", "/me/writing", N_("Signatures and senders"), "pencil"),
    Entry("sign_ins", "/me/sign-ins", N_("Sessions and tokens"), "key-round"),
    Entry("two_factor", "/me/two-factor", N_("Two-step sign-in"), "lock"),
)
GROUPS = (
    Group("", (Entry("desk", "/desk", N_("Desk"), "inbox", page="desk", on_phone=True, short=N_("My desk")),)),
    Group(
        N_("Clients"),
        (
            Entry("clients", "/clients", N_("Clients"), "users", sees("client"), "clients", on_phone=True),
            Entry("contacts", "/contacts", N_("Contacts"), "contact", sees("contact"), "contacts"),
        ),
    ),
    Group(N_("Sales"), (Entry("leads", "/leads", N_("Leads"), "target", page="leads"),)),
    Group(
        N_("Communication"),
        (
            Entry("messages", "/messages", N_("Messages"), "mail", reads, "messages", MAIL, on_phone=True),
            Entry("calls", "/calls", N_("Calls"), "phone", page="calls"),
        ),
    ),
    Group(
        N_("Company"),
        (
            Entry("wallboard", "/wallboard", N_("Wallboard"), "monitor", page="team"),
            Entry("settings", "/me/sign-ins", N_("Settings"), "settings-2", inner=SETTINGS),
            Entry("help", "/help", N_("Help"), "circle-question-mark"),
        ),
    ),
)
# What «Create» offers: the way to the form of each kind.
CREATE = (
    Entry("clients", "/clients/new", N_("Client"), "building-2", makes("client")),
    Entry("contacts", "/contacts/new", N_("Contact"), "contact", makes("contact")),
    Entry("leads", "/leads/new", N_("Lead"), "target", makes("lead"), page="leads"),
    Entry("messages", "/compose", N_("Letter"), "mail", writes),
)


def creates_for(actor: Actor) -> tuple[Entry, ...]:
    """Return what a person may create."""
    others = _other_kinds(actor, "create")
    return (
        *_seen(CREATE, actor),
        *(replace(one, href=f"{one.href}/new", label=_title_of(one)) for one in others),
    )


def groups_for(actor: Actor) -> list[Group]:
    """Return the menu of a person, without groups that would be empty."""
    shown = [Group(one.title, _seen(one.entries, actor)) for one in GROUPS]
    shown.insert(-1, Group(N_("Records"), _other_kinds(actor, "see")))
    return [one for one in shown if one.entries]


def inner_for(actor: Actor, section: str) -> tuple[Entry, ...]:
    """Return the inner menu of the section that a page belongs to, empty where there is none."""
    for group in groups_for(actor):
        for entry in group.entries:
            if entry.inner and entry.holds(section):
                return entry.inner
    return ()


def _other_kinds(actor: Actor, action: Action) -> tuple[Entry, ...]:
    """Return an entry for each kind of record that has none in this table and that the person may see or create."""
    placed = {one.section for group in GROUPS for entry in group.entries for one in (entry, *entry.inner)}
    return tuple(
        Entry(entity.plural, f"/{entity.plural}", entity.titles, "list")
        for word, entity in registry.kinds().items()
        if entity.plural not in placed
        and (entity.is_editable or action == "see")
        and scope(actor, word, action) != "none"
    )


def _title_of(entry: Entry) -> str:
    return next(entity.title for entity in registry.kinds().values() if entity.plural == entry.section)


def _seen(entries: tuple[Entry, ...], actor: Actor) -> tuple[Entry, ...]:
    """Keep what the person may see; an entry with an inner menu leads to the first page of it."""
    seen = []
    for one in entries:
        if one.who(actor) and actor.has_page(one.page):
            inner = _seen(one.inner, actor)
            seen.append(replace(one, inner=inner, href=inner[0].href if inner else one.href))
    return tuple(seen)
