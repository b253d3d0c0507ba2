"""When a call ended, on the clock of the leases: for how long it has been over must not depend on the wall clock."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; calls that have ended before have none."""
    op.add_column("calls", sa.Column("over_since", sa.Float()))
