"""Phones, privileges, team rules, blocked callers, presence, recordings; more that can be asked of a PBX."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.schema import BigId, Json, Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


_KINDS = (
    "kind IN ('take', 'dial', 'hangup', 'blind', 'attended', 'complete', 'cancel', 'hold', 'unhold', "
    "'park', 'retrieve', 'listen', 'whisper', 'barge', 'dnd', 'rec_pause', 'rec_resume')"
)


def upgrade() -> None:
    op.create_table(
        "device_states",
        sa.Column("pbx", sa.String(length=63), nullable=False),
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("extension", sa.String(length=10), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("contact", sa.String(length=12), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("pbx", "device", name=op.f("pk_device_states")),
    )
    with op.batch_alter_table("device_states", schema=None) as batch_op:
        batch_op.create_index("ix_device_states_extension", ["pbx", "extension"], unique=False)

    op.create_table(
        "blocked_callers",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("pattern", sa.String(length=40), server_default="", nullable=False),
        sa.Column("note", sa.String(length=300), server_default="", nullable=False),
        sa.Column("created_by", BigId, nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.CheckConstraint("kind IN ('number', 'pattern', 'hidden')", name=op.f("ck_blocked_callers_kind")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_blocked_callers_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocked_callers")),
        sa.UniqueConstraint("kind", "pattern", name="uq_blocked_callers_pattern"),
    )
    with op.batch_alter_table("blocked_callers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_blocked_callers_created_by"), ["created_by"], unique=False)

    op.create_table(
        "phones",
        sa.Column("pbx", sa.String(length=63), nullable=False),
        sa.Column("extension", sa.String(length=10), nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_phones_user_id")),
        sa.PrimaryKeyConstraint("pbx", "extension", name=op.f("pk_phones")),
        sa.UniqueConstraint("pbx", "user_id", name="uq_phones_user"),
    )
    with op.batch_alter_table("phones", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_phones_user_id"), ["user_id"], unique=False)

    op.create_table(
        "merged_calls",
        sa.Column("id", BigId, autoincrement=False, nullable=False),
        sa.Column("call_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_merged_calls_call_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merged_calls")),
    )
    with op.batch_alter_table("merged_calls", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_merged_calls_call_id"), ["call_id"], unique=False)

    op.create_table(
        "presence",
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=True),
        sa.Column("seen_at", Moment(), nullable=True),
        sa.CheckConstraint("state IN ('available', 'away', 'dnd', 'after_call')", name=op.f("ck_presence_state")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_presence_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_presence")),
    )
    op.create_table(
        "team_rules",
        sa.Column("team_id", BigId, nullable=False),
        sa.Column("record_calls", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("keep_recordings_days", sa.Integer(), nullable=True),
        sa.Column("service_level_s", sa.Integer(), server_default="20", nullable=False),
        sa.Column("after_call_s", sa.Integer(), server_default="0", nullable=False),
        sa.Column("time_zone", sa.String(length=40), server_default="", nullable=False),
        sa.Column("hours", Json, nullable=False),
        sa.Column("holidays", Json, nullable=False),
        sa.Column("personal_s", sa.Integer(), server_default="0", nullable=False),
        sa.Column("overflow_team_id", BigId, nullable=True),
        sa.Column("overflow_s", sa.Integer(), server_default="0", nullable=False),
        sa.Column("when_closed", sa.String(length=10), server_default="fallback", nullable=False),
        sa.Column("when_tired", sa.String(length=10), server_default="fallback", nullable=False),
        sa.CheckConstraint(
            "when_closed IN ('fallback', 'callback', 'voicemail')", name=op.f("ck_team_rules_when_closed")
        ),
        sa.CheckConstraint(
            "when_tired IN ('fallback', 'callback', 'voicemail')", name=op.f("ck_team_rules_when_tired")
        ),
        sa.ForeignKeyConstraint(["overflow_team_id"], ["teams.id"], name=op.f("fk_team_rules_overflow_team_id")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_team_rules_team_id")),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_team_rules")),
    )
    with op.batch_alter_table("team_rules", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_team_rules_overflow_team_id"), ["overflow_team_id"], unique=False)

    op.create_table(
        "user_privileges",
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("privilege", sa.String(length=20), nullable=False),
        sa.CheckConstraint("privilege IN ('supervise', 'recordings')", name=op.f("ck_user_privileges_privilege")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_privileges_user_id")),
        sa.PrimaryKeyConstraint("user_id", "privilege", name=op.f("pk_user_privileges")),
    )
    op.create_table(
        "recordings",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("call_id", BigId, nullable=True),
        sa.Column("pbx", sa.String(length=63), nullable=False),
        sa.Column("path", sa.String(length=300), nullable=False),
        sa.Column("team_id", BigId, nullable=True),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("duration_s", sa.Float(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("peaks", Json, nullable=True),
        sa.Column("state", sa.String(length=10), server_default="pending", nullable=False),
        sa.Column("measure_at", Moment(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("channel", sa.String(length=150), nullable=True),
        sa.Column("paused_at", Moment(), nullable=True),
        sa.Column("keep_until", Moment(), nullable=True),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'ready', 'empty', 'missing')", name=op.f("ck_recordings_state")),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_recordings_call_id")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_recordings_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recordings")),
        sa.UniqueConstraint("pbx", "path", name="uq_recordings_path"),
    )
    with op.batch_alter_table("recordings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_recordings_call_id"), ["call_id"], unique=False)
        batch_op.create_index("ix_recordings_keep", ["deleted_at", "keep_until"], unique=False)
        batch_op.create_index("ix_recordings_measure", ["state", "measure_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_recordings_team_id"), ["team_id"], unique=False)

    with op.batch_alter_table("call_intents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("target", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("record_team_id", BigId, nullable=True))
        batch_op.create_foreign_key(op.f("fk_call_intents_record_team_id"), "teams", ["record_team_id"], ["id"])
        batch_op.create_index(op.f("ix_call_intents_record_team_id"), ["record_team_id"], unique=False)
        batch_op.add_column(sa.Column("peer_channel", sa.String(length=150), nullable=True))
        batch_op.drop_constraint(op.f("ck_call_intents_kind"), type_="check")
        batch_op.create_check_constraint(op.f("ck_call_intents_kind"), _KINDS)
        batch_op.create_index("ix_call_intents_asked", ["kind", "created_at"], unique=False)

    with op.batch_alter_table("calls", schema=None) as batch_op:
        batch_op.add_column(sa.Column("origin", sa.String(length=8), server_default="live", nullable=False))
        batch_op.create_index("ix_calls_team_day", ["team_id", "started_at"], unique=False)
        batch_op.add_column(sa.Column("blocked", sa.Boolean(), server_default=sa.false(), nullable=False))
