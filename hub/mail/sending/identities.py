"""Under which name and signature a person writes from a mailbox.

Decides the choice of senders and the signature that goes below. Invariants: the address is the mailbox's own, or an
alias that an administrator allowed, so nobody writes as somebody else; the narrowest signature is taken: a person's
for this mailbox, a person's, the mailbox's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub import sanitize
from hub.crm import access
from hub.crm.access import Actor, require_admin
from hub.crm.addresses import parse_email
from hub.crm.audit import record
from hub.crm.models import users
from hub.errors import Conflict, NotFound, Refused
from hub.mail.models import mailboxes
from hub.mail.sending.models import drafts, identities, signatures
from hub.mail.sending.phrases import OF_THE_WRITER, Facts, check, fill
from hub.store.unique import looked_for
from hub.store.upsert import insert

Language = Literal["ru", "en"]
AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Identity:
    """One choice of sender. `id` None: made up of the person's or the mailbox's own name, stored nowhere."""

    id: int | None
    mailbox_id: int
    mailbox_address: str
    name: str
    address: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """`user_id` None: the mailbox's; `mailbox_id` None: the person's for all mailboxes."""

    id: int
    user_id: int | None
    mailbox_id: int | None
    language: Language
    html: str


async def of(conn: AsyncConnection, actor: Actor, *, mailbox_id: int | None = None) -> list[Identity]:
    """Return whom the actor may write as, the default of each mailbox first, then their own, then its names."""
    writable = access.mailbox_writable(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
    mine = sa.select(mailboxes).where(writable).order_by(mailboxes.c.address)
    if mailbox_id is not None:
        mine = mine.where(mailboxes.c.id == mailbox_id)
    boxes = (await conn.execute(mine)).all()
    own = sa.select(identities).where(identities.c.user_id == actor.user_id)
    rows = (await conn.execute(own.order_by(identities.c.is_default.desc(), identities.c.id))).all()
    found: list[Identity] = []
    for box in boxes:
        kept = [row for row in rows if row.mailbox_id == box.id]
        has_default = any(row.is_default for row in kept)
        of_box = [
            Identity(row.id, box.id, box.address, row.name, row.address or box.address, row.is_default) for row in kept
        ]
        names = dict.fromkeys(filter(None, (box.name, actor.name)))
        of_box += [
            Identity(None, box.id, box.address, name, box.address, not has_default and n == 0)
            for n, name in enumerate(names or [""])
            if not any(one.name == name and one.address == box.address for one in of_box)
        ]
        found += sorted(of_box, key=lambda one: not one.is_default)
    return found


async def find(conn: AsyncConnection, actor: Actor, identity_id: int, *, mailbox_id: int) -> Identity:
    """Return an identity of the actor's in this mailbox. Raises NotFound."""
    for one in await of(conn, actor, mailbox_id=mailbox_id):
        if one.id == identity_id:
            return one
    raise NotFound("identity_missing", "no such sender", field="identity")


