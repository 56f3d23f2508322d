"""The choices of messages and of the outbox: each word with its label, icon and colour. Pure."""

from __future__ import annotations

from hub.crm.base.choices import Choices
from hub.crm.base.labels import _


class MailDirection(Choices):
    IN = "in", _("Incoming"), "mail"
    OUT = "out", _("Outgoing"), "send"


class MessageState(Choices):
    RECEIVED = "received", _("Received"), "mail"
    QUEUED = "queued", _("Sending…"), "clock"
    SENDING = "sending", _("Sending…"), "send"
    SENT = "sent", _("Sent"), "send"
    REFUSED = "refused", _("Refused"), "circle-alert", "bad"
    DEFERRED = "deferred", _("Waiting to be sent again"), "clock", "warn"
    UNKNOWN = "unknown", _("Not known whether it went"), "circle-alert", "warn"
    BOUNCED = "bounced", _("Came back"), "undo-2", "bad"
    CANCELLED = "cancelled", _("Taken back"), "x"


class AutoKind(Choices):
    """The author of a message: a person, or a kind of machine."""

    NONE = "none", _("A person"), "user"
    AUTO_REPLY = "auto_reply", _("Automatic reply"), "reply"
    BOUNCE = "bounce", _("Notice of the mail system"), "undo-2"
    LIST = "list", _("Mailing list"), "users"
    SPAM = "spam", _("Spam"), "ban"


class ScanState(Choices):
    NONE = "none", _("Not scanned")
    WAITING = "waiting", _("Being scanned"), "clock"
    CLEAN = "clean", _("Clean"), "circle-check", "good"
    INFECTED = "infected", _("Infected"), "ban", "bad"
    FAILED = "failed", _("Could not be scanned"), "circle-alert", "warn"


class SendState(Choices):
    """The state of the sending side of a mailbox."""

    OK = "ok", _("works"), "check", "good"
    DOWN = "down", _("not connected"), "circle-alert", "warn"
    AUTH_REFUSED = "auth_refused", _("sending refused"), "circle-alert", "bad"


class MailboxState(Choices):
    """The state of the reading side of a mailbox."""

    CONNECTING = "connecting", _("connecting")
    UP = "up", _("works"), "check", "good"
    DOWN = "down", _("not connected"), "circle-alert", "warn"
    AUTH_REFUSED = "auth_refused", _("sign-in refused"), "circle-alert", "bad"


class SignIn(Choices):
    """The ways in which Hub signs in to a mailbox: by a password, or by a provider's tokens."""

    PASSWORD = "password", _("by a password"), "key-round"
    GOOGLE = "google", "Google", "key-round"
    MICROSOFT = "microsoft", "Microsoft", "key-round"


class MailboxSource(Choices):
    """The place of a mailbox's settings."""

    FILE = "file", _("in the configuration file")
    PAGE = "page", _("on a page of Hub")


class OutboxStand(Choices):
    """The state of a message in the outbox as a person sees it; those that need a person come first."""

    UNKNOWN = "unknown", _("Not known whether it went"), "circle-alert", "warn"
    REFUSED = "refused", _("Refused"), "circle-alert", "bad"
    BOUNCED = "bounced", _("Came back"), "undo-2", "bad"
    DEFERRED = "deferred", _("Is tried again"), "clock", "warn"
    WAITING = "waiting", _("Waits to go"), "clock"
    NO_COPY = "no_copy", _("Sent, no copy"), "circle-alert", "warn"
    CANCELLED = "cancelled", _("Taken back"), "x"


class DraftKind(Choices):
    """The kinds of drafts: a new message, a reply to the sender or to all, a forwarded message."""

    NEW = "new", _("New message"), "file"
    REPLY = "reply", _("Reply"), "reply"
    REPLY_ALL = "reply_all", _("Reply to all"), "reply"
    FORWARD = "forward", _("Forwarded message"), "forward"


class SendFailure(Choices):
    """Why a server did not take a message, in a word (`sending.verdicts`)."""

    GREYLISTED = "greylisted", _("asks to come back later")
    TOO_FAST = "too_fast", _("takes no more for now")
    DAILY_LIMIT = "daily_limit", _("the day's limit of this mailbox is used up")
    MAILBOX_FULL = "mailbox_full", _("the mailbox is full")
    TOO_LARGE = "too_large", _("the message is too large")
    NO_SUCH_ADDRESS = "no_such_address", _("no such address")
    POLICY = "policy", _("refused by the rules of the server")
    SPAM = "spam", _("taken for spam")
    SIGN_IN = "sign_in", _("the sign-in was refused")
    SENDER = "sender", _("the sender's address is refused")
    ROUTING = "routing", _("the recipient's server cannot be reached")
    OTHER = "other", _("refused without a known reason")
