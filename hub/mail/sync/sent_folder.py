"""The Sent folder of a mailbox, for the outbox: is it there, and put it there. Each question on a line of its own.

Decides only that a copy goes into a new folder where there is none for it; which folder is Sent, `choice` says.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, overload

from hub.errors import Refused, Unavailable
from hub.mail.imap.connection import ImapConnection, connected
from hub.mail.sync.choice import sent_folder_of as sent_folder_of
from hub.settings import MailServer

MADE = "Sent"
"""The folder Hub makes where there is none."""


class ImapSentFolder:
    """What `sender.Sender` needs of the IMAP side. Raises Unavailable or Unknown where the server does not answer."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def has(self, message_id: str) -> bool:
        """Tell whether Sent holds a message with this Message-ID."""
        async with connected(self._server) as imap:
            try:
                folder = await self._folder(imap)
                if folder is None:
                    return False
                await imap.select(folder)
                return bool(await imap.with_message_id(message_id))
            except Refused as error:
                raise Unavailable("sent_unavailable", error.message) from error

    async def append(self, raw: bytes, *, at: datetime) -> None:
        """Put a message into Sent, as read."""
        async with connected(self._server) as imap:
            try:
                folder = await self._folder(imap, or_make=True)
                await imap.append(folder, raw, flags=["\\Seen"], at=at)
            except Refused as error:
                raise Unavailable("sent_unavailable", error.message) from error

    @overload
    async def _folder(self, imap: ImapConnection) -> str | None: ...

    @overload
    async def _folder(self, imap: ImapConnection, *, or_make: Literal[True]) -> str: ...

    async def _folder(self, imap: ImapConnection, *, or_make: bool = False) -> str | None:
        name = sent_folder_of(await imap.list_folders())
        if name is None and or_make:
            name = await imap.create_folder(MADE)
        return name
