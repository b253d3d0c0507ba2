"""Calls, their journal, and the sessions that may become calls."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    _create_calls()
    _create_journal()
    _create_sessions()


def _create_calls() -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("direction", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("caller_number", sa.String),
        sa.Column("called_number", sa.String),
        sa.Column("livekit_room", sa.String),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("started_at", sa.String, nullable=False),
        sa.Column("answered_at", sa.String),
        sa.Column("ended_at", sa.String),
        sa.Column("duration_seconds", sa.Float),
        sa.Column("end_reason", sa.String),
        sa.Column("fault", sa.String, nullable=False),
        sa.Column("language", sa.String),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("recording", sa.Boolean, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("summary", sa.JSON),
        sa.Column("owner", sa.String),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("lease_until", sa.Float),
    )
    op.create_index("calls_by_start", "calls", ["started_at", "call_id"])
    op.create_index("calls_by_status", "calls", ["status", "started_at", "call_id"])
    op.create_index("calls_by_direction", "calls", ["direction", "started_at", "call_id"])
    op.create_index("calls_by_caller", "calls", ["caller_number", "started_at", "call_id"])
    op.create_index("calls_by_called", "calls", ["called_number", "started_at", "call_id"])


def _create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("call_id", sa.String, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("t", sa.Float, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("turn", sa.Integer),
        sa.Column("v", sa.Integer, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String, primary_key=True),
        sa.Column("call_id", sa.String, nullable=False, unique=True),
        sa.Column("caller", sa.String),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("expires_at", sa.String, nullable=False),
        sa.Column("used_at", sa.String),
    )
    op.create_index("sessions_by_expiry", "sessions", ["expires_at"])
