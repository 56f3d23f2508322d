"""Tables of people, clients, leads, the queue and the timeline. Shapes only; what they mean is in the modules beside.

Invariants that the database itself holds: one open lead per address, one queue item per thing, one timeline entry
per thing, an owner on every claimed item and on no waiting one.
"""

from __future__ import annotations

import sqlalchemy as sa

from hub.crm.base.schema import record_columns, record_indexes
from hub.crm.choices import LeadReason, LeadState, QueueKind, QueueState
from hub.store.schema import BigId, Json, folded, id_column, link, metadata, moment

teams = sa.Table(
    "teams",
    metadata,
    *record_columns(),
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    folded("name_folded", 63),
    *record_indexes(),
    sa.Index(None, "name_folded", "id"),
)

roles = sa.Table(
    "roles",
    metadata,
    *record_columns(),
    sa.Column("key", sa.String(20), unique=True),
    sa.Column("name", sa.String(100), nullable=False, unique=True),
    sa.Column("requires_two_factor", sa.Boolean(), nullable=False, server_default=sa.false()),
    folded("name_folded", 100),
    *record_indexes(),
    sa.Index(None, "name_folded", "id"),
)
"""`key` is that of a preset: admin, head, manager, observer. `requires_two_factor`: whoever has the role signs in
by two steps."""

role_grants = sa.Table(
    "role_grants",
    metadata,
    sa.Column("role_id", BigId, sa.ForeignKey("roles.id"), primary_key=True),
    sa.Column("kind", sa.String(40), primary_key=True),
    sa.Column("action", sa.String(10), primary_key=True),
    sa.Column("scope", sa.String(10), nullable=False),
    sa.CheckConstraint("scope IN ('none', 'own', 'team', 'all')", name="scope"),
)
"""`kind` is the word of a kind, or `*` for each that the role has no grant of its own for."""

role_rights = sa.Table(
    "role_rights",
    metadata,
    sa.Column("role_id", BigId, sa.ForeignKey("roles.id"), primary_key=True),
    sa.Column("right", sa.String(20), primary_key=True),
)

role_pages = sa.Table(
    "role_pages",
    metadata,
    sa.Column("role_id", BigId, sa.ForeignKey("roles.id"), primary_key=True),
    sa.Column("page", sa.String(30), primary_key=True),
)

users = sa.Table(
    "users",
    metadata,
    *record_columns(archived="disabled_at"),
    sa.Column("email", sa.String(254), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("role", sa.String(20), nullable=False),
    link("role_id", "roles"),
    sa.Column("password_hash", sa.String(200), nullable=False),
    sa.Column("extension", sa.String(10), unique=True),
    sa.Column("language", sa.String(5)),
    sa.Column("time_zone", sa.String(40)),
    moment("two_factor_at"),
    moment("invited_until"),
    link("substitute_id", "users"),
    moment("substitute_from"),
    moment("substitute_until"),
    folded("name_folded", 200),
    *record_indexes(),
    sa.Index(None, "name_folded", "id"),
    sa.CheckConstraint("role IN ('admin', 'manager')", name="role"),
)
"""`role` says whether somebody is an administrator, as versions before roles read it; `role_id` decides the rest.
A person is substituted between `substitute_from` and `substitute_until`; without an end, until further notice."""

team_members = sa.Table(
    "team_members",
    metadata,
    sa.Column("team_id", BigId, sa.ForeignKey("teams.id"), primary_key=True),
    sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True, index=True),
)

phones = sa.Table(
    "phones",
    metadata,
    sa.Column("pbx", sa.String(63), primary_key=True),
    sa.Column("extension", sa.String(10), primary_key=True),
    link("user_id", "users", nullable=False),
    sa.UniqueConstraint("pbx", "user_id", name="uq_phones_user"),
)
"""The owner of an extension on one PBX. `users.extension` holds on every PBX that has no row of theirs here."""

user_privileges = sa.Table(
    "user_privileges",
    metadata,
    sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("privilege", sa.String(20), primary_key=True),
)

