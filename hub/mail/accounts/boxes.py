"""Every mailbox that is to be worked on, ready for a line: from the configuration file and from the pages.

Decides where a mailbox's settings come from and what a running Hub adds to them: the password from its row, the token
that is renewed, the addresses its hosts may have. Invariant: one mailbox that cannot be read (a missing key, settings
that a hand wrote) is named and stops no other.
"""

from __future__ import annotations

import hmac
import secrets as chance
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import msgspec
import sqlalchemy as sa

from hub.errors import HubError
from hub.hosts import Reach
from hub.mail.accounts import secrets
from hub.mail.accounts.account import AccountSettings, Side, read_settings
from hub.mail.accounts.oauth import Client, TokenSource
from hub.mail.accounts.wire import LiveServer
from hub.mail.models import mail_secrets, mailboxes
from hub.settings import Mailbox, MailServer, Secret, Settings
from hub.store.encryption import Vault
from hub.store.engine import Database

_WITHOUT_KEYS = chance.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox of the database. `box` is None where it cannot be worked on: `problem` says why.

    `mark` is another for other settings, and tells nothing of them.
    """

    id: int
    address: str
    box: Mailbox | None
    mark: str
    state: str
    error_at: datetime | None
    refused_with: str | None
    problem: str = ""


async def all_boxes(db: Database, settings: Settings, vault: Vault, *, holder: str) -> list[Box]:
    """Return every enabled mailbox: those of the file that stand there now, and those of the pages."""
    of_file = {box.address.lower(): box for box in settings.mailbox}
    async with db.read() as conn:
        query = sa.select(mailboxes).where(mailboxes.c.is_enabled).order_by(mailboxes.c.id)
        rows = (await conn.execute(query)).all()
        sealed = sa.select(mail_secrets.c.mailbox_id, mail_secrets.c.kind, mail_secrets.c.key_id, mail_secrets.c.sealed)
        of_box: dict[int, list[Any]] = {}
        for secret in (await conn.execute(sealed)).all():
            of_box.setdefault(secret.mailbox_id, []).append(secret)
    found = []
    for row in rows:
        if row.source == "file" and row.address not in of_file:
            continue
        try:
            opened = {
                one.kind: vault.open(one.key_id, one.sealed, place=secrets.place_of(row.id, one.kind))
                for one in of_box.get(row.id, ())
                if one.kind in ("imap", "smtp")
            }
            box = ready(db, settings, vault, row, of_file.get(row.address), opened, holder=holder)
            problem = ""
        except HubError as error:
            box, problem = None, error.message
        mark = _mark(vault, box, problem)
        found.append(Box(row.id, row.address, box, mark, row.state, row.error_at, row.refused_with, problem))
    return found


def ready(
    db: Database,
    settings: Settings,
    vault: Vault,
    row: Any,
    of_file: Mailbox | None,
    opened: dict[str, Secret],
    *,
    holder: str,
) -> Mailbox:
    """Return a mailbox with all that its lines need. Raises HubError that says what is missing."""
    if row.source == "file":
        assert of_file is not None
        if not of_file.oauth:
            return of_file
        token = TokenSource(db, vault, Client.of(settings.oauth, of_file.oauth), row.id, holder)
        imap, smtp = (
            live(server, token=token if server.auth == "oauth" else None) for server in (of_file.imap, of_file.smtp)
        )
        return msgspec.structs.replace(of_file, imap=imap, smtp=smtp)
    account = read_settings(row.settings)
    return mailbox_of(
        account,
        address=row.address,
        name=row.name,
        imap_password=opened.get("imap", Secret("")),
        smtp_password=opened.get("smtp", opened.get("imap", Secret(""))),
        token=TokenSource(db, vault, Client.of(settings.oauth, account.oauth), row.id, holder)
        if account.oauth
        else None,
        reach=reach_of(settings, may_private=account.may_private),
    )


def mailbox_of(
    account: AccountSettings,
    *,
    address: str,
    name: str,
    imap_password: Secret,
    smtp_password: Secret,
    token: TokenSource | None,
    reach: Reach,
) -> Mailbox:
    """A mailbox of a page as the reader and the sender take it."""

    def server(side: Side, password: Secret) -> LiveServer:
        return LiveServer(
            host=side.host,
            port=side.port,
            tls=side.tls,
            username=side.username,
            password=password,
            auth=side.auth,
            tls_exception=side.tls_exception,
            reach=reach,
            token=token,
        )

    return Mailbox(
        address=address,
        team="-",
        name=name,
        history_days=account.history_days,
        oauth=account.oauth,
        imap=server(account.imap, imap_password),
        smtp=server(account.smtp, smtp_password),
    )


def live(server: MailServer, *, token: TokenSource | None) -> LiveServer:
    fields = {one.name: getattr(server, one.name) for one in msgspec.structs.fields(MailServer)}
    return LiveServer(**fields, token=token)


def reach_of(settings: Settings, *, may_private: bool) -> Reach:
    """Which addresses the host of a mailbox from a page may have."""
    return Reach(may_private, tuple(ip_network(text) for text in settings.hub.page_networks))


def _mark(vault: Vault, box: Mailbox | None, problem: str) -> str:
    """A mark of settings and passwords that only who has the keys could try passwords against."""
    if box is None:
        return f"problem: {problem}"[:64]
    told: list[Any] = [box.address, box.name, box.history_days, box.oauth]
    for server in (box.imap, box.smtp):
        told += [server.host, server.port, server.tls, server.username, server.auth, server.tls_exception]
        told += [server.ca_file, server.password.reveal()]
        if isinstance(server, LiveServer) and server.reach is not None:
            told += [server.reach.may_private, [str(network) for network in server.reach.allowed]]
    try:
        vault.make_if_missing()
        ring = vault.ring()
        key = ring.keys[ring.newest]
    except HubError:
        # Mailboxes of the file need no keys; after a restart a refused one is then tried once more.
        key = _WITHOUT_KEYS
    return hmac.digest(key, msgspec.json.encode(told), "sha256").hex()


def addresses(boxes: Sequence[Box]) -> frozenset[str]:
    return frozenset(box.address for box in boxes)
