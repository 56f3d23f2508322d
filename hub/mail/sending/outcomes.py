"""What became of an attempt to send a message: for each recipient, and for the message as a whole.

Decides nothing; `smtp` makes these, `claims` writes what they mean. Pure. Invariant: "sent" is said only of what the
server answered 2xx to, "unknown" of what may have gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one recipient. `code` None: the server said nothing to this one, and `text` is its answer to the
    message as a whole ("550 …") or words of Hub's own."""

    address: str
    state: Literal["sent", "deferred", "refused", "unknown"]
    code: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took the message for every recipient."""

    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class PartlySent:
    """The server took the message for some; the replies of the others say refused or deferred."""

    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was sent, and trying again would change nothing."""

    reason: str
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Deferred:
    """Surely nothing was sent; it may be tried again. `is_sign_in`: the answer to AUTH is that it does not let us in.

    `is_line`: it was not about this message: no line to the server could be had.
    """

    reason: str
    replies: tuple[Reply, ...]
    is_sign_in: bool = False
    is_line: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message may have been sent: the answer to the end of the data never came."""

    reason: str
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Nothing was sent: `before_data` said no when the server was ready for the message."""

    replies: tuple[Reply, ...] = ()


Outcome = Sent | PartlySent | Refused | Deferred | Unknown
