"""What a person is writing: kept at each pause, theirs alone, and gone from here the moment it is sent.

Decides what of a draft may be saved over what, and what it becomes when it is sent. Sends nothing. Invariants: only
the author ever sees a draft; a save on a version that is not the newest changes nothing (Conflict `draft_newer`);
a draft becomes one message at most, in the message's own transaction.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.clock import rfc3339
from hub.crm import access
from hub.crm.access import Actor
from hub.crm.models import clients, contacts
from hub.errors import Conflict, NotFound, Refused, TooLarge
from hub.mail import register
from hub.mail.models import mailboxes, outbox
from hub.mail.reading.mime import file_name, first_line
from hub.mail.sending import identities
from hub.mail.sending.models import draft_files, drafts
from hub.mail.sending.outbox import own_mailbox
from hub.mail.sending.replying import Kind

MAX_FILES = 50
MAX_FILES_BYTES = 18_000_000
"""Together; base64 makes of them what a message of `compose.MAX_BYTES` holds."""

MAX_TEXT_CHARS = 1_000_000
MAX_DRAFTS = 500
KEPT_DELETED = timedelta(days=7)
PICTURES = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp"))


@dataclass(frozen=True, slots=True)
class DraftFile:
    """A file of a draft; with a `cid` it is a picture that the text shows."""

    id: int
    name: str
    type: str
    size: int
    sha256: str
    inline: bool
    cid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a save writes. `to`, `cc`, `bcc` are lines as typed, however unfinished; `mailbox` is an address."""

    mailbox: str
    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    html: str = ""
    text: str = ""
    quotes: bool = False
    send_at: datetime | None = None
    identity_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a draft is about, said once when it begins."""

    kind: Kind = "new"
    answers_id: int | None = None
    client_id: int | None = None
    contact_id: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft with its files. `text` is what was typed where `html` is empty, else what is read of `html`."""

    id: int
    mailbox_id: int
    mailbox_address: str
    identity_id: int | None
    client_id: int | None
    client_name: str | None
    contact_id: int | None
    kind: Kind
    answers_id: int | None
    to: str
    cc: str
    bcc: str
    subject: str
    html: str
    text: str
    quotes: bool
    version: int
    send_at: datetime | None
    created_at: datetime
    saved_at: datetime
    message_id: int | None
    files: tuple[DraftFile, ...] = ()

    @property
    def snippet(self) -> str:
        return first_line(self.text, max_chars=200)


def _query(actor: Actor) -> sa.Select[Any]:
    names = [name for name in Draft.__slots__ if name not in ("mailbox_address", "client_name", "files")]
    return (
        sa.select(
            *(drafts.c[name] for name in names),
            mailboxes.c.address.label("mailbox_address"),
            access.shown_name(actor, "client").label("client_name"),
        )
        .join(mailboxes, mailboxes.c.id == drafts.c.mailbox_id)
        .outerjoin(clients, clients.c.id == drafts.c.client_id)
        .where(drafts.c.author_id == actor.user_id, drafts.c.deleted_at.is_(None))
    )


async def _read(conn: AsyncConnection, query: sa.Select[Any]) -> list[Draft]:
    rows = (await conn.execute(query)).mappings().all()
    files: dict[int, tuple[DraftFile, ...]] = {}
    of_these = sa.select(draft_files).where(draft_files.c.draft_id.in_([row["id"] for row in rows]))
    for row in (await conn.execute(of_these.order_by(draft_files.c.id))).mappings():
        one = DraftFile(**{name: row[name] for name in DraftFile.__slots__})
        files[row["draft_id"]] = (*files.get(row["draft_id"], ()), one)
    return [Draft(**row, files=files.get(row["id"], ())) for row in rows]


async def find(conn: AsyncConnection, actor: Actor, draft_id: int) -> Draft:
    """Return a draft of the actor's own. Raises NotFound; Conflict `draft_sent` where it is a message by now."""
    found = await _read(conn, _query(actor).where(drafts.c.id == draft_id))
    if not found:
        raise NotFound("draft_missing", "no such draft")
    if found[0].message_id is not None:
        raise Conflict("draft_sent", "this draft has been sent", sent_as=found[0].message_id)
    return found[0]


async def detailed(conn: AsyncConnection, actor: Actor, ids: Sequence[int]) -> list[Draft]:
    """Return the actor's own of these drafts with their texts and files, in this order."""
    found = {one.id: one for one in await _read(conn, _query(actor).where(drafts.c.id.in_(ids)))}
    return [found[draft_id] for draft_id in ids if draft_id in found]


