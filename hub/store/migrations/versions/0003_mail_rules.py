"""Mailboxes of people and of the page, flags, drafts, templates, what came back, who holds what, the search."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.clock import utc_now
from hub.store.schema import BigId, Json, Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OUTBOX_STATES = "state IN ('queued', 'sending', 'sent', 'refused', 'deferred', 'unknown', 'cancelled', 'undone')"
_TEMPLATES = (
    (
        "uq_mail_templates_of_team",
        ["team_id", "name", "language"],
        sa.text("team_id IS NOT NULL AND archived_at IS NULL"),
    ),
    ("uq_mail_templates_of_all", ["name", "language"], sa.text("team_id IS NULL AND archived_at IS NULL")),
)
_SIGNATURES = (
    ("uq_signatures_of_user", ["user_id", "language"], sa.text("mailbox_id IS NULL")),
    ("uq_signatures_of_mailbox", ["mailbox_id", "language"], sa.text("user_id IS NULL")),
    (
        "uq_signatures_of_both",
        ["user_id", "mailbox_id", "language"],
        sa.text("user_id IS NOT NULL AND mailbox_id IS NOT NULL"),
    ),
)
_SEARCH = {
    "sqlite": (
        """CREATE VIRTUAL TABLE message_search USING fts5(terms, tokenize="ascii tokenchars ':.'", prefix='3')""",
    ),
    "postgresql": (
        "CREATE TABLE message_search (message_id BIGINT PRIMARY KEY REFERENCES messages (id), terms TSVECTOR NOT NULL)",
        "CREATE INDEX ix_message_search_terms ON message_search USING gin (terms)",
    ),
}
"""Not in the metadata: the two databases search by different means (`hub/mail/search.py`)."""


def upgrade() -> None:
    op.create_table(
        "holders",
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=254), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_holders")),
    )
    op.create_table(
        "mail_templates",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("team_id", BigId, nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("subject", sa.String(length=1000), server_default="", nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("created_by", BigId, nullable=True),
        sa.Column("renewed_at", Moment(), nullable=False),
        sa.Column("archived_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_mail_templates_created_by")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_mail_templates_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_templates")),
    )
    with op.batch_alter_table("mail_templates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_mail_templates_team_id"), ["team_id"], unique=False)
        for name, columns, where in _TEMPLATES:
            batch_op.create_index(name, columns, unique=True, sqlite_where=where, postgresql_where=where)

    op.create_table(
        "identities",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("mailbox_id", BigId, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=254), server_default="", nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name=op.f("fk_identities_mailbox_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_identities_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("user_id", "mailbox_id", "name", "address", name="uq_identities_name"),
    )
    with op.batch_alter_table("identities", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identities_mailbox_id"), ["mailbox_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_identities_user_id"), ["user_id"], unique=False)

    op.create_table(
        "mail_secrets",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("mailbox_id", BigId, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("renewed_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name=op.f("fk_mail_secrets_mailbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_secrets")),
        sa.UniqueConstraint("mailbox_id", "kind", name="uq_mail_secrets_kind"),
    )
    op.create_table(
        "signatures",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", BigId, nullable=True),
        sa.Column("mailbox_id", BigId, nullable=True),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("renewed_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name=op.f("fk_signatures_mailbox_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_signatures_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signatures")),
    )
    with op.batch_alter_table("signatures", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_signatures_mailbox_id"), ["mailbox_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_signatures_user_id"), ["user_id"], unique=False)
        for name, columns, where in _SIGNATURES:
            batch_op.create_index(name, columns, unique=True, sqlite_where=where, postgresql_where=where)

    op.create_table(
        "answering",
        sa.Column("thread_id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], name=op.f("fk_answering_thread_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_answering_user_id")),
        sa.PrimaryKeyConstraint("thread_id", "user_id", name=op.f("pk_answering")),
    )
    op.create_table(
        "drafts",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("author_id", BigId, nullable=False),
        sa.Column("mailbox_id", BigId, nullable=False),
        sa.Column("identity_id", BigId, nullable=True),
        sa.Column("client_id", BigId, nullable=True),
        sa.Column("contact_id", BigId, nullable=True),
        sa.Column("kind", sa.String(length=10), server_default="new", nullable=False),
        sa.Column("answers_id", BigId, nullable=True),
        sa.Column("to", Json, nullable=False),
        sa.Column("cc", Json, nullable=False),
        sa.Column("bcc", Json, nullable=False),
        sa.Column("subject", sa.String(length=1000), server_default="", nullable=False),
        sa.Column("html", sa.Text(), server_default="", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("quotes", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("send_at", Moment(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("saved_at", Moment(), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.Column("message_id", BigId, nullable=True),
        sa.Column("closed_version", sa.Integer(), nullable=True),
        sa.Column("closed_owned", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint("kind IN ('new', 'reply', 'reply_all', 'forward')", name=op.f("ck_drafts_kind")),
        sa.ForeignKeyConstraint(["answers_id"], ["messages.id"], name=op.f("fk_drafts_answers_id")),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name=op.f("fk_drafts_author_id")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_drafts_client_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_drafts_contact_id")),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_drafts_identity_id")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name=op.f("fk_drafts_mailbox_id")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_drafts_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("drafts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_drafts_answers_id"), ["answers_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_drafts_author_id"), ["author_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_drafts_client_id"), ["client_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_drafts_message_id"), ["message_id"], unique=False)

    op.create_table(
        "flag_wishes",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("mailbox_id", BigId, nullable=False),
        sa.Column("message_id", BigId, nullable=False),
        sa.Column("flag", sa.String(length=20), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name=op.f("fk_flag_wishes_mailbox_id")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_flag_wishes_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flag_wishes")),
        sa.UniqueConstraint("message_id", "flag", name="uq_flag_wishes_flag"),
    )
    with op.batch_alter_table("flag_wishes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_flag_wishes_mailbox_id"), ["mailbox_id"], unique=False)

    op.create_table(
        "undeliverable",
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("status", sa.String(length=12), server_default="", nullable=False),
        sa.Column("reason", sa.String(length=300), server_default="", nullable=False),
        sa.Column("message_id", BigId, nullable=True),
        sa.Column("times", sa.Integer(), server_default="1", nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("last_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_undeliverable_message_id")),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_undeliverable")),
    )
    with op.batch_alter_table("undeliverable", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_undeliverable_message_id"), ["message_id"], unique=False)

    op.create_table(
        "draft_files",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("draft_id", BigId, nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("type", sa.String(length=200), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("inline", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("cid", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(["draft_id"], ["drafts.id"], name=op.f("fk_draft_files_draft_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft_files")),
    )
    with op.batch_alter_table("draft_files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_draft_files_draft_id"), ["draft_id"], unique=False)

    with op.batch_alter_table("attachments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("scan", sa.String(length=10), server_default="none", nullable=False))
        batch_op.add_column(sa.Column("scan_note", sa.String(length=200), server_default="", nullable=False))
        batch_op.create_check_constraint(
            op.f("ck_attachments_scan"), "scan IN ('none', 'waiting', 'clean', 'infected', 'failed')"
        )
        batch_op.create_index("ix_attachments_scan", ["scan", "id"], unique=False)
        batch_op.create_index("ix_attachments_sha256", ["sha256"], unique=False)

    op.create_table(
        "picture_senders",
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_picture_senders_user_id")),
        sa.PrimaryKeyConstraint("user_id", "address", name=op.f("pk_picture_senders")),
    )

    with op.batch_alter_table("mail_folders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("is_chosen", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column("on_server", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("compared_at", Moment(), nullable=True))

    with op.batch_alter_table("mail_locations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("flags", Json, server_default="[]", nullable=False))

    with op.batch_alter_table("mailboxes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner_id", BigId, nullable=True))
        batch_op.add_column(sa.Column("source", sa.String(length=4), server_default="file", nullable=False))
        batch_op.add_column(sa.Column("settings", Json, nullable=True))
        batch_op.add_column(sa.Column("is_enabled", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column("sends_per_min", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("send_state", sa.String(length=15), server_default="ok", nullable=False))
        batch_op.add_column(sa.Column("send_error", sa.String(length=300), server_default="", nullable=False))
        batch_op.add_column(sa.Column("send_error_at", Moment(), nullable=True))
        batch_op.add_column(sa.Column("error_at", Moment(), nullable=True))
        batch_op.add_column(sa.Column("refused_with", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("last_mail_at", Moment(), nullable=True))
        batch_op.create_index(batch_op.f("ix_mailboxes_owner_id"), ["owner_id"], unique=False)
        batch_op.create_foreign_key(batch_op.f("fk_mailboxes_owner_id"), "users", ["owner_id"], ["id"])
        batch_op.create_check_constraint(op.f("ck_mailboxes_source"), "source IN ('file', 'page')")
        batch_op.create_check_constraint(
            op.f("ck_mailboxes_send_state"), "send_state IN ('ok', 'down', 'auth_refused')"
        )

    with op.batch_alter_table("user_privileges", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_user_privileges_privilege"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_user_privileges_privilege"), "privilege IN ('supervise', 'recordings', 'own_mailbox')"
        )

    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parse_attempts", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("about", Json, server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("deleted_at", Moment(), nullable=True))
        batch_op.add_column(sa.Column("bounce_of", BigId, nullable=True))
        batch_op.create_index(batch_op.f("ix_messages_bounce_of"), ["bounce_of"], unique=False)
        batch_op.create_index("ix_messages_same", ["message_id"], unique=False)
        batch_op.create_index("ix_messages_from", ["from_address"], unique=False)
        batch_op.create_index(
            "ix_messages_unreadable",
            ["mailbox_id", "id"],
            unique=False,
            sqlite_where=sa.text("parse_state = 'failed'"),
            postgresql_where=sa.text("parse_state = 'failed'"),
        )
        batch_op.create_index(
            "ix_messages_gone",
            ["mailbox_id", "id"],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NOT NULL"),
            postgresql_where=sa.text("deleted_at IS NOT NULL"),
        )
        batch_op.create_foreign_key(batch_op.f("fk_messages_bounce_of"), "messages", ["bounce_of"], ["id"])

    with op.batch_alter_table("threads", schema=None) as batch_op:
        batch_op.add_column(sa.Column("subject_key", sa.String(length=16), server_default="", nullable=False))
        batch_op.create_index("ix_threads_subject", ["mailbox_id", "subject_key"], unique=False)

    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("undo_until", Moment(), nullable=True))
        batch_op.drop_constraint(op.f("ck_outbox_state"), type_="check")
        batch_op.create_check_constraint(op.f("ck_outbox_state"), _OUTBOX_STATES)
        batch_op.add_column(sa.Column("copy_tries", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("copy_after", Moment(), nullable=True))
        batch_op.add_column(sa.Column("copy_error", sa.String(length=300), server_default="", nullable=False))
        batch_op.drop_constraint(op.f("ck_outbox_copy"), type_="check")
        batch_op.create_check_constraint(op.f("ck_outbox_copy"), "copy_state IN ('none', 'wanted', 'done', 'failed')")
        batch_op.create_index("ix_outbox_copies", ["mailbox_id", "copy_state"], unique=False)
        batch_op.create_index("ix_outbox_line", ["mailbox_id", "state", "not_before"], unique=False)

    for statement in _SEARCH[op.get_bind().dialect.name]:
        op.execute(statement)
    jobs = op.create_table(
        "mail_jobs",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("below_id", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.CheckConstraint("kind IN ('index', 'relink', 'reread')", name=op.f("ck_mail_jobs_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_jobs")),
        sa.UniqueConstraint("kind", "address", name="uq_mail_jobs_address"),
    )
    # What was stored before there was a search is found once the job has been through it.
    newest = op.get_bind().execute(sa.text("SELECT max(id) FROM messages")).scalar()
    if newest is not None:
        row = {"kind": "index", "address": "", "below_id": newest + 1, "done": 0, "created_at": utc_now()}
        op.bulk_insert(jobs, [row])
