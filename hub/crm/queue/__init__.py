"""The team's queue: what waits, who takes it, and what comes back.

`items` reads, `entry` puts things in and out, `claims` decides who has them.
"""

from hub.crm.queue.claims import (
    CALL_LEASE,
    RING_MARGIN,
    assign,
    claim,
    expired,
    extend_lease,
    finish,
    hold,
    hold_for,
    is_held,
    release,
    take_back,
)
from hub.crm.queue.entry import annotate, close, enqueue, follow, lock, move, reopen, set_client
from hub.crm.queue.items import (
    Item,
    ItemId,
    Kind,
    State,
    count_waiting,
    find,
    find_by_thing,
    listed,
    of_client,
    of_things,
)

__all__ = [
    "CALL_LEASE",
    "RING_MARGIN",
    "Item",
    "ItemId",
    "Kind",
    "State",
    "annotate",
    "assign",
    "claim",
    "close",
    "count_waiting",
    "enqueue",
    "expired",
    "extend_lease",
    "find",
    "find_by_thing",
    "finish",
    "follow",
    "hold",
    "hold_for",
    "is_held",
    "listed",
    "lock",
    "move",
    "of_client",
    "of_things",
    "release",
    "reopen",
    "set_client",
    "take_back",
]
