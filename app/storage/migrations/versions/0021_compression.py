"""Recordings that still have to be compressed: those of all calls so far, the oldest first."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0023"


def upgrade() -> None:
    """Add the table, with a job for each recording that there may be."""
    op.create_table(
        "compression_jobs",
        sa.Column("call_id", sa.String(), sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.String(), nullable=False),
        sa.Column("lease_until", sa.Float()),
    )
    op.create_index("compression_jobs_due", "compression_jobs", ["due_at"])
    op.execute(
        "INSERT INTO compression_jobs (call_id, attempts, due_at) SELECT call_id, 0, ended_at FROM calls"
        " WHERE status = 'ended' AND ended_at IS NOT NULL AND recording AND recording_erased_at IS NULL"
    )
