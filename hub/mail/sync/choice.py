"""Which folders of a mailbox are read, and what each is for. Pure.

What the server marks (RFC 6154) counts; where it marks nothing, the usual names in English, German and Russian do.
Drafts are no mail yet and are never read; junk, trash and views of the whole mailbox only where the operator names
them. Invariant: INBOX is read, whatever is configured; a name that leads nowhere is a problem told, never a stop.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from hub.mail.imap.asking import Folder

INBOX, SENT, OTHER = "inbox", "sent", "other"
MAX_NAME_CHARS = 500

_USUAL = {
    SENT: (
        *("sent", "sent items", "sent mail", "sent messages", "sent-mail"),
        *("gesendet", "gesendete objekte", "gesendete elemente", "gesendete nachrichten"),
        *("отправленные", "отправленная почта", "исходящие отправленные"),
    ),
    "drafts": ("drafts", "draft", "entwürfe", "entwurf", "черновики"),
    "junk": ("junk", "junk e-mail", "junk email", "spam", "bulk mail", "junk-e-mail", "спам", "нежелательная почта"),
    "trash": (
        *("trash", "deleted items", "deleted messages", "deleted", "bin"),
        *("papierkorb", "gelöschte objekte", "gelöschte elemente", "корзина", "удаленные", "удалённые"),
    ),
    "archive": ("archive", "archives", "archiv", "архив"),
}
_NOT_BY_THEMSELVES = frozenset(("drafts", "junk", "trash", "all", "flagged", "important"))
_QUIET = frozenset(("junk", "trash"))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A folder to read. `role`: inbox, sent, junk, trash, archive, all or other."""

    name: str
    role: str

    @property
    def is_quiet(self) -> bool:
        """Whether what lies here is nobody's work: a lead out of the junk would be none."""
        return self.role in _QUIET


ProblemKind = Literal["missing", "drafts", "long_name", "unreadable", "refused", "not_given", "too_large", "flags"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a folder: its kind, for pages, and in words, of the server where it said any."""

    kind: ProblemKind
    said: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The folders to read, INBOX first, then Sent; and what is wrong with others, by name."""

    folders: tuple[Chosen, ...]
    problems: dict[str, Problem]


_UNREADABLE = Problem("unreadable", "the server lists it in a way that cannot be read, so it is left out")


def choose(folders: Sequence[Folder], wanted: Collection[str] = ()) -> Choice:
    """Choose among all `folders` of a server. `wanted`: names, or patterns with `*`; empty is all that is mail."""
    readable = [one for one in folders if not one.is_unreadable]
    roles = roles_of(readable)
    usable = [one for one in folders if one.selectable and one.name != "INBOX"]
    problems = {one.name: _UNREADABLE for one in folders if one.is_unreadable and one.name.upper() != "INBOX"}
    names: set[str] = set()
    for want in wanted:
        found = {one.name for one in usable if _is_meant(one, want)}
        if want.upper() != "INBOX" and not found:
            problems[want] = Problem("missing", "the server has no such folder")
        elif found == {want} and roles[want] == "drafts":
            problems[want] = Problem("drafts", "drafts are not read")
        # A pattern means mail; what is no mail must be named.
        names |= {name for name in found if name == want or roles[name] not in _NOT_BY_THEMSELVES}
    if not wanted:
        names = {one.name for one in usable if roles[one.name] not in _NOT_BY_THEMSELVES}
    for name in [name for name in names if len(name) > MAX_NAME_CHARS]:
        said = f"its name is longer than {MAX_NAME_CHARS} characters"
        problems[name[:80] + "…"] = Problem("long_name", said)
        names.discard(name)
    chosen = [Chosen(name, roles[name]) for name in names if roles[name] != "drafts"]
    chosen.sort(key=lambda one: (one.role != SENT, one.name))
    return Choice((Chosen("INBOX", INBOX), *chosen), problems)


def roles_of(folders: Sequence[Folder]) -> dict[str, str]:
    """Return what each folder is for, by its name; one folder alone is Sent, the marked before the usually named."""
    marked = {one.special_use for one in folders if one.special_use}
    roles = {one.name: _role(one, marked) for one in folders}
    sent = sent_folder_of(folders)
    return {name: OTHER if role == SENT and name != sent else role for name, role in roles.items()}


def sent_folder_of(folders: Sequence[Folder]) -> str | None:
    """Return the name of the folder for sent mail, None where there is none."""
    usable = [folder for folder in folders if folder.selectable]
    marked = [folder.name for folder in usable if folder.special_use == SENT]
    named = [folder.name for folder in usable if not folder.special_use and _last(folder).casefold() in _USUAL[SENT]]
    # Of several, the one nearest to the top: "Sent" before "Old/2019/Sent".
    named.sort(key=lambda name: (len(name), name))
    return next(iter(marked + named), None)


def _role(folder: Folder, marked: Collection[str]) -> str:
    if folder.name == "INBOX":
        return INBOX
    if folder.special_use:
        return folder.special_use
    last = _last(folder).casefold()
    for use, names in _USUAL.items():
        # A server that marks one of the kind has said which it is.
        if use not in marked and last in names:
            return use
    return OTHER


def _last(folder: Folder) -> str:
    """The last piece of a folder's path: `INBOX.Sent` is Sent."""
    apart = folder.delimiter or next((mark for mark in "/." if f"INBOX{mark}" in folder.name.upper()), "")
    return folder.name.rsplit(apart, 1)[-1] if apart else folder.name


def _is_meant(folder: Folder, want: str) -> bool:
    return want == folder.name or ("*" in want and _matches(folder.name, want))


def _matches(name: str, pattern: str) -> bool:
    """Tell whether `name` fits, `*` standing for anything; iterative, so that no pattern can make it slow."""
    first, *middle, last = pattern.split("*")
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
