"""Tables of what is being written: drafts, templates, signatures and the names people write under. Shapes only.

Invariants that the database holds: a draft's file has one row, a person has each identity once.
"""

from __future__ import annotations

import sqlalchemy as sa

from hub.crm.base.schema import record_indexes
from hub.mail.choices import DraftKind
from hub.store.schema import Json, folded, id_column, link, metadata, moment

_OF_TEAM = sa.text("team_id IS NOT NULL AND archived_at IS NULL")
_OF_ALL = sa.text("team_id IS NULL AND archived_at IS NULL")
_SIGNATURES = (
    ("uq_signatures_of_user", ("user_id",), sa.text("mailbox_id IS NULL")),
    ("uq_signatures_of_mailbox", ("mailbox_id",), sa.text("user_id IS NULL")),
    ("uq_signatures_of_both", ("user_id", "mailbox_id"), sa.text("user_id IS NOT NULL AND mailbox_id IS NOT NULL")),
)

drafts = sa.Table(
    "drafts",
    metadata,
    id_column(),
    link("author_id", "users", nullable=False),
    link("mailbox_id", "mailboxes", nullable=False, index=False),
    link("identity_id", "identities", index=False),
    link("client_id", "clients"),
    link("contact_id", "contacts", index=False),
    sa.Column("kind", sa.String(10), nullable=False, server_default="new"),
    link("answers_id", "messages"),
    sa.Column("to", Json, nullable=False),
    sa.Column("cc", Json, nullable=False),
    sa.Column("bcc", Json, nullable=False),
    sa.Column("subject", sa.String(1000), nullable=False, server_default=""),
    sa.Column("html", sa.Text(), nullable=False, server_default=""),
    sa.Column("text", sa.Text(), nullable=False, server_default=""),
    sa.Column("quotes", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("version", sa.Integer(), nullable=False, server_default="0"),
    moment("send_at"),
    moment("created_at", nullable=False),
    moment("saved_at", nullable=False),
    moment("deleted_at"),
    link("message_id", "messages"),
    sa.Column("closed_version", sa.Integer()),
    sa.Column("closed_owned", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.CheckConstraint(DraftKind.check("kind"), name="kind"),
    sa.Index("ix_drafts_created_at", "created_at", "id"),
    sa.Index("ix_drafts_saved_at", "saved_at", "id"),
    sqlite_autoincrement=True,  # no id comes twice: a page that was left open must not save into another draft
)
"""What is written and not sent yet. `version` grows by each save; `to`, `cc`, `bcc` are lines as typed; `quotes`: the
original goes below. Once `message_id` is set it is that message, and no draft unless sending is taken back in time:
then the queue item it closed opens again, if that still has `closed_version` (to its owner, where `closed_owned`)."""

draft_files = sa.Table(
    "draft_files",
    metadata,
    id_column(),
    link("draft_id", "drafts", nullable=False),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("type", sa.String(200), nullable=False),
    sa.Column("size", sa.BigInteger(), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("inline", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("cid", sa.String(300)),
)

mail_templates = sa.Table(
    "mail_templates",
    metadata,
    id_column(),
    sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
    moment("created_at"),
    moment("changed_at"),
    moment("archived_at"),
    link("team_id", "teams"),
    sa.Column("name", sa.String(200), nullable=False),
    folded("name_folded", 200),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("subject", sa.String(1000), nullable=False, server_default=""),
    sa.Column("html", sa.Text(), nullable=False),
    link("created_by", "users", index=False),
    moment("renewed_at", nullable=False),
    *record_indexes(),
    sa.Index("ix_mail_templates_name_folded", "name_folded", "id"),
    sa.Index(
        "uq_mail_templates_of_team",
        "team_id",
        "name",
        "language",
        unique=True,
        sqlite_where=_OF_TEAM,
        postgresql_where=_OF_TEAM,
    ),
    sa.Index(
        "uq_mail_templates_of_all",
        "name",
        "language",
        unique=True,
        sqlite_where=_OF_ALL,
        postgresql_where=_OF_ALL,
    ),
)
"""Texts with fields of the client; without a team they are everybody's. `renewed_at` is kept for the version before."""

signatures = sa.Table(
    "signatures",
    metadata,
    id_column(),
    link("user_id", "users"),
    link("mailbox_id", "mailboxes"),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("html", sa.Text(), nullable=False),
    moment("renewed_at", nullable=False),
    *(
        sa.Index(name, *columns, "language", unique=True, sqlite_where=where, postgresql_where=where)
        for name, columns, where in _SIGNATURES
    ),
)
"""A person's, a mailbox's, or a person's for one mailbox: the narrowest is taken."""

identities = sa.Table(
    "identities",
    metadata,
    id_column(),
    link("user_id", "users", nullable=False),
    link("mailbox_id", "mailboxes", nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("address", sa.String(254), nullable=False, server_default=""),
    sa.Column("is_default", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("user_id", "mailbox_id", "name", "address", name="uq_identities_name"),
)
"""The name (and alias address, where not the mailbox's own) a person writes under from a mailbox."""
