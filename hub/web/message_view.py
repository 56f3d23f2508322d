"""The page of a message: facts of one letter gathered from rows, blobs and pure rules.

Decides nothing about rights (its reader has passed `mail.register`). Invariant: everything here is data for a template
that escapes; the stranger's HTML itself only ever goes into the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm.access import Actor
from hub.crm.audit import record
from hub.crm.linking import Linker
from hub.errors import Forbidden
from hub.mail import originals, register, sender_signs, thread
from hub.mail.files import pictures
from hub.mail.files.attachments import Preview, is_held, preview_of
from hub.mail.originals import Original
from hub.mail.reading import charsets, quotes
from hub.mail.reading.quotes import Parts
from hub.mail.reading.sanitize import text_to_html
from hub.mail.register import AttachmentRow, MessageRow
from hub.mail.sender_signs import Warned
from hub.settings import HubSection
from hub.store.blobs import BlobStore
from hub.web import files, message_frame
from hub.web.i18n import N_
from hub.web.request_context import RequestContext

MAX_RAW_BYTES = 100 * 1024
MAX_TEXT_CHARS = 200_000
"""Of a plain text this much is shown: measured, 200 KB of links take 20 ms to write."""
DEFECTS = {
    "bad_header_line": N_("a line of its head is no field"),
    "external_body": N_("a part of it lies elsewhere, and only its address came"),
    "partial": N_("it is one piece of a message that was sent in several"),
    "tnef": N_("its winmail.dat could not be opened whole"),
    "too_many_files": N_("it has more files than were taken out"),
    "charset": N_("its letters are in another encoding than it says"),
    "headers_cut": N_("its head is longer than a head may be, and only the beginning was read"),
    "nesting": N_("its parts are nested too deeply, and the innermost were not read"),
    "no_boundary": N_("its parts are not set apart"),
    "no_date": N_("it has no date that can be read"),
    "no_end_boundary": N_("it ends in the middle"),
    "no_from": N_("it does not say whom it is from"),
    "no_message_id": N_("it has no identifier"),
    "no_parts": N_("it says it has parts and has none"),
    "several_from": N_("it names several senders"),
    "text_cut": N_("its text is very long, and only the beginning is shown"),
    "too_many_addresses": N_("it has more addresses than are shown"),
    "too_many_headers": N_("it has more fields in its head than were read"),
    "too_many_parts": N_("it has more parts than were read"),
    "unknown_encoding": N_("a part of it is packed in a way that nobody knows"),
}


@dataclass(frozen=True, slots=True)
class File:
    """An attachment with how it may be shown, and whether it is held back. `scan` is what is said of it, "" nothing."""

    row: AttachmentRow
    preview: Preview | None
    scan: str
    is_held: bool


@dataclass(frozen=True, slots=True)
class Attendee:
    """A person invited, and their answer: accepted, declined, tentative, delegated, or empty for none yet."""

    name: str
    answer: str = ""
    delegated_to: str = ""


_ANSWERS = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "tentative", "DELEGATED": "delegated"}


@dataclass(frozen=True, slots=True)
class Event:
    """An invitation, as far as it could be read; `starts` and `ends` are ISO 8601, days where `is_all_day`."""

    summary: str
    starts: str
    ends: str
    is_all_day: bool
    place: str
    organiser: str
    attendees: tuple[Attendee, ...]
    recurrence: Mapping[str, str]
    """How often it comes, as a sentence by language; empty for once."""
    description: str
    is_cancelled: bool
    is_answer: bool


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message as its page shows it."""

    message: MessageRow
    answer_to: str
    warned: tuple[Warned, ...]
    parts: Mapping[str, Markup]
    """`own`, `signature` and `quoted` of a plain text: escaped, web addresses as links."""
    files: tuple[File, ...]
    calendar: int | None
    """The attachment that holds the invitation, for saving."""
    raw: str
    """The beginning of the bytes as text, where the message could not be read."""
    pictures: str
    """`none`: there are none elsewhere; `blocked`; `shown`."""
    is_always: bool
    """Whether this sender's pictures are always shown to this person."""
    defects: tuple[str, ...]
    event: Event | None
    original: Original | None
    """The author before a colleague forwarded it, to be suggested."""
    may_mark: bool
    """Whether this person may change its flags: it lies in a mailbox they work with."""

    @property
    def is_unread(self) -> bool:
        return self.message.is_unread


