"""Why a call that was dialled outside reached nobody, where that was no person's doing. Pure.

Source: DIALSTATUS of app_dial, and the causes of ITU-T Q.850 as Asterisk translates SIP answers to them.
"""

from __future__ import annotations

_BY_CAUSE = {
    "1": "unknown_number",  # SIP 404
    "3": "no_way",
    "21": "refused_by_provider",  # SIP 401, 403, 407, 603
    "28": "unknown_number",  # SIP 484
    "34": "congestion",
    "38": "trunk_down",
    "42": "congestion",
    "44": "congestion",
    "50": "refused_by_provider",
    "57": "refused_by_provider",
}
_BY_STATUS = {"NOROUTE": "no_route", "INVALIDARGS": "no_route", "CHANUNAVAIL": "trunk_down", "CONGESTION": "congestion"}


def failure_of(status: str, cause: str) -> str | None:
    """Return the reason for a DIALSTATUS (`NOROUTE`: nothing was dialled); None for busy, unanswered and answered."""
    by_status = _BY_STATUS.get(status)
    if by_status is None or by_status == "no_route":
        return by_status
    by_cause = _BY_CAUSE.get(cause)
    return "trunk_down" if by_cause == "no_way" else by_cause or by_status
