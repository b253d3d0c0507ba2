"""When the owner of a call was last known to live, and the token with which a client resumes its call."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0021"


def upgrade() -> None:
    """Add the columns. Calls of older versions have neither."""
    op.add_column("calls", sa.Column("alive_at", sa.Float()))
    op.add_column("calls", sa.Column("resume_hash", sa.String()))
