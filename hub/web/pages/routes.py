"""All pages in one table."""

from __future__ import annotations

from hub.web.base import pinned_pages
from hub.web.crm import routes as record_routes
from hub.web.pages import (
    attachments,
    calls,
    characteristics,
    compose,
    desk,
    dictionaries,
    drafts,
    flags,
    help,
    live,
    mail_health,
    mail_link,
    mailboxes,
    messages,
    operations,
    palette,
    password_reset,
    pbx,
    presence,
    recordings,
    rules,
    second_step,
    senders,
    sign_ins,
    styleguide,
    two_factor,
    typical_data,
)
from hub.web.routes import Route

PAGE_ROUTES: tuple[Route, ...] = (
    *desk.ROUTES,
    *pinned_pages.ROUTES,
    *record_routes.pages(),
    *calls.ROUTES,
    *compose.ROUTES,
    *mail_link.ROUTES,
    *mailboxes.ROUTES,
    *drafts.ROUTES,
    *messages.ROUTES,
    *attachments.ROUTES,
    *flags.ROUTES,
    *help.ROUTES,
    *palette.ROUTES,
    *pbx.ROUTES,
    *senders.ROUTES,
    *rules.ROUTES,
    *styleguide.ROUTES,
    *recordings.ROUTES,
    *live.ROUTES,
    *presence.ROUTES,
    *password_reset.ROUTES,
    *second_step.ROUTES,
    *sign_ins.ROUTES,
    *two_factor.ROUTES,
    *dictionaries.ROUTES,
    *typical_data.ROUTES,
    *characteristics.ROUTES,
    *operations.ROUTES,
    # Its path with an id comes after every other path of the mailboxes.
    *mail_health.ROUTES,
)
