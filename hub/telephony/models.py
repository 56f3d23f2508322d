"""Tables of calls, their legs, and what Hub asks of a PBX. Shapes only.

Invariants that the database holds: one row per call of a PBX's run, one dial per `channel_id`, and an intent's
`sent` never turns back to `new`.
"""

from __future__ import annotations

import sqlalchemy as sa

from hub.store.schema import BigId, Json, id_column, link, metadata, moment

calls = sa.Table(
    "calls",
    metadata,
    id_column(),
    sa.Column("pbx", sa.String(63), nullable=False),
    sa.Column("boot", sa.String(40), nullable=False),
    sa.Column("linked_id", sa.String(150), nullable=False),
    sa.Column("direction", sa.String(10), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("outcome", sa.String(10)),
    sa.Column("estimated", sa.Boolean(), nullable=False),
    sa.Column("from_raw", sa.String(200), nullable=False),
    sa.Column("from_number", sa.String(32)),
    sa.Column("from_name", sa.String(200), nullable=False),
    sa.Column("from_extension", sa.String(10)),
    sa.Column("to_raw", sa.String(200), nullable=False),
    sa.Column("to_number", sa.String(32)),
    sa.Column("to_extension", sa.String(10)),
    sa.Column("did", sa.String(64)),
    moment("started_at", nullable=False),
    moment("answered_at"),
    moment("ended_at"),
    sa.Column("wait_s", sa.Float(), nullable=False),
    sa.Column("talk_s", sa.Float(), nullable=False),
    sa.Column("queue", sa.String(80)),
    sa.Column("queue_channel", sa.String(150)),
    sa.Column("manager_channel", sa.String(150)),
    sa.Column("answered_extension", sa.String(10)),
    link("answered_user_id", "users"),
    link("team_id", "teams"),
    link("client_id", "clients"),
    link("contact_id", "contacts"),
    sa.Column("link_reason", sa.String(20)),
    sa.Column("link_confidence", sa.String(10)),
    sa.Column("link_manual", sa.Boolean(), nullable=False),
    sa.Column("candidates", Json, nullable=False),
    sa.Column("dial_id", sa.String(40), unique=True),
    sa.Column("transfers", Json, nullable=False),
    sa.Column("note", sa.Text()),
    sa.Column("origin", sa.String(8), nullable=False, server_default="live"),
    sa.Column("blocked", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("failure", sa.String(20)),
    sa.UniqueConstraint("pbx", "boot", "linked_id", name="uq_calls_identity"),
    sa.Index("ix_calls_started", "started_at", "id"),
    sa.Index("ix_calls_open", "pbx", "state"),
    sa.Index("ix_calls_team_day", "team_id", "started_at"),
    sa.Index("ix_calls_from_number", "from_number", "started_at"),
    sa.Index("ix_calls_to_number", "to_number", "started_at"),
)

call_legs = sa.Table(
    "call_legs",
    metadata,
    id_column(),
    link("call_id", "calls", nullable=False, index=False),
    sa.Column("channel", sa.String(150), nullable=False),
    sa.Column("uniqueid", sa.String(150), nullable=False),
    sa.Column("extension", sa.String(10)),
    sa.Column("number", sa.String(64)),
    link("user_id", "users"),
    sa.Column("role", sa.String(10), nullable=False),
    moment("rang_at"),
    moment("answered_at"),
    moment("left_at"),
    sa.Column("result", sa.String(10)),
    sa.UniqueConstraint("call_id", "uniqueid", name="uq_call_legs_leg"),
)

merged_calls = sa.Table(
    "merged_calls",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=False),
    link("call_id", "calls", nullable=False),
)
"""By the id that a call had before it became part of another: the call that it is part of now."""

call_intents = sa.Table(
    "call_intents",
    metadata,
    id_column(),
    sa.Column("pbx", sa.String(63), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    link("user_id", "users", nullable=False),
    link("call_id", "calls"),
    link("queue_item_id", "queue_items"),
    link("client_id", "clients"),
    link("contact_id", "contacts"),
    sa.Column("claim_id", sa.String(16), unique=True),
    sa.Column("channel_id", sa.String(40), unique=True),
    sa.Column("extension", sa.String(10)),
    sa.Column("number", sa.String(32)),
    sa.Column("keys", sa.String(8)),
    sa.Column("channel", sa.String(150)),
    sa.Column("queue", sa.String(80)),
    sa.Column("target", sa.String(64)),
    link("record_team_id", "teams"),
    sa.Column("peer_channel", sa.String(150)),
    moment("created_at", nullable=False),
    moment("deadline", nullable=False),
    moment("sent_at"),
    moment("settled_at"),
    sa.Column("reason", sa.String(200), nullable=False, server_default=""),
    sa.CheckConstraint(
        "kind IN ('take', 'dial', 'hangup', 'blind', 'attended', 'complete', 'cancel', 'hold', 'unhold', "
        "'park', 'retrieve', 'listen', 'whisper', 'barge', 'dnd', 'rec_pause', 'rec_resume')",
        name="kind",
    ),
    sa.CheckConstraint("state IN ('new', 'sending', 'sent', 'refused', 'deferred', 'unknown')", name="state"),
    sa.Index("ix_call_intents_due", "pbx", "state", "id"),
    sa.Index("ix_call_intents_asked", "kind", "created_at"),
)
"""`channel` is what is acted upon (the asker's phone, or whom a supervisor hears), `peer_channel` the other side.

`keys` are pressed once `number` answers: an extension behind a switchboard.
"""

pbx_states = sa.Table(
    "pbx_states",
    metadata,
    sa.Column("pbx", sa.String(63), primary_key=True),
    sa.Column("state", sa.String(15), nullable=False),
    sa.Column("boot", sa.String(40), nullable=False, server_default=""),
    moment("since", nullable=False),
    moment("seen_at"),
    sa.Column("error", sa.String(300), nullable=False, server_default=""),
    sa.Column("version", sa.String(60), nullable=False, server_default=""),
)

recordings = sa.Table(
    "recordings",
    metadata,
    id_column(),
    link("call_id", "calls"),
    sa.Column("pbx", sa.String(63), nullable=False),
    sa.Column("path", sa.String(300), nullable=False),
    link("team_id", "teams"),
    moment("started_at", nullable=False),
    sa.Column("duration_s", sa.Float()),
    sa.Column("size_bytes", sa.BigInteger()),
    sa.Column("peaks", Json),
    sa.Column("state", sa.String(10), nullable=False, server_default="pending"),
    moment("measure_at"),
    sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("channel", sa.String(150)),
    moment("paused_at"),
    moment("keep_until"),
    moment("deleted_at"),
    sa.UniqueConstraint("pbx", "path", name="uq_recordings_path"),
    sa.Index("ix_recordings_keep", "deleted_at", "keep_until"),
    sa.Index("ix_recordings_measure", "state", "measure_at"),
    sa.CheckConstraint("state IN ('pending', 'ready', 'empty', 'missing')", name="state"),
)
"""`path` is below the PBX's recordings root. `pending` until its file was looked at after the call: then there is
something to hear (`ready`), or nobody ever spoke (`empty`), or no file came (`missing`). `peaks` is the waveform."""

device_states = sa.Table(
    "device_states",
    metadata,
    sa.Column("pbx", sa.String(63), primary_key=True),
    sa.Column("device", sa.String(80), primary_key=True),
    sa.Column("extension", sa.String(10)),
    sa.Column("state", sa.String(20), nullable=False),
    moment("since", nullable=False),
    sa.Column("contact", sa.String(12), nullable=False, server_default=""),
    sa.Index("ix_device_states_extension", "pbx", "extension"),
)
"""What Asterisk last said of its phones (see `devices`); it holds only while the PBX is up."""