async def add(
    conn: AsyncConnection,
    actor: Actor,
    *,
    mailbox_id: int,
    name: str,
    address: str = "",
    user_id: int | None = None,
    is_default: bool = False,
    now: datetime,
) -> int:
    """Give a person a name (and an alias address) to write under; return its id.

    Raises Forbidden for an alias or for somebody else where the actor is no administrator, Refused, NotFound, Conflict.
    """
    whose = user_id or actor.user_id
    alias = ""
    if address.strip():
        alias = parse_email(address) or ""
        if not alias:
            raise Refused("bad_address", "this is not an e-mail address", field="address")
    mine = access.mailbox_open(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
    box = (await conn.execute(sa.select(mailboxes).where(mailboxes.c.id == mailbox_id, mine))).first()
    if box is None:
        raise NotFound("mailbox_missing", "no such mailbox, or not one of your teams'", field="mailbox")
    access.require(actor, "send_mail")
    alias = "" if alias == box.address else alias
    if alias or whose != actor.user_id:
        require_admin(actor)
    if (
        whose != actor.user_id
        and (await conn.execute(sa.select(users.c.id).where(users.c.id == whose))).first() is None
    ):
        raise NotFound("user_missing", "no such person", field="user")
    clean = sanitize.one_line(sanitize.shown(name, max_chars=200), field="name")
    if not clean:
        raise Refused("name_missing", "a sender needs a name", field="name")
    there = sa.select(identities).where(identities.c.user_id == whose, identities.c.mailbox_id == mailbox_id)

    async def look() -> None:
        rows = (await conn.execute(there)).all()
        if len(rows) >= AT_MOST:
            raise Refused("too_many", f"at most {AT_MOST} senders for a mailbox", field="name")
        if any(row.name == clean and row.address == alias for row in rows):
            raise Conflict("identity_there", "this sender is there already", field="name")

    values = {"user_id": whose, "mailbox_id": mailbox_id, "name": clean, "address": alias, "is_default": is_default}
    async with looked_for(conn, look):
        if is_default:
            of_box = (identities.c.user_id == whose, identities.c.mailbox_id == mailbox_id)
            await conn.execute(sa.update(identities).where(*of_box).values(is_default=False))
        adding = identities.insert().values(**values).returning(identities.c.id)
        identity_id = int((await conn.execute(adding)).scalar_one())
    details = {"mailbox": box.address, "address": alias}
    await record(
        conn,
        "identity.made",
        at=now,
        user_id=actor.user_id,
        object_kind="user",
        object_id=whose,
        details=details,
    )
    return identity_id


async def remove(conn: AsyncConnection, actor: Actor, identity_id: int, *, now: datetime) -> None:
    """Take a sender away, one's own or as an administrator anybody's. Raises NotFound."""
    query = sa.select(identities).where(identities.c.id == identity_id)
    row = (await conn.execute(query)).first()
    if row is None or (row.user_id != actor.user_id and not actor.is_admin):
        raise NotFound("identity_missing", "no such sender")
    await conn.execute(sa.update(drafts).where(drafts.c.identity_id == identity_id).values(identity_id=None))
    await conn.execute(identities.delete().where(identities.c.id == identity_id))
    await record(conn, "identity.removed", at=now, user_id=actor.user_id, object_kind="user", object_id=row.user_id)


async def make_default(conn: AsyncConnection, actor: Actor, identity_id: int) -> None:
    """Have one's own sender offered first in its mailbox. Raises NotFound."""
    query = sa.select(identities).where(identities.c.id == identity_id, identities.c.user_id == actor.user_id)
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound("identity_missing", "no such sender")
    of_box = (identities.c.user_id == actor.user_id, identities.c.mailbox_id == row.mailbox_id)
    await conn.execute(sa.update(identities).where(*of_box).values(is_default=identities.c.id == identity_id))


# Signatures


async def signatures_of(conn: AsyncConnection, actor: Actor) -> list[Signature]:
    """Return the actor's own signatures, and for an administrator those of mailboxes."""
    mine = signatures.c.user_id == actor.user_id
    which = sa.or_(mine, signatures.c.user_id.is_(None)) if actor.is_admin else mine
    rows = (await conn.execute(sa.select(signatures).where(which).order_by(signatures.c.id))).mappings()
    return [Signature(**{name: row[name] for name in Signature.__slots__}) for row in rows]


async def sign(
    conn: AsyncConnection,
    actor: Actor,
    *,
    mailbox_id: int | None,
    is_of_mailbox: bool = False,
    language: Language,
    html: str,
    now: datetime,
) -> None:
    """Set a signature; an empty one is taken away. `html` must be safe already.

    `is_of_mailbox`: for everybody who writes from it, an administrator's to set. Raises Refused, Forbidden, NotFound.
    """
    check(html, field="text", allowed=OF_THE_WRITER)
    if is_of_mailbox:
        require_admin(actor)
    if mailbox_id is not None or is_of_mailbox:
        mine = access.mailbox_open(actor, team_id=mailboxes.c.team_id, owner_id=mailboxes.c.owner_id)
        query = sa.select(mailboxes.c.id).where(mailboxes.c.id == mailbox_id, mine)
        if (await conn.execute(query)).first() is None:
            raise NotFound("mailbox_missing", "no such mailbox, or not one of your teams'", field="mailbox")
    user_id = None if is_of_mailbox else actor.user_id
    place = {"user_id": user_id, "mailbox_id": mailbox_id, "language": language}
    here = [
        signatures.c[name].is_(None) if value is None else signatures.c[name] == value for name, value in place.items()
    ]

    async def forget() -> None:
        await conn.execute(signatures.delete().where(*here))

    async with looked_for(conn, forget):
        if html.strip():
            await conn.execute(insert(conn, signatures).values(**place, html=html, renewed_at=now))
    if is_of_mailbox:
        await record(conn, "signature.set", at=now, user_id=actor.user_id, object_kind="mailbox", object_id=mailbox_id)


async def signature_for(conn: AsyncConnection, actor: Actor, mailbox_id: int, *, language: str) -> str:
    """Return the HTML that goes below a letter of the actor's from this mailbox, fields not filled; "" where none is.

    One in the letter's language goes before one in another.
    """
    query = sa.select(signatures).where(
        sa.or_(
            signatures.c.user_id == actor.user_id,
            sa.and_(signatures.c.user_id.is_(None), signatures.c.mailbox_id == mailbox_id),
        ),
        sa.or_(signatures.c.mailbox_id.is_(None), signatures.c.mailbox_id == mailbox_id),
    )
    rows = (await conn.execute(query)).all()
    ranked = sorted(
        rows, key=lambda row: (row.user_id is None, row.mailbox_id is None, row.language != language, row.id)
    )
    return str(ranked[0].html) if ranked else ""


def signed(html: str, facts: Facts) -> str:
    """Return a signature filled for the one who writes."""
    return fill(html, facts, is_html=True)
