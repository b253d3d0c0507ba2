"""When a call ended, on the lease clock, so that its age does not depend on the wall clock."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; it stays empty for calls that have already ended."""
    op.add_column("calls", sa.Column("over_since", sa.Float()))