team_rules = sa.Table(
    "team_rules",
    metadata,
    sa.Column("team_id", BigId, sa.ForeignKey("teams.id"), primary_key=True),
    sa.Column("record_calls", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("keep_recordings_days", sa.Integer()),
    sa.Column("service_level_s", sa.Integer(), nullable=False, server_default="20"),
    sa.Column("after_call_s", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("time_zone", sa.String(40), nullable=False, server_default=""),
    sa.Column("hours", Json, nullable=False),
    sa.Column("holidays", Json, nullable=False),
    sa.Column("personal_s", sa.Integer(), nullable=False, server_default="0"),
    link("overflow_team_id", "teams"),
    sa.Column("overflow_s", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("when_closed", sa.String(10), nullable=False, server_default="fallback"),
    sa.Column("when_tired", sa.String(10), nullable=False, server_default="fallback"),
    sa.CheckConstraint("when_closed IN ('fallback', 'callback', 'voicemail')", name="when_closed"),
    sa.CheckConstraint("when_tired IN ('fallback', 'callback', 'voicemail')", name="when_tired"),
)

blocked_callers = sa.Table(
    "blocked_callers",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("pattern", sa.String(40), nullable=False, server_default=""),
    sa.Column("note", sa.String(300), nullable=False, server_default=""),
    link("created_by", "users"),
    moment("created_at", nullable=False),
    sa.UniqueConstraint("kind", "pattern", name="uq_blocked_callers_pattern"),
    sa.CheckConstraint("kind IN ('number', 'pattern', 'hidden')", name="kind"),
)

presence = sa.Table(
    "presence",
    metadata,
    sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("state", sa.String(10), nullable=False),
    moment("since", nullable=False),
    moment("until"),
    moment("seen_at"),
    sa.CheckConstraint("state IN ('available', 'away', 'dnd', 'after_call')", name="state"),
)
"""The state that people set for themselves; a call is seen, not set. `seen_at`: the last sign of an open
page or stream, null once they signed out."""

sessions = sa.Table(
    "sessions",
    metadata,
    id_column(),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("csrf", sa.String(64), nullable=False),
    link("user_id", "users", nullable=False),
    moment("created_at", nullable=False),
    moment("seen_at", nullable=False),
    moment("expires_at", nullable=False),
    moment("revoked_at"),
    sa.Column("user_agent", sa.String(300), nullable=False, server_default=""),
    sa.Column("address", sa.String(45), nullable=False, server_default=""),
)

totp_secrets = sa.Table(
    "totp_secrets",
    metadata,
    sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("key_id", sa.String(16), nullable=False),
    sa.Column("sealed", sa.LargeBinary(), nullable=False),
    moment("created_at", nullable=False),
    sa.Column("last_step", sa.BigInteger()),
)
"""The sealed secret of a person's authenticator app; it counts where `users.two_factor_at` is set. `last_step`: of
the newest code that was accepted."""

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    id_column(),
    link("user_id", "users", nullable=False),
    sa.Column("code_hash", sa.String(64), nullable=False),
    moment("used_at"),
)

known_devices = sa.Table(
    "known_devices",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True, index=True),
    moment("seen_at", nullable=False),
    moment("expires_at", nullable=False),
)
"""Browsers that a person has signed in with. One browser may be several people's."""

password_resets = sa.Table(
    "password_resets",
    metadata,
    id_column(),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    link("user_id", "users", nullable=False),
    moment("created_at", nullable=False),
    moment("expires_at", nullable=False),
    moment("used_at"),
)

tokens = sa.Table(
    "tokens",
    metadata,
    id_column(),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    link("user_id", "users", nullable=False),
    sa.Column("name", sa.String(100), nullable=False, server_default=""),
    moment("created_at", nullable=False),
    moment("expires_at"),
    moment("used_at"),
    moment("revoked_at"),
)

clients = sa.Table(
    "clients",
    metadata,
    *record_columns(),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("name", sa.String(300), nullable=False, index=True),
    sa.Column("name_folded", sa.String(300), nullable=False, index=True),
    folded("name_sort"),
    sa.Column("note", sa.Text(), nullable=False, server_default=""),
    sa.Column("source", sa.String(60)),
    sa.Column("full_name", sa.String(500), nullable=False, server_default=""),
    folded("full_name_folded", 300),
    folded("inn", 12),
    folded("kpp", 9),
    folded("ogrn", 15),
    sa.Column("legal_address", sa.String(500), nullable=False, server_default=""),
    sa.Column("address", sa.String(500), nullable=False, server_default=""),
    sa.Column("site", sa.String(300), nullable=False, server_default=""),
    sa.Column("state", sa.String(60)),
    sa.Column("industry", sa.String(60)),
    sa.Column("region", sa.String(60)),
    sa.Column("external_id", sa.String(100)),
    folded("external_id_folded", 100),
    *(sa.Column(name, sa.String(100)) for name in ("last_name", "first_name", "middle_name")),
    *(folded(f"{name}_folded", 100) for name in ("last_name", "first_name", "middle_name")),
    sa.Column("birth_date", sa.Date()),
    sa.Column("sex", sa.String(10)),
    link("parent_id", "clients"),
    link("owner_id", "users"),
    link("team_id", "teams"),
    *(sa.Index(f"ix_clients_{name}", name, "id") for name in ("full_name_folded", "inn", "kpp", "ogrn")),
    *(sa.Index(f"ix_clients_{name}", name, "id") for name in ("state", "industry", "region", "external_id_folded")),
    *(
        sa.Index(f"ix_clients_{name}", name, "id")
        for name in ("last_name_folded", "first_name_folded", "middle_name_folded", "birth_date")
    ),
    sa.Index("ix_clients_name_sort", "name_sort", "id"),
    *record_indexes(),
    sa.Index("ix_clients_source", "source", "id"),
    sa.CheckConstraint("kind IN ('organisation', 'person')", name="kind"),
)
"""`name_folded` holds the words of the name, by which it is searched; `name_sort` its twin with punctuation."""

client_participants = sa.Table(
    "client_participants",
    metadata,
    sa.Column("client_id", BigId, sa.ForeignKey("clients.id"), primary_key=True),
    sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Index("ix_client_participants_user_id", "user_id", "client_id"),
)

client_bank_accounts = sa.Table(
    "client_bank_accounts",
    metadata,
    id_column(),
    link("client_id", "clients", nullable=False),
    sa.Column("bic", sa.String(9), nullable=False),
    sa.Column("account", sa.String(20), nullable=False),
    sa.Column("correspondent_account", sa.String(20), nullable=False, server_default=""),
    sa.Column("bank", sa.String(200), nullable=False, server_default=""),
)

contacts = sa.Table(
    "contacts",
    metadata,
    *record_columns(),
    link("client_id", "clients"),
    sa.Column("name", sa.String(300), nullable=False),
    folded("name_folded"),
    sa.Column("position", sa.String(200), nullable=False, server_default=""),
    *record_indexes(),
    sa.Index("ix_contacts_name_folded", "name_folded", "id"),
)

addresses = sa.Table(
    "addresses",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("value", sa.String(254), nullable=False),
    sa.Column("raw", sa.String(254), nullable=False),
    sa.Column("extension", sa.String(20), nullable=False, server_default=""),
    link("client_id", "clients"),
    link("contact_id", "contacts"),
    moment("created_at", nullable=False),
    sa.Index("ix_addresses_kind_value", "kind", "value"),
    sa.CheckConstraint("kind IN ('phone', 'email', 'domain')", name="kind"),
    sa.CheckConstraint("client_id IS NOT NULL OR contact_id IS NOT NULL", name="owner"),
)

relink_jobs = sa.Table(
    "relink_jobs",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("address", sa.String(254), nullable=False),
    sa.Column("below_id", sa.BigInteger()),
    sa.Column("unlinks", sa.Boolean(), nullable=False),
    moment("created_at", nullable=False),
    sa.UniqueConstraint("kind", "address", name="uq_relink_jobs_address"),
)
"""Addresses of which past calls or messages are asked anew whose they are: those with an id below `below_id`, all
where it is null. `unlinks`: what nobody owns any more leaves its card."""

_open_lead = sa.text("state = 'open'")

leads = sa.Table(
    "leads",
    metadata,
    *record_columns(),
    link("team_id", "teams", nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("reason", sa.String(10), nullable=False),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("address_kind", sa.String(10), nullable=False),
    sa.Column("address", sa.String(254), nullable=False),
    link("client_id", "clients"),
    link("contact_id", "contacts"),
    link("owner_id", "users"),
    sa.Column("times", sa.Integer(), nullable=False),
    sa.Column("note", sa.Text(), nullable=False, server_default=""),
    sa.Column("source", sa.String(60)),
    moment("last_at", nullable=False),
    moment("closed_at"),
    *record_indexes(),
    sa.Index("ix_leads_last", "last_at", "id"),
    sa.Index("ix_leads_source", "source", "id"),
    sa.Index(
        "uq_leads_open",
        "team_id",
        "address_kind",
        "address",
        unique=True,
        sqlite_where=_open_lead,
        postgresql_where=_open_lead,
    ),
    sa.CheckConstraint(LeadState.check("state"), name="state"),
    sa.CheckConstraint(LeadReason.check("reason"), name="reason"),
)

queue_items = sa.Table(
    "queue_items",
    metadata,
    id_column(),
    link("team_id", "teams", nullable=False, index=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("ref_id", sa.BigInteger(), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    link("owner_id", "users", index=False),
    sa.Column("claim_id", sa.String(16)),
    moment("claimed_at"),
    moment("lease_until"),
    link("client_id", "clients"),
    sa.Column("title", sa.String(300), nullable=False),
    sa.Column("address", sa.String(254), nullable=False, server_default=""),
    sa.Column("data", Json, nullable=False),
    sa.Column("version", sa.Integer(), nullable=False),
    moment("queued_at", nullable=False),
    moment("done_at"),
    sa.UniqueConstraint("kind", "ref_id", name="uq_queue_items_thing"),
    sa.Index("ix_queue_items_waiting", "team_id", "state", "queued_at", "id"),
    sa.Index("ix_queue_items_owner", "owner_id", "state"),
    sa.CheckConstraint(QueueState.check("state"), name="state"),
    sa.CheckConstraint(QueueKind.check("kind"), name="kind"),
    sa.CheckConstraint("(state = 'waiting') = (owner_id IS NULL) OR state = 'done'", name="owner"),
)

timeline_entries = sa.Table(
    "timeline_entries",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("ref_id", sa.BigInteger(), nullable=False),
    link("client_id", "clients", nullable=False, index=False),
    link("contact_id", "contacts"),
    moment("at", nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.UniqueConstraint("kind", "ref_id", name="uq_timeline_entries_thing"),
    sa.Index("ix_timeline_entries_client", "client_id", "at", "id"),
    sa.Index("ix_timeline_entries_kind", "client_id", "kind", "at", "id"),
)

audit = sa.Table(
    "audit",
    metadata,
    id_column(),
    moment("at", nullable=False),
    link("user_id", "users"),
    sa.Column("action", sa.String(60), nullable=False),
    sa.Column("object_kind", sa.String(40), nullable=False),
    sa.Column("object_id", sa.BigInteger()),
    sa.Column("details", Json, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    moment("created_at", nullable=False),
    sa.Column("request_hash", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer()),
    sa.Column("answer", Json),
)

delivered_data = sa.Table(
    "delivered_data",
    metadata,
    sa.Column("part", sa.String(100), primary_key=True),
    moment("delivered_at", nullable=False),
)
"""`part` of the typical data that this database was given (`typical_data`): a list is filled in once, so that what the
company deletes does not come back."""
