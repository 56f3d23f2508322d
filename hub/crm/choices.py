"""The choices of leads, of the queue and of presence: each word with its label, icon and colour. Pure."""

from __future__ import annotations

from hub.crm.base.choices import Choices
from hub.crm.base.labels import _


class LeadState(Choices):
    OPEN = "open", _("Open lead"), "target", "accent"
    CONVERTED = "converted", _("Became a client"), "circle-check", "good"
    CLOSED = "closed", _("Closed lead"), "x"


class LeadReason(Choices):
    NEW = "new", _("New lead"), "target", "accent"
    CALLBACK = "callback", _("Call back"), "phone-missed", "bad"


class LeadAddressKind(Choices):
    """The channel that a lead came by."""

    PHONE = "phone", _("Phone"), "phone"
    EMAIL = "email", _("E-mail"), "mail"


class QueueKind(Choices):
    CALL = "call", _("Call"), "phone"
    MESSAGE = "message", _("Message"), "mail"
    LEAD = "lead", _("Lead"), "target"


class QueueState(Choices):
    WAITING = "waiting", _("Waiting"), "clock", "warn"
    CLAIMED = "claimed", _("In work"), "user", "accent"
    DONE = "done", _("Done"), "circle-check", "good"


class SaidState(Choices):
    """A state that people set for themselves; after-call work begins by itself."""

    AVAILABLE = "available", _("Available"), "", "free"
    AWAY = "away", _("Away"), "", "away"
    DND = "dnd", _("Do not disturb"), "", "dnd"
    AFTER_CALL = "after_call", _("After-call work"), "", "after_call"


class PresenceState(Choices):
    """A person's state as their colleagues see it. The colour is the word itself: each has a dot of its own."""

    OFFLINE = "offline", _("Offline"), "", "offline"
    FREE = "free", _("Free"), "", "free"
    RINGING = "ringing", _("Phone rings"), "", "ringing"
    IN_CALL = "in_call", _("In a call"), "", "in_call"
    AFTER_CALL = "after_call", _("After-call work"), "", "after_call"
    AWAY = "away", _("Away"), "", "away"
    DND = "dnd", _("Do not disturb"), "", "dnd"
