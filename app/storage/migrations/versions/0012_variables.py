"""The agent that a session asks for, and the values that a request sets for the variables of its agent."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("sessions", sa.Column("agent", sa.String()))
    for table in ("calls", "sessions"):
        op.add_column(table, sa.Column("variables", sa.JSON(), nullable=False, server_default="{}"))
