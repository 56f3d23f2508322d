"""What the composer is given, and what its form says: the same facts on every page that writes.

Decides what a new text begins with; whether it may be saved or sent is `drafts`' and `submit`'s to decide.
Invariant: the page shows only what its reader may see: the original is asked for through the register.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.errors import NotFound, Refused
from hub.mail import register
from hub.mail.models import mailboxes
from hub.mail.register import MailboxRow, MessageRow
from hub.mail.sending import drafts, replying, submit
from hub.mail.sending.drafts import Content, Draft, DraftFile, Start
from hub.mail.sending.models import identities
from hub.mail.sending.replying import Kind
from hub.mail.sending.submit import Frozen, NewMessage, Reader
from hub.web import senders
from hub.web.request_context import RequestContext, parse_moment
from hub.web.senders import SenderOption

UNDO = timedelta(seconds=10)
When = Literal["hour", "evening", "morning", "monday"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """A composer's facts. `begun`: a draft of the reader's own that stands for the same already."""

    start: Start
    mailboxes: list[MailboxRow]
    mailbox: str
    sender: str = ""
    senders: tuple[SenderOption, ...] = ()
    templates: tuple[tuple[int, str], ...] = ()
    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    html: str = ""
    text: str = ""
    quotes: bool = False
    quoted: MessageRow | None = None
    files: tuple[DraftFile, ...] = ()
    draft_id: int | None = None
    version: int = 0
    saved_at: datetime | None = None
    send_at: datetime | None = None
    request_id: str = ""
    choices: tuple[tuple[When, datetime], ...] = ()
    begun: Draft | None = None
    max_bytes: int = drafts.MAX_FILES_BYTES


def reader(ctx: RequestContext) -> Reader:
    return Reader(language=ctx.language)


async def frozen(ctx: RequestContext, new: NewMessage) -> Frozen:
    """Build the bytes of a message as this visitor sends it. Raises as `submit.freeze`."""
    services = ctx.services
    return await submit.freeze(
        ctx.db,
        services.blobs,
        ctx.actor,
        new,
        now=ctx.now,
        reader=reader(ctx),
        reply_key=services.reply_key,
    )


def later_choices(now: datetime) -> tuple[tuple[When, datetime], ...]:
    """Return the usual moments after `now` (aware, at the house's clock), soonest first."""
    local = now.astimezone()

    def at(days: int, hour: int) -> datetime:
        return datetime.combine(local.date() + timedelta(days=days), time(hour)).astimezone()

    evening, morning = at(0, 18), at(1, 9)
    monday = at(7 - local.weekday(), 9)
    found: list[tuple[When, datetime]] = [("hour", (local + timedelta(hours=1)).replace(second=0, microsecond=0))]
    if evening > local + timedelta(hours=1):
        found.append(("evening", evening))
    found.append(("morning", morning))
    if monday != morning:
        found.append(("monday", monday))
    return tuple(found)


async def own_addresses(conn: AsyncConnection) -> frozenset[str]:
    """Return every address that is the company's own: mailboxes and what people write under."""
    own = sa.union(sa.select(mailboxes.c.address), sa.select(identities.c.address).where(identities.c.address != ""))
    return frozenset(str(one).lower() for one in (await conn.execute(own)).scalars())


async def begin(
    conn: AsyncConnection,
    ctx: RequestContext,
    start: Start,
    *,
    original: MessageRow | None = None,
    to: str = "",
    mailbox: str = "",
) -> Writing:
    """Return what a new text, an answer or a forward begins with. Raises NotFound where nothing may be written."""
    boxes = await register.mailboxes_of(conn, ctx.actor)
    if original is None and start.answers_id is not None:
        original = await register.find(conn, ctx.actor, start.answers_id)
    if original is not None and start.kind in ("reply", "reply_all"):
        boxes = [one for one in boxes if one.id == original.mailbox_id]
    if not boxes:
        raise NotFound("mailbox_missing", "no mailbox to write from", field="mailbox")
    chosen = next((one for one in boxes if one.address == mailbox.lower()), boxes[0])
    if original is not None and start.kind == "forward":
        chosen = next((one for one in boxes if one.id == original.mailbox_id), chosen)
    offered = await senders.offered(conn, ctx, boxes)
    sender = senders.chosen(offered, chosen, None)
    writing = Writing(
        start=start,
        mailboxes=boxes,
        mailbox=chosen.address,
        sender=sender.value if sender is not None else chosen.address,
        senders=offered,
        templates=tuple(await senders.templates_for(conn, ctx, boxes)),
        text=senders.below(sender.signature) if sender is not None else "",
        to=to,
        request_id=secrets.token_hex(16),
        choices=later_choices(ctx.now),
    )
    if original is None:
        return replace(writing, begun=await drafts.begun(conn, ctx.actor, client_id=start.client_id))
    read = submit.original_of(original, reader(ctx))
    line, cc = to, ""
    if start.kind in ("reply", "reply_all"):
        own = await own_addresses(conn)
        people, copies = replying.answer_goes_to(read, own=own, everyone=start.kind == "reply_all")
        line, cc = replying.written(people), replying.written(copies)
    files: tuple[DraftFile, ...] = ()
    if start.kind == "forward":
        files = tuple(
            DraftFile(0, one.name, one.type, one.size, one.sha256, False, None)
            for one in original.attachments
            if one.cid is None or not one.inline
        )
    return replace(
        writing,
        to=line,
        cc=cc,
        subject=replying.subject_of(start.kind, original.subject),
        quotes=True,
        quoted=original,
        files=files,
        begun=await drafts.begun(conn, ctx.actor, answers_id=original.id),
    )


async def answer_to(conn: AsyncConnection, ctx: RequestContext, message: MessageRow) -> Writing | None:
    """Return the answer that a message's own page offers, None where its mailbox is not one of the reader's."""
    start = Start(kind="reply", answers_id=message.id, client_id=message.client_id, contact_id=message.contact_id)
    try:
        return await begin(conn, ctx, start, original=message)
    except NotFound:
        return None


async def on_card(conn: AsyncConnection, ctx: RequestContext, client_id: int, to: str) -> Writing | None:
    """Return the new text that a client's card offers, None where there is no mailbox to write from."""
    try:
        return await begin(conn, ctx, Start(client_id=client_id), to=to)
    except NotFound:
        return None


async def of_draft(conn: AsyncConnection, ctx: RequestContext, draft: Draft) -> Writing:
    """Return a draft as its composer shows it."""
    start = Start(kind=draft.kind, answers_id=draft.answers_id, client_id=draft.client_id, contact_id=draft.contact_id)
    fresh = await begin(conn, ctx, start, mailbox=draft.mailbox_address)
    return replace(
        fresh,
        mailbox=draft.mailbox_address,
        sender=_sender_of(fresh, draft),
        to=draft.to,
        cc=draft.cc,
        bcc=draft.bcc,
        subject=draft.subject,
        html=drafts.files_for_cids(draft.html, draft),
        text=draft.text,
        quotes=draft.quotes,
        files=tuple(one for one in draft.files if not one.inline),
        draft_id=draft.id,
        version=draft.version,
        saved_at=draft.saved_at,
        send_at=draft.send_at,
        begun=None,
    )


def _sender_of(fresh: Writing, draft: Draft) -> str:
    box = next((one for one in fresh.mailboxes if one.id == draft.mailbox_id), None)
    found = senders.chosen(fresh.senders, box, draft.identity_id) if box is not None else None
    if found is None or draft.identity_id is None:
        return draft.mailbox_address
    return found.value


def read_start(ctx: RequestContext) -> Start:
    form = ctx.form
    return Start(
        kind=read_kind(form.text("kind") or "new"),
        answers_id=form.number("answers"),
        client_id=form.number("client"),
        contact_id=form.number("contact"),
    )


def read_kind(text: str) -> Kind:
    kinds: dict[str, Kind] = {"new": "new", "reply": "reply", "reply_all": "reply_all", "forward": "forward"}
    if text not in kinds:
        raise Refused("bad_kind", "a text is new, an answer or a forward", field="kind")
    return kinds[text]


def read_content(ctx: RequestContext, files: tuple[DraftFile, ...] = ()) -> Content:
    """Read the composer's form. Raises Refused."""
    form = ctx.form
    many = drafts.MAX_TEXT_CHARS
    mailbox, identity_id = senders.read(form.text("mailbox", max_chars=280))
    return Content(
        mailbox=mailbox,
        identity_id=identity_id,
        to=form.text("to", max_chars=8000),
        cc=form.text("cc", max_chars=8000),
        bcc=form.text("bcc", max_chars=8000),
        subject=form.text("subject"),
        html=drafts.cids_for_files(form.text("html", max_chars=many), files),
        text=form.text("text", max_chars=many),
        quotes=form.text("quotes") == "on",
        send_at=read_send_at(form.text("send_at") or form.text("send_on"), now=ctx.now),
    )


def read_send_at(text: str, *, now: datetime) -> datetime | None:
    """Read when to send: a moment, or a date and time at the house's clock. What is over already is now."""
    if not text:
        return None
    at = parse_moment(text, field="send_at")
    if "+" not in text and not text.endswith("Z") and "-" not in text[10:]:
        at = at.replace(tzinfo=None).astimezone()
    return at.astimezone(UTC) if at > now else None
