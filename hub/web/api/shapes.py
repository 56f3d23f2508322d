"""The API's objects of calls and messages, as the outside contract has them, and how rows become them.

Only shapes: what may be seen was decided where the rows came from. Invariant: a field's name and meaning never
change within `/api/v1`; fields are only added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from hub.clock import rfc3339
from hub.mail.choices import AutoKind, MailDirection, MessageState, ScanState
from hub.mail.reading.quotes import quoted_from
from hub.mail.register import AttachmentRow, MessageRow
from hub.telephony.choices import CallDirection, CallOrigin, CallOutcome, CallState, DialFailure, LegResult
from hub.telephony.reading.call_kind import CallRow, LegRow

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Cursor = Annotated[str, msgspec.Meta(description="give it back as `cursor` for the next page")]


def one_of(*words: str) -> msgspec.Meta:
    return msgspec.Meta(extra_json_schema={"enum": list(words)})


Direction = Annotated[str, CallDirection.schema()]
CallStateWord = Annotated[str, CallState.schema()]
Outcome = Annotated[str, CallOutcome.schema()]
MessageStateWord = Annotated[str, MessageState.schema()]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Root of everything that is answered."""


class Ref(Shape, frozen=True, kw_only=True):
    """A thing and the name it goes by."""

    id: int
    name: str


class Reference(Shape, frozen=True, kw_only=True):
    """A record and the name it goes by; of a hidden one the name is null."""

    id: int
    name: str | None


class Link(Shape, frozen=True, kw_only=True):
    """Why a call or message is on this client's card."""

    reason: str
    confidence: str
    manual: bool


class Party(Shape, frozen=True, kw_only=True):
    """One end of a call: as it came, in E.164 where it is a number, and the name that was shown."""

    raw: str
    number: str | None
    name: str | None
    extension: str | None = None


class AnsweredBy(Shape, frozen=True, kw_only=True):
    extension: str
    user: int | None


class Leg(Shape, frozen=True, kw_only=True):
    channel: str
    extension: str | None
    number: str | None
    role: Annotated[str, one_of("caller", "callee")]
    rang_at: Moment | None
    answered_at: Moment | None
    left_at: Moment | None
    result: Annotated[str, LegResult.schema()] | None


class Recording(Shape, frozen=True, kw_only=True):
    id: int
    duration_s: float


class Call(Shape, frozen=True, kw_only=True):
    """A call, one whatever transfers it went through."""

    id: int
    pbx: str
    linked_id: str
    direction: Direction
    state: CallStateWord
    outcome: Outcome | None
    estimated: bool
    from_: Party = msgspec.field(name="from")
    to: Party
    did: str | None
    started_at: Moment
    answered_at: Moment | None
    ended_at: Moment | None
    wait_s: float
    talk_s: float
    answered_by: AnsweredBy | None
    legs: list[Leg]
    transfers: list[dict[str, Any]]
    team: Ref | None
    client: Reference | None
    contact: Reference | None
    link: Link | None
    recordings: list[Recording]
    result: str | None
    note: str | None
    blocked: bool
    origin: Annotated[str, CallOrigin.schema()]
    failure: Annotated[str, DialFailure.schema()] | None
    """Why a call dialled by a click reached nobody, where that was no person's doing."""


class Calls(Shape, frozen=True, kw_only=True):
    items: list[Call]
    next: Cursor | None


def at(moment: Any) -> str:
    """Write a moment that is always there."""
    text = rfc3339(moment)
    assert text is not None
    return text


def ref(row_id: int | None, name: str | None) -> Ref | None:
    return Ref(id=row_id, name=name or "") if row_id is not None else None


def reference(row_id: int | None, name: str | None) -> Reference | None:
    """Return a record that may be hidden from the asker, without a name then."""
    return None if row_id is None else Reference(id=row_id, name=name)


def link(row: CallRow | MessageRow) -> Link | None:
    if row.link_reason is None:
        return None
    return Link(reason=row.link_reason, confidence=row.link_confidence or "", manual=row.link_manual)


def leg(row: LegRow) -> Leg:
    return Leg(
        channel=row.channel,
        extension=row.extension,
        number=row.number,
        role=row.role,
        rang_at=rfc3339(row.rang_at),
        answered_at=rfc3339(row.answered_at),
        left_at=rfc3339(row.left_at),
        result=row.result,
    )


