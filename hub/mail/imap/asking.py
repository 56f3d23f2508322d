"""What may be asked of a signed-in mailbox, in IMAP's words, and the answers as types. Needs a line to ask on.

Decides how a question is written and what of an answer is believed. Invariants: rows that were not asked for are not
taken for answers; a folder is addressed by the bytes by which the server listed it, however it spelled them; numbers
are 32 bits, modification sequences 63.
"""

from __future__ import annotations

import contextlib
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub import sanitize
from hub.errors import Refused
from hub.mail.imap.grammar import (
    BadServer,
    Quoted,
    Response,
    Token,
    flag_words,
    folder_bytes,
    folder_name,
    gmail_id,
    is_number,
    label_names,
    legible_name,
    mended,
    moment,
    number,
    only,
    quoted,
    ranges,
    tokens,
    told,
    told_long,
    uid_set,
)

log = logging.getLogger(__name__)

ANSWER_WITHIN = timedelta(seconds=60)
FETCH_WITHIN = timedelta(minutes=2)
SPECIAL_USES = ("sent", "drafts", "junk", "trash", "archive", "all", "flagged", "important")
"""RFC 6154, and RFC 8457's \\Important."""
_STATUS_WORDS = b"(MESSAGES UIDNEXT UIDVALIDITY UNSEEN%s)"


@dataclass(frozen=True, slots=True)
class Status:
    """How a folder stands, asked from outside of it (RFC 3501, 6.3.10). Equal statuses: nothing that it tells of."""

    messages: int
    uidnext: int
    uidvalidity: int
    unseen: int
    highestmodseq: int = 0


@dataclass(frozen=True, slots=True)
class Folder:
    name: str
    special_use: str
    """One of `SPECIAL_USES`, or empty."""
    selectable: bool
    delimiter: str = ""
    is_unreadable: bool = False
    """The server's row cannot be read: `name` is what of it can, and the folder cannot be asked for."""


@dataclass(frozen=True, slots=True)
class Selected:
    """`highestmodseq` 0: the server keeps no modification sequences for this folder."""

    uidvalidity: int
    uidnext: int
    exists: int
    highestmodseq: int = 0


