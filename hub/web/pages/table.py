"""All pages in one table."""

from __future__ import annotations

from hub.web.pages import (
    attachments,
    calls,
    clients,
    compose,
    desk,
    drafts,
    flags,
    leads,
    live,
    mail_health,
    mail_link,
    mail_register,
    mailboxes,
    messages,
    outbox,
    password_reset,
    pbx,
    phrases,
    presence,
    recordings,
    registers,
    rules,
    sign_ins,
    styleguide,
)
from hub.web.routes import Route

PAGE_ROUTES: tuple[Route, ...] = (
    *desk.ROUTES,
    *clients.ROUTES,
    *calls.ROUTES,
    *compose.ROUTES,
    *mail_register.ROUTES,
    *mail_link.ROUTES,
    *mailboxes.ROUTES,
    *drafts.ROUTES,
    *messages.ROUTES,
    *attachments.ROUTES,
    *flags.ROUTES,
    *outbox.ROUTES,
    *pbx.ROUTES,
    *phrases.ROUTES,
    *registers.ROUTES,
    *rules.ROUTES,
    *styleguide.ROUTES,
    *leads.ROUTES,
    *recordings.ROUTES,
    *live.ROUTES,
    *presence.ROUTES,
    *password_reset.ROUTES,
    *sign_ins.ROUTES,
    # Its path with an id comes after every other path of the mailboxes.
    *mail_health.ROUTES,
)
