"""Leads: callers and senders nobody knows yet, and people to be called back."""

from hub.crm.leads.queries import detailed, find
from hub.crm.leads.rules import (
    LeadReason,
    callback_addresses,
    close,
    close_callback,
    convert,
    enqueue,
    join_or_open,
)
from hub.crm.leads.table import LEADS, Lead, LeadInput

__all__ = [
    "LEADS",
    "Lead",
    "LeadInput",
    "LeadReason",
    "callback_addresses",
    "close",
    "close_callback",
    "convert",
    "detailed",
    "enqueue",
    "find",
    "join_or_open",
]
