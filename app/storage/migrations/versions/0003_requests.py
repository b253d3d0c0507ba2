"""Operators' requests to live calls, and the idempotency keys of outbound calls."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    call = sa.ForeignKey("calls.call_id", ondelete="CASCADE")
    op.create_table(
        "call_requests",
        sa.Column("request_id", sa.Integer, primary_key=True),
        sa.Column("call_id", sa.String, call, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("taken_at", sa.String),
    )
    op.create_index("call_requests_by_call", "call_requests", ["call_id"])
    waiting = sa.text("taken_at IS NULL")
    op.create_index(
        "call_requests_waiting", "call_requests", ["request_id"], sqlite_where=waiting, postgresql_where=waiting
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("body_hash", sa.String, nullable=False),
        sa.Column("call_id", sa.String, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
    )
    op.create_index("idempotency_keys_by_age", "idempotency_keys", ["created_at"])
    op.create_index("idempotency_keys_by_call", "idempotency_keys", ["call_id"])
