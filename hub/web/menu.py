"""The menu: one line for each kind of page, in its group, with who sees it.

Decides what is offered, not what is allowed: each page asks for its own rights. Invariant: an entry is drawn from
this table wherever a menu is drawn (sidebar, the bar of a phone, the inner menu of a section, the palette), so a new
kind of page is one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hub.crm.access import Actor
from hub.web.i18n import N_


def anyone(_actor: Actor) -> bool:
    return True


def admin(actor: Actor) -> bool:
    return actor.is_admin


def own_mailbox(actor: Actor) -> bool:
    return not actor.is_admin and actor.has("own_mailbox")


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
    Entry("messages", "/messages", N_("All mail"), "mail"),
    Entry("drafts", "/drafts", N_("Drafts"), "pencil"),
    Entry("outbox", "/outbox", N_("Outbox"), "send"),
)
SETTINGS = (
    Entry("rules", "/admin/teams", N_("Call rules"), "clock", admin),
    Entry("blocked", "/admin/blocked", N_("Blocked numbers"), "ban", admin),
    Entry("mailboxes", "/mailboxes", N_("Mailboxes"), "at-sign", admin),
    Entry("mailboxes", "/me/mailbox", N_("My mailbox"), "at-sign", own_mailbox),
    Entry("templates", "/templates", N_("Templates"), "file-text"),
    Entry("writing", "/me/writing", N_("Signatures and senders"), "pencil"),
    Entry("sign_ins", "/me/sign-ins", N_("Sessions and tokens"), "key-round"),
)
GROUPS = (
    Group("", (Entry("desk", "/desk", N_("Desk"), "inbox", on_phone=True, short=N_("My desk")),)),
    Group(
        N_("Clients"),
        (
            Entry("clients", "/clients", N_("Clients"), "users", on_phone=True),
            Entry("contacts", "/contacts", N_("Contacts"), "contact"),
        ),
    ),
    Group(N_("Sales"), (Entry("leads", "/leads", N_("Leads"), "target"),)),
    Group(
        N_("Communication"),
        (
            Entry("messages", "/messages", N_("Messages"), "mail", inner=MAIL, on_phone=True),
            Entry("calls", "/calls", N_("Calls"), "phone"),
        ),
    ),
    Group(
        N_("Company"),
        (
            Entry("wallboard", "/wallboard", N_("Wallboard"), "monitor"),
            Entry("settings", "/me/sign-ins", N_("Settings"), "settings-2", inner=SETTINGS),
            Entry("help", "/help", N_("Help"), "circle-question-mark"),
        ),
    ),
)
# What «Create» offers: the way to the form of each kind.
CREATE = (
    Entry("clients", "/clients/new", N_("Client"), "building-2"),
    Entry("contacts", "/contacts/new", N_("Contact"), "contact"),
    Entry("messages", "/compose", N_("Letter"), "mail"),
)


def groups_for(actor: Actor) -> list[Group]:
    """Return the menu of a person, without groups that would be empty."""
    shown = [Group(one.title, _seen(one.entries, actor)) for one in GROUPS]
    return [one for one in shown if one.entries]


def inner_for(actor: Actor, section: str) -> tuple[Entry, ...]:
    """Return the inner menu of the section that a page belongs to, empty where there is none."""
    for group in groups_for(actor):
        for entry in group.entries:
            if entry.inner and entry.holds(section):
                return entry.inner
    return ()


def _seen(entries: tuple[Entry, ...], actor: Actor) -> tuple[Entry, ...]:
    """Keep what the person may see; an entry with an inner menu leads to the first page of it."""
    seen = []
    for one in entries:
        if one.who(actor):
            inner = _seen(one.inner, actor)
            seen.append(replace(one, inner=inner, href=inner[0].href if inner else one.href))
    return tuple(seen)
