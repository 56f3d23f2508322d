"""The audit: who did what. `rules` adds a row in the transaction of the deed, `table` is what administrators read."""

from hub.crm.audit.rules import record

__all__ = ["record"]
