"""Typical data: the values of lists, characteristics and roles that Hub is delivered with.

`content` says what they are, `delivering` gives them to a database once, `comparing` says what the company changed
since, `restoring` brings it back.
"""

from hub.crm.typical_data.comparing import Difference, Item, ItemState, Part, compare
from hub.crm.typical_data.delivering import deliver
from hub.crm.typical_data.restoring import restore

__all__ = ["Difference", "Item", "ItemState", "Part", "compare", "deliver", "restore"]
