"""Several workers look all the time for callers that wait."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Index the callers nobody has taken; mostly there are none."""
    waiting = sa.text("taken_at IS NULL")
    op.create_index("webhook_inbox_waiting", "webhook_inbox", ["received_at"], sqlite_where=waiting)