@dataclass(frozen=True, slots=True)
class Size:
    uid: int
    size: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """One message of the server: its bytes as they are there."""

    uid: int
    flags: tuple[str, ...]
    internaldate: datetime
    raw: bytes
    gm_msgid: int | None = None
    """Gmail's id of the message, the same in each folder; None where the server is no Gmail (X-GM-EXT-1)."""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed in a folder: flags by UID, UIDs that are gone as ranges, and the sequence that this brings us to."""

    flags: dict[int, tuple[str, ...]]
    vanished: tuple[tuple[int, int], ...]
    modseq: int


@dataclass(slots=True)
class Asking(ABC):
    """The questions. A line that carries them is `connection.ImapConnection`."""

    capabilities: frozenset[str] = frozenset()
    has_condstore: bool = False
    has_qresync: bool = False
    _spelled: dict[str, bytes] = field(default_factory=dict)
    """Folders whose names the server writes otherwise than RFC 3501 has it."""
    _is_selected: bool = False

    @abstractmethod
    async def exchange(
        self, line: bytes, *arguments: str | bytes, tail: bytes = b"", within: timedelta = ANSWER_WITHIN
    ) -> tuple[list[Response], Response]:
        """Send a command; return what was said meanwhile and its last line. Raises Refused on NO or BAD, Unavailable.

        `tail` follows the arguments. `within` is how long the server may be silent.
        """

    @abstractmethod
    def heed_no_news(self) -> None:
        """Forget that something changed: what was just asked has told it."""

    async def ask(self, line: bytes, *arguments: str | bytes, within: timedelta = ANSWER_WITHIN) -> list[Response]:
        """Send a command whose last line says nothing but yes."""
        return (await self.exchange(line, *arguments, within=within))[0]

    async def enable_changes(self) -> None:
        """Have the server tell what changed since when, where it can (RFC 7162)."""
        wanted = next((word for word in ("QRESYNC", "CONDSTORE") if word in self.capabilities), "")
        if not wanted or "ENABLE" not in self.capabilities:
            # Without ENABLE a SELECT may still name CONDSTORE.
            self.has_condstore = "CONDSTORE" in self.capabilities
            return
        try:
            untagged = await self.ask(b"ENABLE " + wanted.encode("ascii"))
        except Refused:
            return
        words = {word.upper() for row in only(rb"\* ENABLED", untagged) for word in row.line.split()[2:]}
        self.has_qresync = b"QRESYNC" in words
        self.has_condstore = self.has_qresync or b"CONDSTORE" in words

    # Folders

    async def list_folders(self) -> list[Folder]:
        """Return all folders with their special use where the server tells it."""
        return (await self._listed(b""))[0]

    async def list_with_status(self) -> tuple[list[Folder], dict[str, Status]]:
        """Return all folders, and how they stand where the server tells it in the same answer (RFC 5819)."""
        if "LIST-STATUS" not in self.capabilities:
            return await self.list_folders(), {}
        uses = b"SPECIAL-USE " if "SPECIAL-USE" in self.capabilities else b""
        try:
            return await self._listed(b" RETURN (%sSTATUS %s)" % (uses, self._status_words))
        except Refused:
            self.capabilities -= {"LIST-STATUS"}
            return await self.list_folders(), {}

    async def _listed(self, options: bytes) -> tuple[list[Folder], dict[str, Status]]:
        untagged = await self.ask(b'LIST "" "*"' + options)
        found = []
        for response in only(rb"\* LIST ", untagged):
            found.append(self._row_of_list(response))
        statuses = {}
        for response in only(rb"\* STATUS ", untagged):
            # A folder whose row cannot be read is asked for by itself, or was left out.
            with contextlib.suppress(BadServer):
                match tokens(response):
                    case [b"*", bytes(), bytes() as wire, list() as items]:
                        statuses[self._spell(wire)] = _status(items)
        return [one for one in found if one is not None], statuses

    def _row_of_list(self, response: Response) -> Folder | None:
        """Read one row of a LIST; what cannot be read is a folder with a name as far as it goes. None: no folder."""
        try:
            match tokens(mended(response)):
                # What follows the name in lists is RFC 5258's; anything else is a name that was not quoted.
                case [b"*", bytes(), list() as attributes, delimiter, bytes() as wire, *more] if wire and all(
                    isinstance(one, list) for one in more
                ):
                    flags = {a.decode("ascii", "replace").lower() for a in attributes if isinstance(a, bytes)}
                    use = next((use for use in SPECIAL_USES if f"\\{use}" in flags), "")
                    selectable = not flags & {"\\noselect", "\\nonexistent"}
                    apart = delimiter.decode("ascii", "replace") if isinstance(delimiter, bytes) else ""
                    return Folder(self._spell(wire), use, selectable, apart)
        except BadServer:
            pass
        name = legible_name(response)
        return Folder(name, "", selectable=False, is_unreadable=True) if name else None

    def _spell(self, wire: bytes) -> str:
        """Return a folder's readable name, and remember its bytes where the name alone would not lead back to them."""
        if wire.upper() == b"INBOX":
            return "INBOX"
        name = folder_name(wire)
        if folder_bytes(name) != quoted(wire.decode("latin-1")):
            self._spelled[name] = bytes(wire)
        return name

    def _addressed(self, folder: str) -> bytes | None:
        """The folder's name as it goes over the wire quoted; None where its bytes must go as a literal."""
        spelled = self._spelled.get(folder)
        return folder_bytes(folder) if spelled is None else quoted(spelled.decode("latin-1"))

    async def _of_folder(self, verb: bytes, folder: str, tail: bytes = b"") -> tuple[list[Response], Response]:
        name = self._addressed(folder)
        if name is None:
            return await self.exchange(verb, self._spelled[folder], tail=tail)
        return await self.exchange(verb + b" " + name + tail)

    async def status(self, folder: str) -> Status:
        """Return how a folder stands, without selecting it. Raises Refused where there is none."""
        untagged, _ = await self._of_folder(b"STATUS", folder, b" " + self._status_words)
        for response in only(rb"\* STATUS ", untagged):
            match tokens(response):
                case [b"*", bytes(), bytes(), list() as items]:
                    return _status(items)
        return Status(0, 0, 0, 0)

    @property
    def _status_words(self) -> bytes:
        return _STATUS_WORDS % (b" HIGHESTMODSEQ" if self.has_condstore else b"")

    async def create_folder(self, folder: str) -> str:
        """Make a folder and have mail programs show it; return its name, which a server with one root prefixes.

        Raises Refused.
        """
        try:
            await self.ask(b"CREATE " + folder_bytes(folder))
        except Refused:
            # Courier and old Cyrus keep all folders below INBOX.
            folder = f"INBOX.{folder}"
            await self.ask(b"CREATE " + folder_bytes(folder))
        with contextlib.suppress(Refused):
            await self.ask(b"SUBSCRIBE " + folder_bytes(folder))
        return folder

    async def quota(self) -> tuple[int, int] | None:
        """Return how much of INBOX's space is taken and how much there is, in KiB; None where nobody counts."""
        if "QUOTA" not in self.capabilities:
            return None
        text = b" ".join(row.line for row in await self.ask(b"GETQUOTAROOT INBOX"))
        match = re.search(rb"\bSTORAGE (\d{1,15}) (\d{1,15})", text, re.IGNORECASE)
        return (int(match[1]), int(match[2])) if match and int(match[2]) else None

    async def select(self, folder: str) -> Selected:
        """Select a folder. Raises Refused where there is none."""
        named = self.has_condstore and "ENABLE" not in self.capabilities
        try:
            untagged, _ = await self._of_folder(b"SELECT", folder, b" (CONDSTORE)" if named else b"")
        except Refused:
            if not named:
                raise
            untagged, _ = await self._of_folder(b"SELECT", folder)
            # It takes the folder and not the word: changes are compared from now on.
            self.has_condstore = False
        self._is_selected = True
        # What the answer itself says is no news; whoever selects asks for the UIDs next.
        self.heed_no_news()
        text = b"\n".join(response.line for response in untagged)
        return Selected(
            told(rb"\[UIDVALIDITY (\d+)", text),
            told(rb"\[UIDNEXT (\d+)", text),
            told(rb"\* (\d+) EXISTS", text),
            told_long(rb"\[HIGHESTMODSEQ (\d+)", text) if self.has_condstore else 0,
        )

    async def leave(self) -> None:
        """Have no folder selected that is to be asked how it stands: of that one a server may tell an old state."""
        if self._is_selected:
            self._is_selected = False
            if "UNSELECT" in self.capabilities:
                await self.ask(b"UNSELECT")
                return
            # CLOSE would remove for good what is marked as deleted; an EXAMINE that fails selects nothing either
            # (RFC 3501, 6.3.2), and no server has a folder without a name.
            with contextlib.suppress(Refused):
                await self.ask(b'EXAMINE ""')

    # UIDs

    async def uids(self, criteria: bytes = b"ALL") -> list[int]:
        """Return the UIDs of the selected folder that match, ascending."""
        untagged = await self.ask(b"UID SEARCH " + criteria)
        found: set[int] = set()
        for response in untagged:
            if response.line[:8].upper() == b"* SEARCH":
                # Where CONDSTORE is on, the numbers may end with (MODSEQ …).
                found.update(number(word) for word in response.line.split(b"(")[0].split()[2:])
        return sorted(found)

    async def lowest(self, first: int, criteria: bytes = b"") -> int:
        """Return the lowest UID from `first` on that matches, 0 where none does."""
        span = b"UID %d:*" % first
        told_one = await self._extreme(b"MIN", span + criteria)
        if told_one is None:
            return min((uid for uid in await self.uids(span + criteria) if uid >= first), default=0)
        # `first:*` names the last message even where `first` is beyond it (RFC 3501, 6.4.8).
        told_one = told_one if told_one >= first else 0
        # What the one number passes over must be empty: a server that counts wrong would hide mail for good.
        below = b"UID %d:%d" % (first, told_one - 1) if told_one else span
        passed = [uid for uid in await self.uids(below + criteria) if uid >= first] if told_one != first else []
        return self._noticed(min(passed), b"MIN") if passed else told_one

    async def highest(self, first: int, last: int) -> int:
        """Return the highest UID of [`first`, `last`], 0 where there is none."""
        span = b"UID %d:%d" % (first, last)
        told_one = await self._extreme(b"MAX", span)
        if told_one is None:
            return max((uid for uid in await self.uids(span) if first <= uid <= last), default=0)
        if told_one == last:
            return told_one
        above = max(told_one + 1, first)
        passed = [uid for uid in await self.uids(b"UID %d:%d" % (above, last)) if above <= uid <= last]
        return self._noticed(max(passed), b"MAX") if passed else told_one

    async def newest(self) -> int:
        """Return the highest UID of the selected folder, 0 where it is empty."""
        return max(await self.uids(b"UID *"), default=0)

    async def how_many(self, criteria: bytes) -> int:
        """Return how many messages match. Costs one number where the server can (RFC 4731)."""
        count = await self._extreme(b"COUNT", criteria)
        return len(await self.uids(criteria)) if count is None else count

    async def _extreme(self, what: bytes, criteria: bytes) -> int | None:
        """Return the one number that is asked for, 0 where the server has none; None where it cannot tell it so."""
        if "ESEARCH" not in self.capabilities:
            return None
        untagged = await self.ask(b"UID SEARCH RETURN (%s) %s" % (what, criteria))
        rows = only(rb"\* ESEARCH", untagged)
        if not rows:
            self.capabilities -= {"ESEARCH"}
            return None
        return told(rb" %s (\d+)" % what, b"\n".join(response.line for response in rows))

    def _noticed(self, uid: int, what: bytes) -> int:
        """Believe the plain answer, and ask for no single numbers any more."""
        log.warning("the mail server's ESEARCH %s passes over UID %d: it is asked by SEARCH", what.decode(), uid)
        self.capabilities -= {"ESEARCH"}
        return uid

    async def with_message_id(self, message_id: str) -> list[int]:
        """Return the UIDs of the selected folder whose Message-ID is this."""
        wanted = quoted(sanitize.one_line(message_id, field="message_id"))
        return await self.uids(b"HEADER Message-ID " + wanted) if wanted else []

    # Messages

    async def sizes(self, uids: Sequence[int]) -> list[Size]:
        """Return the sizes in bytes of those of `uids` that are still there."""
        rows = await self._fetch(uids, b"(UID RFC822.SIZE)")
        named = [(uid, row.get(b"RFC822.SIZE")) for uid, row in rows]
        return [Size(uid, int(size)) for uid, size in named if isinstance(size, bytes) and is_number(size)]

    async def fetch(self, uids: Sequence[int]) -> list[Fetched]:
        """Return those of `uids` that are still there, ascending, without marking them as read."""
        found = []
        of_gmail = b"X-GM-MSGID X-GM-LABELS " if "X-GM-EXT-1" in self.capabilities else b""
        for uid, row in await self._fetch(uids, b"(UID FLAGS INTERNALDATE %sBODY.PEEK[])" % of_gmail):
            raw, at = row.get(b"BODY[]"), row.get(b"INTERNALDATE")
            if isinstance(raw, bytes):
                flags, labels = flag_words(row.get(b"FLAGS")), label_names(row.get(b"X-GM-LABELS"))
                gm_msgid = gmail_id(row.get(b"X-GM-MSGID"))
                found.append(Fetched(uid, flags, moment(at), bytes(raw), gm_msgid=gm_msgid, labels=labels))
        return sorted(found, key=lambda one: one.uid)

    async def _fetch(self, uids: Sequence[int], what: bytes) -> list[tuple[int, dict[bytes, Token]]]:
        if not uids:
            return []
        untagged = await self.ask(b"UID FETCH " + uid_set(uids) + b" " + what, within=FETCH_WITHIN)
        wanted = set(uids)
        return [(uid, row) for uid, row in map(_row, only(rb"\* \d+ FETCH ", untagged)) if uid in wanted]

    # Flags

    async def flags(self, first: int, last: int) -> dict[int, tuple[str, ...]]:
        """Return the flags of all messages whose UIDs are in [`first`, `last`]."""
        untagged = await self.ask(b"UID FETCH %d:%d (UID FLAGS)" % (first, last), within=FETCH_WITHIN)
        return {uid: flags for uid, flags, _ in _flag_rows(untagged) if first <= uid <= last}

    async def changed_since(self, modseq: int, first: int, last: int) -> Changed:
        """Return what changed in [`first`, `last`] after `modseq`; what vanished only with QRESYNC (RFC 7162)."""
        since = b"(CHANGEDSINCE %d%s)" % (modseq, b" VANISHED" if self.has_qresync else b"")
        untagged, last_line = await self.exchange(
            b"UID FETCH %d:%d (FLAGS) " % (first, last) + since, within=FETCH_WITHIN
        )
        rows = [row for row in _flag_rows(untagged) if first <= row[0] <= last]
        gone = [part for response in only(rb"\* VANISHED ", untagged) for part in ranges(response.line.split()[-1])]
        inside = tuple((max(a, first), min(b, last)) for a, b in gone if a <= last and b >= first)
        known = max([row[2] for row in rows] + [told_long(rb"\[HIGHESTMODSEQ (\d+)", last_line.line), modseq])
        return Changed({uid: flags for uid, flags, _ in rows}, inside, known)

    async def set_flag(self, uids: Sequence[int], flag: str, *, is_on: bool, unchanged_since: int = 0) -> None:
        """Set or take a flag. With `unchanged_since`, messages that changed later stay as they are.

        Whoever asks looks at the flags afterwards: an answer to STORE need not name them.
        """
        condition = b" (UNCHANGEDSINCE %d)" % unchanged_since if unchanged_since else b""
        verb = b" +FLAGS" if is_on else b" -FLAGS"
        await self.ask(b"UID STORE " + uid_set(uids) + condition + verb + b" (" + flag.encode("ascii") + b")")


