"""Telephone calls: LiveKit's identity of a call, and the inbox of webhooks that report calls."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the identity of telephone calls, and the inbox."""
    op.add_column("calls", sa.Column("room_sid", sa.String))
    op.add_column("calls", sa.Column("sip_call_id", sa.String))
    op.create_index("calls_by_telephone_call", "calls", ["room_sid", "sip_call_id"], unique=True)
    op.create_table(
        "webhook_inbox",
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("room", sa.String, nullable=False),
        sa.Column("room_sid", sa.String, nullable=False),
        sa.Column("identity", sa.String, nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("received_at", sa.String, nullable=False),
        sa.Column("taken_at", sa.String),
    )
    op.create_index("webhook_inbox_by_age", "webhook_inbox", ["received_at"])
