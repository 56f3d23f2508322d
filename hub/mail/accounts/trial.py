"""Trying a mailbox out before it is trusted: each step with its time, and the first thing that is wrong, clearly.

Changes nothing on any server and sends nothing. Invariant: one attempt at each side, so that trying a wrong password
locks nobody out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from hub.clock import monotonic_s
from hub.errors import HubError, Unavailable
from hub.mail.imap.connection import connected
from hub.mail.imap.refusals import Advice, advice
from hub.mail.sending import smtp
from hub.mail.sync.sent_folder import sent_folder_of
from hub.settings import Mailbox, MailServer

WITHIN = timedelta(seconds=20)
MOST_FOLDERS = 150


@dataclass(frozen=True, slots=True)
class Step:
    """`detail` is what was found where the step went well, else what is wrong; `advice` what the provider wants.

    `code` is that of the error, by which a page says it in the reader's language; a server's own words are English.
    """

    name: Literal["imap", "folders", "smtp"]
    is_ok: bool
    took_ms: int
    detail: str
    advice: Advice = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """The results of a trial. `folders` are those that can be read, with their use where the server tells it.

    `sent` is the name of the folder of sent mail, "" where there is none.
    """

    steps: tuple[Step, ...]
    folders: tuple[tuple[str, str], ...] = ()
    sent: str = ""

    @property
    def is_ok(self) -> bool:
        return all(step.is_ok for step in self.steps)


async def try_mailbox(box: Mailbox) -> Trial:
    """Sign in to both sides at once and list the folders. Never raises for what a peer does."""
    (steps, folders, sent), out = await asyncio.gather(_imap(box.imap), _smtp(box.smtp))
    return Trial((*steps, out), folders, sent)


async def _imap(server: MailServer) -> tuple[list[Step], tuple[tuple[str, str], ...], str]:
    began = monotonic_s()
    steps: list[Step] = []
    try:
        async with asyncio.timeout(WITHIN.total_seconds()), connected(server) as imap:
            steps.append(Step("imap", True, _since(began), f"{server.host}:{server.port}, {imap.signed_in_by}"))
            began = monotonic_s()
            found = await imap.list_folders()
            usable = [folder for folder in found if folder.selectable][:MOST_FOLDERS]
            sent = sent_folder_of(found)
            steps.append(Step("folders", True, _since(began), f"{len(usable)}, {sent or '-'}"))
            return steps, tuple((folder.name, folder.special_use) for folder in usable), sent or ""
    except (HubError, TimeoutError) as error:
        text = error.message if isinstance(error, HubError) else f"{server.host}:{server.port} does not answer in time"
        what = advice(text) if isinstance(error, HubError) and error.code in ("auth_refused", "imap_unclear") else ""
        code = error.code if isinstance(error, HubError) else "imap_silent"
        steps.append(Step("folders" if steps else "imap", False, _since(began), text, what, code))
    return steps, (), ""


async def _smtp(server: MailServer) -> Step:
    began = monotonic_s()
    try:
        problem = await smtp.sign_in_only(server, deadline=WITHIN)
    except Unavailable as error:
        problem = error.message
    found = problem or f"{server.host}:{server.port}"
    return Step("smtp", not problem, _since(began), found, code="smtp_refused" if problem else "")


def _since(began: float) -> int:
    return round((monotonic_s() - began) * 1000)
