"""The words of what the audit says of an act beside its object: the name of each detail, and of values that are words.

A detail that is not here is shown as it stands, so that nothing is hidden. Pure.
"""

from __future__ import annotations

from hub.crm.base.choices import Choices
from hub.crm.base.labels import _


class AuditDetail(Choices):
    """The names of details, with the label of each."""

    ACTIVE = "active", _("In use")
    ADDRESS = "address", _("Address")
    AFTER_CALL_S = "after_call_s", _("After-call work, seconds")
    ARCHIVED = "archived", _("Archived ones")
    BEFORE = "before", _("Client before")
    CALL = "call", _("Call")
    CHOICES = "choices", _("Options")
    CLIENT = "client", _("Client")
    COLOR = "color", _("Colour")
    COLUMNS = "columns", _("Columns")
    CONTACT = "contact", _("Contact")
    DATA = "data", _("Further settings")
    DICTIONARY = "dictionary", _("Dictionary")
    EXTENSION = "extension", _("Extension")
    FILE = "file", _("File on the disk")
    FOR = "for", _("Whose")
    FORMAT = "format", _("Format")
    FORWARDED_BY = "forwarded_by", _("Forwarded by")
    FOUND = "found", _("Found")
    GROUP = "group", _("Group")
    HELP = "help", _("Hint")
    HOLIDAYS = "holidays", _("Holidays and short days")
    HOSTS = "hosts", _("Servers")
    HOURS = "hours", _("Working hours")
    ICON = "icon", _("Icon")
    IDS = "ids", _("Chosen records")
    INTENT = "intent", _("Command to the PBX")
    IS_READ = "is_read", _("Could be read")
    KEEP_RECORDINGS_DAYS = "keep_recordings_days", _("Keep recordings, days")
    KEY = "key", _("Key")
    KIND = "kind", _("Kind")
    LABEL = "label", _("Title")
    LEFT = "left", _("Recovery codes left")
    MAILBOX = "mailbox", _("Mailbox")
    MANAGER = "manager", _("Manager")
    MESSAGE = "message", _("Message")
    MESSAGES = "messages", _("Messages")
    NAME = "name", _("Name")
    NUMBER = "number", _("Number")
    OBJECT_KIND = "object_kind", _("Records")
    OF = "of", _("Whose")
    ORDER = "order", _("Place in the list")
    ORIGINAL = "original", _("Original sender")
    OVERFLOW_S = "overflow_s", _("Overflow after, seconds")
    OVERFLOW_TEAM_ID = "overflow_team_id", _("Overflow to")
    PARENT = "parent", _("Above it")
    PASSWORDS = "passwords", _("New passwords")
    PATH = "path", _("File")
    PATTERN = "pattern", _("Number or pattern")
    PBX = "pbx", _("PBX")
    PERSONAL = "personal", _("Personal")
    PERSONAL_S = "personal_s", _("Own manager first, seconds")
    PRIVILEGE = "privilege", _("Right")
    PROVIDER = "provider", _("Provider")
    Q = "q", _("Search")
    REASON = "reason", _("Reason")
    RECIPIENTS = "recipients", _("Recipients")
    RECORD_CALLS = "record_calls", _("Calls of this team are recorded")
    REQUIRED = "required", _("Required")
    RETURNED = "returned", _("Returned to queues")
    ROLE = "role", _("Role")
    SCAN = "scan", _("Virus scanner")
    SERVICE_LEVEL_S = "service_level_s", _("Service level, seconds")
    SHA256 = "sha256", "SHA-256"
    SHARED_WITH = "shared_with", _("Shared with")
    STEP = "step", _("Step")
    TARGET = "target", _("To whom")
    TIME_ZONE = "time_zone", _("Time zone")
    TOTAL = "total", _("Records in all")
    TYPE = "type", _("Type")
    VALUE = "value", _("Value")
    WAY = "way", _("How")
    WHEN_CLOSED = "when_closed", _("When closed")
    WHEN_TIRED = "when_tired", _("Nobody takes the call")
    WHERE = "where", _("Condition")


_LAST = {"fallback": _("the PBX decides"), "callback": _("a call-back is offered"), "voicemail": _("voicemail")}
_WORDS: dict[str, dict[str, str]] = {
    "way": {"link": _("by a link"), "command": _("by a command")},
    "step": {"code": _("second step")},
    "file": {"gone": _("deleted"), "left": _("left there")},
    "shared_with": {"me": _("nobody"), "team": _("the team"), "all": _("everybody")},
    "kind": {
        "phone": _("Phone"),
        "email": _("E-mail"),
        "number": _("Number"),
        "pattern": _("pattern"),
        "hidden": _("hidden number"),
    },
    "when_closed": _LAST,
    "when_tired": _LAST,
    "reason": {
        "caller_gone": _("the caller hung up"),
        "returned": _("returned to the queue"),
        "replaced": _("taken anew"),
        "noanswer": _("the phone was not answered"),
        "busy": _("the phone was busy"),
        "chanunavail": _("the phone is not connected"),
        "congestion": _("the phone could not be rung"),
        "cancel": _("the caller hung up"),
        "failed": _("the phone could not be rung"),
    },
}


def word_of(name: str, value: str) -> str:
    """Return the label of a value that is a word, marked for translation; any other value itself."""
    return _WORDS.get(name, {}).get(value.lower(), value)
