"""The offers of the search box for a typed text: where to go and what to do. What is found in the data is asked
elsewhere (`pages/palette`).

Pure: words in, entries out. Invariant: text typed in the wrong keyboard layout is read as in the right one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hub.crm.access import Actor
from hub.crm.clients import fold
from hub.web import menu
from hub.web.i18n import N_

LATIN = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`"
CYRILLIC = "йцукенгшщзхъфывапролджэячсмитьбюё"
_SWAPPED = str.maketrans(LATIN + CYRILLIC, CYRILLIC + LATIN)


@dataclass(frozen=True, slots=True)
class Command:
    """A page to go to, or one to begin something on. `key` is the shortcut that does the same."""

    label: str
    href: str
    icon: str
    key: str = ""
    who: Callable[[Actor], bool] = menu.anyone


DO = (
    Command(N_("Add a client"), "/clients/new", "building-2", who=menu.makes("client")),
    Command(N_("Add a lead"), "/leads/new", "target", who=menu.makes("lead")),
    Command(N_("Write a mail"), "/compose", "mail", "N", menu.writes),
)
KEYS = {"desk": "G D", "clients": "G C", "leads": "G L", "wallboard": "G W"}


def swapped(text: str) -> str:
    """Return the text as the same keys write it in the other layout: `hjvfirf` is `ромашка`."""
    return text.lower().translate(_SWAPPED)


def go(actor: Actor) -> Iterator[Command]:
    """Yield every page of the person's menu, those of inner menus after their own."""
    for group in menu.groups_for(actor):
        for entry in group.entries:
            if not entry.inner:
                yield Command(entry.label, entry.href, entry.icon, KEYS.get(entry.section, ""))
            for one in entry.inner:
                label = entry.label if one.section == entry.section else one.label
                yield Command(label, one.href, one.icon)


def do(actor: Actor) -> tuple[Command, ...]:
    """Return what the person may begin."""
    return tuple(one for one in DO if one.who(actor))


def fitting(commands: Iterator[Command] | tuple[Command, ...], text: str, say: Callable[[str], str]) -> list[Command]:
    """Return the commands whose words, as they are shown, begin with the words typed; all for an empty text."""
    asked = [words for one in (text, swapped(text)) if (words := fold(one).split())]
    if not asked:
        return list(commands)
    return [one for one in commands if any(_fits(fold(say(one.label)).split(), words) for words in asked)]


def _fits(shown: list[str], asked: list[str]) -> bool:
    return all(any(word.startswith(one) for word in shown) for one in asked)
