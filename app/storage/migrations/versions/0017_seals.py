"""The hash of each row of a journal, the seal of each call, and what is kept of the seals of erased calls."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0014"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("journal", sa.Column("hash", sa.String()))
    op.add_column("calls", sa.Column("seal", sa.String()))
    op.create_table(
        "erased_calls",
        sa.Column("call_id", sa.String(), primary_key=True),
        sa.Column("seal", sa.String()),
        sa.Column("erased_at", sa.String(), nullable=False),
    )
