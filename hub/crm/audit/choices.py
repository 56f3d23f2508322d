"""The words of the audit: what an act is about and what was done, as `noun.verb`. Pure.

A word that is not here is shown as it stands, so that an act is never hidden.
"""

from __future__ import annotations

from hub.crm.base.choices import Choices
from hub.crm.base.labels import _


class AuditNoun(Choices):
    ADDRESS = "address", _("Address")
    ATTACHMENT = "attachment", _("File")
    BLOCKED_CALLER = "blocked_caller", _("Blocked number")
    CALL = "call", _("Call")
    CHARACTERISTIC = "characteristic", _("Characteristic")
    CLIENT = "client", _("Client")
    CONTACT = "contact", _("Contact")
    DICTIONARY_VALUE = "dictionary_value", _("Value of a dictionary")
    IDENTITY = "identity", _("Sender name")
    LEAD = "lead", _("Lead")
    MAILBOX = "mailbox", _("Mailbox")
    MESSAGE = "message", _("Message")
    MESSAGES = "messages", _("Messages")
    OPERATION = "operation", _("Operation")
    QUEUE_ITEM = "queue_item", _("Queue item")
    RECORDING = "recording", _("Recording")
    ROLE = "role", _("Role")
    SESSION = "session", _("Session")
    SIGN_IN = "sign_in", _("Sign-in")
    SIGNATURE = "signature", _("Signature")
    TEAM_RULES = "team_rules", _("Call rules")
    TEMPLATE = "template", _("Template")
    TOKEN = "token", _("Token")  # the word for it, not one
    USER = "user", _("Employee")
    VIEW = "view", _("Saved list")


class AuditVerb(Choices):
    ACCEPTED_AS_SENT = "accepted_as_sent", _("accepted as sent")
    ADDED = "added", _("added")
    ARCHIVED = "archived", _("archived")
    BEGUN = "begun", _("begun")
    CANCELLED = "cancelled", _("stopped")
    CHANGED = "changed", _("edited")
    CLAIM_FAILED = "claim_failed", _("could not be connected")
    CLAIMED = "claimed", _("taken")
    CLOSED = "closed", _("closed")
    CONVERTED = "converted", _("made into a client")
    COPIED_AGAIN = "copied_again", _("copied again")
    CREATED = "created", _("created")
    DELETED = "deleted", _("deleted")
    DIALLED = "dialled", _("dialled")
    DISABLED = "disabled", _("disabled")
    DOWNLOADED = "downloaded", _("downloaded")
    DOWNLOADED_ANYWAY = "downloaded_anyway", _("downloaded in spite of the virus scanner")
    ENABLED = "enabled", _("enabled")
    ENDED = "ended", _("ended")
    EXPORTED = "exported", _("exported")
    FAILED = "failed", _("not let in")
    FOUND_INFECTED = "found_infected", _("found infected")
    JOINED = "joined", _("joined by a supervisor")
    LINKED = "linked", _("linked to a client")
    LISTENED = "listened", _("listened to")
    MADE = "made", _("created")
    OPENED = "opened", _("opened")
    ORIGINAL_ACCEPTED = "original_accepted", _("original sender accepted")
    PASSWORD_SET = "password_set", _("password set")
    PAUSED = "paused", _("put on pause")
    PRIVILEGE_GRANTED = "privilege_granted", _("right granted")
    PRIVILEGE_REVOKED = "privilege_revoked", _("right revoked")
    QUEUED = "queued", _("sent")
    READ_AGAIN = "read_again", _("read again")
    RELEASED = "released", _("returned to the queue")
    REMOVED = "removed", _("removed")
    RESET_LINK_CREATED = "reset_link_created", _("link for a new password made")
    RESTORED = "restored", _("restored")
    RESUMED = "resumed", _("resumed")
    REVOKED = "revoked", _("revoked")
    ROLE_CHANGED = "role_changed", _("role changed")
    SENT_AGAIN = "sent_again", _("sent again")
    SET = "set", _("set")
    TAKEN_INFECTED = "taken_infected", _("saved in spite of the virus scanner")
    TRIED_AGAIN = "tried_again", _("tried again")
    UNDONE = "undone", _("reverted")
    WHISPERED = "whispered", _("whispered to by a supervisor")


def words_of(action: str) -> tuple[str, str]:
    """Return the labels of an act's noun and verb; a word without a label is returned itself."""
    noun, _dot, verb = action.partition(".")
    return (
        AuditNoun(noun).label if noun in AuditNoun.words() else noun,
        AuditVerb(verb).label if verb in AuditVerb.words() else verb,
    )