async def waiting_to_go(conn: AsyncConnection, actor: Actor) -> list[tuple[Draft, datetime]]:
    """Return what the actor wrote and is not on its way yet, with the moment it goes, soonest first."""
    query = sa.select(outbox.c.message_id, outbox.c.not_before).join(drafts, drafts.c.message_id == outbox.c.message_id)
    query = query.where(drafts.c.author_id == actor.user_id, outbox.c.state == "queued")
    query = query.where(outbox.c.sending_since.is_(None)).order_by(outbox.c.not_before).limit(200)
    goes = {row.message_id: row.not_before for row in await conn.execute(query)}
    found = await _read(conn, _query(actor).where(drafts.c.message_id.in_(list(goes))))
    pairs = [(one, goes[one.message_id]) for one in found if one.message_id is not None]
    return sorted(pairs, key=lambda pair: pair[1])


async def begun(
    conn: AsyncConnection, actor: Actor, *, answers_id: int | None = None, client_id: int | None = None
) -> Draft | None:
    """Return the actor's newest draft that answers this message, or that was begun on this card."""
    query = _query(actor).where(drafts.c.message_id.is_(None))
    if answers_id is not None:
        query = query.where(drafts.c.answers_id == answers_id)
    else:
        query = query.where(drafts.c.client_id == client_id, drafts.c.answers_id.is_(None))
    found = await _read(conn, query.order_by(drafts.c.saved_at.desc()).limit(1))
    return found[0] if found else None


async def create(conn: AsyncConnection, actor: Actor, start: Start, content: Content, *, now: datetime) -> Draft:
    """Begin a draft; a forward carries the original's files along. Raises Refused, NotFound as `save` does."""
    await _sweep(conn, actor, now=now)
    original = None
    if (start.kind == "new") != (start.answers_id is None):
        raise Refused("bad_kind", "an answer or forward names its message, and nothing else does", field="kind")
    if start.answers_id is not None:
        original = await register.find(conn, actor, start.answers_id)
    contact_id = await _contact(conn, start) if start.client_id is not None else None
    mailbox_id = await _mailbox(conn, actor, start.kind, original, content.mailbox)
    values = {
        "author_id": actor.user_id,
        "mailbox_id": mailbox_id,
        "kind": start.kind,
        "answers_id": start.answers_id,
        "client_id": start.client_id,
        "contact_id": contact_id,
        "version": 1,
        "created_at": now,
        "saved_at": now,
        **_values(content),
        "identity_id": await _identity(conn, actor, content.identity_id, mailbox_id),
    }
    draft_id: int = (await conn.execute(drafts.insert().values(**values).returning(drafts.c.id))).scalar_one()
    if original is not None and start.kind == "forward":
        for one in original.attachments:
            if one.cid is None or not one.inline:
                row = {"name": one.name, "type": one.type, "size": one.size, "sha256": one.sha256}
                await conn.execute(draft_files.insert().values(draft_id=draft_id, inline=False, cid=None, **row))
    return await find(conn, actor, draft_id)


async def _contact(conn: AsyncConnection, start: Start) -> int | None:
    """Return the contact if it is this client's. Raises NotFound for a client that is not there."""
    if (await conn.execute(sa.select(clients.c.id).where(clients.c.id == start.client_id))).first() is None:
        raise NotFound("client_missing", "no such client", field="client")
    theirs = sa.select(contacts.c.id).where(contacts.c.id == start.contact_id, contacts.c.client_id == start.client_id)
    contact: int | None = (await conn.execute(theirs)).scalar()
    return contact


async def _mailbox(
    conn: AsyncConnection, actor: Actor, kind: Kind, original: register.MessageRow | None, address: str
) -> int:
    """An answer goes out from the mailbox that got the message, whatever the form says."""
    if original is not None and kind in ("reply", "reply_all"):
        which = mailboxes.c.id == original.mailbox_id
    else:
        which = mailboxes.c.address == address.strip().lower()
    return int((await own_mailbox(conn, actor, which)).id)


async def _identity(conn: AsyncConnection, actor: Actor, identity_id: int | None, mailbox_id: int) -> int | None:
    """One that is gone, or of another mailbox, loses no word of the draft: it is written under the usual name."""
    if identity_id is None:
        return None
    own = await identities.of(conn, actor, mailbox_id=mailbox_id)
    return identity_id if any(one.id == identity_id for one in own) else None


