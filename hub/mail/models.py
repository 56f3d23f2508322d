"""Tables of mailboxes, folders, messages and the outbox. Shapes only.

Invariants that the database holds: a message of a server (folder, UIDVALIDITY, UID) has one location row, the same
bytes in one mailbox are one message, a recipient of an outgoing message has one outcome.
"""

from __future__ import annotations

import sqlalchemy as sa

from hub.crm.base.schema import record_columns, record_indexes
from hub.mail.choices import MailboxSource, ScanState, SendState
from hub.store.schema import BigId, Json, folded, id_column, link, metadata, moment

mailboxes = sa.Table(
    "mailboxes",
    metadata,
    *record_columns(archived=""),
    sa.Column("address", sa.String(254), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False, server_default=""),
    folded("name_folded", 200),
    link("team_id", "teams", nullable=False),
    link("owner_id", "users"),
    sa.Column("source", sa.String(4), nullable=False, server_default="file"),
    sa.Column("settings", Json),
    sa.Column("sign_in", sa.String(9), nullable=False, server_default="password"),
    sa.Column("is_enabled", sa.Boolean(), nullable=False, server_default=sa.true()),
    sa.Column("sends_per_min", sa.Integer()),
    sa.Column("send_state", sa.String(15), nullable=False, server_default="ok"),
    sa.Column("send_error", sa.String(300), nullable=False, server_default=""),
    moment("send_error_at"),
    sa.Column("state", sa.String(15), nullable=False, server_default="connecting"),
    sa.Column("error", sa.String(300), nullable=False, server_default=""),
    moment("error_at"),
    moment("retry_at"),
    sa.Column("problems", Json),
    sa.Column("refused_with", sa.String(64)),
    moment("seen_at"),
    moment("last_mail_at"),
    moment("first_synced_at"),
    sa.CheckConstraint(MailboxSource.check("source"), name="source"),
    sa.CheckConstraint(SendState.check("send_state"), name="send_state"),
    *record_indexes(),
    sa.Index("ix_mailboxes_name_folded", "name_folded", "id"),
    sa.Index("ix_mailboxes_seen_at", "seen_at", "id"),
)
"""`version` counts changes of what a person set up, not of how the mailbox is. `team_id` gets what strangers write; a
mailbox with an `owner_id` is that person's own. `source`: where its settings stand, in the configuration file or
(`settings`) here; secrets stand in neither. `state` is the reading side's, `send_state` the outbox's. `refused_with`
marks the settings that a server refused, so that they are not tried again and again. `retry_at`: when the next
connection is tried. `problems`: what is wrong with folders, as `{"folder", "kind", "said"}` each."""

mail_secrets = sa.Table(
    "mail_secrets",
    metadata,
    id_column(),
    link("mailbox_id", "mailboxes", nullable=False, index=False),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("key_id", sa.String(16), nullable=False),
    sa.Column("sealed", sa.LargeBinary(), nullable=False),
    moment("renewed_at", nullable=False),
    sa.UniqueConstraint("mailbox_id", "kind", name="uq_mail_secrets_kind"),
)