async def message_view(
    conn: AsyncConnection,
    actor: Actor,
    message: MessageRow,
    *,
    blobs: BlobStore,
    settings: HubSection,
    linker: Linker,
    wants_pictures: bool,
) -> MessageView:
    """Gather what the page shows of a message that was found with its body."""
    warned = await _warned(conn, message)
    remote = message_frame.has_remote(message.html)
    is_always = remote and await pictures.always_from(conn, actor, message.from_address)
    # A sender of whom something is not right gets the reader's pictures only by a click on this very mail.
    # What we sent quotes what came: its pictures tell their sender who reads as well as in the original.
    is_shown = wants_pictures or (is_always and not warned)
    raw = b""
    if message.parse_state == "failed":
        raw = await files.beginning(blobs, message.raw_sha256, at_most=MAX_RAW_BYTES)
    found = await files_of(message, blobs=blobs, settings=settings)
    calendar = next((one.row.id for one in found if one.row.type.lower() in ("text/calendar", "application/ics")), None)
    return MessageView(
        message=message,
        answer_to=sender_signs.answer_to(message.direction, message.from_address, message.reply_to, message.to),
        warned=warned,
        parts=linked(quotes.split((message.text or "")[:MAX_TEXT_CHARS])),
        files=found,
        calendar=calendar,
        raw=charsets.decode(raw, None)[0],
        pictures=("shown" if is_shown else "blocked") if remote else "none",
        is_always=is_always,
        defects=defects_of(message),
        event=event_of(message.about),
        original=await originals.suggested(conn, actor, linker, message),
        may_mark=any(one.id == message.mailbox_id for one in await register.mailboxes_of(conn, actor)),
    )


def linked(parts: Parts) -> Mapping[str, Markup]:
    """Return the parts of a text fit for a page, without the blank lines around them."""
    return {
        name: Markup(text_to_html(getattr(parts, name).strip("\n").rstrip()).replace("<br>\n", "\n"))  # noqa: S704 it escapes
        for name in ("own", "signature", "quoted")
    }


def defects_of(message: MessageRow) -> tuple[str, ...]:
    """Return what is wrong with a message in words, each once."""
    codes = [one for one in message.defects if one != "unparsed"]
    if len(message.text or "") > MAX_TEXT_CHARS and not message.html:
        codes.append("text_cut")
    return tuple(dict.fromkeys(DEFECTS.get(one, N_("something in it is unusual")) for one in codes))


def event_of(about: Mapping[str, Any] | None) -> Event | None:
    """Read the invitation that the parser found (`mail.reading.events` tells its shape).

    It was stored by the Hub of some day: what is not of that shape is left out.
    """
    event = (about or {}).get("event")
    if not isinstance(event, Mapping):
        return None
    (starts, is_day), (ends, _) = _moment(event.get("start")), _moment(event.get("end"))
    attendees = event.get("attendees")
    recurrence = event.get("recurrence")
    method, status = _words(event.get("method")).upper(), _words(event.get("status")).upper()
    description = event.get("description")
    return Event(
        summary=_words(event.get("summary")),
        starts=starts,
        ends=ends if starts else "",
        is_all_day=is_day,
        place=_words(event.get("place")),
        organiser=_person(event.get("organiser")),
        attendees=tuple(filter(None, map(_attendee, attendees))) if isinstance(attendees, list) else (),
        recurrence={k: v for k, v in recurrence.items() if isinstance(v, str)}
        if isinstance(recurrence, Mapping)
        else {},
        description=description if isinstance(description, str) else "",
        is_cancelled="CANCELLED" in status or method == "CANCEL",
        is_answer=method == "REPLY",
    )


