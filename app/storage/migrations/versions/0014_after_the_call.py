"""What came of the calls, and the webhooks that the service sends: who gets them, and what is to be delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the tables and the column."""
    op.add_column("calls", sa.Column("analysis", sa.JSON(none_as_null=True)))
    op.create_table(
        "analysis_jobs",
        sa.Column("call_id", sa.String(), sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.String(), nullable=False),
        sa.Column("lease_until", sa.Float()),
        sa.Column("cost", sa.Float()),
    )
    op.create_index("analysis_jobs_due", "analysis_jobs", ["due_at"])
    op.create_table(
        "call_outcomes",
        sa.Column("field", sa.String(), primary_key=True),
        sa.Column("value", sa.String(), primary_key=True),
        sa.Column("call_id", sa.String(), sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("call_outcomes_by_call", "call_outcomes", ["call_id"])
    _create_webhooks()


def _create_webhooks() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", sa.String(), primary_key=True),
        sa.Column("agent", sa.String()),
        sa.Column("events", sa.String(), nullable=False),
        sa.Column("off_since", sa.String()),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_id", sa.Integer(), primary_key=True),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), sa.ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
        sa.Column("endpoint_id", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("happened_at", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.String(), nullable=False),
        sa.Column("lease_until", sa.Float()),
        sa.Column("delivered_at", sa.String()),
        sa.Column("answer", sa.Integer()),
        sa.Column("error", sa.String()),
        sqlite_autoincrement=True,
    )
    op.create_index("webhook_deliveries_by_call", "webhook_deliveries", ["call_id", "endpoint_id"])
    op.create_index("webhook_deliveries_by_status", "webhook_deliveries", ["status", "delivery_id"])
    op.create_index(
        "webhook_deliveries_waiting",
        "webhook_deliveries",
        ["endpoint_id", "due_at"],
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
