"""The roles that Hub is delivered with: what they grant on records, which rights they hold, which pages they have.

A database is given them once, by a migration, and an administrator may change all but the administrator's own. Here
they also stand in for the role of a person whom a version before roles has made. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from hub.crm.base.labels import _
from hub.crm.base.permissions import ACTIONS, EVERY_KIND, Action, Grants, Scope

Right = Literal["telephony", "read_mail", "send_mail", "own_mailbox", "supervise", "recordings", "dictionaries"]
RIGHTS: tuple[Right, ...] = get_args(Right)
"""`telephony`: take, dial and transfer calls. `read_mail`, `send_mail`: of the mailboxes that are open to the person.
`own_mailbox`: add one of one's own. `recordings`: play back calls of the team that one was not in. `supervise`: hear
and join other people's calls. `dictionaries`: edit the lists of values."""

PAGES = ("desk", "clients", "contacts", "calls", "messages", "leads", "outbox", "team", "reports", "settings")
"""Parts of the menu."""

SETTINGS = ("user", "team", "role")
"""Kinds that `*` is not meant for: whoever makes these makes rights."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One delivered role. `name` is English, marked for translation."""

    key: str
    name: str
    grants: Grants
    rights: frozenset[Right]
    pages: tuple[str, ...]


def _granted(scopes: Mapping[str, Mapping[Action, Scope]]) -> dict[tuple[str, Action], Scope]:
    return {(kind, action): scope for kind, actions in scopes.items() for action, scope in actions.items()}


def _reading(scope: Scope) -> dict[str, Mapping[Action, Scope]]:
    """See the settings so far, and write none of them."""
    none: dict[Action, Scope] = dict.fromkeys(ACTIONS, "none")
    seen: dict[Action, Scope] = {"see": scope}
    return {kind: none if kind == "role" else none | seen for kind in SETTINGS}


_CARDS: dict[Action, Scope] = {"see": "all", "create": "all", "edit": "all", "assign": "all"}
_OF_TEAM: dict[Action, Scope] = {"delete": "team", "export": "team", "bulk": "team"}
_OF_OWN: dict[Action, Scope] = {"delete": "own"}
_SEEN: dict[Action, Scope] = {"see": "all"}
_HEAD: dict[Action, Scope] = dict.fromkeys(ACTIONS, "team")
_MANAGER: dict[Action, Scope] = {"see": "team", "create": "own", "edit": "own", "delete": "own", "assign": "own"}
_TALK: dict[Action, Scope] = {"see": "team", "edit": "team"}
_TALK_SEEN: dict[Action, Scope] = {"see": "team"}
_TO_EXPORT: dict[Action, Scope] = {"export": "team"}
_TEXTS: dict[Action, Scope] = {"create": "team", "edit": "team", "delete": "team"}
_WORK = frozenset[Right]({"telephony", "read_mail", "send_mail"})
_WORK_PAGES = ("desk", "clients", "contacts", "calls", "messages", "leads", "outbox", "team")

PRESETS: tuple[Preset, ...] = (
    Preset(
        "admin",
        _("Administrator"),
        {(EVERY_KIND, action): "all" for action in ACTIONS},
        frozenset(RIGHTS),
        PAGES,
    ),
    Preset(
        "head",
        _("Head of a team"),
        _granted(
            {
                EVERY_KIND: _HEAD,
                **_reading("team"),
                **dict.fromkeys(("client", "contact"), _CARDS | _OF_TEAM),
                **dict.fromkeys(("call", "message"), _TALK | _TO_EXPORT),
            }
        ),
        _WORK | {"recordings", "supervise"},
        (*_WORK_PAGES, "reports"),
    ),
    Preset(
        "manager",
        _("Manager"),
        _granted(
            {
                EVERY_KIND: _MANAGER,
                **_reading("team"),
                **dict.fromkeys(("client", "contact"), _CARDS | _OF_OWN),
                "call": _TALK,
                "message": _TALK | _TO_EXPORT,
                "template": _TEXTS,
            }
        ),
        _WORK,
        _WORK_PAGES,
    ),
    Preset(
        "observer",
        _("Observer"),
        _granted(
            {
                EVERY_KIND: _SEEN,
                **_reading("all"),
                **dict.fromkeys(("call", "outbox", "template"), _TALK_SEEN),
                "message": _TALK_SEEN | _TO_EXPORT,
            }
        ),
        frozenset({"read_mail"}),
        ("clients", "contacts", "calls", "messages", "leads", "team", "reports"),
    ),
)
PRESET = {preset.key: preset for preset in PRESETS}