def _values(content: Content) -> dict[str, Any]:
    if len(content.html) > MAX_TEXT_CHARS or len(content.text) > MAX_TEXT_CHARS:
        raise Refused("too_long", f"at most {MAX_TEXT_CHARS} characters", field="text")
    lines = {
        name: sanitize.one_line(getattr(content, name), field=name, max_bytes=8000) for name in ("to", "cc", "bcc")
    }
    subject = sanitize.one_line(" ".join(content.subject.splitlines()), field="subject", max_bytes=2000)
    return {
        **lines,
        "subject": subject[:1000],
        "html": content.html,
        "text": content.text,
        "quotes": content.quotes,
        "send_at": content.send_at,
    }


async def save(
    conn: AsyncConnection, actor: Actor, draft_id: int, content: Content, *, version: int, now: datetime
) -> Draft:
    """Write a draft over the version that the writer saw.

    Raises Conflict `draft_newer` with that version and when it was saved, unless it says the same already: an answer
    that was lost on the way may be asked for again. Raises NotFound, Refused.
    """
    current = await find(conn, actor, draft_id)
    original = await register.find(conn, actor, current.answers_id) if current.answers_id is not None else None
    mailbox_id = await _mailbox(conn, actor, current.kind, original, content.mailbox)
    identity_id = await _identity(conn, actor, content.identity_id, mailbox_id)
    values = _values(content) | {"mailbox_id": mailbox_id, "identity_id": identity_id}
    update = (
        sa.update(drafts)
        .where(drafts.c.id == draft_id, drafts.c.author_id == actor.user_id, drafts.c.version == version)
        .where(drafts.c.deleted_at.is_(None), drafts.c.message_id.is_(None))
        .values(**values, version=version + 1, saved_at=now)
        .returning(drafts.c.id)
    )
    if (await conn.execute(update)).first() is None:
        current = await find(conn, actor, draft_id)
        # When it goes is said with "send" only, whose answer may be what was lost.
        if any(getattr(current, name) != value for name, value in values.items() if name != "send_at"):
            raise newer(current)
    return await find(conn, actor, draft_id)


def newer(current: Draft) -> Conflict:
    """Say which version is newer than the one a person has before them."""
    details = {"version": current.version, "saved_at": rfc3339(current.saved_at), "draft": current.id}
    return Conflict("draft_newer", "this draft was saved elsewhere meanwhile", **details)


async def add_file(
    conn: AsyncConnection,
    actor: Actor,
    draft_id: int,
    *,
    name: str,
    kind: str,
    size: int,
    sha256: str,
    inline: bool = False,
) -> DraftFile:
    """Add a file whose bytes are stored; a picture within the text gets its Content-ID here. Raises Refused."""
    draft = await find(conn, actor, draft_id)
    if len(draft.files) >= MAX_FILES:
        raise Refused("too_many", f"at most {MAX_FILES} files", field="files")
    if sum(one.size for one in draft.files) + size > MAX_FILES_BYTES:
        raise TooLarge("too_large", f"at most {MAX_FILES_BYTES // 1_000_000} MB together", field="files")
    if inline and kind not in PICTURES:
        raise Refused("not_a_picture", "only pictures stand within a text", field="files")
    row = {
        "name": file_name(sanitize.shown(name, max_chars=300), number=len(draft.files) + 1, kind=kind),
        "type": sanitize.shown(kind) or "application/octet-stream",
        "size": size,
        "sha256": sha256,
        "inline": inline,
        "cid": f"{secrets.token_hex(8)}@hub" if inline else None,
    }
    added = await conn.execute(draft_files.insert().values(draft_id=draft_id, **row).returning(draft_files.c.id))
    return DraftFile(id=added.scalar_one(), **cast("dict[str, Any]", row))


async def file_of(conn: AsyncConnection, actor: Actor, draft_id: int, file_id: int) -> DraftFile:
    """Return a file of a draft of the actor's own. Raises NotFound."""
    found = [one for one in (await find(conn, actor, draft_id)).files if one.id == file_id]
    if not found:
        raise NotFound("attachment_missing", "no such file of this draft")
    return found[0]


async def remove_file(conn: AsyncConnection, actor: Actor, draft_id: int, file_id: int) -> None:
    await file_of(conn, actor, draft_id, file_id)
    await conn.execute(draft_files.delete().where(draft_files.c.id == file_id, draft_files.c.draft_id == draft_id))


async def delete(conn: AsyncConnection, actor: Actor, draft_id: int, *, now: datetime) -> None:
    """Put a draft away; `restore` brings it back for a week. Raises NotFound, Conflict `draft_sent`."""
    await find(conn, actor, draft_id)
    await conn.execute(sa.update(drafts).where(drafts.c.id == draft_id).values(deleted_at=now))