folders = sa.Table(
    "mail_folders",
    metadata,
    id_column(),
    link("mailbox_id", "mailboxes", nullable=False, index=False),
    sa.Column("name", sa.String(500), nullable=False),
    sa.Column("role", sa.String(10), nullable=False),
    sa.Column("is_chosen", sa.Boolean(), nullable=False, server_default=sa.true()),
    sa.Column("uidvalidity", sa.BigInteger()),
    sa.Column("high_uid", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("low_uid", sa.BigInteger()),
    sa.Column("highestmodseq", sa.BigInteger()),
    sa.Column("gaps", Json, nullable=False),
    sa.Column("on_server", sa.BigInteger(), nullable=False, server_default="0"),
    moment("compared_at"),
    moment("retry_at"),
    sa.UniqueConstraint("mailbox_id", "name", name="uq_mail_folders_name"),
)
"""`gaps`: UIDs that the server did not give; `retry_at`: when they are asked for again."""

threads = sa.Table(
    "threads",
    metadata,
    id_column(),
    link("mailbox_id", "mailboxes", nullable=False),
    sa.Column("subject", sa.String(1000), nullable=False),
    sa.Column("subject_key", sa.String(16), nullable=False, server_default=""),
    link("client_id", "clients"),
    link("contact_id", "contacts"),
    moment("last_at", nullable=False),
    sa.Index("ix_threads_subject", "mailbox_id", "subject_key"),
)
"""`subject_key`: the same for the subjects of one talk, empty where a subject says too little to go by."""

thread_ids = sa.Table(
    "thread_ids",
    metadata,
    id_column(),
    link("mailbox_id", "mailboxes", nullable=False, index=False),
    sa.Column("message_id", sa.String(500), nullable=False),
    link("thread_id", "threads", nullable=False),
    sa.UniqueConstraint("mailbox_id", "message_id", name="uq_thread_ids_id"),
)

_unreadable = sa.text("parse_state = 'failed'")
IN_OUTBOX = "state NOT IN ('sent', 'undone') OR copy_state = 'failed' OR bounced"
"""Messages of the outbox that are not settled, or were called off."""
_in_outbox = sa.text(IN_OUTBOX)
_gone = sa.text("deleted_at IS NOT NULL")
_has_event = sa.text("event_uid IS NOT NULL")
_of_gmail = sa.text("gm_msgid IS NOT NULL")

messages = sa.Table(
    "messages",
    metadata,
    id_column(),
    link("mailbox_id", "mailboxes", nullable=False, index=False),
    link("thread_id", "threads"),
    sa.Column("direction", sa.String(3), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("message_id", sa.String(500), nullable=False),
    sa.Column("in_reply_to", sa.String(500), nullable=False, server_default=""),
    sa.Column("references", Json, nullable=False),
    sa.Column("subject", sa.String(1000), nullable=False),
    sa.Column("from_name", sa.String(300), nullable=False),
    sa.Column("from_address", sa.String(254), nullable=False),
    sa.Column("to", Json, nullable=False),
    sa.Column("cc", Json, nullable=False),
    sa.Column("bcc", Json, nullable=False),
    sa.Column("reply_to", Json, nullable=False),
    moment("date"),
    moment("received_at", nullable=False),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("html", sa.Text()),
    sa.Column("snippet", sa.String(300), nullable=False),
    sa.Column("auto", sa.String(12), nullable=False),
    sa.Column("raw_sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger(), nullable=False),
    sa.Column("parse_state", sa.String(10), nullable=False),
    sa.Column("parse_attempts", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("defects", Json, nullable=False),
    sa.Column("about", Json, nullable=False, server_default="{}"),
    sa.Column("event_uid", sa.String(300)),
    sa.Column("gm_msgid", sa.BigInteger()),
    sa.Column("flags", Json, nullable=False),
    moment("deleted_at"),
    link("bounce_of", "messages"),
    link("author_id", "users"),
    link("client_id", "clients"),
    link("contact_id", "contacts"),
    sa.Column("link_reason", sa.String(20)),
    sa.Column("link_confidence", sa.String(10)),
    sa.Column("link_manual", sa.Boolean(), nullable=False),
    sa.Column("candidates", Json, nullable=False),
    sa.UniqueConstraint("mailbox_id", "raw_sha256", name="uq_messages_content"),
    sa.Index("ix_messages_received", "received_at", "id"),
    sa.Index("ix_messages_message_id", "mailbox_id", "message_id"),
    sa.Index("ix_messages_same", "message_id"),
    sa.Index("ix_messages_from", "from_address"),
    sa.Index("ix_messages_unreadable", "mailbox_id", "id", sqlite_where=_unreadable, postgresql_where=_unreadable),
    sa.Index("ix_messages_gone", "mailbox_id", "id", sqlite_where=_gone, postgresql_where=_gone),
    sa.Index("ix_messages_event", "mailbox_id", "event_uid", sqlite_where=_has_event, postgresql_where=_has_event),
    sa.Index("ix_messages_gm_msgid", "mailbox_id", "gm_msgid", sqlite_where=_of_gmail, postgresql_where=_of_gmail),
)
"""`about`: what a message is beside its text (an event, signed, encrypted). `event_uid`: the meeting that it speaks of.
`gm_msgid`: Gmail's own id, the same in each folder. `deleted_at`: no folder of the server
holds it any more."""

locations = sa.Table(
    "mail_locations",
    metadata,
    id_column(),
    link("folder_id", "mail_folders", nullable=False, index=False),
    sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
    sa.Column("uid", sa.BigInteger(), nullable=False),
    link("message_id", "messages", nullable=False),
    sa.Column("flags", Json, nullable=False, server_default="[]"),
    sa.UniqueConstraint("folder_id", "uidvalidity", "uid", name="uq_mail_locations_place"),
)

flag_wishes = sa.Table(
    "flag_wishes",
    metadata,
    id_column(),
    link("mailbox_id", "mailboxes", nullable=False),
    link("message_id", "messages", nullable=False, index=False),
    sa.Column("flag", sa.String(20), nullable=False),
    sa.Column("wanted", sa.Boolean(), nullable=False),
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    moment("not_before", nullable=False),
    sa.UniqueConstraint("message_id", "flag", name="uq_flag_wishes_flag"),
)
"""What a person wants of a message's flags and the server does not show yet; the row goes when it does."""

undeliverable = sa.Table(
    "undeliverable",
    metadata,
    sa.Column("address", sa.String(254), primary_key=True),
    sa.Column("status", sa.String(12), nullable=False, server_default=""),
    sa.Column("reason", sa.String(300), nullable=False, server_default=""),
    link("message_id", "messages"),
    sa.Column("times", sa.Integer(), nullable=False, server_default="1"),
    moment("since", nullable=False),
    moment("last_at", nullable=False),
)
"""Addresses whose mail came back; `status` is the enhanced code (RFC 3463) where one was told."""

answering = sa.Table(
    "answering",
    metadata,
    sa.Column("thread_id", BigId, sa.ForeignKey("threads.id"), primary_key=True),
    sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True),
    moment("until", nullable=False),
)

attachments = sa.Table(
    "attachments",
    metadata,
    id_column(),
    link("message_id", "messages", nullable=False),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("type", sa.String(200), nullable=False),
    sa.Column("size", sa.BigInteger(), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("inline", sa.Boolean(), nullable=False),
    sa.Column("cid", sa.String(300)),
    sa.Column("scan", sa.String(10), nullable=False, server_default="none"),
    sa.Column("scan_note", sa.String(200), nullable=False, server_default=""),
    sa.CheckConstraint(ScanState.check("scan"), name="scan"),
    sa.Index("ix_attachments_scan", "scan", "id"),
    sa.Index("ix_attachments_sha256", "sha256"),
)

mail_jobs = sa.Table(
    "mail_jobs",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("address", sa.String(254), nullable=False),
    sa.Column("below_id", sa.BigInteger(), nullable=False),
    sa.Column("done", sa.BigInteger(), nullable=False, server_default="0"),
    moment("created_at", nullable=False),
    sa.UniqueConstraint("kind", "address", name="uq_mail_jobs_address"),
    sa.CheckConstraint("kind IN ('index', 'relink', 'reread')", name="kind"),
)
"""What is still to be done to stored messages, newest first: those with an id below `below_id`. `index`: keep their
words (`search`); `reread`: read the unreadable ones of the mailbox whose id stands in `address` again. `relink` stands
in `relink_jobs` now."""
picture_senders = sa.Table(
    "picture_senders",
    metadata,
    sa.Column("user_id", BigId, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("address", sa.String(254), primary_key=True),
    moment("since", nullable=False),
)
"""Senders whose pictures from elsewhere a person always wants to see."""

outbox = sa.Table(
    "outbox",
    metadata,
    id_column(),
    sa.Column("message_id", BigId, sa.ForeignKey("messages.id"), nullable=False, unique=True),
    link("mailbox_id", "mailboxes", nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    moment("not_before", nullable=False),
    moment("undo_until"),
    moment("sending_since"),
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("reason", sa.String(300), nullable=False, server_default=""),
    sa.Column("copy_state", sa.String(10), nullable=False, server_default="none"),
    sa.Column("copy_tries", sa.Integer(), nullable=False, server_default="0"),
    moment("copy_after"),
    sa.Column("copy_error", sa.String(300), nullable=False, server_default=""),
    sa.Column("bounced", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Index("ix_outbox_due", "state", "not_before"),
    sa.Index("ix_outbox_line", "mailbox_id", "state", "not_before"),
    sa.CheckConstraint(
        "state IN ('queued', 'sending', 'sent', 'refused', 'deferred', 'unknown', 'cancelled', 'undone')", name="state"
    ),
    sa.CheckConstraint("copy_state IN ('none', 'wanted', 'done', 'failed')", name="copy"),
    sa.Index("ix_outbox_copies", "mailbox_id", "copy_state"),
    sa.Index("ix_outbox_open", "id", sqlite_where=_in_outbox, postgresql_where=_in_outbox),
    sa.Index("ix_outbox_open_not_before", "not_before", "id", sqlite_where=_in_outbox, postgresql_where=_in_outbox),
)

outbox_recipients = sa.Table(
    "outbox_recipients",
    metadata,
    id_column(),
    link("outbox_id", "outbox", nullable=False, index=False),
    sa.Column("address", sa.String(254), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("code", sa.Integer()),
    sa.Column("reply", sa.String(300), nullable=False, server_default=""),
    sa.UniqueConstraint("outbox_id", "address", name="uq_outbox_recipients_address"),
)
