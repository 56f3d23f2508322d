"""A mailbox of the database as types: what a person wrote of it, and what its page shows. Pure.

Invariant: none of these holds a secret but for the passwords just typed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from hub.errors import Refused
from hub.mail.imap.refusals import Advice, advice
from hub.settings import Secret

Tls = Literal["tls", "starttls", "none"]
Auth = Literal["auto", "plain", "login", "scram", "oauth"]
Oauth = Literal["", "google", "microsoft"]


class Side(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address and the sign-in of one of a mailbox's servers; the password stands elsewhere."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    tls: Tls = "tls"
    username: Annotated[str, msgspec.Meta(max_length=300)] = ""
    auth: Auth = "auto"
    tls_exception: Annotated[str, msgspec.Meta(pattern=r"^(sha256:([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2})?$")] = ""


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `mailboxes.settings`. `folders` empty: all that the server has."""

    imap: Side
    smtp: Side
    oauth: Oauth = ""
    folders: tuple[Annotated[str, msgspec.Meta(max_length=500)], ...] = ()
    history_days: Annotated[int, msgspec.Meta(ge=0, le=36500)] = 0
    may_private: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """The settings of a mailbox as a person wrote them. A password that is None stays as it is."""

    address: str
    name: str
    team_id: int | None
    settings: AccountSettings
    imap_password: Secret | None = None
    smtp_password: Secret | None = None

    @property
    def passwords(self) -> list[str]:
        """The servers that a password was given for."""
        pairs = (("imap", self.imap_password), ("smtp", self.smtp_password))
        return [name for name, secret in pairs if secret is not None]


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox as its page shows it. `settings` is None where the configuration file has them."""

    id: int
    version: int
    address: str
    name: str
    team_id: int
    team_name: str
    owner_id: int | None
    owner_name: str
    source: Literal["file", "page"]
    sign_in: str
    is_enabled: bool
    settings: AccountSettings | None
    state: str
    error: str
    error_at: datetime | None
    send_state: str
    send_error: str
    seen_at: datetime | None
    last_mail_at: datetime | None
    first_synced_at: datetime | None
    created_at: datetime
    secret_kinds: frozenset[str] = field(default_factory=frozenset)

    @property
    def advice(self) -> Advice:
        """Advice after a refused sign-in at this provider."""
        return advice(self.error) if self.state == "auth_refused" else ""


def read_settings(raw: Any) -> AccountSettings:
    """Read what a row holds. Raises Refused where a hand other than Hub's wrote it."""
    try:
        return msgspec.convert(raw, AccountSettings)
    except msgspec.ValidationError as error:
        raise Refused("mailbox_settings", f"the mailbox's settings in the database are wrong: {error}") from None