def _words(value: object) -> str:
    return sanitize.shown(value, max_chars=300) if isinstance(value, str) else ""


def _person(value: object) -> str:
    return _words(value.get("name")) or _words(value.get("address")) if isinstance(value, Mapping) else ""


def _attendee(value: object) -> Attendee | None:
    name = _person(value)
    if not name or not isinstance(value, Mapping):
        return None
    return Attendee(name, _ANSWERS.get(_words(value.get("status")).upper(), ""), _words(value.get("delegated_to")))


def _moment(value: object) -> tuple[str, bool]:
    """A moment, or a day (True), in ISO 8601; "" for what is neither."""
    at = value.get("at") if isinstance(value, Mapping) else None
    try:
        read = datetime.fromisoformat(at if isinstance(at, str) else "")
    except ValueError:
        return "", False
    # Where the reader's clock cannot show it, it is no moment: year 1 has no hour before it.
    return (str(at), bool(value.get("all_day"))) if 1970 <= read.year < 9999 else ("", False)  # type: ignore[attr-defined]


async def _warned(conn: AsyncConnection, message: MessageRow) -> tuple[Warned, ...]:
    if message.direction == "out":
        return ()
    return sender_signs.signs(
        from_name=message.from_name,
        from_address=message.from_address,
        reply_to=message.reply_to,
        defects=message.defects,
        own_addresses=await thread.own_addresses(conn),
        known_domains=await thread.known_domains(conn, message.client_id),
        via=message.about.get("via"),
    )


async def files_of(message: MessageRow, *, blobs: BlobStore, settings: HubSection) -> tuple[File, ...]:
    """Return the files that stand below a message; a picture that its text shows in place is not one of them."""
    in_text = message.html or ""
    rows = [one for one in message.attachments if not (one.inline and f'/attachments/{one.id}"' in in_text)]
    heads = await files.heads(blobs, (one.sha256 for one in rows))
    hold = holds_unscanned(settings)
    found = []
    for row in rows:
        preview = preview_of(row.name, row.type, heads[row.sha256], row.size)
        held = is_held(row.scan, hold_unscanned=hold)
        found.append(File(row, None if held else preview, scan_said(row, settings=settings), held))
    return tuple(found)


def holds_unscanned(settings: HubSection) -> bool:
    """Tell whether only files that were found clean are handed out."""
    return bool(settings.clamd) and settings.clamd_hold


def refuse_held(settings: HubSection, row: AttachmentRow) -> None:
    """Raise Forbidden for a file that is not handed out: `infected`, or `not_scanned` where only clean ones are."""
    if not is_held(row.scan, hold_unscanned=holds_unscanned(settings)):
        return
    if row.scan == "infected":
        raise Forbidden("infected", f"the virus scanner found {row.scan_note!r} in this file", found=row.scan_note)
    raise Forbidden("not_scanned", "the virus scanner has not found this file clean yet", scan=row.scan)


async def hand_out_whole(ctx: RequestContext, message: MessageRow) -> None:
    """Let a message's bytes out with all its files: one that is infected only to an administrator, on the record.

    Raises Forbidden `infected`.
    """
    found = [one for one in message.attachments if one.scan == "infected"]
    if not found:
        return
    if not ctx.actor.is_admin:
        refuse_held(ctx.services.settings.hub, found[0])
    async with ctx.db.begin() as conn:
        action, about = "message.taken_infected", {"found": found[0].scan_note}
        await record(
            conn,
            action,
            at=ctx.now,
            user_id=ctx.actor.user_id,
            object_kind="message",
            object_id=message.id,
            details=about,
        )


def scan_said(row: AttachmentRow, *, settings: HubSection) -> str:
    """Return what is said of a file's scan: nothing where there is no scanner and none has looked."""
    if row.scan == "none":
        return "waiting" if settings.clamd else ""
    return row.scan


def subject_of(message: MessageRow) -> str:
    """A subject fit for a title: one line, bounded."""
    return sanitize.shown(message.subject, max_chars=300)
