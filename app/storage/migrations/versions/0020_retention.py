"""How long parts of a call are kept, when they were erased, and how its journal stays sealed without its words."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the columns, the index and the table."""
    for name, kind in (
        ("retention", sa.JSON()),
        ("recording_erased_at", sa.String()),
        ("words_erased_at", sa.String()),
        ("words_left_from", sa.Integer()),
    ):
        op.add_column("calls", sa.Column(name, kind))
    ended = sa.text("status = 'ended'")
    op.create_index("calls_by_end", "calls", ["ended_at", "call_id"], sqlite_where=ended, postgresql_where=ended)
    op.add_column("journal", sa.Column("salt", sa.String()))
    op.add_column("journal", sa.Column("data_hash", sa.String()))
    op.add_column("erased_calls", sa.Column("erased_by", sa.String(), nullable=False, server_default="request"))
    op.create_table(
        "service_jobs",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("due_at", sa.String(), nullable=False),
        sa.Column("lease_until", sa.Float()),
    )
