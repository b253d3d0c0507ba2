"""How much of the journal a session's websocket may receive."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; existing sessions get the conversation only."""
    op.add_column("sessions", sa.Column("events", sa.String(), nullable=False, server_default="conversation"))