def call(row: CallRow) -> Call:
    answered = row.answered_extension
    return Call(
        id=row.id,
        pbx=row.pbx,
        linked_id=row.linked_id,
        direction=row.direction,
        state=row.state,
        outcome=row.outcome,
        estimated=row.estimated,
        from_=Party(raw=row.from_raw, number=row.from_number, name=row.from_name or None, extension=row.from_extension),
        to=Party(raw=row.to_raw, number=row.to_number, name=None, extension=row.to_extension),
        did=row.did,
        started_at=at(row.started_at),
        answered_at=rfc3339(row.answered_at),
        ended_at=rfc3339(row.ended_at),
        wait_s=round(row.wait_s, 3),
        talk_s=round(row.talk_s, 3),
        answered_by=AnsweredBy(extension=answered, user=row.answered_user_id) if answered else None,
        legs=[leg(one) for one in row.legs],
        transfers=row.transfers,
        team=ref(row.team_id, row.team_name),
        client=reference(row.client_id, row.client_name),
        contact=reference(row.contact_id, row.contact_name),
        link=link(row),
        recordings=[Recording(id=one.id, duration_s=one.duration_s) for one in row.recordings],
        result=None,
        note=row.note,
        blocked=row.blocked,
        origin=row.origin,
        failure=row.failure,
    )


class Mailbody(Shape, frozen=True, kw_only=True):
    """A person in a mail's head."""

    name: str
    address: str


class Attachment(Shape, frozen=True, kw_only=True):
    id: int
    name: str
    type: str
    size: int
    inline: bool
    cid: str | None
    scan: Annotated[str, ScanState.schema()]
    scan_note: str


class Recipient(Shape, frozen=True, kw_only=True):
    """How the sending to one recipient went."""

    address: str
    state: MessageStateWord
    code: int | None
    reply: str


class Message(Shape, frozen=True, kw_only=True):
    """A message. In lists `text`, `html` and `folder` are null.

    `bounce_of` is the message that this one says was not delivered; `deleted_at`: no folder of the server holds it.
    """

    id: int
    mailbox: str
    folder: str | None
    direction: Annotated[str, MailDirection.schema()]
    state: MessageStateWord
    message_id: str
    in_reply_to: str | None
    thread: int | None
    subject: str
    from_: Mailbody = msgspec.field(name="from")
    to: list[Mailbody]
    cc: list[Mailbody]
    bcc: list[Mailbody]
    reply_to: list[Mailbody]
    date: Moment | None
    received_at: Moment
    snippet: str
    text: str | None
    html: str | None
    quoted_from: int | None
    auto: Annotated[str, AutoKind.schema()]
    attachments: list[Attachment]
    recipients: list[Recipient]
    author: Ref | None
    client: Reference | None
    contact: Reference | None
    link: Link | None
    flags: list[str]
    defects: list[str]
    about: dict[str, Any]
    bounce_of: int | None
    deleted_at: Moment | None


def people(rows: list[Mapping[str, str]] | list[dict[str, str]]) -> list[Mailbody]:
    return [Mailbody(name=one.get("name", ""), address=one.get("address", "")) for one in rows]


def attachment(row: AttachmentRow) -> Attachment:
    names = ("id", "name", "type", "size", "inline", "cid", "scan", "scan_note")
    return Attachment(**{name: getattr(row, name) for name in names})


def message(row: MessageRow, *, folder: str | None = None) -> Message:
    """In lists without `folder`."""
    return Message(
        id=row.id,
        mailbox=row.mailbox_address,
        folder=folder,
        direction=row.direction,
        state=row.state,
        message_id=row.message_id,
        in_reply_to=row.in_reply_to or None,
        thread=row.thread_id,
        subject=row.subject,
        from_=Mailbody(name=row.from_name, address=row.from_address),
        to=people(row.to),
        cc=people(row.cc),
        bcc=people(row.bcc) if row.direction == "out" else [],
        reply_to=people(row.reply_to),
        date=rfc3339(row.date),
        received_at=at(row.received_at),
        snippet=row.snippet,
        text=row.text,
        html=row.html,
        quoted_from=quoted_from(row.text) if row.text else None,
        auto=row.auto,
        attachments=[attachment(one) for one in row.attachments],
        recipients=[Recipient(address=r.address, state=r.state, code=r.code, reply=r.reply) for r in row.recipients],
        author=ref(row.author_id, row.author_name),
        client=reference(row.client_id, row.client_name),
        contact=reference(row.contact_id, row.contact_name),
        link=link(row),
        flags=row.flags,
        defects=row.defects,
        about=row.about,
        bounce_of=row.bounce_of,
        deleted_at=rfc3339(row.deleted_at),
    )