async def restore(conn: AsyncConnection, actor: Actor, draft_id: int) -> Draft:
    """Bring back what was put away. Raises NotFound."""
    mine = drafts.c.author_id == actor.user_id
    await conn.execute(sa.update(drafts).where(drafts.c.id == draft_id, mine).values(deleted_at=None))
    return await find(conn, actor, draft_id)


async def _sweep(conn: AsyncConnection, actor: Actor, *, now: datetime) -> None:
    """Forget what the author put away a week ago, and what went out and can no longer be taken back."""
    mine = drafts.c.author_id == actor.user_id
    gone = sa.select(outbox.c.message_id).where(outbox.c.state != "queued")
    old = sa.or_(drafts.c.deleted_at < now - KEPT_DELETED, drafts.c.message_id.in_(gone))
    ids = list((await conn.execute(sa.select(drafts.c.id).where(mine, old).limit(500))).scalars())
    if ids:
        await conn.execute(draft_files.delete().where(draft_files.c.draft_id.in_(ids)))
        await conn.execute(drafts.delete().where(drafts.c.id.in_(ids)))
    many = sa.select(sa.func.count()).select_from(drafts).where(mine, drafts.c.message_id.is_(None))
    if (await conn.execute(many)).scalar_one() >= MAX_DRAFTS:
        raise Refused("too_many_drafts", f"at most {MAX_DRAFTS} drafts: send or delete some")


async def become_message(
    conn: AsyncConnection, actor: Actor, draft_id: int, message_id: int, *, version: int | None = None
) -> None:
    """Turn a draft into the message it was frozen as. Raises Conflict where that happened already, or it changed."""
    update = sa.update(drafts).where(drafts.c.id == draft_id, drafts.c.author_id == actor.user_id)
    update = update.where(drafts.c.message_id.is_(None), drafts.c.deleted_at.is_(None))
    if version is not None:
        update = update.where(drafts.c.version == version)
    if (await conn.execute(update.values(message_id=message_id).returning(drafts.c.id))).first() is None:
        raise newer(await find(conn, actor, draft_id))


async def keep_closed_item(conn: AsyncConnection, message_id: int, *, version: int, owned: bool) -> None:
    """Remember what sending closed in the queue, should it be taken back."""
    values = {"closed_version": version, "closed_owned": owned}
    await conn.execute(sa.update(drafts).where(drafts.c.message_id == message_id).values(**values))


async def park(
    conn: AsyncConnection,
    actor: Actor,
    message_id: int,
    start: Start,
    content: Content,
    files: Sequence[DraftFile],
    *,
    now: datetime,
) -> None:
    """Keep a message that goes later, and was no draft, as the draft it will be again if it is taken back."""
    draft = await create(conn, actor, start, content, now=now)
    await conn.execute(draft_files.delete().where(draft_files.c.draft_id == draft.id))
    for one in files:
        row = {name: getattr(one, name) for name in ("name", "type", "size", "sha256", "inline", "cid")}
        await conn.execute(draft_files.insert().values(draft_id=draft.id, **row))
    await become_message(conn, actor, draft.id, message_id)


async def come_back(conn: AsyncConnection, message_id: int, *, now: datetime) -> sa.Row[Any] | None:
    """Make a message that was taken back the draft it was; return the row as it stood, None where there is none."""
    row = (await conn.execute(sa.select(drafts).where(drafts.c.message_id == message_id))).first()
    if row is not None:
        values: dict[str, Any] = {"message_id": None, "closed_version": None, "closed_owned": False, "send_at": None}
        values |= {"version": row.version + 1, "saved_at": now}
        await conn.execute(sa.update(drafts).where(drafts.c.id == row.id).values(**values))
    return row


_OWN_FILE = re.compile(r"/drafts/[0-9]{1,19}/files/([0-9]{1,19})")


def cids_for_files(html: str, files: Sequence[DraftFile]) -> str:
    """Turn the addresses by which the page shows a draft's pictures into their Content-IDs."""
    by_id = {str(one.id): one.cid for one in files if one.cid}
    return _OWN_FILE.sub(lambda match: f"cid:{by_id[match[1]]}" if match[1] in by_id else match[0], html)


def files_for_cids(html: str, draft: Draft) -> str:
    """The way back, for the page."""
    for one in draft.files:
        if one.cid:
            html = html.replace(f"cid:{one.cid}", f"/drafts/{draft.id}/files/{one.id}")
    return html
