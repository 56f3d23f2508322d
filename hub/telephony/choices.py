"""The choices of calls: each word with its label, icon and colour. Pure.

The words are those of the tracker's own types (`tracking.calls`), which a test holds to these. `title_of` decides how
a call is named and drawn as a whole, wherever it stands.
"""

from __future__ import annotations

from hub.crm.base.choices import Choices
from hub.crm.base.labels import _


class CallDirection(Choices):
    INBOUND = "inbound", _("Incoming"), "phone-incoming"
    OUTBOUND = "outbound", _("Outgoing"), "phone-outgoing"
    INTERNAL = "internal", _("Internal"), "phone"


class CallState(Choices):
    RINGING = "ringing", _("Ringing"), "phone-call", "good"
    WAITING = "waiting", _("Waits in the queue"), "phone-call", "good"
    CONNECTING = "connecting", _("Connecting"), "phone-call", "good"
    TALKING = "talking", _("Talking now"), "phone-call", "good"
    HELD = "held", _("On hold"), "phone-call", "good"
    ENDED = "ended", _("Over"), "phone"


class CallOutcome(Choices):
    ANSWERED = "answered", _("Answered"), "phone-incoming", "good"
    MISSED = "missed", _("No answer"), "phone-missed", "bad"
    ABANDONED = "abandoned", _("Hung up while waiting"), "phone-missed", "bad"
    BUSY = "busy", _("Busy"), "phone-missed", "bad"
    REJECTED = "rejected", _("Declined"), "phone-missed", "bad"
    FAILED = "failed", _("Failed"), "phone-missed", "bad"
    VOICEMAIL = "voicemail", _("Voicemail"), "voicemail", "accent"


class LegResult(Choices):
    ANSWERED = "answered", _("answered")
    NO_ANSWER = "no_answer", _("no answer")
    BUSY = "busy", _("busy")
    REJECTED = "rejected", _("declined")
    CANCELLED = "cancelled", _("cancelled")
    FAILED = "failed", _("failed")


class CallOrigin(Choices):
    LIVE = "live", _("Seen live")
    CDR = "cdr", _("from the PBX's records")


class PhoneState(Choices):
    """The state of a person's phone; `none` is of a person without one."""

    IN_USE = "in_use", _("in use"), "phone", "warn"
    ON_HOLD = "on_hold", _("on hold"), "phone", "warn"
    BUSY = "busy", _("busy"), "phone", "warn"
    RINGING = "ringing", _("rings"), "phone-call", "warn"
    IDLE = "idle", _("reachable"), "phone", "good"
    UNAVAILABLE = "unavailable", _("phone not reachable"), "phone-off", "warn"
    UNKNOWN = "unknown", _("not known"), "phone"
    NONE = "none", _("no phone"), "phone-off"


class DialFailure(Choices):
    """Why a call that was dialled reached nobody (`control.dial_failures`)."""

    NO_ROUTE = "no_route", _("The PBX has no route for this number.")
    TRUNK_DOWN = "trunk_down", _("The line to the outside does not work now.")
    CONGESTION = "congestion", _("The line to the outside is overloaded. Try again in a minute.")
    UNKNOWN_NUMBER = "unknown_number", _("The provider does not know this number.")
    REFUSED_BY_PROVIDER = "refused_by_provider", _("The provider refused the call.")


class CallTitle(Choices):
    """A call that is over, in a few words: where it went and what became of it."""

    OUTBOUND_ANSWERED = "outbound_answered", _("Outgoing call"), "phone-outgoing", "good"
    OUTBOUND_BUSY = "outbound_busy", _("Outgoing, busy"), "phone-off"
    OUTBOUND_REJECTED = "outbound_rejected", _("Outgoing, declined"), "phone-off"
    OUTBOUND_VOICEMAIL = "outbound_voicemail", _("Outgoing, voicemail"), "voicemail", "accent"
    OUTBOUND_FAILED = "outbound_failed", _("Outgoing, did not go through"), "phone-off"
    OUTBOUND_MISSED = "outbound_missed", _("Outgoing, no answer"), "phone-off"
    INTERNAL_ANSWERED = "internal_answered", _("Internal call"), "phone-incoming", "good"
    INTERNAL_VOICEMAIL = "internal_voicemail", _("Internal, voicemail"), "voicemail", "accent"
    INTERNAL_MISSED = "internal_missed", _("Internal, no answer"), "phone-missed", "bad"
    INBOUND_ANSWERED = "inbound_answered", _("Incoming call"), "phone-incoming", "good"
    INBOUND_ABANDONED = "inbound_abandoned", _("Missed: hung up while waiting"), "phone-missed", "bad"
    INBOUND_BUSY = "inbound_busy", _("Missed: busy"), "phone-missed", "bad"
    INBOUND_REJECTED = "inbound_rejected", _("Missed: declined"), "phone-missed", "bad"
    INBOUND_VOICEMAIL = "inbound_voicemail", _("Left a voicemail"), "voicemail", "accent"
    INBOUND_MISSED = "inbound_missed", _("Missed call"), "phone-missed", "bad"


def title_of(direction: str, state: str, outcome: str | None) -> CallState | CallTitle:
    """Return the name, icon and tone of a call: of its state while it lives, of its outcome afterwards."""
    if state != CallState.ENDED:
        return CallState(state)
    side = direction if direction in (CallDirection.OUTBOUND, CallDirection.INTERNAL) else CallDirection.INBOUND
    word = f"{side}_{outcome}"
    return CallTitle(word) if word in CallTitle.words() else CallTitle(f"{side}_missed")
