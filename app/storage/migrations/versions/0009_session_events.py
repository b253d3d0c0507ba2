"""A session says how much of the journal its websocket may see."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; sessions of the version before see what callers may see."""
    op.add_column("sessions", sa.Column("events", sa.String(), nullable=False, server_default="conversation"))
