"""Named keys, who asked for what, and what holds for the whole service."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0025"


def upgrade() -> None:
    """Add the three tables."""
    op.create_table(
        "api_keys",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("key_hash", sa.String(), nullable=False, unique=True),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.Integer(), primary_key=True),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("call_id", sa.String()),
        sa.Column("detail", sa.String()),
        sa.Column("status", sa.Integer()),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_call", "audit", ["call_id", "audit_id"])
    op.create_index("audit_by_key", "audit", ["key", "audit_id"])
    op.create_table(
        "service_orders",
        sa.Column("order_id", sa.Integer(), primary_key=True),
        sa.Column("paused_since", sa.String()),
        sa.Column("draining_since", sa.String()),
        sa.Column("outbound_stopped_since", sa.String()),
        sa.Column("ordered_by", sa.String()),
    )
