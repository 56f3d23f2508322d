"""People of the company: what one is (`table`), how they sign in and what their account is (`rules`)."""

from hub.crm.people.rules import (
    SEEN_EVERY,
    SESSION_LASTS,
    AccountKey,
    Session,
    account_key,
    add_user,
    ensure_team,
    find_session,
    fits,
    hash_password,
    open_session,
    password_now,
    password_of,
    revoke_session,
    team_mates,
    team_names,
)
from hub.crm.people.table import USERS, Role, UserInput, UserRecord

__all__ = [
    "SEEN_EVERY",
    "SESSION_LASTS",
    "USERS",
    "AccountKey",
    "Role",
    "Session",
    "UserInput",
    "UserRecord",
    "account_key",
    "add_user",
    "ensure_team",
    "find_session",
    "fits",
    "hash_password",
    "open_session",
    "password_now",
    "password_of",
    "revoke_session",
    "team_mates",
    "team_names",
]
