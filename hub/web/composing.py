"""The composer of a request, and its form read into types; `mail.sending.composer` does the work."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from hub.errors import Refused
from hub.mail.sending import drafts, sender_options
from hub.mail.sending.composer import Composer
from hub.mail.sending.drafts import Content, DraftFile, Start
from hub.mail.sending.replying import Kind
from hub.mail.sending.sender_options import Writer
from hub.web.request_context import RequestContext, parse_moment


def composer(ctx: RequestContext) -> Composer:
    """Return the service that composes and sends for the user of this request."""
    services = ctx.services
    writer = Writer(ctx.actor, ctx.language, ctx.now.astimezone(ctx.zone))
    return Composer(ctx.db, services.blobs, services.linker, writer, services.reply_key)


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
    mailbox, identity_id = sender_options.read(form.text("mailbox", max_chars=280))
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
        send_at=read_send_at(form.text("send_at") or form.text("send_on"), now=ctx.now, zone=ctx.zone),
    )


def read_send_at(text: str, *, now: datetime, zone: tzinfo) -> datetime | None:
    """Read when to send: a moment, or a date and time at the writer's clock. What is over already is now."""
    if not text:
        return None
    at = parse_moment(text, field="send_at")
    if "+" not in text and not text.endswith("Z") and "-" not in text[10:]:
        at = at.replace(tzinfo=zone)
    return at.astimezone(UTC) if at > now else None
