"""The fate of whatever belongs to a person who leaves: one word for each column that refers to people.

Decides nothing else: `deactivation` hands over, `accounts` ends. Invariant: each foreign key to `users` stands here
exactly once (a test walks the metadata), so that a new one has its answer before it is released.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Fate = Literal["handed_over", "returned", "ended", "settled", "history", "account"]
"""The fate of a reference when its person is deactivated:

`handed_over`: goes to the colleague who is chosen. `returned`: goes back to the team. `ended`: is void at once.
`settled`: an administrator decides it by itself, because a hand-over would give away what is private or somebody
else's decision. `history`: says who did something, and stays as it is. `account`: is part of the account, means nothing
without it, and is there again if the person is restored.
"""

FATES: Mapping[tuple[str, str], Fate] = {
    ("clients", "owner_id"): "handed_over",
    ("leads", "owner_id"): "handed_over",
    ("views", "owner_id"): "handed_over",
    ("queue_items", "owner_id"): "returned",
    ("sessions", "user_id"): "ended",
    ("tokens", "user_id"): "ended",
    ("password_resets", "user_id"): "ended",
    ("known_devices", "user_id"): "ended",
    ("presence", "user_id"): "ended",
    # A personal mailbox stays its owner's and the administrators': a colleague reads no private mail by a hand-over.
    ("mailboxes", "owner_id"): "settled",
    # Drafts and what stands in the outbox are read by their author alone.
    ("drafts", "author_id"): "settled",
    ("users", "substitute_id"): "settled",
    ("audit", "user_id"): "history",
    ("history", "user_id"): "history",
    ("operations", "user_id"): "history",
    ("calls", "answered_user_id"): "history",
    ("call_legs", "user_id"): "history",
    ("call_intents", "user_id"): "history",
    ("messages", "author_id"): "history",
    ("mail_templates", "created_by"): "history",
    ("blocked_callers", "created_by"): "history",
    # Taking part in a client beside its manager: nobody is left without it, and it is there again with the person.
    ("client_participants", "user_id"): "account",
    ("team_members", "user_id"): "account",
    ("phones", "user_id"): "account",
    ("user_privileges", "user_id"): "account",
    ("totp_secrets", "user_id"): "account",
    ("recovery_codes", "user_id"): "account",
    ("idempotency_keys", "user_id"): "account",
    ("answering", "user_id"): "account",
    ("picture_senders", "user_id"): "account",
    ("list_columns", "user_id"): "account",
    ("signatures", "user_id"): "account",
    ("identities", "user_id"): "account",
}