def _row(response: Response) -> tuple[int, dict[bytes, Token]]:
    """One FETCH row by its UID, 0 where it names none."""
    match tokens(response):
        case [b"*", bytes(), bytes(), list() as items, *_]:
            pairs = zip(items[::2], items[1::2], strict=False)
            row = {key.upper(): value for key, value in pairs if isinstance(key, bytes)}
            uid = row.get(b"UID")
            if isinstance(uid, bytes) and not isinstance(uid, Quoted) and is_number(uid):
                return int(uid), row
    return 0, {}


_PLAIN_ROW = re.compile(
    rb"\* \d+ FETCH \(UID (\d{1,10}) (?:MODSEQ \((\d{1,18})\) )?FLAGS \(([^()\"{]*)\)(?: MODSEQ \((\d{1,18})\))?\)"
)
"""How nearly every server writes it: a tenth of the work of reading tokens."""


def _flag_rows(untagged: Iterable[Response]) -> list[tuple[int, tuple[str, ...], int]]:
    """UID, flags and modification sequence of each row that names the first two."""
    found = []
    for response in only(rb"\* \d+ FETCH ", list(untagged)):
        if plain := _PLAIN_ROW.fullmatch(response.line):
            words = tuple(word.decode("ascii", "replace") for word in plain[3].split())
            found.append((int(plain[1]), words, int(plain[2] or plain[4] or 0)))
            continue
        uid, row = _row(response)
        if uid and isinstance(row.get(b"FLAGS"), list):
            match row.get(b"MODSEQ"):
                case [bytes() as digits] if is_number(digits):
                    found.append((uid, flag_words(row[b"FLAGS"]), int(digits)))
                case _:
                    found.append((uid, flag_words(row[b"FLAGS"]), 0))
    return found


def _status(items: list[Token]) -> Status:
    pairs = zip(items[::2], items[1::2], strict=False)
    row = {key.upper(): value for key, value in pairs if isinstance(key, bytes)}

    def of(word: bytes) -> int:
        value = row.get(word)
        return int(value) if isinstance(value, bytes) and is_number(value) else 0

    names = (b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN", b"HIGHESTMODSEQ")
    return Status(*(of(name) for name in names))
