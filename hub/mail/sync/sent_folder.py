"""The Sent folder of a mailbox, for the outbox: is it there, and put it there. Each question on a line of its own.

Decides which folder is Sent: the one the server marks so (RFC 6154), else one that goes by a usual name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hub.errors import Refused, Unavailable
from hub.mail.imap.connection import Folder, ImapConnection, connected
from hub.settings import MailServer

USUAL = ("sent", "sent items", "sent mail", "sent messages", "отправленные", "inbox.sent", "inbox/sent")


def sent_folder_of(folders: Sequence[Folder]) -> str | None:
    """Return the name of the folder for sent mail, None where there is none."""
    usable = [folder for folder in folders if folder.selectable]
    marked = [folder.name for folder in usable if folder.special_use == "sent"]
    named = [folder.name for folder in usable if folder.name.lower() in USUAL]
    return next(iter(marked + named), None)


class ImapSentFolder:
    """What `sender.Sender` needs of the IMAP side. Raises Unavailable or Unknown where the server does not answer."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def has(self, message_id: str) -> bool:
        """Tell whether Sent holds a message with this Message-ID."""
        async with connected(self._server) as imap:
            try:
                await imap.select(await self._folder(imap))
                return bool(await imap.with_message_id(message_id))
            except Refused as error:
                raise Unavailable("sent_unavailable", error.message) from error

    async def append(self, raw: bytes, *, at: datetime) -> None:
        """Put a message into Sent, as read."""
        async with connected(self._server) as imap:
            try:
                await imap.append(await self._folder(imap), raw, flags=["\\Seen"], at=at)
            except Refused as error:
                raise Unavailable("sent_unavailable", error.message) from error

    async def _folder(self, imap: ImapConnection) -> str:
        name = sent_folder_of(await imap.list_folders())
        if name is None:
            raise Unavailable("sent_missing", "the mailbox has no folder for sent mail")
        return name
