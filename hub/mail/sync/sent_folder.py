"""The Sent folder of a mailbox, for the outbox: is it there, and put it there. Each question on a line of its own.

Decides nothing else: which folder is Sent, `choice` says.
"""

from __future__ import annotations

from datetime import datetime

from hub.errors import Refused, Unavailable
from hub.mail.imap.connection import ImapConnection, connected
from hub.mail.sync.choice import sent_folder_of as sent_folder_of
from hub.settings import MailServer


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
