"""What calls may cost and what they have cost, apart from the calls, so that erasing a call allows no more spending."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table. Calls of older versions are not in it."""
    op.create_table(
        "spending",
        sa.Column("spending_id", sa.Integer, primary_key=True),
        sa.Column("day", sa.String, nullable=False),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("call_id", sa.String),
        sa.Column("reserved_usd", sa.Float, nullable=False),
        sa.Column("spent_usd", sa.Float),
        sa.Column("ended", sa.Boolean, nullable=False),
    )
    op.create_index("spending_by_day", "spending", ["day", "agent"])
    op.create_index("spending_by_call", "spending", ["call_id"])
